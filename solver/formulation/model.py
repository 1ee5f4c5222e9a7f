"""The formulation put together: all rules, the stages, plans to and from values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from numaplace.models.cost import ALL, Term
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Stage
from numaplace.solver.deadline import NEVER, Deadline
from numaplace.solver.formulation.decide import decisions_of, values_of
from numaplace.solver.formulation.extract import extract_plan, read_decisions
from numaplace.solver.formulation.objective import Objective
from numaplace.solver.formulation.prepare import Prepared
from numaplace.solver.formulation.program import Program, Terms
from numaplace.solver.formulation.rules import Rules
from numaplace.solver.formulation.variables import Variables


class Formulation:
    """A program of an instance with all rules, and the sums of its stages.

    `literals` is as in `Program`, `terms` are those that the loss is the sum of, `count` is as in
    `Prepared` (without literals only). Work that is late raises `OutOfTimeError`.
    """

    def __init__(
        self,
        instance: Instance,
        *,
        literals: bool,
        until: Deadline = NEVER,
        terms: frozenset[Term] = ALL,
        count: Mapping[str, int] | None = None,
    ) -> None:
        self.instance = instance
        self.prepared = Prepared(instance, until, count)
        self.program = Program(literals, until)
        self.vars = Variables(self.program, self.prepared)
        Rules(self.vars).add_all()
        self.objective = Objective(self.vars, terms)
        self._stages: dict[Stage, Terms] = {}

    def stage(self, stage: Stage) -> Terms:
        """Return the objective of a stage, written on first use."""
        if stage not in self._stages:
            self._stages[stage] = self.objective.stages[stage]()
        return self._stages[stage]

    def keep(self, stage: Stage, objective: int) -> None:
        """Hold a stage at what it has reached while later ones are optimised."""
        if stage is not Stage.VALUE:
            self.program.at_most(self.stage(stage), objective)
        elif objective == self.prepared.possible_value_milli:
            for vm in self.instance.vms:
                if self.instance.value_milli(vm) and self.prepared.possible(vm):
                    self.program.at_least([(self.vars.placed[vm.name], 1)], 1)
        else:
            self.program.at_least(self.stage(stage), objective)

    def values_of(self, plan: Plan) -> list[tuple[int, int]] | None:
        """Values of the decisions in `plan`; None if the formulation cannot express it."""
        decisions = decisions_of(self.prepared, plan)
        return None if decisions is None else values_of(self.vars, decisions)

    def plan(self, values: Sequence[int]) -> Plan:
        """Return the plan that values of the program's variables make."""
        return extract_plan(self.prepared, read_decisions(self.vars, values))
