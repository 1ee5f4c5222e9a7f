"""Rows of a trace's table: what stands in them, and what may be wrong with them.

Every line is a row of its own, so that an open quote breaks no other row.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from numaplace.instances.formats.tables.trace_columns import Columns
from numaplace.models.errors import NAME_LENGTH_MAX, InputError
from numaplace.models.topology import ID_MAX, MIB_MAX
from numaplace.models.trace import NO_NODE
from numaplace.models.vm import VCPUS_MAX, WEIGHT_MAX

VMS_MAX = 5_000_000
TIME_MAX_S = 1e12
MIB_PER_GIB = 1024

SIZES = (
    "cpu",
    "memory",
    "memory_mib",
    "utilisation",
    "memory_intensity",
    "soft_node",
    "soft_weight",
    "predicted_lifetime",
)
"""Fields that say what a VM is like."""

_NAME_MAX = NAME_LENGTH_MAX - 15  # leaves room for the number of a VM that is created again
_LAST_S = math.nextafter(TIME_MAX_S, 0)
_BOUNDS = {
    "cpu": (1, VCPUS_MAX),
    "memory": (0, MIB_MAX / MIB_PER_GIB),
    "memory_mib": (0, MIB_MAX),
    "arrival": (0, _LAST_S),
    "lifetime": (-math.inf, _LAST_S),  # one that is no life is told apart from a bad number
    "departure": (-math.inf, _LAST_S),
    "time": (0, _LAST_S),
    "utilisation": (0, 1),
    "memory_intensity": (0, 1),
    "soft_node": (0, ID_MAX),
    "soft_weight": (0, WEIGHT_MAX),
    "predicted_lifetime": (0, _LAST_S),
}
_EMPTY = {
    "lifetime": math.inf,
    "departure": math.inf,
    "utilisation": 1.0,
    "memory_intensity": 0.3,
    "soft_node": NO_NODE,
    "soft_weight": 0.0,
    "predicted_lifetime": math.inf,
}
_TYPES = {"0": "create", "create": "create", "1": "delete", "delete": "delete"}


class Problem(StrEnum):
    """What can be wrong with a row or a VM."""

    BROKEN_ROW = "broken row"
    BAD_NAME = "bad name"
    NOT_A_NUMBER = "not a number"
    OUT_OF_RANGE = "out of range"
    NEGATIVE_TIME = "negative time"
    NO_LIFE = "no life"
    OCCURS_TWICE = "occurs twice"
    BAD_TYPE = "neither create nor delete"
    CREATED_TWICE = "created twice"
    DELETED_BEFORE_CREATED = "deleted before created"
    DELETED_NOT_THERE = "deleted but not there"
    UNSORTED = "unsorted"
    CREATED_AGAIN = "created again after its end"
    NEVER_DELETED = "never deleted"

    @property
    def outcome(self) -> str:
        """What became of the row or VM."""
        return _OUTCOMES.get(self, "dropped")

    @property
    def harmless(self) -> bool:
        """Whether nothing is wrong with it: it is only worth knowing."""
        return self in (Problem.CREATED_AGAIN, Problem.NEVER_DELETED)


_OUTCOMES = {
    Problem.UNSORTED: "mended by sorting",
    Problem.CREATED_AGAIN: "kept as another VM",
    Problem.NEVER_DELETED: "kept without end",
}


@dataclass(slots=True)
class Log:
    """Rows seen; how often each problem occurs, and line and words of its first time."""

    rows: int = 0
    count: Counter[Problem] = field(default_factory=Counter)
    first: dict[Problem, tuple[int, str]] = field(default_factory=dict)

    def add(self, problem: Problem, line: int, text: str) -> None:
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


class _Fault(Exception):
    """A row that cannot be used: the kind of problem, and the fault in words."""

    def __init__(self, problem: Problem, text: str) -> None:
        super().__init__(text)
        self.problem = problem
        self.text = text


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


def split_line(line: str) -> list[str]:
    """Return the fields of one line; `ValueError` if it is no CSV."""
    if '"' not in line:
        return [text.strip() for text in line.split(",")]
    try:
        return [text.strip() for text in next(csv.reader([line.rstrip("\r")], strict=True))]
    except csv.Error as error:
        raise ValueError(f"is no CSV ({error})") from None


def read_lifetimes(lines: Iterator[tuple[int, str]], table: Columns, log: Log) -> Rows:
    """Return one row a VM, with ``start_s`` and ``end_s`` (infinite if there is none)."""
    sizes = [name for name in SIZES if name in table.position]
    vms, seen, before_s = Rows(["start_s", "end_s", *sizes]), set[str](), 0.0
    for line, text in lines:
        log.rows += 1
        try:
            texts = _fields(text, table.width)
            name = _name(texts[table.position["vmid"]])
            start_s, end_s = _life(texts, table)
            values = [_value(size, texts[table.position[size]]) for size in sizes]
            if name in seen:
                raise _Fault(Problem.OCCURS_TWICE, f"vmid {name!r:.60} occurs twice")
        except _Fault as fault:
            log.add(fault.problem, line, fault.text)
            continue
        if start_s < before_s:
            log.add(Problem.UNSORTED, line, f"arrival {start_s:.15g} comes after {before_s:.15g}")
        if end_s == math.inf:
            log.add(Problem.NEVER_DELETED, line, f"vmid {name!r:.60} has no end")
        before_s = start_s
        seen.add(name)
        _check_count(vms)
        vms.add(name, line, start_s, end_s, *values)
    return vms


def read_events(lines: Iterator[tuple[int, str]], table: Columns, log: Log) -> Rows:
    """Return one row a VM, as `read_lifetimes`, from rows that create and rows that delete."""
    sizes = [name for name in SIZES if name in table.position]
    vms, before_s = Rows(["start_s", "end_s", *sizes]), 0.0
    events = Rows(["time_s", "vm"])
    for line, text in lines:
        log.rows += 1
        try:
            texts = _fields(text, table.width)
            name = _name(texts[table.position["vmid"]])
            time_s = _value("time", texts[table.position["time"]])
            creates = _creates(texts[table.position["type"]])
            values = [_value(s, texts[table.position[s]]) for s in sizes] if creates else []
        except _Fault as fault:
            log.add(fault.problem, line, fault.text)
            continue
        if time_s < before_s:
            log.add(Problem.UNSORTED, line, f"time {time_s:.15g} comes after {before_s:.15g}")
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
                log.add(Problem.CREATED_TWICE, line, f"vmid {name!r:.60} is created twice")
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
                log.add(Problem.NO_LIFE, line, f"vmid {name!r:.60} is deleted as it is created")
            _log_strays(name, early.pop(name, []), log)
    for name, vm in there.items():
        if name in early:
            text = f"vmid {name!r:.60} is deleted before it is created in line {vms.lines[vm]}"
            log.add(Problem.DELETED_BEFORE_CREATED, early[name].pop(0), text)
        else:
            log.add(Problem.NEVER_DELETED, vms.lines[vm], f"vmid {name!r:.60} is never deleted")
            kept.append(vm)
    for name, lines in early.items():
        _log_strays(name, lines, log)
    return _renamed(vms, sorted(kept, key=lambda vm: (start_s[vm], vm)), log)


def _log_strays(name: str, lines: list[int], log: Log) -> None:
    for line in lines:
        log.add(Problem.DELETED_NOT_THERE, line, f"vmid {name!r:.60} is deleted but not there")


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
            log.add(Problem.CREATED_AGAIN, vms.lines[vm], text)
        found.add(name, vms.lines[vm], *(column[vm] for column in vms.columns.values()))
    return found


def _check_count(vms: Rows) -> None:
    if len(vms) >= VMS_MAX:
        raise InputError("trace", "", f"has more than {VMS_MAX} VMs")


def _fields(line: str, width: int) -> list[str]:
    try:
        texts = split_line(line)
    except ValueError as error:
        raise _Fault(Problem.BROKEN_ROW, str(error)) from None
    if len(texts) != width:
        text = f"has {len(texts)} fields, the header has {width}"
        raise _Fault(Problem.BROKEN_ROW, text)
    return texts


def _name(text: str) -> str:
    if not 0 < len(text) <= _NAME_MAX or not text.isprintable():
        reason = f"must be printable, of 1 to {_NAME_MAX} characters"
        raise _Fault(Problem.BAD_NAME, f"vmid {text!r:.60} {reason}")
    return text


def _creates(text: str) -> bool:
    known = _TYPES.get(text.lower())
    if known is None:
        raise _Fault(Problem.BAD_TYPE, f"type {text!r:.40} is neither 0 (create) nor 1 (delete)")
    return known == "create"


def _life(texts: list[str], table: Columns) -> tuple[float, float]:
    """Start and end in seconds."""
    start_s = _value("arrival", texts[table.position["arrival"]])
    if "lifetime" in table.position:
        life_s = _value("lifetime", texts[table.position["lifetime"]])
        if life_s <= 0:
            raise _Fault(Problem.NO_LIFE, f"lifetime {life_s:.15g} is not above 0")
        end_s = start_s + life_s
        if TIME_MAX_S <= end_s < math.inf:
            text = f"arrival and lifetime add up to {end_s:.15g}, more than {TIME_MAX_S:g} s"
            raise _Fault(Problem.OUT_OF_RANGE, text)
        return start_s, end_s
    end_s = _value("departure", texts[table.position["departure"]])
    if end_s <= start_s:
        text = f"departure {end_s:.15g} is not after arrival {start_s:.15g}"
        raise _Fault(Problem.NO_LIFE, text)
    return start_s, end_s


def _value(name: str, text: str) -> float:
    if not text and name in _EMPTY:
        return _EMPTY[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:  # Python reads 1_0 as 10
        raise _Fault(Problem.NOT_A_NUMBER, f"{name} {text!r:.40} is no number")
    low, high = _BOUNDS[name]
    if value < low and name in ("arrival", "time"):
        raise _Fault(Problem.NEGATIVE_TIME, f"{name} {text!r:.40} is negative")
    if not low <= value <= high or (value == 0 and name in ("memory", "memory_mib")):
        above = "above" if name in ("memory", "memory_mib") else "at least"
        text = f"{name} {text!r:.40} must be {above} {low:.15g} and at most {high:.15g}"
        raise _Fault(Problem.OUT_OF_RANGE, text)
    if name in ("cpu", "soft_node") and not value.is_integer():
        raise _Fault(Problem.OUT_OF_RANGE, f"{name} {text!r:.40} is no whole number")
    return value
