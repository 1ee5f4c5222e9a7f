"""Solve an instance with CP-SAT: stage after stage, interruptible, with a bound for each."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from ortools.sat.python import cp_model

from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Result, SolveStatus, Stage
from numaplace.solver.base import make_result, no_plan, objective_of, stages_of
from numaplace.solver.cpsat.bound import loss_bound
from numaplace.solver.cpsat.model import Formulation
from numaplace.solver.params import Progress, SolveParams

NAME = "cpsat"
POLL_S = 0.05
# A stage that only prepares the next must leave time for it.
STAGE_SHARE = 0.5
# Seconds and share of the time left for the bound that is worked out before the search.
BOUND_S = 15.0
BOUND_SHARE = 0.25


def solve_cpsat(instance: Instance, params: SolveParams) -> Result:
    """Find the best plan and prove it, as far as the time limit allows.

    Parameters
    ----------
    instance
        The instance.
    params
        Time limit, workers, seed, hint, callbacks.

    Returns
    -------
    Result
        ``optimal`` only if every stage is proven.
    """
    return _Run(instance, params).run()


class _Run:
    """State of one solve."""

    def __init__(self, instance: Instance, params: SolveParams) -> None:
        self.instance = instance
        self.params = params
        self.started = time.monotonic()
        self.best: Plan | None = None
        self.bounds: dict[Stage, int | None] = {}
        self.kept: dict[Stage, int] = {}
        self.stats: dict[str, float] = {}
        if params.hint is not None:
            self._offer(params.hint)

    @cached_property
    def formulation(self) -> Formulation:
        """The model, built when a stage needs it."""
        return Formulation(self.instance)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    @property
    def left_s(self) -> float:
        return self.params.time_limit_s - self.elapsed_s

    def run(self) -> Result:
        stages = stages_of(self.instance)
        for stage in stages:
            status = self._solve_stage(stage, last=stage is stages[-1])
            if status == cp_model.INFEASIBLE:
                return no_plan(NAME, SolveStatus.INFEASIBLE, self.elapsed_s, (), self.stats)
            if self.best is None:
                return no_plan(NAME, SolveStatus.UNKNOWN, self.elapsed_s, (), self.stats)
            self.kept[stage] = self._objective(stage)
        assert self.best is not None
        return make_result(
            NAME,
            self.instance,
            self.best,
            self.bounds,
            runtime_s=self.elapsed_s,
            stats=self.stats,
        )

    def _objective(self, stage: Stage) -> int:
        assert self.best is not None
        return objective_of(evaluate(self.instance, self.best), stage)

    def _offer(self, plan: Plan) -> None:
        """Keep `plan` if it is the first, or better than the best by the stages in order."""
        if self.best is None or self._key(plan) < self._key(self.best):
            self.best = plan

    def _key(self, plan: Plan) -> tuple[int, ...]:
        cost = evaluate(self.instance, plan)
        signs = {Stage.VALUE: -1}
        stages = stages_of(self.instance)
        return tuple(signs.get(stage, 1) * objective_of(cost, stage) for stage in stages)

    def _solve_stage(self, stage: Stage, *, last: bool) -> int:
        if self._trivial(stage):
            self.bounds[stage] = self._objective(stage)
            return int(cp_model.OPTIMAL)
        for earlier, objective in self.kept.items():
            self.formulation.keep(earlier, objective)
        self.kept.clear()
        if self.left_s <= 0 or self.params.stopped:
            self.bounds[stage] = None
            return int(cp_model.UNKNOWN)
        floor = self._floor() if stage is Stage.LOSS else None
        if floor is not None and self.best is not None and floor == self._objective(stage):
            self.bounds[stage] = floor
            return int(cp_model.OPTIMAL)
        left_s = self.left_s if last else self.left_s * STAGE_SHARE
        if floor is not None:
            self.formulation.model.add(self.formulation.expression(stage) >= floor)
        self.formulation.aim(stage)
        if self.best is not None:
            self.formulation.hint(self.best)
        solver = self._solver(left_s)
        with self._watched(solver, stage) as callback:
            status = solver.solve(self.formulation.model, callback)
        self._read(stage, solver, status, floor)
        return int(status)

    def _floor(self) -> int:
        """Bound the loss by partition problems that know no symmetry, before the search."""
        everything = sum(self.instance.value_milli(vm) for vm in self.instance.vms)
        all_placed = self.best is not None and self._objective(Stage.VALUE) == everything
        sure = [
            vm.name
            for vm in self.instance.vms
            if vm.required or (all_placed and self.instance.value_milli(vm))
        ]
        limit_s = min(BOUND_S, BOUND_SHARE * self.left_s)
        return loss_bound(self.instance, sure, limit_s, self.params.num_workers)

    def _trivial(self, stage: Stage) -> bool:
        """Tell whether the best plan is known to be optimal for a stage without solving."""
        if self.best is None:
            return False
        everything = sum(self.instance.value_milli(vm) for vm in self.instance.vms)
        # VMs worth nothing may be left out, so only value makes a host necessary.
        fewest = min(1, self._objective(Stage.VALUE))
        ideal = {Stage.VALUE: everything, Stage.HOSTS: fewest, Stage.LOSS: 0}
        return stage in ideal and self._objective(stage) == ideal[stage]

    def _solver(self, time_limit_s: float) -> cp_model.CpSolver:
        solver = cp_model.CpSolver()
        solver.parameters.catch_sigint_signal = False  # Ctrl-C is the caller's
        solver.parameters.max_time_in_seconds = time_limit_s
        solver.parameters.num_workers = self.params.num_workers
        solver.parameters.random_seed = self.params.seed
        solver.parameters.relative_gap_limit = self.params.relative_gap
        solver.parameters.linearization_level = 2
        return solver

    def _read(
        self,
        stage: Stage,
        solver: cp_model.CpSolver,
        status: cp_model.CpSolverStatus,
        floor: int | None,
    ) -> None:
        self.stats[f"{stage}_s"] = solver.wall_time
        self.stats[f"{stage}_branches"] = solver.num_branches
        self.stats[f"{stage}_conflicts"] = solver.num_conflicts
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            self._offer(self.formulation.plan(solver))
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.UNKNOWN):
            bound = _bound(stage, solver.best_objective_bound)
            known = [value for value in (bound, floor) if value is not None]
            # Only the loss has a floor, and it is minimised.
            self.bounds[stage] = max(known) if known else None

    @contextmanager
    def _watched(self, solver: cp_model.CpSolver, stage: Stage) -> Iterator[_Reporter]:
        """Report progress and end the search when the caller asks for it."""
        reporter = _Reporter(self, stage)
        solver.best_bound_callback = reporter.on_bound
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(POLL_S):
                if self.params.stopped:
                    solver.stop_search()

        watcher = threading.Thread(target=watch, daemon=True)
        if self.params.should_stop is not None:
            watcher.start()
        try:
            yield reporter
        finally:
            ended.set()


class _Reporter(cp_model.CpSolverSolutionCallback):
    """Hands incumbents and bounds of one stage to the caller's callback."""

    def __init__(self, run: _Run, stage: Stage) -> None:
        super().__init__()
        self._run = run
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
        if self._run.params.on_progress is not None:
            self._run.params.on_progress(
                Progress(NAME, self._stage, self._incumbent, self._bound, self._run.elapsed_s)
            )


def _bound(stage: Stage, bound: float) -> int | None:
    """Round a bound to the integer it implies; None if it says nothing."""
    if not math.isfinite(bound) or abs(bound) > 2**52:
        return None
    return math.floor(bound + 1e-6) if stage is Stage.VALUE else math.ceil(bound - 1e-6)
