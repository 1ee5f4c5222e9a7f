"""The stage loop that both exact solvers share, driven by a back end made of a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from numaplace.models.instance import Between, Instance
from numaplace.models.plan import Plan
from numaplace.models.relations import Competition
from numaplace.models.result import SolveStatus, Stage
from numaplace.solver.deadline import Deadline, OutOfTimeError
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

    def solve(stage: Stage, until: Deadline, to_hold: Mapping[Stage, int]) -> bool:
        calls.append((stage, dict(to_hold)))
        assert 0 < until.left_s <= PARAMS.time_limit_s
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

    def solve(stage: Stage, until: Deadline, to_hold: Mapping[Stage, int]) -> bool:
        calls.append((stage, dict(to_hold)))
        limits.append(until.left_s)
        stages.offer(plan(a=on(cell(0))) if stage is Stage.VALUE else NEAR)
        stages.report(stage, 1, None)
        return False

    result = stages.solve(solve)
    # The value is unproven when the others are done: it is solved again with all the time left.
    assert calls == [(Stage.VALUE, {})] * 2
    assert limits[0] <= PARAMS.time_limit_s / 2 < limits[1]
    assert [(p.solver, p.stage, p.objective, p.bound) for p in seen] == [
        ("test", Stage.VALUE, 1, None)
    ] * 2
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

    def solve(stage: Stage, until: Deadline, to_hold: Mapping[Stage, int]) -> bool:
        return True

    assert Stages("test", RIVALS, PARAMS).solve(solve).status is SolveStatus.INFEASIBLE
    known = Stages("test", RIVALS, replace(PARAMS, hint=NEAR)).solve(solve)
    assert known.status is SolveStatus.FEASIBLE
    assert known.plan == NEAR


def test_nothing_is_solved_after_an_interrupt_or_without_time() -> None:
    """Ctrl-C, a stop and the end of the time leave the hint as it is."""

    def solve(stage: Stage, until: Deadline, to_hold: Mapping[Stage, int]) -> bool:
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


def test_time_left_goes_back_to_the_first_unproven_stage() -> None:
    """Solved again once; where its objective grows, what was proven of later stages is void."""
    stages = Stages("test", RIVALS, replace(PARAMS, hint=plan(a=on(cell(0)))))
    calls: list[Call] = []

    def solve(stage: Stage, until: Deadline, to_hold: Mapping[Stage, int]) -> bool:
        calls.append((stage, dict(to_hold)))
        if len(calls) == 2:
            stages.offer(NEAR)
            stages.note_bound(stage, 2000)
        if stage is Stage.LOSS:
            stages.note_bound(stage, 500_000)
        return False

    result = stages.solve(solve)
    held = {Stage.VALUE: 2000, Stage.HOSTS: 1}
    assert calls == [(Stage.VALUE, {}), (Stage.VALUE, {}), (Stage.LOSS, held)]
    assert result.status is SolveStatus.OPTIMAL
    near_enough = replace(PARAMS, hint=plan(a=on(cell(0))), relative_gap=0.5)
    calls.clear()
    Stages("test", RIVALS, near_enough).solve(solve)
    assert calls == [(Stage.VALUE, {})]


def test_a_model_out_of_time_ends_the_solve_and_is_told() -> None:
    """What was known before is handed over with a remark; a wish to stop needs none."""

    def solve(stage: Stage, until: Deadline, to_hold: Mapping[Stage, int]) -> bool:
        raise OutOfTimeError

    late = Stages("test", RIVALS, replace(PARAMS, hint=NEAR)).solve(solve)
    assert late.plan == NEAR
    assert "too short" in late.remarks[0]
