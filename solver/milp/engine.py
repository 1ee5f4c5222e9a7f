"""A program as a problem of PuLP: it takes what has come since it last looked.

A row of whole variables is divided by the greatest common divisor of its coefficients and its
bounds rounded (Chvatal-Gomory): memory counts in common blocks instead of MiB. Variables that need
not be held whole are continuous and counted in their unit, and a row that defines one is divided by
its coefficient: that keeps numbers far above the tolerances of floating point.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from math import gcd

import pulp

from numaplace.models.units import ceil_div
from numaplace.solver.formulation.program import Kind, LinearRow, Program, Terms
from numaplace.solver.milp.backend import Linear


class Engine:
    """A PuLP problem of a program, always minimised.

    Parameters
    ----------
    program
        The program; what it gets later is taken by `load`.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.problem: Linear = pulp.LpProblem("numaplace", pulp.LpMinimize)
        self.variables: list[Linear] = []
        self._rows = 0
        self.load()

    def load(self) -> None:
        """Take the variables and rows of the program that are not in the problem yet."""
        check = self.program.until.check
        for k in range(len(self.variables), len(self.program.upper)):
            if k % 1024 == 0:
                check()
            part = self.program.kinds[k] is Kind.PART
            category = pulp.LpContinuous if part else pulp.LpInteger
            most = self.program.upper[k] / self._unit(k) if part else self.program.upper[k]
            # PuLP sorts columns by name: a number keeps their order.
            self.variables.append(self.problem.add_variable(f"x{k:08d}", 0, most, category))
        for row in self.program.rows[self._rows :]:
            if self._rows % 1024 == 0:
                check()
            self._add(row)
            self._rows += 1

    def _unit(self, variable: int) -> int:
        """What a column counts a variable in: its unit if it is continuous."""
        return self.program.units[variable] if self.program.kinds[variable] is Kind.PART else 1

    def _add(self, row: LinearRow) -> None:
        terms = _merged(row.terms)
        low, high = row.low, row.high
        if not terms:
            if (low is not None and low > 0) or (high is not None and high < 0):
                self._never()
            return
        if all(self.program.kinds[k] is Kind.WHOLE for k in terms):
            divisor = gcd(*terms.values())
            terms = {k: weight // divisor for k, weight in terms.items()}
            low = None if low is None else ceil_div(low, divisor)
            high = None if high is None else high // divisor
            if low is not None and high is not None and low > high:
                self._never()
                return
            if len(terms) == 1 and self._bound(*next(iter(terms.items())), low, high):
                return
            self._write(terms, 1, low, high)
        else:
            self._write(terms, self._scale(terms), low, high)

    def _scale(self, terms: dict[int, int]) -> int:
        """What a row is divided by: the coefficient, in its unit, of what it defines."""
        sizes = {
            k: abs(weight) * self._unit(k)
            for k, weight in terms.items()
            if self.program.kinds[k] is Kind.ROUNDED or self._unit(k) > 1
        }
        return min(sizes.values(), default=1)

    def _bound(self, variable: int, weight: int, low: int | None, high: int | None) -> bool:
        """Bound a column instead of adding a row of it alone."""
        if weight != 1:
            return False
        column = self.variables[variable]
        if low is not None:
            column.lowBound = max(column.lowBound, low)
        if high is not None:
            column.upBound = min(column.upBound, high)
        if column.lowBound > column.upBound:
            column.upBound = column.lowBound
            self._never()
        return True

    def _write(self, terms: dict[int, int], scale: int, low: int | None, high: int | None) -> None:
        if high is not None and low is None:
            upper = self.program.upper
            if sum(upper[k] * weight for k, weight in terms.items() if weight > 0) <= high:
                return
        total = pulp.LpAffineExpression(
            {self.variables[k]: weight * self._unit(k) / scale for k, weight in terms.items()}
            if scale > 1
            else {self.variables[k]: weight * self._unit(k) for k, weight in terms.items()}
        )
        if low is not None and low == high:
            self.problem += total == low / scale
            return
        if high is not None:
            self.problem += total <= high / scale
        if low is not None:
            self.problem += total >= low / scale

    def _never(self) -> None:
        """Add a row that nothing satisfies."""
        never = self.problem.add_variable(f"never{self._rows}", 0, 0, pulp.LpInteger)
        self.problem += never >= 1

    def aim(self, terms: Terms, *, maximise: bool) -> None:
        """Make a sum the objective; one to maximise is minimised with its sign turned."""
        self.load()
        sign = -1 if maximise else 1
        self.problem.setObjective(
            pulp.LpAffineExpression(
                {
                    self.variables[k]: sign * weight * self._unit(k)
                    for k, weight in _merged(terms).items()
                }
            )
        )

    def start(self, values: Iterable[tuple[int, int]]) -> list[tuple[Linear, int]]:
        """Return values of whole variables as those of columns."""
        return [(self.variables[variable], value) for variable, value in values]

    def values(self) -> list[int]:
        """Return the values of the program's variables in the solution found."""
        return [round(self._value(k) * self._unit(k)) for k in range(len(self.variables))]

    def _value(self, variable: int) -> float:
        """Value of a column; PuLP tells none of one that is in no row and not in the objective."""
        column = self.variables[variable]
        value = column.value()
        return float(column.lowBound if value is None else value)


def _merged(terms: Terms) -> dict[int, int]:
    total: dict[int, int] = defaultdict(int)
    for variable, weight in terms:
        total[variable] += weight
    return {variable: weight for variable, weight in total.items() if weight}
