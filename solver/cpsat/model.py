"""The CP-SAT formulation put together: hints, fixing a plan, reading one back."""

from __future__ import annotations

from ortools.sat.python import cp_model

from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Stage
from numaplace.solver.cpsat.constraints import Constraints
from numaplace.solver.cpsat.objective import Objective
from numaplace.solver.cpsat.search import TimedModel, new_solver
from numaplace.solver.cpsat.variables import Linear, Variables
from numaplace.solver.deadline import NEVER, Deadline
from numaplace.solver.formulation.decide import decisions_of, values_of
from numaplace.solver.formulation.extract import extract_plan, read_decisions
from numaplace.solver.formulation.prepare import Prepared


class Formulation:
    """A CP-SAT model of an instance with all rules, and one objective at a time.

    Parameters
    ----------
    instance
        The instance.
    assumed
        Whether rules can be switched off, see `Constraints`.
    until
        When it is too late to go on building: `OutOfTimeError` is raised then.
    """

    def __init__(
        self, instance: Instance, *, assumed: bool = False, until: Deadline = NEVER
    ) -> None:
        self.instance = instance
        self.prepared = Prepared(instance, until)
        self.model = TimedModel(until)
        self.vars = Variables(self.model, self.prepared)
        self.constraints = Constraints(self.vars, assumed=assumed)
        self.constraints.add_all()
        self.objective = Objective(self.vars)
        self._expressions: dict[Stage, Linear] = {}

    def expression(self, stage: Stage) -> Linear:
        """Return the objective of a stage, built on first use."""
        if stage not in self._expressions:
            build = {
                Stage.VALUE: self.objective.value,
                Stage.HOSTS: self.objective.hosts,
                Stage.BALANCE: self.objective.balance,
                Stage.LOSS: self.objective.loss,
            }
            self._expressions[stage] = build[stage]()
        return self._expressions[stage]

    def aim(self, stage: Stage) -> None:
        """Make a stage the objective."""
        self.model.clear_objective()  # type: ignore[no-untyped-call]
        if stage is Stage.VALUE:
            self.model.maximize(self.expression(stage))
        else:
            self.model.minimize(self.expression(stage))

    def keep(self, stage: Stage, objective: int) -> None:
        """Hold a stage at what it has reached while later ones are optimised."""
        if stage is Stage.VALUE:
            self.model.add(self.expression(stage) >= objective)
            if objective == self.prepared.possible_value_milli:
                for vm in self.instance.vms:
                    if self.instance.value_milli(vm) and self.prepared.possible(vm):
                        self.model.add(self.vars.placed[vm.name] == 1)
        else:
            self.model.add(self.expression(stage) <= objective)

    def hint(self, plan: Plan) -> bool:
        """Start the search from `plan`; False if the formulation cannot express it."""
        decisions = decisions_of(self.prepared, plan)
        if decisions is None:
            return False
        self.model.clear_hints()  # type: ignore[no-untyped-call]
        for variable, value in values_of(self.prepared, self.vars, decisions):
            self.model.add_hint(variable, value)
        return True

    def fix(self, plan: Plan) -> bool:
        """Allow nothing but `plan`; False if the formulation cannot express it."""
        decisions = decisions_of(self.prepared, plan)
        if decisions is None:
            return False
        for variable, value in values_of(self.prepared, self.vars, decisions):
            self.model.add(variable == value)
        return True

    def plan(self, solver: cp_model.CpSolver) -> Plan:
        """Read the plan of a solver that has found a solution."""
        decisions = read_decisions(self.prepared, self.vars, solver.value)
        return extract_plan(self.prepared, decisions)


def loss_of(instance: Instance, plan: Plan) -> int | None:
    """Return the loss the formulation sees in `plan`, None if it forbids the plan.

    The tests hold this against the verifier and the cost, rule by rule and term by term.
    """
    formulation = Formulation(instance)
    if not formulation.fix(plan):
        return None
    formulation.aim(Stage.LOSS)
    solver = new_solver(1)
    status = solver.solve(formulation.model)
    return round(solver.objective_value) if status == cp_model.OPTIMAL else None
