"""What a reader hands back: the thing read, and remarks a user should see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from numaplace.models.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """What was read from a file.

    Parameters
    ----------
    item
        The thing itself.
    notes
        One line each: assumptions made, and what was left out because it was not understood.
    """

    item: T
    notes: tuple[str, ...] = ()


@contextmanager
def located(file: str, line: int | None = None) -> Iterator[None]:
    """Add the place to every `InputError` raised inside that does not name one."""
    try:
        yield
    except InputError as error:
        raise error.at(file, line) from None
