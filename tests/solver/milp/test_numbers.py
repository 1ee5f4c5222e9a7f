"""Floating point is kept honest: bounds, rows, and what HiGHS hands back."""

from __future__ import annotations

import math

import pulp
import pytest

from numaplace.solver.milp.backend import GAP, SLACK, Task, whole_bound
from numaplace.solver.milp.cbc import _bound
from numaplace.solver.milp.highs import solve_highs
from numaplace.solver.milp.rows import add_at_most, add_never


@pytest.mark.parametrize(
    ("bound", "whole"),
    [
        (7.0, 7),
        (7.0 - GAP, 7),
        (7.0 + SLACK / 2, 7),
        (7.0 - GAP - SLACK / 2, 7),
        (6.05, 6),
        (-3.2, -3),
        (5e10, 50_000_000_000 - 5),
        (math.inf, None),
        (-math.inf, None),
        (1e300, None),
        (None, None),
    ],
)
def test_bounds_round_with_a_margin(bound: float | None, whole: int | None) -> None:
    """A bound a gap below a whole number proves it; one a little above does not prove the next."""
    assert whole_bound(bound) == whole


def test_rows_are_divided_and_rounded() -> None:
    """256 a + 512 b <= 1000 is a + 2 b <= 3; a row that always holds is left out."""
    problem = pulp.LpProblem("rows")
    a, b = (problem.add_variable(name, 0, 4, pulp.LpInteger) for name in "ab")
    add_at_most(problem, 256 * a + 512 * b, 1000)
    add_at_most(problem, 256 * a, 1024)
    (row,) = problem.constraints()
    assert (dict(row.items()), row.getUb()) == ({a: 1, b: 2}, 3)


def test_impossible_rows_stay_impossible() -> None:
    """A row without variables that cannot hold makes the problem infeasible."""
    problem = pulp.LpProblem("rows")
    a = problem.add_variable("a", 0, 4, pulp.LpInteger)
    problem.setObjective(1 * a)
    add_at_most(problem, pulp.LpAffineExpression(constant=2), 1)
    assert solve_highs(problem, Task([])).infeasible
    again = pulp.LpProblem("never")
    again.setObjective(1 * again.add_variable("b", 0, 1))
    add_never(again)
    assert solve_highs(again, Task([])).infeasible


def test_solution_matches_its_objective() -> None:
    """The solution handed back is worth the objective claimed, from a poor start too.

    With these rows HiGHS 1.16 proves 0 and hands back the start, x = 3.
    """
    problem = pulp.LpProblem("start")
    x, a, b = (problem.add_variable(name, 0, 3, pulp.LpInteger) for name in "xab")
    c = problem.add_variable("c", 0, 1, pulp.LpInteger)
    unused = problem.add_variable("unused", 0, 1, pulp.LpInteger)
    problem.setObjective(166667 * x)
    problem += a <= 2 * c
    problem += b <= 2 * c
    problem += a + b == 2 * c
    outcome = solve_highs(problem, Task([(x, 3), (a, 0), (b, 2), (c, 1), (unused, 1)]))
    assert outcome.objective == outcome.bound == problem.objective.value() == 0


@pytest.mark.parametrize(
    ("log", "objective", "bound"),
    [
        ("Result - Optimal solution found\n\nObjective value: 9.0\n", 9.0, 9.0 - GAP),
        ("Result - Stopped on time limit\n\nObjective value: 9.0\nLower bound:    4.5\n", 9.0, 4.5),
        ("Result - Stopped on time limit\n\nNo feasible solution\nLower bound: 4.5\n", None, 4.5),
        ("Result - Stopped on time limit\n\nObjective value: 9.0\n", 9.0, None),
        ("", None, None),
    ],
)
def test_bound_of_cbc(log: str, objective: float | None, bound: float | None) -> None:
    """CBC's bound is what its log states, or follows from its proof; else there is none."""
    assert _bound(log, objective, 0.0) == bound
