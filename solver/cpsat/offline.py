"""Programs of the offline optimum, solved by CP-SAT."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from ortools.sat.python import cp_model

from numaplace.models.result import SolveStatus
from numaplace.solver.cpsat.search import new_solver
from numaplace.solver.offline_program import Answer, Program, Run

POLL_S = 0.05
ALONE_SHARE = 0.4
"""Share of the time for the search by one worker."""
STATUS = {
    cp_model.OPTIMAL: SolveStatus.OPTIMAL,
    cp_model.FEASIBLE: SolveStatus.FEASIBLE,
    cp_model.INFEASIBLE: SolveStatus.INFEASIBLE,
}


def run_program(program: Program, run: Run) -> Answer:
    """Maximise a program with CP-SAT, see `numaplace.solver.offline_program.Engine`."""
    if run.over:
        return Answer(SolveStatus.UNKNOWN)
    model, variables = _model(program)
    if run.start is not None:
        for variable, value in zip(variables, run.start.tolist(), strict=False):
            if value >= 0:
                model.add_hint(variable, value)
    solver = new_solver(run.workers, run.seconds_left)
    if not program.objective:
        # Whether VMs fit: one worker, whose search follows the linear relaxation and is not held
        # up by symmetry, finds a way sooner than several do; they are better at proving none.
        first = new_solver(1, ALONE_SHARE * run.seconds_left)
        first.parameters.symmetry_level = 0
        status = _solve(first, model, run)
        if status is not SolveStatus.UNKNOWN:
            return _answer(status, first, variables)
        solver.parameters.max_time_in_seconds = run.seconds_left
    status = _solve(solver, model, run)
    return _answer(status, solver, variables)


def _solve(solver: cp_model.CpSolver, model: cp_model.CpModel, run: Run) -> SolveStatus:
    solver.parameters.random_seed = run.seed
    if run.on_bound is not None:
        solver.best_bound_callback = _BoundTeller(run.on_bound)
    with _watched(solver, run):
        return STATUS.get(solver.solve(model), SolveStatus.UNKNOWN)


def _answer(
    status: SolveStatus, solver: cp_model.CpSolver, variables: list[cp_model.IntVar]
) -> Answer:
    if status in (SolveStatus.INFEASIBLE, SolveStatus.UNKNOWN):
        # CP-SAT's bound may still be 0 if time ran out in presolve: it bounds no maximum.
        return Answer(status)
    values = np.array([solver.value(variable) for variable in variables], np.int64)
    return Answer(status, values, _whole(solver.best_objective_bound))


def _model(program: Program) -> tuple[cp_model.CpModel, list[cp_model.IntVar]]:
    model = cp_model.CpModel()
    variables = [model.new_int_var(0, upper, "") for upper in program.upper]
    for terms, low, high in program.rows:
        total = _sum(variables, terms)
        domain = cp_model.Domain(-(2**62) if low is None else low, 2**62 if high is None else high)
        model.add_linear_expression_in_domain(total, domain)
    if program.objective:
        model.maximize(_sum(variables, program.objective))
    return model, variables


def _sum(variables: list[cp_model.IntVar], terms: list[tuple[int, int]]) -> cp_model.LinearExprT:
    return cp_model.LinearExpr.weighted_sum(
        [variables[k] for k, _ in terms], [weight for _, weight in terms]
    )


class _BoundTeller:
    """Tells bounds as whole numbers."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell

    def __call__(self, bound: float) -> None:
        whole = _whole(bound)
        if whole is not None:
            self._tell(whole)


def _whole(bound: float) -> int | None:
    if not math.isfinite(bound) or abs(bound) > 2**52:
        return None
    return math.floor(bound + 1e-6)


@contextmanager
def _watched(solver: cp_model.CpSolver, run: Run) -> Iterator[None]:
    """End the search when the caller asks for it."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_S):
            if run.stopped():
                solver.stop_search()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
