"""The syntax of xl configuration files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaplace.instances.formats.xen.xl_text import XlValue, parse_xl_text
from numaplace.instances.ranges import parse_c_whole
from numaplace.models.errors import InputError

KEYS = st.from_regex(r"[a-z][_0-9a-z]{0,10}", fullmatch=True)
PLAIN = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=12)
VALUES: st.SearchStrategy[XlValue] = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=12
)
SPACES = st.sampled_from(["", " ", "\t", "  "])
SYNTAX = st.lists(
    st.sampled_from(
        ["name", "x", "=", "+=", "[", "]", ",", ";", "\n", "'", '"', "\\", "#", "0x1f", "08", " "]
    ),
    max_size=40,
).map("".join)


def written(value: XlValue, newline: str) -> str:
    """A value as a file may hold it."""
    if isinstance(value, tuple):
        return f"[{newline}" + f",{newline}".join(written(item, newline) for item in value) + "]"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def values(text: str) -> dict[str, XlValue]:
    """Values of a file by key."""
    return {key: setting.value for key, setting in parse_xl_text(text, "f").items()}


@given(st.dictionaries(KEYS, VALUES, max_size=5), SPACES, st.sampled_from(["", "\n", " # c ] \n"]))
def test_what_is_written_is_read_back(
    settings: dict[str, XlValue], space: str, newline: str
) -> None:
    """Any strings and nested lists come back, with spaces, comments and line breaks between."""
    text = ";".join(f"{key}{space}={space}{written(v, newline)}" for key, v in settings.items())
    assert values(text) == settings


@given(st.text(max_size=60) | SYNTAX)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Arbitrary text gives settings or one line that names file and line, never anything else."""
    try:
        settings = parse_xl_text(text, "some.cfg")
    except InputError as error:
        assert error.line is not None and 1 <= error.line <= text.count("\n") + 1
        assert str(error).startswith(f"some.cfg:{error.line}: ")
        assert "\n" not in str(error)
    else:
        assert all(key.isascii() and key == key.lower() for key in settings)


@given(st.integers(-(10**20), 10**20))
def test_numbers_in_three_bases(number: int) -> None:
    """Decimal, octal and hexadecimal spellings of a number mean the same."""
    sign = "-" if number < 0 else ""
    for text in (f"{number}", f"{sign}0x{abs(number):x}", f"{sign}0{abs(number):o}"):
        read = parse_c_whole(text, thing="t", field="f", low=-(10**20), high=10**20)
        assert read == number


@given(st.text(max_size=12))
def test_any_number_is_read_or_refused(text: str) -> None:
    """Arbitrary text is a number in bounds or an InputError."""
    try:
        assert -5 <= parse_c_whole(text, thing="t", field="f", low=-5, high=500) <= 500
    except InputError as error:
        assert error.field == "f"


@pytest.mark.parametrize("text", ["", "08", "1.5", "0x", "1 2", "1k", "\u0661"])
def test_what_is_no_number(text: str) -> None:
    """What strtol would not read to the end is refused."""
    with pytest.raises(InputError, match="whole number"):
        parse_c_whole(text, thing="t", field="f", low=0, high=100)


def test_statements_and_comments() -> None:
    """A semicolon ends a statement, a hash begins a comment, but neither does within quotes."""
    text = "a = 1; b = 'x;#y' # c = 3\n;;\r\nd = \"it's\""
    assert values(text) == {"a": "1", "b": "x;#y", "d": "it's"}


def test_lists_run_over_lines() -> None:
    """Line breaks and comments within brackets, mixed items, and a comma at the end."""
    text = "a = [ # first\n 1, 'two',\n\n [ ], [0x3,\n],\n]\nb = 2"
    assert values(text) == {"a": ("1", "two", (), ("0x3",)), "b": "2"}


def test_escapes() -> None:
    """Backslash escapes mean what they mean in C."""
    assert values(r"""a = "\t\x41\101\\\"\'" """) == {"a": "\tAA\\\"'"}


def test_later_values_count_and_plus_adds() -> None:
    """Of two values the later counts and knows the earlier's line; += joins strings and lists."""
    settings = parse_xl_text("a = 1\na = 2\nb = 'x'\nb += 'y'\nc += [1]\nc += [2]", "f")
    assert (settings["a"].value, settings["a"].line, settings["a"].earlier) == ("2", 2, 1)
    assert settings["b"].value == "xy"
    assert settings["c"].value == ("1", "2")


def test_additions_are_bounded() -> None:
    """Thousands of += do not make the parser slow: they are refused."""
    with pytest.raises(InputError, match=r"f:1002: .*'\+='"):
        parse_xl_text("a = ''\n" + "a += 'x'\n" * 2000, "f")
