"""Ids and numbers as text: lists like ``0-3,8,^2``, bit masks, whole numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import NotRequired, TypedDict, Unpack

from numaplace.models.errors import InputError, check_int
from numaplace.models.topology import ID_MAX

IDS_MAX = 65536
"""The most ids that one list or mask may name."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,30}", re.ASCII)
_C_WHOLE = re.compile(
    r"\s*([+-]?)(?:0[xX]([0-9a-fA-F]{1,30})|0([0-7]{0,30})|([1-9][0-9]{0,29}))\s*"
)
_TERM = re.compile(r"(\^?)\s*([0-9]{1,30})(?:\s*-\s*([0-9]{1,30}))?", re.ASCII)
_WORD = re.compile(r"(?:0x)?([0-9a-f]{1,16})", re.ASCII | re.IGNORECASE)
_INFINITE = "0xf...f"
_TEXT_MAX = 1 << 20


class Whereabouts(TypedDict):
    """Where a text stands, as errors name it: see `InputError`."""

    thing: str
    field: str
    file: NotRequired[str | None]
    line: NotRequired[int | None]


def parse_whole(
    text: str, *, low: int = 0, high: int = ID_MAX, **place: Unpack[Whereabouts]
) -> int:
    """Return the whole number that `text` is, in ``[low, high]``; `InputError` otherwise."""
    stripped = text.strip()
    if not _WHOLE.fullmatch(stripped):
        raise InputError(reason=f"must be a whole number, not {stripped!r:.60}", **place)
    value = int(stripped)
    try:
        check_int("", "", value, low, high)
    except InputError as error:
        raise InputError(reason=error.reason, **place) from None
    return value


def parse_c_whole(text: str, *, thing: str, field: str, low: int, high: int) -> int:
    """Return a whole number as C's ``strtol`` reads it with base 0: 31, 0x1f and 037 are the same.

    `InputError` if it is none, or not in ``[low, high]``.
    """
    match = _C_WHOLE.fullmatch(text)
    if match is None:
        raise InputError(thing, field, f"must be a whole number, not {text!r:.60}")
    sign, *digits = match.groups()
    told = zip(digits, (16, 8, 10), strict=True)
    value = next(int(number or "0", base) for number, base in told if number is not None)
    value = -value if sign == "-" else value
    check_int(thing, field, value, low, high)
    return value


def parse_ids(
    text: str, *, exclusions: bool = True, **place: Unpack[Whereabouts]
) -> frozenset[int]:
    """Return the ids of a list like ``0-3,8,^2``; terms apply from left to right.

    An empty text is an empty list, as in a node's ``cpulist``. Ids are at most `ID_MAX`, a list
    names at most `IDS_MAX`. `InputError` for anything else, a reversed range, or ``^`` where
    `exclusions` is false.
    """
    ids: set[int] = set()
    fail = partial(InputError, **place)
    if len(text) > _TEXT_MAX:
        raise fail(reason=f"is a list of more than {_TEXT_MAX} characters")
    if not text.strip():
        return frozenset()
    named = 0
    for term in text.split(","):
        match = _TERM.fullmatch(term.strip())
        if match is None:
            raise fail(reason=f"{term.strip()!r:.60} is no id or range of ids")
        excluded, first, last = match[1] == "^", int(match[2]), int(match[3] or match[2])
        if excluded and not exclusions:
            raise fail(reason=f"{term.strip()!r:.60} excludes ids, which is not allowed here")
        if last < first:
            raise fail(reason=f"range {term.strip()!r:.60} is reversed")
        if last > ID_MAX:
            raise fail(reason=f"id {last} is above {ID_MAX}, the largest allowed")
        if last - first >= IDS_MAX:
            raise fail(reason=f"names more than {IDS_MAX} ids")
        named += last - first + 1
        if named > 4 * IDS_MAX:  # repeated ranges would cost time without end
            raise fail(reason="names the same ids too often")
        span = range(first, last + 1)
        if excluded:
            ids.difference_update(span)
        else:
            ids.update(span)
        if len(ids) > IDS_MAX:
            raise fail(reason=f"names more than {IDS_MAX} ids")
    return frozenset(ids)


def format_ids(ids: Iterable[int]) -> str:
    """Return ids as a list like ``0-3,8``, ascending; the inverse of `parse_ids`."""
    runs: list[list[int]] = []
    for number in sorted(set(ids)):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def parse_bits(text: str, **place: Unpack[Whereabouts]) -> tuple[int, bool]:
    """Return a mask of 32-bit words, the highest first, as an integer, and whether it is infinite.

    ``0x00000001,0x000000ff`` (hwloc; an empty word between commas is zero, as hwloc writes it) and
    ``00000001,000000ff`` (sysfs) are read alike; a single word may be longer, as libvirt and
    taskset write it. hwloc's ``0xf...f`` at the front stands for all the bits above. `InputError`
    if it is no mask, or longer than `IDS_MAX` bits.
    """
    fail = partial(InputError, **place)
    words = [word.strip() for word in text.strip().split(",")]
    infinite = words[0].lower() == _INFINITE
    if infinite:
        words = words[1:]
    elif words == [""]:
        raise fail(reason="is empty, must be a mask of hexadecimal words")
    most = IDS_MAX // 32
    if len(words) > most:
        raise fail(reason=f"is a mask of {len(words)} words, {most} is the most that is read")
    digits: list[str] = []
    for word in words:
        match = _WORD.fullmatch(word)
        if word and match is None:
            raise fail(reason=f"{word!r:.60} is no hexadecimal word of a mask")
        number = match[1] if match else "0"
        if len(words) > 1 and len(number) > 8:
            raise fail(reason=f"{word!r:.60} is no 32-bit word of a mask")
        digits.append(number.rjust(8, "0"))
    return int("".join(digits) or "0", 16), infinite


def parse_mask(
    text: str, *, universe: Iterable[int] | None = None, **place: Unpack[Whereabouts]
) -> frozenset[int]:
    """Return the ids of the bits set in a mask; see `parse_bits` for what is read.

    `universe` are the ids that exist: what an infinite mask stands for. Without it such a mask is
    an error.
    """
    bits, infinite = parse_bits(text, **place)
    if not infinite:
        return ids_of(bits)
    if universe is None:
        raise InputError(reason="is an infinite mask, which means nothing here", **place)
    told = 32 * text.count(",")
    return ids_of(bits) | {number for number in universe if number >= told}


def ids_of(bits: int) -> frozenset[int]:
    """Return the positions of the bits that are set."""
    digits = f"{bits:b}"[::-1]
    return frozenset(match.start() for match in re.finditer("1", digits))
