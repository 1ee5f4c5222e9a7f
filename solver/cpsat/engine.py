"""A program as a CP-SAT model: it takes what has come since it last looked."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from ortools.sat.python import cp_model

from numaplace.models.verify import Rule
from numaplace.solver.deadline import POLL_S
from numaplace.solver.formulation.program import LinearRow, Program, ProgramEngine, Terms

Switch = tuple[Rule, str]


class Engine(ProgramEngine[cp_model.IntVar]):
    """A CP-SAT model of a program.

    With `assumed`, rules can be switched off: every row of (rule, subject) then holds only if its
    literal in `switches` is true. Used to explain why nothing fits.
    """

    def __init__(self, program: Program, *, assumed: bool = False) -> None:
        self.assumed = assumed
        self.model = cp_model.CpModel()
        self.switches: dict[Switch, cp_model.IntVar] = {}
        super().__init__(program)

    def new_variable(self, number: int) -> cp_model.IntVar:
        """Make the model's variable of a number."""
        return self.model.new_int_var(0, self.program.upper[number], "")

    def add(self, row: LinearRow) -> None:
        """Add a row."""
        low = cp_model.INT_MIN if row.low is None else row.low
        high = cp_model.INT_MAX if row.high is None else row.high
        if row.terms:
            constraint = self.model.add_linear_constraint(self.sum(row.terms), low, high)
        elif low <= 0 <= high:
            return
        else:
            constraint = self.model.add_bool_or([])
        if self.assumed and row.rule is not None:
            switch = (row.rule, row.subject)
            if switch not in self.switches:
                self.switches[switch] = self.model.new_bool_var(f"{row.rule} {row.subject}")
            constraint.only_enforce_if(self.switches[switch])

    def sum(self, terms: Terms) -> cp_model.LinearExprT:
        """Return a sum over the program as an expression of the model."""
        return cp_model.LinearExpr.weighted_sum(
            [self.variables[k] for k, _ in terms], [weight for _, weight in terms]
        )

    def aim(self, terms: Terms, *, maximise: bool) -> None:
        """Make a sum the objective."""
        self.load()
        self.model.clear_objective()  # type: ignore[no-untyped-call]
        if maximise:
            self.model.maximize(self.sum(terms))
        else:
            self.model.minimize(self.sum(terms))

    def hint(self, values: Iterable[tuple[int, int]]) -> None:
        """Start the search from values of variables."""
        self.model.clear_hints()  # type: ignore[no-untyped-call]
        for variable, value in values:
            self.model.add_hint(self.variables[variable], value)

    def values(self, solver: cp_model.CpSolver) -> list[int]:
        """Return the values of the program's variables in a solution."""
        return [solver.value(variable) for variable in self.variables]


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


def whole_bound(bound: float, *, maximised: bool) -> int | None:
    """Round a bound to the whole number it implies; None if it says nothing."""
    if not math.isfinite(bound) or abs(bound) > 2**52:
        return None
    return math.floor(bound + 1e-6) if maximised else math.ceil(bound - 1e-6)


@contextmanager
def stoppable(solver: cp_model.CpSolver, should_stop: Callable[[], bool] | None) -> Iterator[None]:
    """End the search when the caller asks for it."""
    ended = threading.Event()

    def watch() -> None:
        while should_stop is not None and not ended.wait(POLL_S):
            if should_stop():
                solver.stop_search()

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
