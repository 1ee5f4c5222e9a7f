"""Solve an instance as a MILP: stage after stage, with a bound for each."""

from __future__ import annotations

import math
from collections.abc import Mapping

from numaplace.models.instance import Instance
from numaplace.models.result import Result, Stage, sign
from numaplace.solver.deadline import Deadline, OutOfTimeError
from numaplace.solver.milp.backend import MilpOutcome, Task, whole_bound
from numaplace.solver.milp.cbc import cbc_program, solve_cbc
from numaplace.solver.milp.engine import Engine
from numaplace.solver.milp.highs import solve_highs
from numaplace.solver.names import MilpBackend
from numaplace.solver.params import SolveParams
from numaplace.solver.stages import ModelRun, Stages

NAME = "milp"
PRODUCTS_PER_S = 10_000
"""Products that PuLP writes and hands over in a second, roughly."""
TERMS_PER_S = 300_000
"""Coefficients that PuLP hands over in a second, roughly."""


def solve_milp(instance: Instance, params: SolveParams) -> Result:
    """Find the best plan and prove it, as far as the time limit allows.

    It is ``optimal`` only if every stage is proven. Bounds rest on floating point: they are rounded
    with a margin, and one that a plan beats is not reported. `InputError` is raised if the back end
    is not on this machine.
    """
    if params.milp_backend is MilpBackend.CBC:
        cbc_program()
    run = _MilpRun(NAME, instance, params)
    return run.stages.solve(run.solve_stage)


class _MilpRun(ModelRun[Engine]):
    """Solves one stage after the other with one problem."""

    literals = False
    new_engine = Engine

    def solve_stage(self, stage: Stage, until: Deadline, to_hold: Mapping[Stage, int]) -> bool:
        """Solve a stage, see `numaplace.solver.stages.SolveStage`."""
        if stage is Stage.LOSS and self._num_products() > PRODUCTS_PER_S * until.left_s:
            # Writing the problem would take longer than the caller waits.
            raise OutOfTimeError
        self.hold(stage, to_hold)
        self.engine.aim(self.formulation.stage(stage), maximise=stage is Stage.VALUE)
        began = self.stages.elapsed_s
        if self.formulation.program.num_terms > TERMS_PER_S * until.left_s:
            raise OutOfTimeError
        outcome = self._run_backend(stage, until)
        self.stages.stats[f"{stage}_s"] = self.stages.elapsed_s - began
        if outcome is None:
            return False
        self.stages.stats[f"{stage}_nodes"] = outcome.nodes
        if outcome.objective is not None:
            self.stages.offer(self.formulation.plan(self.engine.values()))
        if self.stages.best is not None:
            lower = whole_bound(outcome.bound)
            self.stages.note_bound(stage, None if lower is None else sign(stage) * lower)
            self.stages.report(stage, self.stages.objective(stage), self.stages.bounds[stage])
        return outcome.infeasible

    def _num_products(self) -> int:
        """Count the products of places that cooperation needs where distances are no tree."""
        prepared = self.formulation.prepared
        if prepared.talk_tree.exact:
            return 0
        homes = {name: len(places) for name, places in prepared.homes_of.items()}
        return sum(homes[pair.first] * homes[pair.second] for pair in self.instance.cooperations)

    def _run_backend(self, stage: Stage, until: Deadline) -> MilpOutcome | None:
        """Run HiGHS or CBC; None if Ctrl-C ended it without an outcome."""
        problem = self.engine.problem
        best = self.stages.best
        start = None if best is None else self.formulation.values_of(best)
        asked, values = self.params, self.engine.start(start or ())
        task = Task(values, until, asked.num_workers, asked.seed, asked.relative_gap)
        try:
            if self.params.milp_backend is MilpBackend.CBC:
                return solve_cbc(problem, task)
            return solve_highs(problem, task, _Watcher(self.stages, stage))
        except KeyboardInterrupt:
            self.stages.interrupted = True
            return None


class _Watcher:
    """Hands incumbents and bounds of one stage to the caller's callback, each once."""

    def __init__(self, stages: Stages, stage: Stage) -> None:
        self._stages = stages
        self._stage = stage
        self._last: tuple[int | None, int | None] = (None, None)

    def __call__(self, objective: float, bound: float) -> bool:
        one = sign(self._stage)
        incumbent = one * round(objective) if math.isfinite(objective) else None
        lower = whole_bound(bound)
        state = (incumbent, None if lower is None else one * lower)
        if state not in (self._last, (None, None)):
            self._last = state
            self._stages.report(self._stage, *state)
        return self._stages.params.stopped
