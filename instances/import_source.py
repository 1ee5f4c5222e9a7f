"""What an import reads, as a person names it: files, their format, how many of each."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from glob import glob, has_magic
from pathlib import Path
from typing import TypeVar

from numaplace.instances.files import STDIN
from numaplace.instances.formats.registry import HOST_FORMATS, VM_FORMATS
from numaplace.instances.reading import Reading, located, shown
from numaplace.instances.shapes import HostShape, parse_shape
from numaplace.models.errors import InputError, check_int
from numaplace.models.topology import Host
from numaplace.models.vm import VMS_MAX, Vm

FILES_MAX = 100_000


def source_files(
    path: Path, wanted: Callable[[Path], bool] | None = None
) -> Reading[tuple[Path, ...]]:
    """Return the files that a path stands for, numbers in their names in ascending order.

    `InputError` if a folder or a pattern stands for no file, or for too many.

    A folder stands for the files in it (not those of its folders, none that are hidden or backups,
    ``*~``), a pattern such as ``vms/*.xml`` for those it matches, any other path for itself.

    Parameters
    ----------
    path
        As given; it need not exist.
    wanted
        Tells whether a file of a folder is one of those looked for; the others are passed over
        with a remark.
    """
    if path == STDIN or path.is_file():
        return Reading((path,))
    if not path.is_dir():
        if path.exists() or not has_magic(str(path)):
            return Reading((path,))
        return Reading(_ordered(path, matches(str(path)), "no file matches this pattern"))
    found = [file for file in _listed(path) if file.is_file()]
    kept = [file for file in found if wanted is None or wanted(file)]
    left = _ordered(path, [file for file in found if file not in set(kept)], None)
    files = _ordered(path, kept, "is a folder without a file to read")
    if not left:
        return Reading(files)
    names = shown([file.name for file in left])
    return Reading(files, (f"{path}: passed over, of no known format: {names}",))


def matches(pattern: str) -> list[Path]:
    """Return the files that match a pattern, in any order."""
    try:
        return [Path(name) for name in glob(pattern, recursive=True) if Path(name).is_file()]
    except (OSError, ValueError):  # such as a NUL in it
        return []


def _listed(folder: Path) -> list[Path]:
    try:
        names = os.listdir(folder)
    except OSError as error:
        reason = f"cannot be read ({(error.strerror or 'not a folder').lower()})"
        raise InputError("folder", "", reason, file=str(folder)) from None
    return [folder / name for name in names if not name.startswith(".") and name[-1] != "~"]


def _ordered(path: Path, files: list[Path], if_none: str | None) -> tuple[Path, ...]:
    """Files by name with ``9`` before ``10``; `InputError` for too many, or none if that is bad."""
    if not files and if_none is not None:
        raise InputError("source", "", if_none, file=str(path))
    if len(files) > FILES_MAX:
        raise InputError("source", "", f"stands for more than {FILES_MAX} files", file=str(path))
    return tuple(sorted(files, key=_by_number))


def _by_number(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]{1,18})", str(path))
    return [(int(part), "") if at % 2 else (0, part) for at, part in enumerate(parts)]


_COUNT = re.compile(r"(.+)\*([0-9]{1,9})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ImportSource:
    """A file to import from."""

    path: Path  # ``-`` is standard input; for VMs also a folder or a pattern (`source_files`)
    count: int = 1  # equal copies of what is in it; more than one are numbered from 1
    format: str | None = None  # name of its format; None: by its content

    def __post_init__(self) -> None:
        with located(str(self.path)):
            check_int("source", "count", self.count, 1, VMS_MAX)

    @property
    def shape(self) -> HostShape | None:
        """The host that it is if it is no file but its shape, ``2x48x192``."""
        return None if _exists(str(self.path)) else parse_shape(str(self.path))


def parse_source(text: str) -> ImportSource:
    """Return the source that a text like ``rack.xml``, ``rack.xml*3`` or ``lscpu:a*3`` names.

    A file that is really called so is meant before any count or format is looked for, and of
    ``vm*3`` the files that it matches if there is no ``vm`` to take three times.
    """
    if not text:
        raise InputError("source", "", "is empty, must be the name of a file")
    if text == str(STDIN) or _exists(text):
        return ImportSource(Path(text))
    name, separator, rest = text.partition(":")
    known = name if separator and rest and name in (*HOST_FORMATS, *VM_FORMATS) else None
    if known:
        text = rest
    counted = None if _exists(text) else _COUNT.fullmatch(text)
    if counted and (_exists(counted[1]) or has_magic(counted[1]) or not matches(text)):
        return ImportSource(Path(counted[1]), int(counted[2]), known)
    return ImportSource(Path(text), 1, known)


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def host_sources(texts: Iterable[str]) -> list[ImportSource]:
    """Return sources of hosts as `parse_source` does.

    `InputError` if one names an unknown format, or a number of copies that is no number.
    """
    return [_source(text, HOST_FORMATS) for text in texts]


def vm_sources(texts: Iterable[str]) -> list[ImportSource]:
    """Return sources of VMs; as `host_sources`."""
    return [_source(text, VM_FORMATS) for text in texts]


def _source(text: str, formats: Iterable[str]) -> ImportSource:
    source = parse_source(text)
    if not os.path.lexists(source.path) and source.path != STDIN:
        name, colon, rest = text.partition(":")
        if source.format is None and colon and rest and re.fullmatch(r"\w[\w.-]*", name):
            reason = f"unknown format {name!r:.60}, choose one of {', '.join(formats)}"
            raise InputError("source", f"{text!r:.80}", reason)
        before, _, copies = str(source.path).rpartition("*")
        named = before and before[-1] != os.sep and os.path.lexists(before)
        if named and not {*matches(str(source.path))} - {Path(before)}:
            reason = f"copies must be a number, not {copies!r:.60}"
            raise InputError("source", f"{text!r:.80}", reason)
    return source


def files_of(sources: Iterable[str]) -> list[Path]:
    """Return the files that sources of VMs stand for."""
    return [file for text in sources for file in source_files(parse_source(text).path).item]


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
