"""Prices to begin with: the relaxation of the whole fleet, a class of hosts as one program."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import highspy
import numpy as np

from numaplace.models.result import Stage
from numaplace.solver.deadline import Deadline
from numaplace.solver.fleet.classes import Census
from numaplace.solver.fleet.master import SCALE, Aim, Duals
from numaplace.solver.fleet.pricing import HostModel
from numaplace.solver.formulation.program import Program
from numaplace.solver.milp.highs import quiet_highs, run_by


def relaxed_prices(
    census: Census, models: Sequence[HostModel], goal: Aim, until: Deadline
) -> Duals | None:
    """Return prices to start from: those of the programs of all hosts together, not held whole.

    A class is one program, with as much room as its hosts have.
    """
    parts = _FleetLp()
    units = [parts.row(-math.inf, float(len(unit.groups))) for unit in census.units]
    value = parts.row(goal.held.get(Stage.VALUE, -math.inf) / 1000.0, math.inf)
    worth = [census.instance.value_milli(entry.vm) / 1000.0 for entry in census.entries]
    for model, of in zip(models, census.classes, strict=True):
        until.check()
        costs = dict[int, float]()
        if goal.stage is Stage.LOSS:
            for variable, micro in model.formulation.stage(Stage.LOSS):
                costs[variable] = costs.get(variable, 0.0) + micro / 1e6
        first = parts.program(model.formulation.program, len(of.hosts), costs)
        for e, column in model.placed.items():
            parts.terms.append((value, first + column, worth[e]))
            if goal.stage is Stage.VALUE:
                parts.costs[first + column] -= worth[e]
        for unit, column in model.unit_columns.items():
            parts.terms.append((units[unit], first + column, 1.0))
    lp = parts.load()
    run_by(lp, until)
    if lp.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    dual = lp.getSolution().row_dual
    rate = SCALE[goal.stage] * (1000.0 if goal.stage is Stage.VALUE else 1e6)
    return Duals(
        goal,
        tuple(max(0, round(-dual[row] * rate)) for row in units),
        max(0, round(dual[value] * rate / 1000.0)),
        0,
    )


class _FleetLp:
    """A linear program put together from programs."""

    def __init__(self) -> None:
        self.costs: list[float] = []
        self.upper: list[float] = []
        self.low: list[float] = []
        self.high: list[float] = []
        self.terms: list[tuple[int, int, float]] = []

    def row(self, low: float, high: float) -> int:
        """Add a row and return its number."""
        self.low.append(low)
        self.high.append(high)
        return len(self.low) - 1

    def program(self, program: Program, times: int, costs: Mapping[int, float]) -> int:
        """Add so many copies of a program as one; return the number of its first column."""
        first = len(self.upper)
        self.upper += [float(most) * times for most in program.upper]
        self.costs += [costs.get(k, 0.0) for k in range(len(program.upper))]
        for row in program.rows:
            scale = float(max(1, *(abs(weight) for _, weight in row.terms), 1))
            low = -math.inf if row.low is None else row.low * times / scale
            number = self.row(low, math.inf if row.high is None else row.high * times / scale)
            self.terms += [(number, first + k, weight / scale) for k, weight in row.terms]
        return first

    def load(self) -> highspy.Highs:
        """Return the program, ready to be solved."""
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self.upper), len(self.low)
        lp.col_cost_, lp.col_upper_ = np.array(self.costs), np.array(self.upper)
        lp.col_lower_ = np.zeros(len(self.upper))
        lp.row_lower_, lp.row_upper_ = np.array(self.low), np.array(self.high)
        rows, columns, weights = (np.array(part) for part in zip(*self.terms, strict=True))
        key = rows.astype(np.int64) * len(self.upper) + columns
        keys, where = np.unique(key, return_inverse=True)
        starts = np.arange(len(self.low) + 1) * len(self.upper)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.searchsorted(keys, starts).astype(np.int32)
        lp.a_matrix_.index_ = (keys % len(self.upper)).astype(np.int32)
        lp.a_matrix_.value_ = np.bincount(where, weights, len(keys)).astype(np.float64)
        highs = quiet_highs()
        highs.passModel(lp)
        return highs
