"""VMs from a table: CSV with a header line and one kind of VM a row.

================================ =============================================================
column                           Vm
================================ =============================================================
name                             name; required
count                            that many VMs, named ``name-1``, ``name-2``...; none or empty: 1,
                                 named ``name``
vcpus                            vcpus; required
memory_mib, memory_gib or        memory_mib; one of them required, GiB and GB (a thousand million
memory_gb                        bytes) may have a fraction; rounded up to whole MiB and pages
memory_min_mib, bandwidth_mbps,  the same (whole numbers)
max_cells, start, end, block_mib
utilisation, memory_intensity,   the same (numbers)
guest_locality, soft_weight,
value
cpu_policy, thread_policy,       the same (the words of `Vm`)
page_size, memory_mode
guest_numa                       none or automatic; explicit follows from cells
cells                            cells: ``vcpus:MiB`` each, ``4:8192;2:4096``
hard_nodes, soft_nodes,          the same: ``0-3;8`` or ``0-3,8`` in quotes
memory_nodes
allowed_hosts                    the same: names with ``;`` between
devices                          ``kind:count`` each with ``;`` between; a kind may hold ``:``
device_policy                    policy of all these devices
required                         true or false
================================ =============================================================

An empty field is the default. A column of any other name is an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from numaplace.instances.files import read_text
from numaplace.instances.formats.format import Format
from numaplace.instances.formats.guest import whole_pages
from numaplace.instances.formats.tables.csv_table import (
    check_header,
    csv_rows,
    header_of,
    real,
    table_row,
)
from numaplace.instances.ranges import parse_ids, parse_whole
from numaplace.instances.reading import Reading, located
from numaplace.models.errors import InputError, check_int
from numaplace.models.fields import Bound, Value, fields_of
from numaplace.models.topology import MIB_MAX
from numaplace.models.units import PageSize
from numaplace.models.vm import VMS_MAX, Cell, DeviceRequest, GuestNuma, Vm

_MEMORY = ("memory_mib", "memory_gib", "memory_gb")
_Parser = Callable[[str, str, str], object]


def sniff(head: str, path: Path) -> bool:
    """Tell whether the beginning of a file looks like a table of flavours."""
    names = header_of(head)
    return {"name", "vcpus"} <= names and not names.isdisjoint(_MEMORY)


def read_vms(path: Path) -> Reading[tuple[Vm, ...]]:
    """Return the VMs of a CSV table.

    `InputError` with file and line, for unknown columns, rows of another length, and bad values.
    """
    file = str(path)
    rows = csv_rows(read_text(path), file)
    line, header = next(rows, (1, []))
    with located(file, line):
        columns = _columns(header)
    vms: dict[str, Vm] = {}
    notes: list[str] = []
    for line, row in rows:
        with located(file, line):
            for vm in _vms(columns, row, VMS_MAX - len(vms), notes):
                if vm.name in vms:
                    raise InputError(f"VM {vm.name!r:.80}", "name", "occurs twice")
                vms[vm.name] = vm
    return Reading(tuple(vms.values()), tuple(notes))


def _columns(header: list[str]) -> list[str]:
    check_header(header, _COLUMNS.__contains__)
    for name in ("name", "vcpus"):
        if name not in header:
            raise InputError("table", f"column {name!r}", "is missing")
    if len([name for name in _MEMORY if name in header]) != 1:
        reason = "one of them, and only one, must be there"
        raise InputError("table", f"columns {', '.join(map(repr, _MEMORY))}", reason)
    return header


def _vms(columns: list[str], row: list[str], most: int, notes: list[str]) -> Iterator[Vm]:
    """VMs of one row, at most `most`."""
    texts = table_row(columns, row)
    thing = f"VM {texts.get('name', '')!r:.80}"
    for name in ("name", "vcpus"):
        if name not in texts:
            raise InputError(thing, name, "is empty")
    values: dict[str, Any] = {
        name: _COLUMNS[name](text, thing, name) for name, text in texts.items()
    }
    for name in {*_MEMORY} & values.keys():
        amount = values.pop(name)
        memory_mib = math.ceil(amount)
        check_int(thing, name, memory_mib, 1, MIB_MAX)
        if memory_mib != amount:
            notes.append(f"{thing}: {name} {texts[name]} rounded up to {memory_mib} MiB")
        page_size = values.get("page_size", PageSize.SMALL)
        if "cells" not in values:
            told: list[str] = []
            (memory_mib,) = whole_pages([memory_mib], page_size, told)
            notes += [f"VM {texts['name']!r}: {note}" for note in told]
        values["memory_mib"] = memory_mib
    if "memory_mib" not in values:
        raise InputError(thing, "memory_mib", "is empty")
    count: int | None = values.pop("count", None)
    check_int(thing, "number of VMs in the table", count or 1, 1, most)
    policy = values.pop("device_policy", None)
    if policy is not None:
        requests = values.get("devices", ())
        values["devices"] = tuple(replace(request, policy=policy) for request in requests)
    if "cells" in values:
        values.setdefault("guest_numa", GuestNuma.EXPLICIT)
    vm = Vm(**values)
    numbers = [""] if count is None else [f"-{number}" for number in range(1, count + 1)]
    yield from (replace(vm, name=f"{vm.name}{number}") for number in numbers)


def _mib(unit_bytes: int, text: str, thing: str, field: str) -> Fraction:
    """Return an amount in a unit as MiB, maybe with a fraction."""
    return Fraction(repr(real(text, thing, field))) * unit_bytes / 2**20


def _word(words: Mapping[str, StrEnum], text: str, thing: str, field: str) -> StrEnum:
    if text not in words:
        raise InputError(thing, field, f"{text!r:.40} is none of {', '.join(words)}")
    return words[text]


def _flag(text: str, thing: str, field: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise InputError(thing, field, f"must be true or false, not {text!r:.40}")
    return text.lower() == "true"


def _ids(text: str, thing: str, field: str) -> frozenset[int]:
    return parse_ids(text.replace(";", ","), thing=thing, field=field)


def _names(text: str, thing: str, field: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(";") if name.strip())


def _counted(text: str, thing: str, field: str) -> list[tuple[str, int]]:
    """Pairs of what stands before and after the last colon of each item."""
    pairs: list[tuple[str, int]] = []
    for item in text.split(";"):
        first, sign, last = item.strip().rpartition(":")
        if not sign or not first:
            raise InputError(thing, field, f"{item.strip()!r:.60} has no ':' and number")
        number = parse_whole(last, thing=thing, field=field, low=1, high=MIB_MAX)
        pairs.append((first, number))
    return pairs


def _devices(text: str, thing: str, field: str) -> tuple[DeviceRequest, ...]:
    return tuple(DeviceRequest(kind, count) for kind, count in _counted(text, thing, field))


def _cells(text: str, thing: str, field: str) -> tuple[Cell, ...]:
    return tuple(
        Cell(parse_whole(vcpus, thing=thing, field=field, low=1), mib)
        for vcpus, mib in _counted(text, thing, field)
    )


def _parser(value: Value) -> _Parser:
    """Return what reads a field of a VM, by what the field is declared to hold."""
    if value.kind is int:
        assert value.bound
        low, high = int(value.bound.low), int(value.bound.high)
        return lambda text, thing, field: parse_whole(
            text, thing=thing, field=field, low=low, high=high
        )
    if value.kind is frozenset:
        return _ids if value.item and value.item.kind is int else _names
    if value.words:
        return partial(_word, {str(word): word for word in value.kind})
    known: dict[object, _Parser] = {float: real, bool: _flag, str: lambda text, thing, field: text}
    return known[value.kind]


_COLUMNS: dict[str, _Parser] = {
    name: _parser(value) for name, value in fields_of(Vm).items() if value.kind is not tuple
} | {
    "count": _parser(Value(int, bound=Bound(1, VMS_MAX))),
    "memory_gib": partial(_mib, 2**30),
    "memory_gb": partial(_mib, 10**9),
    "device_policy": _parser(fields_of(DeviceRequest)["policy"]),
    "cells": _cells,
    "devices": _devices,
}

FLAVOURS_CSV = Format(
    *("flavours-csv", "a table of sizes", __doc__),
    sniff=sniff,
    read_vms=lambda path, host: read_vms(path),
    tells_use=True,
)
