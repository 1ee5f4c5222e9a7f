"""Rows of the MILP: integer coefficients, as small as they can be made.

A row of integer variables is divided by the greatest common divisor of its coefficients and its
right side rounded down (Chvatal-Gomory): memory counts in common blocks instead of MiB. That
tightens the relaxation and keeps the numbers far above the tolerances of floating point.
"""

from __future__ import annotations

from math import gcd

import pulp

from numaplace.solver.deadline import NEVER, Deadline
from numaplace.solver.milp.variables import Linear


class TimedProblem(pulp.LpProblem):  # type: ignore[misc]
    """A problem to minimise that is built only as long as there is time.

    Parameters
    ----------
    until
        Every row after it raises `OutOfTimeError`.

    Attributes
    ----------
    num_terms
        Coefficients of all rows.
    """

    def __init__(self, until: Deadline = NEVER) -> None:
        super().__init__("numaplace", pulp.LpMinimize)
        self.until = until
        self.num_terms = 0

    def __iadd__(self, row: Linear) -> Linear:
        self.until.check()
        self.num_terms += len(row.items()) if isinstance(row, pulp.LpConstraint) else 1
        return super().__iadd__(row)


def add_at_most(problem: Linear, expression: Linear, limit: int) -> None:
    """Add ``expression <= limit``; all variables are integer, all coefficients whole numbers."""
    terms = {variable: factor for variable, factor in expression.items() if factor}
    room = limit - int(expression.constant)
    if not terms:
        if room < 0:
            add_never(problem)
        return
    divisor = gcd(*(int(factor) for factor in terms.values()))
    scaled = pulp.LpAffineExpression({v: int(factor) // divisor for v, factor in terms.items()})
    most = sum(v.upBound * factor for v, factor in scaled.items() if factor > 0)
    if most > room // divisor:
        problem += scaled <= room // divisor


def add_never(problem: Linear) -> None:
    """Add a row that nothing satisfies."""
    never = problem.add_variable(f"never{len(problem.variables())}", 0, 0, pulp.LpInteger)
    problem += never >= 1
