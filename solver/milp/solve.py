"""Solve an instance as a MILP: stage after stage, with a bound for each."""

from __future__ import annotations

import math
import time

from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Result, SolveStatus, Stage
from numaplace.solver.base import checked_cost, make_result, no_plan, objective_of, stages_of
from numaplace.solver.milp.backend import Outcome, Task, whole_bound
from numaplace.solver.milp.cbc import cbc_program, solve_cbc
from numaplace.solver.milp.highs import solve_highs
from numaplace.solver.milp.model import Formulation
from numaplace.solver.params import MilpBackend, Progress, SolveParams

NAME = "milp"
# A stage that only prepares the next must leave time for it.
STAGE_SHARE = 0.5


def solve_milp(instance: Instance, params: SolveParams) -> Result:
    """Find the best plan and prove it, as far as the time limit allows.

    Parameters
    ----------
    instance
        The instance.
    params
        Time limit, workers, seed, hint, back end, callbacks.

    Returns
    -------
    Result
        ``optimal`` only if every stage is proven. Bounds rest on floating point: they are rounded
        with a margin, and one that a plan beats is not reported.

    Raises
    ------
    InputError
        If the back end is not on this machine.
    """
    if params.milp_backend is MilpBackend.CBC:
        cbc_program()
    return _Run(instance, params).run()


class _Run:
    """State of one solve."""

    def __init__(self, instance: Instance, params: SolveParams) -> None:
        self.instance = instance
        self.params = params
        self.started = time.monotonic()
        self.best: Plan | None = None
        self.bounds: dict[Stage, int | None] = {}
        self.stats: dict[str, float] = {}
        self.interrupted = False
        hint = params.hint if instance.vms else Plan()
        if hint is not None:
            self._offer(hint)
        self.formulation = Formulation(instance)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    @property
    def stopped(self) -> bool:
        return self.interrupted or self.params.stopped

    def run(self) -> Result:
        stages = stages_of(self.instance)
        for stage in stages:
            outcome = self._solve_stage(stage, last=stage is stages[-1])
            if self.best is None:
                proven = outcome is not None and outcome.infeasible
                status = SolveStatus.INFEASIBLE if proven else SolveStatus.UNKNOWN
                return no_plan(NAME, status, self.elapsed_s, (), self.stats)
            self.formulation.keep(stage, self._objective(stage))
        assert self.best is not None
        runtime_s = self.elapsed_s
        return make_result(
            NAME, self.instance, self.best, self.bounds, runtime_s=runtime_s, stats=self.stats
        )

    def _objective(self, stage: Stage) -> int:
        assert self.best is not None
        return objective_of(evaluate(self.instance, self.best), stage)

    def _offer(self, plan: Plan) -> None:
        """Keep `plan` if it is the first, or better than the best by the stages in order."""
        if self.best is None or self._key(plan) < self._key(self.best):
            checked_cost(self.instance, plan, NAME)
            self.best = plan

    def _key(self, plan: Plan) -> tuple[int, ...]:
        cost = evaluate(self.instance, plan)
        return tuple(_sign(stage) * objective_of(cost, stage) for stage in stages_of(self.instance))

    def _solve_stage(self, stage: Stage, *, last: bool) -> Outcome | None:
        """Solve one stage; None if nothing had to be done, or nothing may be done any more."""
        if self._trivial(stage):
            self.bounds[stage] = self._objective(stage)
            return None
        left_s = self.params.time_limit_s - self.elapsed_s
        if not last:
            left_s *= STAGE_SHARE
        self.bounds[stage] = None
        if left_s <= 0 or self.stopped:
            return None
        self.formulation.aim(stage)
        began = self.elapsed_s
        outcome = self._run_backend(stage, self.started + began + left_s)
        self.stats[f"{stage}_s"] = self.elapsed_s - began
        if outcome is not None:
            self.stats[f"{stage}_nodes"] = outcome.nodes
            if outcome.objective is not None:
                self._offer(self.formulation.plan())
            if self.best is not None:
                self._bound(stage, outcome.bound)
        return outcome

    def _trivial(self, stage: Stage) -> bool:
        """Tell whether the best plan is known to be optimal for a stage without solving."""
        if self.best is None:
            return False
        everything = sum(self.instance.value_milli(vm) for vm in self.instance.vms)
        # VMs worth nothing may be left out, so only value makes a host necessary.
        fewest = min(1, self._objective(Stage.VALUE))
        ideal = {Stage.VALUE: everything, Stage.HOSTS: fewest, Stage.BALANCE: 0, Stage.LOSS: 0}
        return self._objective(stage) == ideal[stage]

    def _run_backend(self, stage: Stage, deadline: float) -> Outcome | None:
        """Run HiGHS or CBC; None if Ctrl-C ended it without an outcome."""
        problem = self.formulation.problem
        start = None if self.best is None else self.formulation.values_of(self.best)
        task = Task(
            start or [],
            deadline,
            self.params.num_workers,
            self.params.seed,
            self.params.relative_gap,
        )
        try:
            if self.params.milp_backend is MilpBackend.CBC:
                return solve_cbc(problem, task)
            return solve_highs(problem, task, _Watcher(self, stage))
        except KeyboardInterrupt:
            self.interrupted = True
            return None

    def _bound(self, stage: Stage, lower: float | None) -> None:
        """Note the bound of a stage, unless the best plan shows that it cannot be right."""
        bound = whole_bound(lower)
        if bound is not None and bound <= _sign(stage) * self._objective(stage):
            self.bounds[stage] = _sign(stage) * bound
        self.report(stage, self._objective(stage), self.bounds[stage])

    def report(self, stage: Stage, objective: int | None, bound: int | None) -> None:
        if self.params.on_progress is not None:
            self.params.on_progress(Progress(NAME, stage, objective, bound, self.elapsed_s))


class _Watcher:
    """Hands incumbents and bounds of one stage to the caller's callback, each once."""

    def __init__(self, run: _Run, stage: Stage) -> None:
        self._run = run
        self._stage = stage
        self._last: tuple[int | None, int | None] = (None, None)

    def __call__(self, objective: float, bound: float) -> bool:
        sign = _sign(self._stage)
        incumbent = sign * round(objective) if math.isfinite(objective) else None
        lower = whole_bound(bound)
        state = (incumbent, None if lower is None else sign * lower)
        if state not in (self._last, (None, None)):
            self._last = state
            self._run.report(self._stage, *state)
        return self._run.params.stopped


def _sign(stage: Stage) -> int:
    """Every stage is minimised: the value counts negative."""
    return -1 if stage is Stage.VALUE else 1
