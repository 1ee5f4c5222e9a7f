"""CP-SAT solvers as numaplace starts them."""

from __future__ import annotations

import math
from typing import Any

from ortools.sat.python import cp_model

from numaplace.solver.deadline import NEVER, Deadline

Bound = cp_model.IntegralT
Row = Any  # what OR-tools takes, numpy's bool among it


class TimedModel(cp_model.CpModel):
    """A model that is built only as long as there is time.

    Parameters
    ----------
    until
        Every variable and linear constraint after it raises `OutOfTimeError`.
    """

    def __init__(self, until: Deadline = NEVER) -> None:
        super().__init__()
        self.until = until

    def new_bool_var(self, name: str) -> cp_model.IntVar:
        """Return a new literal."""
        self.until.check()
        return super().new_bool_var(name)

    def new_int_var(self, lb: Bound, ub: Bound, name: str) -> cp_model.IntVar:
        """Return a new variable in [lb, ub]."""
        self.until.check()
        return super().new_int_var(lb, ub, name)

    def add(self, ct: Row) -> cp_model.Constraint:
        """Add a linear constraint, or one that is known to hold or not."""
        self.until.check()
        return super().add(ct)

    @property
    def size(self) -> int:
        """Variables and constraints."""
        return len(self.proto.variables) + len(self.proto.constraints)


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
