"""Solve an instance with CP-SAT: stage after stage, interruptible, with a bound for each."""

from __future__ import annotations

from collections.abc import Mapping

from ortools.sat.python import cp_model

from numaplace.models.cost import ALL
from numaplace.models.instance import Instance
from numaplace.models.moves import Budget
from numaplace.models.result import Result, Stage
from numaplace.solver.cpsat.bound import loss_bound
from numaplace.solver.cpsat.engine import Engine, new_solver, stoppable, whole_bound
from numaplace.solver.deadline import Deadline, OutOfTimeError, within
from numaplace.solver.formulation.model import Formulation
from numaplace.solver.params import SolveParams
from numaplace.solver.stages import ModelRun, Stages

NAME = "cpsat"
# Seconds and share of the time left for the bound that is worked out before the search.
BOUND_S = 15.0
BOUND_SHARE = 0.25
# Variables and constraints that CP-SAT takes in and looks through in a second, about: until then it
# does not look at its clock.
LOADED_PER_S = 300_000
# Near the current plan the linear relaxation is strong: with these, plans of a budget of moves are
# proven in a third of the time or at all (docs/rebalance.md). The first ones are for few workers.
BUDGET_SEARCH = ("max_lp", "reduced_costs", "default_lp", "objective_lb_search", "quick_restart")


def solve_cpsat(instance: Instance, params: SolveParams, budget: Budget | None = None) -> Result:
    """Find the best plan and prove it, as far as the time limit allows.

    It is ``optimal`` only if every stage is proven. A `budget` is what moving from the current plan
    may cost; the hint must keep to it.
    """
    run = _CpsatRun(instance, params, budget)
    return run.stages.solve(run.solve_stage)


class _CpsatRun(ModelRun[Engine]):
    """Solves one stage after the other with one model."""

    literals = True
    new_engine = Engine

    def __init__(self, instance: Instance, params: SolveParams, budget: Budget | None) -> None:
        super().__init__(NAME, instance, params)
        self.budget = budget

    def new_formulation(self) -> Formulation:
        """Write the program; its plans keep to the budget."""
        formulation = super().new_formulation()
        if self.budget is not None:
            formulation.objective.moved.keep_within(self.budget)
        return formulation

    def solve_stage(self, stage: Stage, until: Deadline, to_hold: Mapping[Stage, int]) -> bool:
        """Solve a stage, see `numaplace.solver.stages.SolveStage`."""
        self.hold(stage, to_hold)
        best = self.stages.best
        whole = self.params.terms == ALL
        floor = self._floor() if stage is Stage.LOSS and whole else None
        if floor is not None:
            if best is not None and floor == self.stages.objective(stage):
                self.stages.bounds[stage] = floor
                return False
            self.formulation.program.at_least(self.formulation.stage(stage), floor)
        if stage is Stage.VALUE:
            self.formulation.program.at_most(self.formulation.stage(stage), self.stages.value_most)
        self.engine.aim(self.formulation.stage(stage), maximise=stage is Stage.VALUE)
        if best is not None:
            self.engine.hint(self.formulation.values_of(best) or ())
        model, program = self.engine.model, self.formulation.program
        limit_s = until.left_s - (len(program.upper) + len(program.rows)) / LOADED_PER_S
        if limit_s <= 0:
            raise OutOfTimeError
        solver = self._solver(limit_s)
        reporter = _Reporter(self.stages, stage)
        solver.best_bound_callback = reporter.on_bound
        with stoppable(solver, self.params.should_stop):
            status = within(until, lambda: solver.solve(model, reporter))
        self._read(stage, solver, status, floor)
        return status == cp_model.INFEASIBLE

    def _floor(self) -> int:
        """Bound the loss by partition problems that know no symmetry, before the search."""
        prepared, value_milli = self.formulation.prepared, self.instance.value_milli
        most = prepared.possible_value_milli
        full = self.stages.best is not None and self.stages.objective(Stage.VALUE) == most
        sure = [
            vm.name
            for vm in self.instance.vms
            if vm.required or (full and value_milli(vm) and prepared.possible(vm))
        ]
        until = self.stages.deadline.share(BOUND_SHARE, BOUND_S)
        return loss_bound(self.instance, sure, until, self.params.num_workers)

    def _solver(self, time_limit_s: float) -> cp_model.CpSolver:
        solver = new_solver(self.params.num_workers, time_limit_s)
        solver.parameters.random_seed = self.params.seed
        solver.parameters.relative_gap_limit = self.params.relative_gap
        solver.parameters.linearization_level = 2
        if self.budget is not None:
            solver.parameters.subsolvers.extend(BUDGET_SEARCH)
        return solver

    def _read(
        self,
        stage: Stage,
        solver: cp_model.CpSolver,
        status: cp_model.CpSolverStatus,
        floor: int | None,
    ) -> None:
        self.stages.stats[f"{stage}_s"] = solver.wall_time
        self.stages.stats[f"{stage}_branches"] = solver.num_branches
        self.stages.stats[f"{stage}_conflicts"] = solver.num_conflicts
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            self.stages.offer(self.formulation.plan(self.engine.values(solver)))
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.UNKNOWN):
            bound = _bound(stage, solver.best_objective_bound)
            if status == cp_model.UNKNOWN and stage is Stage.VALUE:
                # Time ran out in presolve: CP-SAT's bound may still be 0, which bounds no maximum.
                bound = self.stages.value_most
            known = [value for value in (bound, floor) if value is not None]
            # Only the loss has a floor, and it is minimised.
            self.stages.note_bound(stage, max(known, default=None))


def _bound(stage: Stage, bound: float) -> int | None:
    return whole_bound(bound, maximised=stage is Stage.VALUE)


class _Reporter(cp_model.CpSolverSolutionCallback):
    """Hands incumbents and bounds of one stage to the caller's callback."""

    def __init__(self, stages: Stages, stage: Stage) -> None:
        super().__init__()
        self._stages = stages
        self._stage = stage
        self._incumbent: int | None = None
        self._bound: int | None = None

    def on_solution_callback(self) -> None:
        self._incumbent = round(self.objective_value)
        self._bound = _bound(self._stage, self.best_objective_bound)
        self._report()

    def on_bound(self, bound: float) -> None:
        self._bound = _bound(self._stage, bound)
        self._report()

    def _report(self) -> None:
        self._stages.report(self._stage, self._incumbent, self._bound)
