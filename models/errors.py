"""The one error of bad input, and the checks that raise it."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from enum import Enum

NAME_LENGTH_MAX = 255
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of what moves a terminal's cursor, turns text around, or is not seen."""


def printable(text: str, kept: str = "") -> str:
    r"""Return text with control and bidirectional characters as ``\x1b``, but for those `kept`."""
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode()
        if char not in kept and unicodedata.category(char) in UNSEEN
        else char
        for char in text
    )


class InputError(ValueError):
    """Something a user gave is wrong: which thing, which field, and why.

    The thing is in the user's words (``VM 'web1'``), the field (or element) empty if all of it is
    meant, the reason a clause (``is negative (-4)``); file and line tell where it was read.
    """

    def __init__(
        self,
        thing: str,
        field: str,
        reason: str,
        *,
        file: str | None = None,
        line: int | None = None,
    ) -> None:
        self.thing, self.field, self.reason = thing, field, reason
        self.file, self.line = file, line
        super().__init__(str(self))

    def __str__(self) -> str:
        """One line: ``file:line: thing: field: reason``."""
        where = ""
        if self.file is not None:
            where = self.file if self.line is None else f"{self.file}:{self.line}"
        parts = [part for part in (where, self.thing, self.field, self.reason) if part]
        return printable(" ".join(": ".join(parts).split()))

    def at(self, file: str, line: int | None = None) -> InputError:
        """Return the same error, with the place it was read from if it had none."""
        line = line if self.line is None else self.line
        return InputError(self.thing, self.field, self.reason, file=self.file or file, line=line)


class WriteError(InputError):
    """A file cannot be written: the disk is full, its name is too long, its folder is gone."""


def check_name(thing: str, field: str, value: object) -> None:
    """Raise `InputError` unless `value` is a printable, non-empty string of bounded length."""
    if not isinstance(value, str):
        raise InputError(thing, field, f"must be a string, not {value!r:.60}")
    if not value.strip():
        raise InputError(thing, field, "is empty")
    if len(value) > NAME_LENGTH_MAX:
        raise InputError(thing, field, f"is longer than {NAME_LENGTH_MAX} characters")
    if not value.isprintable():
        raise InputError(thing, field, f"holds unprintable characters ({value!r:.60})")


def check_int(thing: str, field: str, value: object, low: int, high: int) -> None:
    """Raise `InputError` unless `value` is an integer in ``[low, high]``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(thing, field, f"must be a whole number, not {value!r:.60}")
    if value < low:
        reason = f"is negative ({value})" if value < 0 <= low else f"{value} is below {low}"
        raise InputError(thing, field, reason)
    if value > high:
        raise InputError(thing, field, f"{value} is above {high}, the largest allowed")


def check_real(thing: str, field: str, value: object, low: float, high: float) -> None:
    """Raise `InputError` unless `value` is a finite number in ``[low, high]``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(thing, field, f"must be a number, not {value!r:.60}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(thing, field, f"must be finite, not {value}")
    if not low <= value <= high:
        raise InputError(thing, field, f"{value} is outside {low} to {high}")


def check_choice(thing: str, field: str, value: object, choices: type[Enum]) -> None:
    """Raise `InputError` unless `value` is a member of `choices` (its text alone is not)."""
    if not isinstance(value, choices):
        names = ", ".join(str(choice) for choice in choices)
        raise InputError(thing, field, f"must be a {choices.__name__} ({names}), not {value!r:.60}")


def check_set(thing: str, field: str, value: object) -> None:
    """Raise `InputError` unless `value` is a frozenset; a string or list is no silent guess."""
    if not isinstance(value, frozenset):
        raise InputError(thing, field, f"must be a frozenset, not {value!r:.60}")


def check_unique(thing: str, field: str, values: Iterable[object]) -> None:
    """Raise `InputError` naming the first value that occurs twice."""
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise InputError(thing, field, f"{value!r:.80} occurs twice")
        seen.add(value)
