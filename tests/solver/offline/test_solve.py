"""Optima over time: both back ends against brute force, hints, limits, and cases by hand."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

from numaplace.models.errors import InputError
from numaplace.models.fleet import Fleet
from numaplace.models.result import SolveStatus
from numaplace.models.schedule import REJECTED, Goal, faults, worth
from numaplace.models.trace import Trace, make_trace
from numaplace.solver.offline.solve import OFFLINE_SOLVERS, OfflineResult, solve_offline
from numaplace.tests.solver.offline.offline_cases import brute_force, cases, fleet_of, trace_of

each_solver = pytest.mark.parametrize("solver", OFFLINE_SOLVERS)
each_goal = pytest.mark.parametrize("goal", list(Goal))


def solved(trace: Trace, fleet: Fleet, goal: Goal, solver: str, **more: object) -> OfflineResult:
    """A result whose schedule is valid and reaches what it says."""
    more = {"time_limit_s": 30.0, **more}
    result = solve_offline(trace, fleet, goal, solver=solver, **more)  # type: ignore[arg-type]
    assert list(faults(trace, fleet, result.slots)) == []
    assert worth(trace, result.slots, goal) == result.objective <= result.bound
    assert (result.status is SolveStatus.OPTIMAL) == (result.objective == result.bound)
    return result


@each_goal
@settings(max_examples=40, deadline=None)
@given(case=cases())
def test_both_solvers_find_the_optimum_of_brute_force(
    goal: Goal, case: tuple[Trace, Fleet]
) -> None:
    trace, fleet = case
    best = brute_force(trace, fleet, goal)
    for solver in OFFLINE_SOLVERS:
        result = solved(trace, fleet, goal, solver)
        assert (result.status, result.objective) == (SolveStatus.OPTIMAL, best)


def busy_case(seed: int = 0, count: int = 20) -> tuple[Trace, Fleet]:
    """More VMs than two hosts of two nodes hold, some over two nodes."""
    rng = np.random.default_rng(seed)
    start = np.sort(rng.integers(0, 20 * count, count))
    cells = 1 + (rng.random(count) < 0.2)
    end = start + rng.integers(10, 200, count)
    columns = (rng.integers(2, 7, count), rng.integers(2, 8, count), cells, start, end)
    return trace_of(*zip(*(column.tolist() for column in columns), strict=True)), fleet_of(
        (2, 2, 8, 9)
    )


@each_goal
def test_solvers_agree_on_a_busy_fleet(goal: Goal) -> None:
    trace, fleet = busy_case()
    first, second = (solved(trace, fleet, goal, solver) for solver in OFFLINE_SOLVERS)
    assert first.status is second.status is SolveStatus.OPTIMAL
    assert first.objective == second.objective


@each_solver
def test_what_migration_would_allow_is_not_counted(solver: str) -> None:
    """Two halves of two nodes are free at the end, but nothing moves to make one node whole."""
    trace = trace_of((2, 1, 1, 0, 10), (2, 1, 1, 0, 5), (2, 1, 1, 0, 5), (2, 1, 1, 0, 10))
    both = solved(trace, fleet_of((2, 1, 4, 4)), Goal.COUNT, solver)
    assert both.objective == 4
    # 1 keeps a node from 0 to 10 with 3; the VM of 4 fits only if 0 and 3 were put together.
    late = trace_of(
        (2, 1, 1, 0, 10), (3, 1, 1, 0, 4), (3, 1, 1, 1, 5), (2, 1, 1, 4, 10), (4, 1, 1, 5, 9)
    )
    result = solved(late, fleet_of((2, 1, 4, 4)), Goal.COUNT, solver)
    assert result.objective == brute_force(late, fleet_of((2, 1, 4, 4)), Goal.COUNT)


@each_solver
@each_goal
def test_nothing_to_place(goal: Goal, solver: str) -> None:
    empty = make_trace((), vcpus=[], memory_mib=[], start_ms=[], end_ms=[])
    large = trace_of((9, 1, 1, 0, 5), (1, 99, 1, 1, 5), (4, 4, 2, 2, 3))
    for trace in (empty, large):
        result = solved(trace, fleet_of((2, 1, 8, 8)), goal, solver)
        assert (result.status, result.objective) == (SolveStatus.OPTIMAL, 0)


@each_solver
@each_goal
def test_without_time_the_hint_is_handed_back(goal: Goal, solver: str) -> None:
    trace, fleet = busy_case()
    hint = np.full(len(trace), REJECTED)
    hint[0] = fleet.slots(int(trace.cells[0])).start
    for limit_s in (0.0, 1e-9):
        result = solved(trace, fleet, goal, solver, time_limit_s=limit_s, hint=hint)
        assert result.objective >= worth(trace, hint, goal) > 0
        assert result.status is SolveStatus.FEASIBLE
        assert result.bound <= worth(trace, np.zeros_like(hint), goal)


@each_solver
@each_goal
def test_a_hint_is_never_made_worse(goal: Goal, solver: str) -> None:
    trace, fleet = busy_case(1)
    best = solved(trace, fleet, goal, solver)
    again = solved(trace, fleet, goal, solver, hint=best.slots, time_limit_s=0.2)
    assert again.objective == best.objective


@each_solver
def test_a_broken_hint_is_refused(solver: str) -> None:
    trace = trace_of((4, 1, 1, 0, 5), (4, 1, 1, 1, 5))
    with pytest.raises(InputError, match="hint"):
        solve_offline(
            trace, fleet_of((1, 1, 4, 4)), Goal.COUNT, hint=np.array([0, 0]), solver=solver
        )


def test_an_unknown_solver_is_refused() -> None:
    with pytest.raises(InputError, match="cpsat, milp"):
        solve_offline(trace_of((1, 1, 1, 0, 5)), fleet_of((1, 1, 4, 4)), Goal.COUNT, solver="x")


@each_solver
@each_goal
def test_limit_and_stop_are_kept(goal: Goal, solver: str) -> None:
    trace, fleet = busy_case(2, 400)
    for more in ({"time_limit_s": 0.5}, {"should_stop": lambda: True}):
        began = time.monotonic()
        result = solved(trace, fleet, goal, solver, **more)
        assert time.monotonic() - began < 2.0
        assert result.objective >= 0


@each_solver
def test_progress_only_gets_better(solver: str) -> None:
    trace, fleet = busy_case(3)
    seen: list[tuple[int, int]] = []
    result = solved(
        trace,
        fleet,
        Goal.VALUE,
        solver,
        on_progress=lambda objective, bound, _: seen.append((objective, bound)),
    )
    assert seen[-1] == (result.objective, result.bound)
    for (low, high), (later_low, later_high) in pairwise(seen):
        assert low <= later_low <= later_high <= high


@each_solver
def test_many_equal_vms_at_once(solver: str) -> None:
    """A static case: 60 VMs of three flavours on 10 hosts, all asked for at once."""
    vms = [(5, 3, 1, 0, 9)] * 20 + [(3, 4, 1, 0, 9)] * 20 + [(8, 8, 2, 0, 9)] * 20
    result = solved(trace_of(*vms), fleet_of((10, 2, 8, 8)), Goal.VALUE, solver)
    # Every node is filled: 5 + 3 vCPUs, or 4 of a wide VM twice.
    assert (result.status, result.objective) == (SolveStatus.OPTIMAL, 160 * 9)
