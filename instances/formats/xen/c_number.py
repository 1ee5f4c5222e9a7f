"""Whole numbers as C's ``strtol`` reads them with base 0: 31, 0x1f and 037 are the same."""

from __future__ import annotations

import re

from numaplace.models.errors import InputError, check_int

_WHOLE = re.compile(r"\s*([+-]?)(?:0[xX]([0-9a-fA-F]{1,30})|0([0-7]{0,30})|([1-9][0-9]{0,29}))\s*")


def parse_c_whole(text: str, *, thing: str, field: str, low: int, high: int) -> int:
    """Return the whole number that `text` is, in ``[low, high]``; `InputError` otherwise."""
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise InputError(thing, field, f"must be a whole number, not {text!r:.60}")
    sign, hexadecimal, octal, decimal = match.groups()
    if hexadecimal is not None:
        value = int(hexadecimal, 16)
    elif octal is not None:
        value = int(octal or "0", 8)
    else:
        value = int(decimal)
    value = -value if sign == "-" else value
    check_int(thing, field, value, low, high)
    return value
