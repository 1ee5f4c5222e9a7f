"""CP-SAT solvers as numaplace starts them."""

from __future__ import annotations

import math

from ortools.sat.python import cp_model


def new_solver(workers: int, time_limit_s: float = math.inf) -> cp_model.CpSolver:
    """Return a solver that leaves Ctrl-C to its caller.

    OR-tools would take the signal over and leave it at its default afterwards, so that the next
    Ctrl-C ends the process and the plan is lost.
    """
    solver = cp_model.CpSolver()
    solver.parameters.catch_sigint_signal = False
    solver.parameters.max_time_in_seconds = time_limit_s
    solver.parameters.num_workers = workers
    return solver
