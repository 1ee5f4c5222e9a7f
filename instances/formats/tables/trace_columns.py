"""Which column of a trace's table is what: by the names that are common, or as a user says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from numaplace.models.errors import InputError

NAMES: Mapping[str, tuple[str, ...]] = {
    "vmid": ("vmid", "vm_id", "id"),
    "cpu": ("cpu", "cpus", "vcpu", "vcpus"),
    "memory": ("memory", "mem", "memory_gib"),
    "memory_mib": ("memory_mib",),
    "arrival": ("arrival", "at", "start"),
    "lifetime": ("lifetime", "lt"),
    "departure": ("departure", "end"),
    "time": ("time",),
    "type": ("type",),
    "utilisation": ("utilisation",),
    "memory_intensity": ("memory_intensity",),
    "soft_node": ("soft_node",),
    "soft_weight": ("soft_weight",),
    "predicted_lifetime": ("predicted_lifetime",),
}
"""Field -> names its column has if nothing else is said; capitals do not count."""

_LIFE = ("arrival", "lifetime", "departure")
_EVENT = ("time", "type")
_CHOICES = (("memory", "memory_mib"), ("lifetime", "departure"))


class Form(StrEnum):
    """``lifetimes``: one row a VM; ``events``: one row when it is created, one when deleted."""

    LIFETIMES = "lifetimes"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class TraceColumns:
    """TraceColumns of a table: its form, the place of each field, and the names of all others."""

    form: Form
    position: Mapping[str, int]
    width: int
    ignored: tuple[str, ...]


def check_fields(fields: Iterable[str]) -> None:
    """Raise `InputError` unless all are fields of a trace."""
    for field in fields:
        if field not in NAMES:
            reason = f"{field!r:.60} is no field (they are {', '.join(NAMES)})"
            raise InputError("trace", "columns", reason)


def resolve(header: Sequence[str], stated: Mapping[str, str]) -> TraceColumns:
    """Return which column is what, by the names of all columns.

    `stated` has the name of a field's column as a user says; it goes before what the names suggest.
    `InputError` if a field that is needed has no column, or one has several that could be it.
    """
    check_fields(stated)
    found = _candidates(header, stated)
    form = _form(header, found, stated)
    position: dict[str, int] = {}
    for field in _wanted(header, form, found, stated):
        first, *others = found[field]
        if others:
            names = " and ".join(repr(header[place])[:60] for place in found[field][:3])
            reason = f"could be {names}; say which: {field}=NAME"
            raise InputError("header", f"column of {field}", reason)
        position[field] = first
    used = set(position.values())
    ignored = tuple(name for place, name in enumerate(header) if place not in used)
    return TraceColumns(form, position, len(header), ignored)


def _candidates(header: Sequence[str], stated: Mapping[str, str]) -> dict[str, list[int]]:
    """Places of the columns that could be each field; fields without any are left out."""
    found = {
        field: [place for place, known in enumerate(header) if known == name]
        for field, name in stated.items()
    }
    for field, places in found.items():
        if not places:
            raise _missing(header, field, f"there is no column {stated[field]!r:.60}")
    taken = {place for places in found.values() for place in places}
    for field in NAMES.keys() - found.keys():
        places = [
            place
            for place, name in enumerate(header)
            if name.lower() in NAMES[field] and place not in taken
        ]
        if places:
            found[field] = places
    return found


def _form(header: Sequence[str], found: Mapping[str, list[int]], stated: Mapping[str, str]) -> Form:
    lives = "arrival" in found and ("lifetime" in found or "departure" in found)
    events = all(field in found for field in _EVENT)
    if lives and events:
        say_lives, say_events = (any(f in stated for f in part) for part in (_LIFE, _EVENT))
        if say_lives == say_events:
            reason = "both arrival with lifetime or departure and time with type are there; say one"
            raise InputError("header", "columns", reason)
        return Form.LIFETIMES if say_lives else Form.EVENTS
    if not lives and not events:
        reason = (
            "arrival with lifetime or departure, or time with type (0 create, 1 delete), needed"
        )
        raise _missing(header, "time", reason)
    return Form.LIFETIMES if lives else Form.EVENTS


def _wanted(
    header: Sequence[str], form: Form, found: Mapping[str, list[int]], stated: Mapping[str, str]
) -> list[str]:
    """Fields that are read: those of the form, one of each pair that excludes itself, and more."""
    others = _EVENT if form is Form.LIFETIMES else _LIFE
    wanted = [field for field in NAMES if field in found and field not in others]
    for pair in _CHOICES:
        both = [field for field in pair if field in wanted]
        if len(both) < 2:
            continue
        said = [field for field in both if field in stated]
        if len(said) != 1:
            reason = f"columns for both of them are there; say one: {pair[0]}=NAME"
            raise InputError("header", " and ".join(pair), reason)
        wanted = [field for field in wanted if field not in both or field in said]
    for fields in (("vmid",), ("cpu",), ("memory", "memory_mib")):
        if not any(field in wanted for field in fields):
            names = ", ".join(name for field in fields for name in NAMES[field])
            raise _missing(header, " or ".join(fields), f"is missing (names known: {names})")
    return wanted


def _missing(header: Sequence[str], field: str, reason: str) -> InputError:
    there = ", ".join(repr(name)[:40] for name in header[:12])
    more = ", ..." if len(header) > 12 else ""
    return InputError("header", f"column of {field}", f"{reason}; the columns are {there}{more}")
