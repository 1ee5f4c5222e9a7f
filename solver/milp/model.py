"""The MILP formulation put together: starting from a plan, fixing one, reading one back."""

from __future__ import annotations

from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Stage
from numaplace.solver.deadline import NEVER, Deadline
from numaplace.solver.formulation.decide import decisions_of, values_of
from numaplace.solver.formulation.extract import extract_plan, read_decisions
from numaplace.solver.formulation.prepare import Prepared
from numaplace.solver.milp.backend import Task
from numaplace.solver.milp.constraints import Constraints
from numaplace.solver.milp.highs import solve_highs
from numaplace.solver.milp.objective import Objective
from numaplace.solver.milp.rows import TimedProblem, add_at_most
from numaplace.solver.milp.variables import Linear, Variables


class Formulation:
    """A MILP of an instance with all rules, and one objective at a time, always minimised.

    Parameters
    ----------
    instance
        The instance.
    until
        When it is too late to go on building: `OutOfTimeError` is raised then.
    """

    def __init__(self, instance: Instance, until: Deadline = NEVER) -> None:
        self.instance = instance
        self.prepared = Prepared(instance, until)
        self.problem: Linear = TimedProblem(until)
        self.vars = Variables(self.problem, self.prepared)
        Constraints(self.vars).add_all()
        self.objective = Objective(self.vars)
        self._expressions: dict[Stage, Linear] = {}

    def expression(self, stage: Stage) -> Linear:
        """Return the objective of a stage, built on first use; the value is negative."""
        if stage not in self._expressions:
            build = {
                Stage.VALUE: lambda: -self.objective.value(),
                Stage.HOSTS: self.objective.hosts,
                Stage.BALANCE: self.objective.balance,
                Stage.LOSS: self.objective.loss,
            }
            self._expressions[stage] = build[stage]()
        return self._expressions[stage]

    def aim(self, stage: Stage) -> None:
        """Make a stage the objective."""
        self.problem.setObjective(self.expression(stage).copy())

    def keep(self, stage: Stage, objective: int) -> None:
        """Hold a stage at what it has reached while later ones are optimised."""
        if stage is not Stage.VALUE:
            add_at_most(self.problem, self.expression(stage), objective)
            return
        if objective == self.prepared.possible_value_milli:
            for vm in self.instance.vms:
                if self.instance.value_milli(vm) and self.prepared.possible(vm):
                    self.vars.placed[vm.name].lowBound = 1
        else:
            add_at_most(self.problem, self.expression(stage), -objective)

    def values_of(self, plan: Plan) -> list[tuple[Linear, int]] | None:
        """Values of the decision variables in `plan`; None if the formulation cannot express it."""
        decisions = decisions_of(self.prepared, plan)
        if decisions is None:
            return None
        cuts = {(o.vm, o.shape, self.prepared.place_of(o).host_index) for o in decisions.cells}
        values = values_of(self.prepared, self.vars, decisions)
        return values + [(var, int(key in cuts)) for key, var in self.vars.cut.items()]

    def fix(self, plan: Plan) -> bool:
        """Allow nothing but `plan`; False if the formulation cannot express it."""
        values = self.values_of(plan)
        if values is None:
            return False
        for variable, value in values:
            self.problem += variable == value
        return True

    def plan(self) -> Plan:
        """Read the plan of a problem that has been solved."""
        return extract_plan(self.prepared, read_decisions(self.prepared, self.vars, _whole))


def _whole(linear: Linear) -> int:
    """Value of a variable or expression that is whole but for the tolerance of the solver.

    PuLP does not value a variable that is in no row and not in the objective; it may be 0.
    """
    value = linear.value()
    return 0 if value is None else round(value)


def loss_of(instance: Instance, plan: Plan) -> int | None:
    """Return the loss the formulation sees in `plan`, None if it forbids the plan.

    The tests hold this against the verifier and the cost, rule by rule and term by term.
    """
    formulation = Formulation(instance)
    if not formulation.fix(plan):
        return None
    formulation.aim(Stage.LOSS)
    outcome = solve_highs(formulation.problem, Task([]))
    return None if outcome.objective is None else round(outcome.objective)
