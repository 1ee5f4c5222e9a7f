"""What a reader hands back: the thing read, and remarks a user should see."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Concatenate, Generic, ParamSpec, TypeVar

from numaplace.models.errors import InputError

T = TypeVar("T")
P = ParamSpec("P")
_ABOUT = re.compile(r"(.*?: |)(VM|flavour|host) ('(?:[^'\\]|\\.)*'): (.+)", re.DOTALL)
_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """What was read, and a line for each assumption made, each thing left out or not understood."""

    item: T
    notes: tuple[str, ...] = ()


def together(notes: Iterable[str]) -> tuple[str, ...]:
    """Return remarks, those about several VMs (or hosts) in the same words as one of them all."""
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for note in notes:
        found = _ABOUT.fullmatch(note)
        before, word, name, text = found.groups() if found else (note, "", "", "")
        groups.setdefault((word, text) if word else ("", note), []).append((before, name))
    told: list[str] = []
    for (word, text), about in groups.items():
        if not word:
            told.append(text)
            continue
        names = dict.fromkeys(name for _, name in about)
        before = about[0][0] if len({before for before, _ in about}) == 1 else ""
        told.append(f"{before}{word}{'s' * (len(names) > 1)} {shown([*names])}: {text}")
    return tuple(told)


def shown(texts: Sequence[str], most: int = _SHOWN_MAX) -> str:
    """Return texts with commas between, and how many more there are than are shown."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


@contextmanager
def located(file: str, line: int | None = None) -> Iterator[None]:
    """Add the place to every `InputError` raised inside that does not name one."""
    try:
        yield
    except InputError as error:
        raise error.at(file, line) from None


def naming_file(read: Callable[Concatenate[Path, P], T]) -> Callable[Concatenate[Path, P], T]:
    """Return a reader whose errors name the file it reads, its first argument."""

    @wraps(read)
    def reader(path: Path, /, *args: P.args, **more: P.kwargs) -> T:
        with located(str(path)):
            return read(path, *args, **more)

    return reader
