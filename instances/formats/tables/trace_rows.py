"""Rows of a trace's table, as VMs with a life each.

Every line is a row of its own, so that an open quote breaks no other row.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from numaplace.instances.formats.tables.trace_columns import TraceColumns
from numaplace.instances.formats.tables.trace_fields import (
    SIZES,
    FieldFault,
    RowProblem,
    fields_of,
    is_creation,
    life_of,
    name_of,
    value_of,
)
from numaplace.models.errors import InputError

VMS_MAX = 5_000_000


@dataclass(slots=True)
class Log:
    """Rows seen; how often each problem occurs, and line and words of its first time."""

    rows: int = 0
    count: Counter[RowProblem] = field(default_factory=Counter)
    first: dict[RowProblem, tuple[int, str]] = field(default_factory=dict)

    def add(self, problem: RowProblem, line: int, text: str) -> None:
        """Count a problem."""
        self.count[problem] += 1
        if problem not in self.first or line < self.first[problem][0]:
            self.first[problem] = line, text


class Rows:
    """Named rows, their lines, and their numbers by column."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.names: list[str] = []
        self.lines = array("q")
        self.columns = {name: array("d") for name in columns}

    def __len__(self) -> int:
        return len(self.names)

    def add(self, name: str, line: int, *values: float) -> None:
        """Add a row with its values in the order of the columns."""
        self.names.append(name)
        self.lines.append(line)
        for column, value in zip(self.columns.values(), values, strict=True):
            column.append(value)


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold more than commas, with their numbers."""
    number = begin = 0
    while begin < len(text):
        end = text.find("\n", begin)
        end = len(text) if end < 0 else end
        line = text[begin:end]
        begin, number = end + 1, number + 1
        if line.strip(", \t\r"):
            yield number, line


def read_lifetimes(lines: Iterator[tuple[int, str]], table: TraceColumns, log: Log) -> Rows:
    """Return one row a VM, with ``start_s`` and ``end_s`` (infinite if there is none)."""
    sizes = [name for name in SIZES if name in table.position]
    vms, seen, before_s = Rows(["start_s", "end_s", *sizes]), set[str](), 0.0
    for line, text in lines:
        log.rows += 1
        try:
            texts = fields_of(text, table.width)
            name = name_of(texts[table.position["vmid"]])
            start_s, end_s = life_of(texts, table)
            values = [value_of(size, texts[table.position[size]]) for size in sizes]
            if name in seen:
                raise FieldFault(RowProblem.OCCURS_TWICE, f"vmid {name!r:.60} occurs twice")
        except FieldFault as fault:
            log.add(fault.problem, line, fault.text)
            continue
        if start_s < before_s:
            log.add(
                RowProblem.UNSORTED, line, f"arrival {start_s:.15g} comes after {before_s:.15g}"
            )
        if end_s == math.inf:
            log.add(RowProblem.NEVER_DELETED, line, f"vmid {name!r:.60} has no end")
        before_s = start_s
        seen.add(name)
        _check_count(vms)
        vms.add(name, line, start_s, end_s, *values)
    return vms


def read_events(lines: Iterator[tuple[int, str]], table: TraceColumns, log: Log) -> Rows:
    """Return one row a VM, as `read_lifetimes`, from rows that create and rows that delete."""
    sizes = [name for name in SIZES if name in table.position]
    vms, before_s = Rows(["start_s", "end_s", *sizes]), 0.0
    events = Rows(["time_s", "vm"])
    for line, text in lines:
        log.rows += 1
        try:
            texts = fields_of(text, table.width)
            name = name_of(texts[table.position["vmid"]])
            time_s = value_of("time", texts[table.position["time"]])
            creates = is_creation(texts[table.position["type"]])
            values = [value_of(s, texts[table.position[s]]) for s in sizes] if creates else []
        except FieldFault as fault:
            log.add(fault.problem, line, fault.text)
            continue
        if time_s < before_s:
            log.add(RowProblem.UNSORTED, line, f"time {time_s:.15g} comes after {before_s:.15g}")
        before_s = time_s
        events.add(name, line, time_s, len(vms) if creates else -1)
        if creates:
            _check_count(vms)
            vms.add(name, line, time_s, math.inf, *values)
    return _matched(vms, events, log)


def _matched(vms: Rows, events: Rows, log: Log) -> Rows:
    """Give VMs the end that their deletion says, in order of time; drop those that cannot be."""
    there: dict[str, int] = {}
    early: dict[str, list[int]] = {}  # lines that delete what is not there
    kept: list[int] = []
    start_s, end_s = vms.columns["start_s"], vms.columns["end_s"]
    times_s, created = events.columns["time_s"], events.columns["vm"]
    for event in np.argsort(times_s, kind="stable").tolist():
        name, line, vm = events.names[event], events.lines[event], int(created[event])
        if vm >= 0:
            if name in there:
                log.add(RowProblem.CREATED_TWICE, line, f"vmid {name!r:.60} is created twice")
            else:
                there[name] = vm
        elif name not in there:
            early.setdefault(name, []).append(line)
        else:
            vm, until_s = there.pop(name), times_s[event]
            if until_s > start_s[vm]:
                end_s[vm] = until_s
                kept.append(vm)
            else:
                log.add(RowProblem.NO_LIFE, line, f"vmid {name!r:.60} is deleted as it is created")
            _log_strays(name, early.pop(name, []), log)
    for name, vm in there.items():
        if name in early:
            text = f"vmid {name!r:.60} is deleted before it is created in line {vms.lines[vm]}"
            log.add(RowProblem.DELETED_BEFORE_CREATED, early[name].pop(0), text)
        else:
            log.add(RowProblem.NEVER_DELETED, vms.lines[vm], f"vmid {name!r:.60} is never deleted")
            kept.append(vm)
    for name, lines in early.items():
        _log_strays(name, lines, log)
    return _renamed(vms, sorted(kept, key=lambda vm: (start_s[vm], vm)), log)


def _log_strays(name: str, lines: list[int], log: Log) -> None:
    for line in lines:
        log.add(RowProblem.DELETED_NOT_THERE, line, f"vmid {name!r:.60} is deleted but not there")


def _renamed(vms: Rows, kept: list[int], log: Log) -> Rows:
    """Return the VMs kept; one created again after its end gets a name of its own."""
    found = Rows(list(vms.columns))
    taken, lives = set(vms.names), Counter[str]()
    for vm in kept:
        base = name = vms.names[vm]
        lives[base] += 1
        if lives[base] > 1:
            while f"{base}#{lives[base]}" in taken:
                lives[base] += 1
            name = f"{base}#{lives[base]}"
            text = f"vmid {base!r:.60} is created again, now named {name!r:.80}"
            log.add(RowProblem.CREATED_AGAIN, vms.lines[vm], text)
        found.add(name, vms.lines[vm], *(column[vm] for column in vms.columns.values()))
    return found


def _check_count(vms: Rows) -> None:
    if len(vms) >= VMS_MAX:
        raise InputError("trace", "", f"has more than {VMS_MAX} VMs")
