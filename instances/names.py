"""Names of hosts and VMs of several files: what is there twice, and copies of one thing."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from numaplace.models.errors import InputError, check_int
from numaplace.models.topology import Host
from numaplace.models.vm import Vm

T = TypeVar("T", Host, Vm)


class SameNames(StrEnum):
    """What happens to hosts or VMs of one name: an error, or ``-2``, ``-3``... behind it."""

    ERROR = "error"
    SUFFIX = "suffix"


class Names:
    """Names given so far; makes copies of things under names that are free."""

    def __init__(self, word: str, same_names: SameNames, most: int) -> None:
        self.word = word
        self.same_names = same_names
        self.most = most
        self.owner: dict[str, Path] = {}
        self.next_number: dict[str, int] = {}

    def copies(self, item: T, count: int, path: Path, notes: list[str]) -> list[T]:
        """Return `count` copies of `item`, numbered if there are several."""
        check_int("import", f"number of {self.word}s", len(self.owner) + count, 0, self.most)
        if count == 1:
            return [self._named(item, item.name, path, notes)]
        numbers = range(1, count + 1)
        return [self._named(item, f"{item.name}{n}", path, notes) for n in numbers]

    def _named(self, item: T, name: str, path: Path, notes: list[str]) -> T:
        free = self._free(name, path)
        self.owner[free] = path
        if free != name:
            notes.append(f"{path}: {self.word} {name!r} is called {free!r}, the name was taken")
        return item if free == item.name else replace(item, name=free)

    def _free(self, name: str, path: Path) -> str:
        if name not in self.owner:
            return name
        if self.same_names is SameNames.ERROR:
            reason = f"is in {self.owner[name]} already"
            raise InputError(f"{self.word} {name!r:.80}", "name", reason)
        number = self.next_number.get(name, 2)
        while f"{name}-{number}" in self.owner:
            number += 1
        self.next_number[name] = number + 1
        return f"{name}-{number}"
