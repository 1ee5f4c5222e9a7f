"""The store of results: nothing lost, nothing done twice, no foreign file touched."""

import errno
import os
from pathlib import Path

import pytest

from numaplace.models.errors import InputError, WriteError
from numaplace.solver.compare import store as stores
from numaplace.solver.compare.store import FORMAT, HEAD, Store


def test_records_are_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "store.jsonl"
    with Store(path) as store:
        store.put("a", {"n": 1})
        store.put("b", {"n": 2})
        store.put("a", {"n": 3})
        assert path.read_text(encoding="utf-8").count("\n") == 4  # each was written at once
    with Store(path) as store:
        assert len(store) == 2
        assert store.get("a") == {"n": 3}
        assert store.get("c") is None


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "store.jsonl"
    with Store(path) as store:
        store.put("a", {"n": 1})
    with path.open("a", encoding="utf-8") as stream:
        stream.write('{"key": "b", "rec')
    with Store(path) as store:
        assert len(store) == 1
        store.put("b", {"n": 2})
    with Store(path) as store:
        assert store.get("b") == {"n": 2}


def test_without_a_file_records_stay_in_memory() -> None:
    store = Store()
    store.put("a", {"n": 1})
    assert store.get("a") == {"n": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("hello\n", ":1: store: is no numaplace-results/1"),
        ("hello", ":1: store: is no numaplace-results/1"),
        ('{"format": "other"}\n', ":1: store: is no numaplace-results/1"),
        (f'{{"format": "{FORMAT}"}}\n[1]\n', ":2: store: is no line of a store"),
        (f'{{"format": "{FORMAT}"}}\n{{"key": "a"}}\n', ":2: store: is no line of a store"),
    ],
)
def test_another_file_is_left_alone(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        Store(path)
    assert path.read_text(encoding="utf-8") == content


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be used"):
        Store(tmp_path)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputError, match="no text in UTF-8"):
        Store(binary)


def test_line_ends_of_another_system_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "store.jsonl"
    with Store(path) as store:
        store.put("a", {"n": 1})
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    with Store(path) as store:
        store.put("b", {"n": 2})
    with Store(path) as store:
        assert (store.get("a"), store.get("b")) == ({"n": 1}, {"n": 2})


def test_one_run_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "store.jsonl"
    with Store(path), pytest.raises(InputError, match="in use by another run"):
        Store(path)
    with Store(path) as store:
        assert len(store) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_store_is_a_regular_file() -> None:
    """A device would be read until memory is gone."""
    with pytest.raises(InputError, match="no regular file"):
        Store(Path("/dev/full"))


def test_a_store_of_any_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "BYTES_MAX", 40)
    path = tmp_path / "results.jsonl"
    path.write_text("x" * 41)
    with pytest.raises(InputError, match="has 41 bytes, more than the 40"):
        Store(path)


def test_a_first_line_that_was_cut_off_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(HEAD[:10])
    with Store(path) as begun:
        begun.put("a", {"x": 1})
    with Store(path) as again:
        assert again.get("a") == {"x": 1}


def test_a_line_nested_too_deep_is_told(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(HEAD + "[" * 100_000 + "\n")
    with pytest.raises(InputError, match=r"results.jsonl:2: .*is no line of a store"):
        Store(path)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Store(tmp_path / "results.jsonl") as kept:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(WriteError, match=r"takes no more results .no space left"):
            kept.put("a", {"x": 1})
