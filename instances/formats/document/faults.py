"""Faults of a document in the user's words: which element, on which line, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from numaplace.instances.formats.document.json_text import Path
from numaplace.models.errors import InputError


@dataclass(frozen=True)
class Source:
    """Where a document came from.

    Parameters
    ----------
    file
        Name for messages; None if it was never a file.
    line
        Line of the element at a path, if known.
    """

    file: str | None = None
    line: Callable[[Path], int | None] = lambda path: None

    def fault(self, error: InputError, *path: str | int) -> InputError:
        """Return the error with file and line of the element at `path`."""
        return error if self.file is None else error.at(self.file, self.line(path))


def in_words(data: object, path: Path) -> str:
    """Return a path as people read it: ``vms[3] 'web1'.memory_mib``."""
    words = ""
    for step in path:
        if isinstance(step, int):
            data = data[step] if isinstance(data, list) and step < len(data) else None
            words += f"[{step}]{_label(data)}"
        else:
            data = data.get(step) if isinstance(data, Mapping) else None
            plain = step.replace("_", "").isalnum() and len(step) <= 40
            words += f".{step}" if plain else f"[{step!r:.60}]"
    return words.lstrip(".")


def _label(item: object) -> str:
    """Name of a list item, if it has one."""
    if not isinstance(item, Mapping):
        return ""
    for key in ("name", "address", "kind"):
        if isinstance(item.get(key), str):
            return f" {item[key]!r:.60}"
    number = item.get("id")
    return f" (id {number})" if isinstance(number, int) and abs(number) < 10**9 else ""


def brief(value: object) -> str:
    """Return what stands there instead, on one short line."""
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, Mapping):
        return "an object"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value!r:.60}"
