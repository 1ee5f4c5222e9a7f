"""Traits of the talk's programs, and published rows beside what is simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan

from rich.text import Text

from numaplace.report.tables.columns import Column, columns
from numaplace.report.tables.table import Table, Views
from numaplace.solver.simulator.calibration import Checked, gains
from numaplace.solver.simulator.published import TalkProgram
from numaplace.solver.simulator.talk import Traits


def _value(value: float) -> str:
    return "-" if isnan(value) else f"{value:.6g}"


def _percent(share: float | None) -> str:
    return "-" if share is None or isnan(share) else f"{100 * share:+.1f}"


def _left_out(row: tuple[Checked, tuple[float, float] | None]) -> float | None:
    checked = row[0]
    return None if checked.left_out is None else checked.left_out / checked.row.value - 1.0


def _gains(both: tuple[float, float]) -> str:
    return ", ".join(map(_percent, both))


CHECKED = columns(
    Column("program", str, "0.row.program", "program"),
    Column("vms", int, "0.row.vms", "VMs"),
    Column("pinned", bool, "0.row.pinned", "vCPUs", lambda it: "pinned" if it else "float"),
    Column("changed", bool, "0.row.changed", "commit", lambda it: "after" if it else "before"),
    Column("published", float, "0.row.value", "published", _value),
    Column("simulated", float, "0.simulated", "simulated", _value),
    Column("spread", float, "0.spread", "±\n%", lambda share: f"{100 * share:.1f}"),
    Column("error", float, "0.error", "off\n%", _percent),
    Column("left_out", (float, None), _left_out, "left\nout %", _percent),
    Column("-is", bool, "0.row.fitted", "is", lambda it: "calibrated" if it else "predicted"),
    Column("-gains", object, "1", "gains %\npubl., sim.", _gains, right=True),
)
"""A published row of a VM's throughput, of pairs (`Checked`, gains of pinning)."""


def calibration_views(traits: Mapping[TalkProgram, Traits], checked: Sequence[Checked]) -> Views:
    """What a calibration found, as code, and every row beside what is simulated."""
    lines = ["CALIBRATED = {"]
    for program, known in traits.items():
        values = f"{known.score!r}, {known.intensity!r}, {known.smt_yield!r}, {known.covariance!r}"
        lines.append(f"    TalkProgram.{program.name}: Traits({values}),")
    gained = gains(checked)
    rows = [(each, gained.get(each.row)) for each in checked]
    note = Text("left out: off if its traits are calibrated on the other rows before", "dim")
    table = Table(CHECKED, rows, noun="row", keys=4, section=lambda row: row[0].row.program)
    return [Text("\n".join([*lines, "}"])), table, note]
