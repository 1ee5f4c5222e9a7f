"""Lists of ids, masks and whole numbers mean what kernel, hwloc and taskset mean by them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaplace.instances.ranges import IDS_MAX, format_ids, parse_ids, parse_mask, parse_whole
from numaplace.models.errors import InputError


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", set()),
        (" \n", set()),
        ("7", {7}),
        ("0-3,8", {0, 1, 2, 3, 8}),
        ("0-5,^2", {0, 1, 3, 4, 5}),
        ("^2,0-3", {0, 1, 2, 3}),
        ("0-7,^2-4,3", {0, 1, 3, 5, 6, 7}),
        (" 1 - 2 , 9 ", {1, 2, 9}),
    ],
)
def test_lists(text: str, ids: set[int]) -> None:
    """Terms apply from left to right."""
    assert parse_ids(text, thing="t", field="f") == ids


@pytest.mark.parametrize(
    "text", ["x", "1,,2", ",", "3-1", "-1", "1-", "0-99999999", "0x3", "1;2", "1 2", "٣", "9" * 40]
)
def test_no_lists(text: str) -> None:
    """Anything else is refused, with the thing and the field."""
    with pytest.raises(InputError, match=r"^t: f: "):
        parse_ids(text, thing="t", field="f")


def test_exclusions_can_be_forbidden() -> None:
    """Where a caller wants plain lists, ``^`` is an error."""
    with pytest.raises(InputError, match="excludes"):
        parse_ids("0-3,^1", thing="t", field="f", exclusions=False)


def test_lists_are_bounded() -> None:
    """Neither many ids nor many repeated ranges are worked through."""
    assert len(parse_ids(f"0-{IDS_MAX - 1}", thing="t", field="f")) == IDS_MAX
    with pytest.raises(InputError, match="more than"):
        parse_ids(f"0-{IDS_MAX}", thing="t", field="f")
    with pytest.raises(InputError, match="too often"):
        parse_ids(",".join(["0-65535"] * 1000), thing="t", field="f")


@given(st.sets(st.integers(0, 5000), max_size=60))
def test_format_is_the_inverse(ids: set[int]) -> None:
    """A formatted list reads as the same ids, and is in order."""
    text = format_ids(ids)
    assert parse_ids(text, thing="t", field="f", exclusions=False) == ids
    starts = [int(term.partition("-")[0]) for term in text.split(",") if term]
    assert starts == sorted(starts)


def test_format_joins_neighbours() -> None:
    """Runs become ranges."""
    assert format_ids([3, 1, 2, 9, 11, 12]) == "1-3,9,11-12"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("0x0", set()),
        ("0x00000005", {0, 2}),
        ("0x00000001,0x80000000", {31, 32}),
        ("00000000,0000ffff", set(range(16))),
        ("0x00000001,,0x1", {0, 64}),
        ("0x3,", {32, 33}),
        ("0000,00000002", {1}),
        ("ff0000000000000f", {0, 1, 2, 3, *range(56, 64)}),
        ("3\n", {0, 1}),
    ],
)
def test_masks(text: str, ids: set[int]) -> None:
    """32-bit words, the highest first; an empty word is zero; sysfs writes no 0x."""
    assert parse_mask(text, thing="t", field="f") == ids


def test_infinite_mask_needs_a_universe() -> None:
    """hwloc's infinite mask names the ids that exist beyond its words."""
    universe = range(40)
    assert parse_mask("0xf...f", thing="t", field="f", universe=universe) == set(universe)
    mixed = parse_mask("0xf...f,0x00000001", thing="t", field="f", universe=universe)
    assert mixed == {0, *range(32, 40)}
    with pytest.raises(InputError, match="infinite"):
        parse_mask("0xf...f", thing="t", field="f")


@pytest.mark.parametrize("text", ["", "xyz", "0x", "0x1,0x1ffffffff", "-1", "1-3", "," * 3000])
def test_no_masks(text: str) -> None:
    """Anything else is refused, and so are masks beyond the bound."""
    with pytest.raises(InputError, match=r"^t: f: "):
        parse_mask(text, thing="t", field="f")


@given(st.sets(st.integers(0, 300), max_size=40))
def test_mask_of_any_set(ids: set[int]) -> None:
    """A mask written word by word, zero words left empty as hwloc does, gives the set back."""
    bits = sum(1 << number for number in ids)
    words = [bits >> shift & 0xFFFFFFFF for shift in range(288, -1, -32)]
    text = "0x0," + ",".join(f"0x{word:08x}" if word else "" for word in words)
    assert parse_mask(text, thing="t", field="f") == ids


@pytest.mark.parametrize(
    "text", ["", "x", "1.0", "1_000", "1e3", "٣", "0x10", "-1", "11", "9" * 99]
)
def test_no_whole_number(text: str) -> None:
    """Only plain digits within the bounds are a number; the place is named."""
    with pytest.raises(InputError, match=r"^f\.xml:7: t: f: "):
        parse_whole(text, thing="t", field="f", high=10, file="f.xml", line=7)


def test_whole_number() -> None:
    """Blanks around do not matter."""
    assert parse_whole(" 10\n", thing="t", field="f", high=10) == 10
    assert parse_whole("-1", thing="t", field="f", low=-1) == -1
