"""The CP-SAT formulation put together: hints, fixing a plan, reading one back."""

from __future__ import annotations

from collections import defaultdict

from ortools.sat.python import cp_model

from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Stage
from numaplace.solver.cpsat.constraints import Constraints
from numaplace.solver.cpsat.objective import Objective
from numaplace.solver.cpsat.variables import Linear, Variables
from numaplace.solver.decide import decisions_of, nearest_device_options
from numaplace.solver.extract import Decisions, extract_plan
from numaplace.solver.prepare import Prepared


class Formulation:
    """A CP-SAT model of an instance with all rules, and one objective at a time.

    Parameters
    ----------
    instance
        The instance.
    assumed
        Whether rules can be switched off, see `Constraints`.
    """

    def __init__(self, instance: Instance, *, assumed: bool = False) -> None:
        self.instance = instance
        self.prepared = Prepared(instance)
        self.model = cp_model.CpModel()
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
            if objective == sum(self.instance.value_milli(vm) for vm in self.instance.vms):
                for vm in self.instance.vms:
                    if self.instance.value_milli(vm):
                        self.model.add(self.vars.placed[vm.name] == 1)
        else:
            self.model.add(self.expression(stage) <= objective)

    def hint(self, plan: Plan) -> bool:
        """Start the search from `plan`; False if the formulation cannot express it."""
        decisions = decisions_of(self.prepared, plan)
        if decisions is None:
            return False
        self.model.clear_hints()  # type: ignore[no-untyped-call]
        for variable, value in self._values(decisions).items():
            self.model.add_hint(self.model.get_int_var_from_proto_index(variable), value)
        return True

    def fix(self, plan: Plan) -> bool:
        """Allow nothing but `plan`; False if the formulation cannot express it."""
        decisions = decisions_of(self.prepared, plan)
        if decisions is None:
            return False
        for variable, value in self._values(decisions).items():
            self.model.add(self.model.get_int_var_from_proto_index(variable) == value)
        return True

    def _values(self, decisions: Decisions) -> dict[int, int]:
        """Values of the decision variables, by index of variable."""
        taken = set(decisions.cells)
        placed = {option.vm for option in taken}
        values = {var.index: int(name in placed) for name, var in self.vars.placed.items()}
        values.update({var.index: int(o in taken) for o, var in self.vars.cell.items()})
        values.update(self._loose_values(decisions))
        for option, spill in self.vars.spill.items():
            for at, var in spill.items():
                values[var.index] = decisions.pages.get((option, at), 0) if option in taken else 0
        for option, var in self.vars.balloon.items():
            blocks = self.prepared.kind_of(option).blocks
            lying = sum(n for (o, _), n in decisions.pages.items() if o == option)
            values[var.index] = blocks - lying if option in taken else 0
        functions = nearest_device_options(self.prepared, decisions)
        values.update({v.index: functions.get(o, 0) for o, v in self.vars.device.items()})
        copies = {(group, at) for (group, _), places in decisions.copies.items() for at in places}
        values.update({v.index: int(key in copies) for key, v in self.vars.copy.items()})
        for key, var in self.vars.free_cores.items():
            values[var.index] = decisions.cores.get(key, 0) if key[0] in taken else 0
        return values

    def _loose_values(self, decisions: Decisions) -> dict[int, int]:
        values = {v.index: 0 for lies in self.vars.lies.values() for v in lies.values()}
        values.update({var.index: 0 for var in self.vars.taken.values()})
        for option in decisions.cells:
            lies = self.vars.lies.get(option.vm, {})
            blocks = self.prepared.kind_of(option).blocks
            left = blocks
            for at, var in lies.items():
                lying = decisions.pages.get((option, at), 0)
                if self.prepared.fixed_pages(option):
                    host = self.instance.places[at].host_index
                    lying = blocks if host == self.prepared.place_of(option).host_index else 0
                values[var.index] = lying
                left -= lying
            if option.vm in self.vars.taken:
                values[self.vars.taken[option.vm].index] = left
        return values

    def plan(self, solver: cp_model.CpSolver) -> Plan:
        """Read the plan of a solver that has found a solution."""
        decisions = Decisions()
        for option, cell in self.vars.cell.items():
            if not solver.boolean_value(cell):
                continue
            decisions.cells.append(option)
            for at, var in self.vars.lies.get(option.vm, {}).items():
                decisions.pages[option, at] = solver.value(var)
            if option in self.vars.spill:
                for at, blocks in self.vars.blocks_on(option).items():
                    decisions.pages[option, at] = solver.value(blocks)
            for g in range(len(self.prepared.core_groups(self.prepared.place_of(option)))):
                if (option, g) in self.vars.cores:
                    decisions.cores[option, g] = solver.value(self.vars.cores[option, g])
        devices: dict[tuple[str, int, str], int] = defaultdict(int)
        for choice, functions in self.vars.device.items():
            devices[choice.vm, choice.request, choice.address] += solver.value(functions)
        decisions.devices.update(devices)
        for (group, at), copy in self.vars.copy.items():
            if solver.boolean_value(copy):
                host = self.instance.places[at].host_index
                decisions.copies.setdefault((group, host), []).append(at)
        return extract_plan(self.prepared, decisions)


def loss_of(instance: Instance, plan: Plan) -> int | None:
    """Return the loss the formulation sees in `plan`, None if it forbids the plan.

    The tests hold this against the verifier and the cost, rule by rule and term by term.
    """
    formulation = Formulation(instance)
    if not formulation.fix(plan):
        return None
    formulation.aim(Stage.LOSS)
    solver = cp_model.CpSolver()
    solver.parameters.catch_sigint_signal = False  # Ctrl-C is the caller's
    solver.parameters.num_workers = 1
    status = solver.solve(formulation.model)
    return round(solver.objective_value) if status == cp_model.OPTIMAL else None
