"""A solve in stages: its clock, the best plan so far, what is proven. It knows no back end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

from numaplace.models.cost import Cost
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import (
    Result,
    SolveStatus,
    Stage,
    StageResult,
    key_of,
    objective_of,
    sign,
    stages_of,
)
from numaplace.solver.base import checked_cost, make_result, no_plan
from numaplace.solver.deadline import Deadline, OutOfTimeError
from numaplace.solver.formulation.empty_hosts import EmptyHosts
from numaplace.solver.formulation.model import Formulation
from numaplace.solver.formulation.program import Program, ProgramEngine
from numaplace.solver.params import Progress, SolveParams
from numaplace.solver.value_bound import value_bound

# A stage that only prepares the next must leave time for it.
STAGE_SHARE = 0.5
# Seconds without which no stage is solved again.
AGAIN_S = 0.05

AnyEngine = TypeVar("AnyEngine", bound=ProgramEngine[Any])
SolveStage = Callable[[Stage, Deadline, Mapping[Stage, int]], bool]
"""Solves a stage by a deadline and tells whether it is proven that no plan exists.

The third argument has the stages before it that the back end does not hold yet, and at what."""


class Stages:
    """State of one solve that goes through the stages in order.

    Without `totals` the value's bound begins at all that the VMs are worth.
    """

    def __init__(
        self, solver: str, instance: Instance, params: SolveParams, *, totals: bool = True
    ) -> None:
        self._totals = totals
        self.solver = solver
        self.instance = instance
        self.params = params.begun()
        self.deadline = self.params.until
        self.best: Plan | None = None  # by the stages in order; the hint at first
        self.bounds: dict[Stage, int | None] = {}  # of each stage the solve came to
        self.stats: dict[str, float] = {}  # numbers of the solver
        self.remarks: list[str] = []  # what the user should know of how the plan was found
        self.interrupted = False  # a back end has seen Ctrl-C: nothing more is solved
        self._started = time.monotonic()
        self._stages = stages_of(instance)
        self._cost: Cost | None = None
        hint = params.hint if instance.vms else Plan()
        if hint is not None:
            self.offer(hint)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def left_s(self) -> float:
        """Seconds until the time limit."""
        return self.deadline.left_s

    def solve(self, solve_stage: SolveStage) -> Result:
        """Go through the stages; those whose best plan is ideal, or without time, are not solved.

        Time that the later stages leave goes back to the first one that is not proven. A stage
        without a plan is infeasible if that is proven, and ends the solve in any case.
        """
        again: Stage | None = None
        infeasible = self._pass(solve_stage, again)
        tried: set[Stage] = set()
        while not infeasible and (again := self._unproven()) not in {None, *tried}:
            tried.add(cast(Stage, again))
            infeasible = self._pass(solve_stage, again)
        if self.best is None:
            status = SolveStatus.INFEASIBLE if infeasible else SolveStatus.UNKNOWN
            result = no_plan(self.solver, status, self.elapsed_s, (), self.stats)
        else:
            result = make_result(
                self.solver,
                self.instance,
                self.best,
                self.bounds,
                runtime_s=self.elapsed_s,
                stats=self.stats,
                cost=self._cost,
                terms=self.params.terms,
            )
        return replace(result, remarks=tuple(self.remarks))

    def _pass(self, solve_stage: SolveStage, again: Stage | None) -> bool:
        """Solve the stages from `again`, which may take all the time; tell if none has a plan."""
        to_hold: dict[Stage, int] = {}
        begun = again is None
        for stage in self._stages:
            infeasible = False
            begun = begun or stage is again
            if self._settled(stage) or not begun:
                pass
            elif self.deadline.over:
                self._remark(stage)
            elif not self.interrupted:
                share = 1.0 if stage in (again, self._stages[-1]) else STAGE_SHARE
                infeasible = self._solve_one(solve_stage, stage, share, to_hold)
                to_hold = {}
            if self.best is None:
                return infeasible
            to_hold[stage] = self.objective(stage)
        return False

    def _settled(self, stage: Stage) -> bool:
        """Tell whether nothing is left to do for a stage; its bound is what is known before."""
        self.bounds.setdefault(stage, self.value_most if stage is Stage.VALUE else 0)
        if self._ideal(stage):
            self.bounds[stage] = self.objective(stage)
        return self.best is not None and self.bounds[stage] == self.objective(stage)

    @property
    def _has_time(self) -> bool:
        return not self.deadline.over and not self.interrupted

    @cached_property
    def value_most(self) -> int:
        """What no plan is worth more than, from what VMs take and hosts have.

        A hint may have a VM where no plan in blocks can: then it tells nothing.
        """
        if not self._totals:
            return self.instance.total_value_milli
        most = value_bound(EmptyHosts(self.instance, self.deadline))
        hinted = self.best is not None and self.objective(Stage.VALUE) > most
        return self.instance.total_value_milli if hinted else most

    def _solve_one(
        self, solve_stage: SolveStage, stage: Stage, share: float, to_hold: Mapping[Stage, int]
    ) -> bool:
        """Solve one stage; what is known of later ones goes if its objective is better now."""
        before = None if self.best is None else self.objective(stage)
        try:
            infeasible = solve_stage(stage, self.deadline.share(share), to_hold)
        except OutOfTimeError:
            self.interrupted = True
            self._remark(stage)
            return False
        if self.best is not None and self.objective(stage) != before:
            for later in self._stages[self._stages.index(stage) + 1 :]:
                self.bounds.pop(later, None)
        return infeasible

    def _remark(self, stage: Stage) -> None:
        """Tell, once, that there was no time for a stage, unless the caller wanted to stop."""
        if not self.remarks and not self.deadline.stopped:
            self.remarks.append(too_large(self.params, stage))

    def _unproven(self) -> Stage | None:
        """Return the first stage that more time may prove; None if there is none, or no time."""
        if not self._has_time or self.deadline.left_s < AGAIN_S:
            return None
        if self.best is None:
            return self._stages[0]
        for stage in self._stages[:-1]:
            found = StageResult(stage, self.objective(stage), self.bounds.get(stage))
            if not found.proven:
                enough = found.gap is not None and found.gap <= self.params.relative_gap
                return None if enough else stage
        return None

    def offer(self, plan: Plan) -> None:
        """Keep a valid plan if it is the first, or better than the best by the stages in order."""
        cost = checked_cost(self.instance, plan, self.solver)
        if self._cost is None or self._key(cost) < self._key(self._cost):
            self.best, self._cost = plan, cost

    def _key(self, cost: Cost) -> tuple[int, ...]:
        return key_of(self.instance, cost, self.params.terms)

    def objective(self, stage: Stage) -> int:
        """Objective of the best plan, which there must be."""
        assert self._cost is not None
        return objective_of(self._cost, stage, self.params.terms)

    def _ideal(self, stage: Stage) -> bool:
        """Tell whether no plan can be better at a stage than the best one, without solving."""
        if self.best is None:
            return False
        ideal = {
            Stage.VALUE: self.value_most,
            # VMs worth nothing may be left out, so only value makes a host necessary.
            Stage.HOSTS: min(1, self.objective(Stage.VALUE)),
            Stage.BALANCE: 0,
            Stage.LOSS: 0,
        }
        return self.objective(stage) == ideal[stage]

    def note_bound(self, stage: Stage, bound: int | None) -> None:
        """Note the bound of a stage, unless the best plan shows that it cannot be right.

        That may be so after an error of floating point, or if the hint has memory in parts that
        are no blocks.
        """
        if bound is None or self.best is None:
            return
        known = self.bounds.get(stage)
        if sign(stage) * bound <= sign(stage) * self.objective(stage):
            better = known is None or sign(stage) * bound > sign(stage) * known
            self.bounds[stage] = bound if better else known

    def report(self, stage: Stage, objective: int | None, bound: int | None) -> None:
        """Tell the caller's callback the state of a stage."""
        if self.params.on_progress is not None:
            self.params.on_progress(Progress(self.solver, stage, objective, bound, self.elapsed_s))


def too_large(params: SolveParams, stage: Stage) -> str:
    """Say that a stage was not solved for want of time."""
    return (
        f"{params.time_limit_s:g} s are too short to build and solve a model of this size "
        f"[{stage}]: the plan is the best found without it"
    )


class ModelRun(Generic[AnyEngine]):
    """A back end's model on its way through the stages; it is written when a stage needs it."""

    literals: bool
    new_engine: Callable[[Program], AnyEngine]

    def __init__(self, name: str, instance: Instance, params: SolveParams) -> None:
        self.instance = instance
        self.params = params
        self.stages = Stages(name, instance, params)
        self.held: set[Stage] = set()

    @cached_property
    def formulation(self) -> Formulation:
        """The program."""
        return self.new_formulation()

    def new_formulation(self) -> Formulation:
        """Write the program."""
        until, terms = self.stages.deadline, self.params.terms
        return Formulation(self.instance, literals=self.literals, until=until, terms=terms)

    @cached_property
    def engine(self) -> AnyEngine:
        """The model of the program."""
        return self.new_engine(self.formulation.program)

    def hold(self, stage: Stage, to_hold: Mapping[Stage, int]) -> None:
        """Hold earlier stages; a model that holds one after `stage` is no use, and made anew."""
        order = list(Stage)
        if any(order.index(other) > order.index(stage) for other in self.held):
            for made in ("formulation", "engine"):
                self.__dict__.pop(made, None)
            self.held.clear()
        for earlier, objective in to_hold.items():
            self.formulation.keep(earlier, objective)
        self.held |= to_hold.keys()
