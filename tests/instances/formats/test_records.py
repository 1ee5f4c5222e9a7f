"""The records of the formats: complete and documented. `tests/test_adding.py` adds one."""

from __future__ import annotations

import pytest

from numaplace.instances.formats.format import Format
from numaplace.instances.formats.registry import FORMATS, HOST_FORMATS, VM_FORMATS, WRITTEN_FORMATS
from numaplace.tests.instances.formats.formats_page import PAGE, formats_page


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: each.name)
def test_each_record_is_whole(each: Format) -> None:
    """It does something, says what, and what it writes has a suffix and a word on affinity."""
    assert each.read_hosts or each.read_vms or each.write
    assert each.title and each.doc and "None\n" not in each.doc + "\n"
    if each.write:
        assert each.suffix.startswith(".")
        assert each.soft or each.system
    if each.place or each.parts:
        assert each.read_vms


def test_names_are_unique() -> None:
    """No format hides another one."""
    assert len({each.name for each in FORMATS}) == len(FORMATS)
    counted = (len(HOST_FORMATS), len(VM_FORMATS), len(WRITTEN_FORMATS))
    assert counted == tuple(
        sum(bool(can) for can in column)
        for column in zip(*((f.read_hosts, f.read_vms, f.write) for f in FORMATS), strict=True)
    )


def test_page_is_up_to_date() -> None:
    """docs/formats.md says what the sources do."""
    assert PAGE.read_text(encoding="utf-8") == formats_page()
