"""Instances that come with the package, small enough to read, with their proven optimum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from numaplace.instances.formats.document.io import parse_instance
from numaplace.instances.formats.document.json_text import parse_json
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance

_DATA = files("numaplace.instances") / "data"


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """An instance of the catalogue."""

    name: str  # what `load_catalog` knows it by
    description: str  # what it shows, on one line
    known_value_milli: int | None  # of an optimal plan; None: not known
    known_loss_micro: int | None  # in micro-vCPU; the same
    source: str  # who says so: a solver that proved it, or the argument by hand


@cache
def list_catalog() -> tuple[CatalogEntry, ...]:
    """Return the entries, simplest first."""
    index: Any = parse_json((_DATA / "catalog.json").read_text(encoding="utf-8"), "catalog.json")
    return tuple(CatalogEntry(**entry) for entry in index)


def load_catalog(name: str) -> Instance:
    """Return the instance of that name; `InputError` naming all names if there is none."""
    names = [entry.name for entry in list_catalog()]
    if name not in names:
        reason = f"{name!r:.60} is not there, only {', '.join(names)}"
        raise InputError("catalogue", "", reason)
    file = _DATA / "catalog" / f"{name}.json"
    return parse_instance(file.read_text(encoding="utf-8"), f"{name}.json")
