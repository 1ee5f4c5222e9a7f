"""Floating point is kept honest: bounds, rows, and what HiGHS hands back."""

from __future__ import annotations

import math

import pulp
import pytest

from numaplace.solver.formulation.program import Kind, Program
from numaplace.solver.milp.backend import GAP, SLACK, Task, whole_bound
from numaplace.solver.milp.cbc import _bound
from numaplace.solver.milp.engine import Engine
from numaplace.solver.milp.highs import solve_highs


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
    program = Program()
    a, b = program.variable(4), program.variable(4)
    program.at_most([(a, 256), (b, 512)], 1000)
    program.at_most([(a, 256)], 1024)
    (row,) = (engine := Engine(program)).problem.constraints()
    x, y = engine.variables
    assert (dict(row.items()), row.getUb()) == ({x: 1, y: 2}, 3)


def test_rows_that_define_are_divided_by_what_they_define() -> None:
    """3000 a <= 1000 loss is 3 a <= loss, where the loss is rounded; a part counts in its unit."""
    program = Program()
    a, loss = program.variable(4), program.variable(100, Kind.ROUNDED)
    part = program.part(4_000_000, unit=1_000_000)
    program.at_most([(a, 300_000), (loss, -1000)], 0)
    program.at_most([(a, 1_500_000), (part, -1)], 0)
    engine = Engine(program)
    x, y, z = engine.variables
    rows = [dict(row.items()) for row in engine.problem.constraints()]
    assert rows == [{x: 300, y: -1}, {x: 1.5, z: -1}]
    assert z.upBound == 4


def test_impossible_rows_stay_impossible() -> None:
    """A row that cannot hold makes the problem infeasible, with variables or without."""
    for terms, low, high in (([], 1, None), ([], None, -1), ([(0, 2)], 1, 1), ([(0, 1)], 5, None)):
        program = Program()
        program.variable(4)
        program.row(terms, low, high)
        engine = Engine(program)
        engine.aim([(0, 1)], maximise=False)
        assert solve_highs(engine.problem, Task([])).infeasible


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
