"""The master program: how many hosts of each class have which pattern, by HiGHS.

It minimises ``sum cost_p x_p`` with one row for each class of hosts (no more hosts than there are),
each unit (no more, or of required ones exactly, as there are) and each stage that is held. What
patterns hold beyond what there is may be dropped, at the price of its value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import highspy
import numpy as np

from numaplace.models.result import Stage
from numaplace.solver.deadline import Deadline
from numaplace.solver.fleet.classes import Census
from numaplace.solver.fleet.layouts import Held, Pattern
from numaplace.solver.fleet.pricing import Weights
from numaplace.solver.milp.highs import quiet_highs, run_by

SCALE = {Stage.VALUE: 64, Stage.HOSTS: 1 << 20, Stage.LOSS: 4}
"""Duals of units and stages held are whole multiples of an objective's unit by this."""
SHORT = 10
"""A required unit that is missing costs so many times the most that anything is worth or loses."""


@dataclass(frozen=True, slots=True)
class Aim:
    """A stage, and what earlier ones are held at."""

    stage: Stage
    held: Mapping[Stage, int] = field(default_factory=dict)

    def cost(self, pattern: Pattern) -> int:
        """Return what a pattern costs at the stage."""
        if self.stage is Stage.VALUE:
            return -pattern.value
        return 1 if self.stage is Stage.HOSTS else pattern.loss


@dataclass(frozen=True, slots=True)
class Duals:
    """Whole prices by which a goal is relaxed: of units, and of the stages held (in `SCALE`)."""

    goal: Aim
    units: tuple[int, ...]
    value: int
    host: int

    def weights(self, census: Census) -> Weights:
        """Return what pricing minimises."""
        scale, stage = SCALE[self.goal.stage], self.goal.stage
        worth = self.value + (scale if stage is Stage.VALUE else 0)
        values = (census.instance.value_milli(entry.vm) for entry in census.entries)
        return Weights(
            loss=scale if stage is Stage.LOSS else 0,
            host=self.host + (scale if stage is Stage.HOSTS else 0),
            entries=tuple(-worth * value for value in values),
            units=self.units,
        )

    def bound(self, census: Census, least: Sequence[int]) -> int:
        """Return what no plan costs less than, from what no pattern of each class weighs less than.

        Lagrangian relaxation: valid for whatever prices, if those of rows that are no equations
        have their sign, and for whatever bounds of pricing.
        """
        total = sum(
            len(of.hosts) * min(0, weight) for of, weight in zip(census.classes, least, strict=True)
        )
        for price, unit in zip(self.units, census.units, strict=True):
            total -= price * len(unit.groups)
        total += self.value * self.goal.held.get(Stage.VALUE, 0)
        total -= self.host * self.goal.held.get(Stage.HOSTS, 0)
        return -(-total // SCALE[self.goal.stage])


class PatternMaster:
    """The program of one goal over the patterns known."""

    def __init__(self, census: Census, goal: Aim) -> None:
        self.census = census
        self.goal = goal
        self.patterns: list[Pattern] = []
        self._known: dict[tuple[int, Held], int] = {}
        self._lp = quiet_highs()
        self._unit = 1.0 if goal.stage is Stage.HOSTS else 1000.0
        if goal.stage is Stage.LOSS:
            self._unit = 1e6
        self._drops = self._rows()

    def _rows(self) -> int:
        """Write rows and what is dropped or short; return the number of those columns."""
        lp, census, inf = self._lp, self.census, highspy.kHighsInf
        value = census.instance.value_milli
        worth = [sum(value(vm) * n for vm, n in unit.members) for unit in census.units]
        self._value_row = len(census.classes) + len(census.units)
        for of in census.classes:
            lp.addRow(-inf, float(len(of.hosts)), 0, [], [])
        for unit in census.units:
            n = float(len(unit.groups))
            lp.addRow(n if unit.required else -inf, n, 0, [], [])
        lp.addRow(self.goal.held.get(Stage.VALUE, -inf) / 1000.0, inf, 0, [], [])
        lp.addRow(-inf, float(self.goal.held.get(Stage.HOSTS, inf)), 0, [], [])
        rate = 1.0 if self.goal.stage is Stage.VALUE else 0.0
        drops = 0
        for u, unit in enumerate(census.units):
            row = len(census.classes) + u
            n = float(len(unit.groups) * 1000)
            rows, amounts = [row, self._value_row], [-1.0, -worth[u] / 1000.0]
            lp.addCol(rate * worth[u] / self._unit, 0.0, n, 2, rows, amounts)
            drops += 1
            if unit.required:
                lp.addCol(self._short(), 0.0, n, 1, [row], [1.0])
                drops += 1
        return drops

    def _short(self) -> float:
        most = max((self.census.instance.total_value_milli, 1))
        return SHORT * most / 1000.0

    def add(self, patterns: Sequence[Pattern]) -> int:
        """Add patterns that are not known yet; return how many those are."""
        new = 0
        for pattern in patterns:
            key = pattern.host_class, pattern.held
            if key in self._known:
                new += self._better(self._known[key], pattern)
                continue
            self._known[key] = len(self.patterns)
            self.patterns.append(pattern)
            first = len(self.census.classes)
            rows = [pattern.host_class, *(first + u for u, _ in pattern.units)]
            amounts = [1.0, *(float(n) for _, n in pattern.units)]
            rows += [self._value_row, self._value_row + 1]
            amounts += [pattern.value / 1000.0, 1.0]
            cost = self.goal.cost(pattern) / self._unit
            most = float(len(self.census.classes[pattern.host_class].hosts))
            self._lp.addCol(cost, 0.0, most, len(rows), rows, amounts)
            new += 1
        return new

    def _better(self, number: int, pattern: Pattern) -> bool:
        """Take a pattern for one that holds the same if it loses less."""
        if pattern.loss >= self.patterns[number].loss:
            return False
        self.patterns[number] = pattern
        cost = self.goal.cost(pattern) / self._unit
        self._lp.changeColCost(self._drops + number, cost)
        return True

    def solve(self, until: Deadline) -> tuple[float, Duals] | None:
        """Solve the relaxation: its objective, and the prices that prove it; None if it cannot."""
        lp = self._lp
        run_by(lp, until)
        if lp.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        scale = SCALE[self.goal.stage]
        dual = np.array(lp.getSolution().row_dual)
        first, n = len(self.census.classes), len(self.census.units)
        units = []
        for y, unit in zip(dual[first : first + n], self.census.units, strict=True):
            price = round(-float(y) * self._unit * scale)
            units.append(price if unit.required else max(0, price))
        value = max(0, round(float(dual[first + n]) * self._unit * scale / 1000.0))
        host = max(0, round(-float(dual[first + n + 1]) * self._unit * scale))
        objective = lp.getInfo().objective_function_value * self._unit
        return objective, Duals(self.goal, tuple(units), value, host)

    def choose(
        self, until: Deadline, good: float, start: Sequence[tuple[Pattern, int]]
    ) -> list[tuple[Pattern, int]] | None:
        """Choose whole numbers of patterns, from a choice on, until one of cost `good` is found.

        None if there is none in time.
        """
        mip = quiet_highs()
        lp = self._lp.getLp()
        lp.integrality_ = [highspy.HighsVarType.kInteger] * lp.num_col_
        mip.passModel(lp)
        mip.setOptionValue("mip_rel_gap", 0.0)
        mip.setOptionValue("mip_abs_gap", 1e-6)
        if good > -math.inf:
            mip.setOptionValue("objective_target", good / self._unit + 1e-6)
        values = np.zeros(lp.num_col_)
        for pattern, times in start:
            values[self._drops + self._known[pattern.host_class, pattern.held]] += times
        mip.setSolution(len(values), np.arange(len(values), dtype=np.int32), values)
        run_by(mip, until)
        if mip.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
            return None
        times = np.rint(np.array(mip.getSolution().col_value)[self._drops :]).astype(int).tolist()
        return [(p, n) for p, n in zip(self.patterns, times, strict=True) if n > 0]
