"""Traces from a table: CSV with a header line, in one of two forms.

Lifetimes: one row a VM, with its arrival and its lifetime (or its departure). Events: one row when
a VM is created, one when it is deleted; of rows at the same time the first comes first.

================== ==============================================================
field              content
================== ==============================================================
vmid               name of the VM
cpu                vCPUs, a whole number
memory, memory_mib memory in GiB or MiB; rounded to whole MiB, at least 1
arrival            seconds
lifetime           seconds, above 0; empty: it is never deleted
departure          seconds, after the arrival; empty: it is never deleted
time, type         seconds; 0 or ``create``, 1 or ``delete``
utilisation        as of `Trace`; empty: 1
memory_intensity   as of `Trace`; empty: 0.3
soft_node          as of `Trace`; empty: none
soft_weight        as of `Trace`; empty: 0
predicted_lifetime seconds; empty: nothing is predicted
================== ==============================================================

`trace_columns.NAMES` has the names of their columns. Times may have fractions: the trace has whole
milliseconds, and every life at least one. Of a row that deletes, only vmid, time and type are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from numaplace.instances.files import read_text
from numaplace.instances.formats.tables.trace_columns import (
    Form,
    TraceColumns,
    check_fields,
    resolve,
)
from numaplace.instances.formats.tables.trace_fields import MIB_PER_GIB, RowProblem, split_line
from numaplace.instances.formats.tables.trace_rows import (
    Log,
    Rows,
    numbered_lines,
    read_events,
    read_lifetimes,
)
from numaplace.instances.reading import located
from numaplace.models.errors import InputError
from numaplace.models.trace import MS_PER_S, NEVER_MS, Ints, Reals, Trace, make_trace

LIMIT_BYTES = 512 * 2**20
VCPU_MS_MAX = 1 << 62

_NAMES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class TraceReport:
    """What was read from a trace, and what was dropped or mended."""

    rows: int  # after the header
    vms: int
    problems: Mapping[RowProblem, int]  # how often each occurs
    examples: Mapping[RowProblem, str]  # the first of each: ``line 17: cpu 'x' is no number``
    ignored: tuple[str, ...] = ()  # columns that were not read

    def notes(self) -> tuple[str, ...]:
        """Return one line for each kind of problem, and one for the columns not read."""
        lines = [
            f"{count} x {problem}, {problem.outcome} (first: {self.examples[problem]})"
            for problem, count in self.problems.items()
        ]
        if self.ignored:
            names = ", ".join(repr(name)[:40] for name in self.ignored[:_NAMES_SHOWN])
            more = ", ..." if len(self.ignored) > _NAMES_SHOWN else ""
            lines.append(f"columns not read: {names}{more}")
        return tuple(lines)

    def plain(self) -> dict[str, object]:
        """Return the same for JSON."""
        return {
            "rows": self.rows,
            "vms": self.vms,
            "problems": {str(problem): count for problem, count in self.problems.items()},
            "examples": {str(problem): text for problem, text in self.examples.items()},
            "ignored_columns": list(self.ignored),
        }


def parse_columns(text: str) -> dict[str, str]:
    """Return the columns of a text like ``memory=ram,predicted_lifetime=guess``.

    Raises
    ------
    InputError
        If a part is no ``field=name``, or a field is unknown or occurs twice.
    """
    columns: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, sign, column = (piece.strip() for piece in part.partition("="))
        if not sign or not name or not column:
            raise InputError(
                "trace", "columns", f"must be FIELD=NAME with commas, not {part!r:.60}"
            )
        if name in columns:
            raise InputError("trace", "columns", f"{name!r:.60} occurs twice")
        columns[name] = column
    check_fields(columns)
    return columns


def read_trace(
    path: Path, *, columns: Mapping[str, str] | None = None, strict: bool = False
) -> tuple[Trace, TraceReport]:
    """Return the trace of a CSV file, every VM on one node, and what was wrong with it.

    Parameters
    ----------
    path
        The file, ``-`` for standard input.
    columns
        Field -> name of its column, where that is not one of `trace_columns.NAMES`.
    strict
        Whether the first row that would be dropped, or is out of order, is an error.

    Raises
    ------
    InputError
        With file and line, if the file cannot be read, is no text, has no header with the columns
        needed or no row that can be used, or if `strict` and a row is wrong.
    """
    file = str(path)
    lines = numbered_lines(read_text(path, limit_bytes=LIMIT_BYTES))
    line, header = next(lines, (1, ""))
    with located(file, line):
        table = _table(header, columns or {})
    log = Log()
    with located(file):
        read = read_lifetimes if table.form is Form.LIFETIMES else read_events
        vms = read(lines, table, log)
    wrong = [place for problem, place in log.first.items() if not problem.harmless]
    if wrong and (strict or not len(vms)):
        line, text = min(wrong)
        reason = text if strict else f"no row can be used: {text}"
        raise InputError("row" if strict else "trace", "", reason, file=file, line=line)
    if not len(vms):
        raise InputError("trace", "", "has no rows", file=file, line=line)
    trace = _trace(vms)
    _check_worth(trace, file)
    order = [problem for problem in RowProblem if problem in log.first]
    return trace, TraceReport(
        log.rows,
        len(vms),
        {problem: log.count[problem] for problem in order},
        {problem: "line {}: {}".format(*log.first[problem]) for problem in order},
        table.ignored,
    )


def _table(header: str, columns: Mapping[str, str]) -> TraceColumns:
    if not header:
        raise InputError("trace", "", "is empty, a header line is needed")
    try:
        names = split_line(header)
    except ValueError as error:
        raise InputError("header", "", str(error)) from None
    return resolve(names, columns)


def _trace(vms: Rows) -> Trace:
    """Return the VMs in order of arrival, in the units of a trace."""
    columns: dict[str, Reals] = {
        name: np.array(column, np.float64) for name, column in vms.columns.items()
    }
    order = np.argsort(columns["start_s"], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    start_ms, end_ms = _ms(columns.pop("start_s")), _ms(columns.pop("end_s"))
    mib = columns.pop("memory") * MIB_PER_GIB if "memory" in columns else columns.pop("memory_mib")
    arrays: dict[str, Ints | Reals] = {
        "vcpus": columns.pop("cpu").astype(np.int64),
        "memory_mib": np.maximum(np.rint(mib).astype(np.int64), 1),
        "start_ms": start_ms,
        "end_ms": np.maximum(end_ms, start_ms + 1),
    }
    if "predicted_lifetime" in columns:
        life_ms = np.maximum(_ms(columns.pop("predicted_lifetime")), 1)
        arrays["predicted_end_ms"] = np.minimum(start_ms + life_ms, NEVER_MS)
    if "soft_node" in columns:
        arrays["soft_node"] = columns.pop("soft_node").astype(np.int64)
    names = tuple(vms.names[vm] for vm in order.tolist())
    return make_trace(names, **arrays, **columns)


def _check_worth(trace: Trace, file: str) -> None:
    """Refuse what would overflow when vCPU times are added up."""
    lives = np.minimum(trace.end_ms, trace.horizon_ms) - trace.start_ms
    total = float((trace.vcpus.astype(np.float64) * lives).sum())
    if total > VCPU_MS_MAX:
        reason = f"add up to {total / MS_PER_S:.3g} s, more than can be counted exactly"
        raise InputError("trace", "vCPU times", reason, file=file)


def _ms(seconds: Reals) -> Ints:
    """Return whole milliseconds, `NEVER_MS` for infinity."""
    known = np.isfinite(seconds)
    ms = np.rint(np.where(known, seconds, 0) * MS_PER_S).astype(np.int64)
    return np.where(known, ms, NEVER_MS)
