"""A program as a problem of PuLP: it takes what has come since it last looked.

A row of whole variables is divided by the greatest common divisor of its coefficients and its
bounds rounded (Chvatal-Gomory): memory counts in common blocks instead of MiB. Variables that need
not be held whole are continuous and counted in their unit, and a row that defines one is divided by
its coefficient: that keeps numbers far above the tolerances of floating point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import gcd

import pulp

from numaplace.models.units import ceil_div
from numaplace.solver.formulation.program import Kind, LinearRow, Program, ProgramEngine, Terms
from numaplace.solver.milp.backend import Linear


class Engine(ProgramEngine[Linear]):
    """A PuLP problem of a program, always minimised."""

    def __init__(self, program: Program) -> None:
        self.problem: Linear = pulp.LpProblem("numaplace", pulp.LpMinimize)
        super().__init__(program)

    def new_variable(self, number: int) -> Linear:
        """Make the column of a variable."""
        part = self.program.kinds[number] is Kind.PART
        category = pulp.LpContinuous if part else pulp.LpInteger
        # PuLP sorts columns by name: a number keeps their order.
        most: float = self.program.upper[number]
        most = most / self._unit(number) if part else most
        return self.problem.add_variable(f"x{number:08d}", 0, most, category)

    def _unit(self, variable: int) -> int:
        """What a column counts a variable in: its unit if it is continuous."""
        return self.program.units[variable] if self.program.kinds[variable] is Kind.PART else 1

    def add(self, row: LinearRow) -> None:
        """Add a row."""
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
        total = self._expression(terms, scale)
        if low is not None and low == high:
            self.problem += total == low / scale
            return
        if high is not None:
            self.problem += total <= high / scale
        if low is not None:
            self.problem += total >= low / scale

    def _never(self) -> None:
        """Add a row that nothing satisfies."""
        never = self.problem.add_variable(f"never{self.num_rows}", 0, 0, pulp.LpInteger)
        self.problem += never >= 1

    def aim(self, terms: Terms, *, maximise: bool) -> None:
        """Make a sum the objective; one to maximise is minimised with its sign turned."""
        self.load()
        sign = -1 if maximise else 1
        total = {k: sign * weight for k, weight in _merged(terms).items()}
        self.problem.setObjective(self._expression(total))

    def _expression(self, terms: Mapping[int, int], scale: int = 1) -> Linear:
        """Return a sum, in units, divided by `scale`."""
        counted: dict[Linear, float] = {
            self.variables[k]: weight * self._unit(k) for k, weight in terms.items()
        }
        if scale > 1:
            counted = {column: weight / scale for column, weight in counted.items()}
        return pulp.LpAffineExpression(counted)

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
    total: Counter[int] = Counter()
    for variable, weight in terms:
        total[variable] += weight
    return {variable: weight for variable, weight in total.items() if weight}
