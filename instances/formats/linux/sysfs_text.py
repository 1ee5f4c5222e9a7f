"""Lists, masks and numbers in the small files of sysfs."""

from __future__ import annotations

import re

from numaplace.instances.filetree import FileTree
from numaplace.instances.ranges import parse_ids, parse_mask, parse_whole


def read_list(tree: FileTree, path: str) -> frozenset[int] | None:
    """Return the ids of a list; None if there is no such file."""
    text = tree.text(path)
    if text is None:
        return None
    return parse_ids(text, thing=path, field="", exclusions=False)


def read_list_or_mask(tree: FileTree, *paths: str) -> frozenset[int] | None:
    """Return the first of several files that is there; names that end in ``list`` hold lists."""
    for path in paths:
        text = tree.text(path)
        if text is None or not (text.strip() or path.endswith("list")):
            continue
        if path.endswith("list"):
            return read_list(tree, path)
        return parse_mask(text, thing=path, field="")
    return None


def read_whole(tree: FileTree, path: str, low: int, high: int) -> int | None:
    """Return a whole number; None if the file is absent or empty."""
    text = tree.text(path)
    if text is None or not text.strip():
        return None
    return parse_whole(text, thing=path, field="", low=low, high=high)


def numbered(tree: FileTree, folder: str, prefix: str) -> list[int]:
    """Return the numbers behind a prefix in a folder's names, ascending."""
    pattern = re.compile(rf"{prefix}(\d{{1,7}})", re.ASCII)
    found = (pattern.fullmatch(name) for name in tree.names(folder))
    return sorted(int(match[1]) for match in found if match)
