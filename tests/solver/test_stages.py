"""The stage loop that both exact solvers share, driven by a back end made of a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from numaplace.models.instance import Between, Instance
from numaplace.models.plan import Plan
from numaplace.models.relations import Competition
from numaplace.models.result import SolveStatus, Stage
from numaplace.solver.params import Progress, SolveParams
from numaplace.solver.stages import Stages
from numaplace.tests.models.case import cell, instance, on, plan, vm

PARAMS = SolveParams(time_limit_s=20)
RIVALS: Instance = instance(
    vm("a"), vm("b"), competitions=(Competition("a", "b", 0.5),), between=Between.FEWEST_HOSTS
)
NEAR, FAR = plan(a=on(cell(0)), b=on(cell(0))), plan(a=on(cell(0)), b=on(cell(1)))
Call = tuple[Stage, dict[Stage, int]]


def test_ideal_stages_are_not_solved_and_are_held_together() -> None:
    """All VMs placed on one host is ideal: only the loss is solved, the rest is held for it."""
    stages = Stages("test", RIVALS, replace(PARAMS, hint=NEAR))
    calls: list[Call] = []

    def solve(stage: Stage, limit_s: float, to_hold: Mapping[Stage, int]) -> bool:
        calls.append((stage, dict(to_hold)))
        assert 0 < limit_s <= PARAMS.time_limit_s
        stages.offer(FAR)
        stages.note_bound(stage, 0)
        return False

    result = stages.solve(solve)
    assert calls == [(Stage.LOSS, {Stage.VALUE: 2000, Stage.HOSTS: 1})]
    assert result.status is SolveStatus.OPTIMAL
    assert result.plan == FAR


def test_a_stage_leaves_time_and_only_better_plans_are_kept() -> None:
    """Half of the time is left for the stages after; plans compare by the stages in order."""
    seen: list[Progress] = []
    stages = Stages("test", RIVALS, replace(PARAMS, on_progress=seen.append))
    calls: list[Call] = []
    limits: list[float] = []

    def solve(stage: Stage, limit_s: float, to_hold: Mapping[Stage, int]) -> bool:
        calls.append((stage, dict(to_hold)))
        limits.append(limit_s)
        stages.offer(plan(a=on(cell(0))) if stage is Stage.VALUE else NEAR)
        stages.report(stage, 1, None)
        return False

    result = stages.solve(solve)
    assert calls == [(Stage.VALUE, {})]
    assert limits[0] <= PARAMS.time_limit_s / 2
    assert [(p.solver, p.stage, p.objective, p.bound) for p in seen] == [
        ("test", Stage.VALUE, 1, None)
    ]
    # One VM, on one host, at no loss: the later stages are ideal, the value is unproven.
    assert [(s.objective, s.bound) for s in result.stages] == [(1000, 2000), (1, 1), (0, 0)]
    assert result.status is SolveStatus.FEASIBLE
    stages.offer(NEAR)
    stages.offer(Plan())
    assert stages.best == NEAR


def test_bound_that_a_plan_beats_is_not_noted() -> None:
    """A bound of the loss above the best plan, or of the value below it, says nothing."""
    stages = Stages("test", RIVALS, replace(PARAMS, hint=NEAR))
    for stage, bounds in ((Stage.LOSS, (500_001, 500_000)), (Stage.VALUE, (1999, 2000))):
        for bound in (*bounds, None):
            stages.note_bound(stage, bound)
            assert stages.bounds.get(stage) == (None if bound == bounds[0] else bounds[1])


def test_infeasible_without_a_plan_only() -> None:
    """A back end that finds nothing makes the instance infeasible, unless a valid plan is known."""

    def solve(stage: Stage, limit_s: float, to_hold: Mapping[Stage, int]) -> bool:
        return True

    assert Stages("test", RIVALS, PARAMS).solve(solve).status is SolveStatus.INFEASIBLE
    known = Stages("test", RIVALS, replace(PARAMS, hint=NEAR)).solve(solve)
    assert known.status is SolveStatus.FEASIBLE
    assert known.plan == NEAR


def test_nothing_is_solved_after_an_interrupt_or_without_time() -> None:
    """Ctrl-C, a stop and the end of the time leave the hint as it is."""

    def solve(stage: Stage, limit_s: float, to_hold: Mapping[Stage, int]) -> bool:
        raise AssertionError(stage)

    hinted = replace(PARAMS, hint=NEAR)
    late = Stages("test", RIVALS, replace(hinted, time_limit_s=0.0))
    stopped = Stages("test", RIVALS, replace(hinted, should_stop=lambda: True))
    interrupted = Stages("test", RIVALS, hinted)
    interrupted.interrupted = True
    for stages in (late, stopped, interrupted):
        result = stages.solve(solve)
        assert result.plan == NEAR
        assert [stage.bound for stage in result.stages] == [2000, 1, 0]
