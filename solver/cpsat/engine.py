"""A program as a CP-SAT model: it takes what has come since it last looked."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ortools.sat.python import cp_model

from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Stage
from numaplace.models.verify import Rule
from numaplace.solver.formulation.model import Formulation
from numaplace.solver.formulation.program import LinearRow, Program, Terms

Switch = tuple[Rule, str]


class Engine:
    """A CP-SAT model of a program.

    Parameters
    ----------
    program
        The program; what it gets later is taken by `load`.
    assumed
        Whether rules can be switched off: every row of (rule, subject) then holds only if its
        literal in `switches` is true. Used to explain why nothing fits.
    """

    def __init__(self, program: Program, *, assumed: bool = False) -> None:
        self.program = program
        self.assumed = assumed
        self.model = cp_model.CpModel()
        self.variables: list[cp_model.IntVar] = []
        self.switches: dict[Switch, cp_model.IntVar] = {}
        self._rows = 0
        self.load()

    def load(self) -> None:
        """Take the variables and rows of the program that are not in the model yet."""
        check = self.program.until.check
        for k in range(len(self.variables), len(self.program.upper)):
            if k % 1024 == 0:
                check()
            self.variables.append(self.model.new_int_var(0, self.program.upper[k], ""))
        for row in self.program.rows[self._rows :]:
            if self._rows % 1024 == 0:
                check()
            self._add(row)
            self._rows += 1

    def _add(self, row: LinearRow) -> None:
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


def loss_of(instance: Instance, plan: Plan) -> int | None:
    """Return the loss the formulation sees in `plan`, None if it forbids the plan.

    The tests hold this against the verifier and the cost, rule by rule and term by term.
    """
    formulation = Formulation(instance, literals=True)
    if not formulation.fix(plan):
        return None
    engine = Engine(formulation.program)
    engine.aim(formulation.stage(Stage.LOSS), maximise=False)
    solver = new_solver(1)
    status = solver.solve(engine.model)
    return round(solver.objective_value) if status == cp_model.OPTIMAL else None
