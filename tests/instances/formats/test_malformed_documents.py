"""Every malformed JSON, YAML and plan file is refused with one clear line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from numaplace.instances.formats.document.io import read_instance, read_plan
from numaplace.models.errors import InputError

DATA = Path(__file__).parents[2] / "data" / "malformed"
READERS: dict[str, Callable[[Path], object]] = {
    "json": read_instance,
    "yaml": read_instance,
    "plan": read_plan,
}


def _cases() -> list[tuple[str, str, list[str]]]:
    cases = []
    for kind in READERS:
        expected = json.loads((DATA / kind / "expected.json").read_text(encoding="utf-8"))
        cases += [(kind, name, words) for name, words in expected.items()]
    return cases


@pytest.mark.parametrize(("kind", "name", "words"), _cases())
def test_malformed_document_is_refused(kind: str, name: str, words: list[str]) -> None:
    """The reader raises one line that names file, line or element, and reason."""
    with pytest.raises(InputError) as caught:
        READERS[kind](DATA / kind / name)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize("kind", READERS)
def test_every_malformed_file_has_an_expectation(kind: str) -> None:
    """No malformed file lies there unread."""
    files = {path.name for path in (DATA / kind).iterdir()} - {"expected.json"}
    expected = json.loads((DATA / kind / "expected.json").read_text(encoding="utf-8"))
    assert files == set(expected)
    assert len(files) >= 10
