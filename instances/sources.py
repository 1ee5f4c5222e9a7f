"""Which files a path on the command line stands for: a file, a folder's files, or a pattern's."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from glob import glob, has_magic
from pathlib import Path

from numaplace.instances.files import STDIN
from numaplace.instances.reading import Reading, shown
from numaplace.models.errors import InputError

FILES_MAX = 100_000


def source_files(
    path: Path, wanted: Callable[[Path], bool] | None = None
) -> Reading[tuple[Path, ...]]:
    """Return the files that a path stands for, numbers in their names in ascending order.

    A folder stands for the files in it (not those of its folders, none that are hidden or backups,
    ``*~``), a pattern such as ``vms/*.xml`` for those it matches, any other path for itself.

    Parameters
    ----------
    path
        As given; it need not exist.
    wanted
        Tells whether a file of a folder is one of those looked for; the others are passed over
        with a remark.

    Raises
    ------
    InputError
        If a folder or a pattern stands for no file, or for too many.
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
