"""Programs of the offline optimum, solved as MILPs by HiGHS."""

from __future__ import annotations

import pulp

from numaplace.models.result import SolveStatus
from numaplace.models.trace import Ints
from numaplace.solver.deadline import Deadline
from numaplace.solver.milp.backend import Task, whole_bound
from numaplace.solver.milp.highs import solve_highs
from numaplace.solver.milp.rows import add_at_most
from numaplace.solver.milp.variables import Linear
from numaplace.solver.offline.program import Answer, Program, Run, rounded


def run_program(program: Program, run: Run) -> Answer:
    """Maximise a program with HiGHS, see `numaplace.solver.offline.program.Engine`.

    Bounds rest on floating point: they are rounded with a margin. Values are whole numbers that
    obey every row exactly, or there are none.
    """
    if run.over:
        return Answer(SolveStatus.UNKNOWN)
    problem, variables = _problem(program)
    start = []
    if run.start is not None:
        pairs = zip(variables, run.start.tolist(), strict=False)
        start = [(variable, value) for variable, value in pairs if value >= 0]
    task = Task(start, Deadline(run.deadline), run.workers, run.seed)
    # Bounds told during the run are not used: while HiGHS completes a start that lacks variables
    # it tells those of the program in which the start is fixed.
    outcome = solve_highs(problem, task, lambda _objective, _bound: run.stopped())
    if outcome.infeasible:
        return Answer(SolveStatus.INFEASIBLE)
    bound = _upper(outcome.bound) if program.objective else None
    if outcome.objective is None:
        return Answer(SolveStatus.UNKNOWN, None, bound)
    values = _values(program, variables)
    if values is None:
        return Answer(SolveStatus.UNKNOWN, None, bound)
    proven = not program.objective or bound == program.value(values)
    return Answer(SolveStatus.OPTIMAL if proven else SolveStatus.FEASIBLE, values, bound)


def _problem(program: Program) -> tuple[Linear, list[Linear]]:
    """Return the program as one that is minimised, and its variables."""
    problem = pulp.LpProblem("offline", pulp.LpMinimize)
    variables = [
        problem.add_variable(f"x{k:07d}", 0, upper, pulp.LpInteger)
        for k, upper in enumerate(program.upper)
    ]
    problem += pulp.LpAffineExpression({variables[k]: -w for k, w in program.objective})
    for terms, low, high in program.rows:
        total = pulp.LpAffineExpression({variables[k]: weight for k, weight in terms})
        if low is not None and low == high:
            problem += total == low
            continue
        if high is not None:
            add_at_most(problem, total, high)
        if low is not None:
            problem += total >= low
    return problem, variables


def _values(program: Program, variables: list[Linear]) -> Ints | None:
    """Return the solution; None if rounding shows that it is none."""
    # A variable in no row and not in the objective may have no value.
    values = rounded(variable.value() or 0.0 for variable in variables)
    return values if program.holds(values) else None


def _upper(bound: float | None) -> int | None:
    lower = whole_bound(bound)
    return None if lower is None else -lower
