"""Policies against the optimum: jobs run once, an interrupt loses nothing, gaps are true."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from numaplace.models.fleet import Fleet
from numaplace.models.schedule import Goal
from numaplace.models.trace import Trace, make_trace
from numaplace.solver.compare.policies import Case, Comparison, Setup, compare_online
from numaplace.solver.compare.store import Store
from numaplace.solver.deadline import Deadline
from numaplace.solver.parallel import JobEngine
from numaplace.solver.placing.rules import RULES
from numaplace.tests.random_traces import small_host
from numaplace.tests.solver.job_samples import fatal

FLEET = Fleet(((small_host("h", (4, 4), (4096, 4096)), 2),))
POLICIES = ("first_fit", "best_fit", "greedy_life")
SETUP = Setup(FLEET, {name: RULES[name] for name in POLICIES}, time_limit_s=20.0)


def some_trace(seed: int) -> Trace:
    rng = np.random.default_rng(seed)
    starts = np.sort(rng.integers(0, 50, 20))
    return make_trace(
        tuple(f"v{i}" for i in range(20)),
        vcpus=rng.integers(1, 5, 20),
        memory_mib=rng.integers(1, 5, 20) * 512,
        start_ms=starts,
        end_ms=starts + rng.integers(5, 40, 20),
    )


CASES = [Case(f"window {seed}", 1.2, some_trace(seed)) for seed in range(2)]
JOBS = len(CASES) * (len(POLICIES) + len(Goal))


def _same(one: Comparison, other: Comparison) -> bool:
    """Whether two comparisons reached the same; times may differ."""
    return [(r.case, r.policy, r.reached, r.gaps) for r in one.rows] == [
        (r.case, r.policy, r.reached, r.gaps) for r in other.rows
    ]


def test_gaps_are_shares_of_a_proven_optimum() -> None:
    found = compare_online(CASES, SETUP, Store())
    assert len(found.rows) == len(CASES) * len(POLICIES)
    assert all(optimum.proven for optimum in found.optima)
    best = {(optimum.case, optimum.goal): optimum.objective for optimum in found.optima}
    for row in found.rows:
        assert row.proven == frozenset(Goal)
        for goal in Goal:
            gap = row.gaps[goal]
            assert gap is not None
            assert gap >= 0
            assert round(best[row.case, goal] * (1 - gap)) == row.reached[goal]
    assert any(row.gaps[Goal.VALUE] for row in found.rows)
    assert (found.missing, found.reused) == (0, 0)


def test_nothing_is_run_twice(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        first = compare_online(CASES[:1], SETUP, store)
    told: list[str] = []
    with Store(tmp_path / "store") as store:
        again = compare_online(CASES, SETUP, store, on_done=lambda d, n, job: told.append(job))
    assert again.reused == JOBS // 2
    assert len(told) == JOBS // 2
    assert all(job.startswith("window 1") for job in told)
    half = Comparison(tuple(r for r in again.rows if r.case == "window 0"), ())
    assert _same(half, first)


def test_an_interrupted_run_goes_on() -> None:
    store = Store()
    count = 0

    def stop() -> bool:
        return count >= 4

    def done(_done: int, _all: int, _job: str) -> None:
        nonlocal count
        count += 1

    cut = compare_online(CASES, SETUP, store, on_done=done, until=Deadline(should_stop=stop))
    assert cut.missing == JOBS - 4
    assert len(store) == 4
    whole = compare_online(CASES, SETUP, store)
    assert (whole.missing, whole.reused) == (0, 4)
    assert _same(whole, compare_online(CASES, SETUP, Store()))


def test_a_job_that_ends_its_process_is_told() -> None:
    setup = replace(SETUP, rules={"first_fit": RULES["first_fit"], "fatal": fatal}, goals=())
    found = compare_online(CASES[:1], setup, Store(), engine=JobEngine(jobs=2))
    assert [row.policy for row in found.rows] == ["first_fit"]
    assert found.missing == 1
    assert found.failed[0].startswith("window 0: fatal: A worker process")


def test_processes_reach_the_same() -> None:
    """Two processes, and the rules travel to them."""
    assert _same(
        compare_online(CASES, SETUP, Store(), engine=JobEngine(jobs=2)),
        compare_online(CASES, SETUP, Store()),
    )


def test_another_trace_or_fleet_is_another_job() -> None:
    store = Store()
    compare_online(CASES[:1], SETUP, store)
    moved = CASES[0].trace.with_starts(CASES[0].trace.start_ms + 1)
    fresh = compare_online([Case("window 0", 1.2, moved)], SETUP, store)
    assert fresh.reused == 0
    bigger = Setup(Fleet(((FLEET.shapes[0][0], 3),)), SETUP.rules, time_limit_s=20.0)
    assert compare_online(CASES[:1], bigger, store).reused == 0


def test_an_unproven_optimum_is_tried_again_with_more_time() -> None:
    store = Store()
    none = Setup(FLEET, SETUP.rules, (Goal.VALUE,), time_limit_s=0.0)
    first = compare_online(CASES[:1], none, store)
    assert not first.optima[0].proven
    assert first.optima[0].bound >= first.optima[0].objective
    assert compare_online(CASES[:1], none, store).reused == len(POLICIES) + 1
    more = Setup(FLEET, SETUP.rules, (Goal.VALUE,), time_limit_s=20.0)
    second = compare_online(CASES[:1], more, store)
    assert second.reused == len(POLICIES)
    assert second.optima[0].proven


def test_a_gap_is_to_the_bound_though_no_schedule_is_known_to_reach_it() -> None:
    """Best known 60, at most 80: a policy that reaches 60 may be 25 % short, and it is told so."""
    store = Store()
    compare_online(CASES[:1], SETUP, store)
    for key in list(store.keys()):
        record = store.get(key)
        if record is not None and "bound" in record:
            store.put(key, {**record, "status": "feasible", "objective": 60, "bound": 80})
        elif record is not None:
            store.put(key, {**record, "reached": dict.fromkeys(Goal, 60)})
    found = compare_online(CASES[:1], replace(SETUP, time_limit_s=0.0), store)
    assert (found.missing, found.reused) == (0, JOBS // 2)
    for row in found.rows:
        assert row.gaps == dict.fromkeys(Goal, 0.25)
        assert row.proven == frozenset()


def test_a_record_without_its_fields_is_run_again() -> None:
    store = Store()
    whole = compare_online(CASES[:1], SETUP, store)
    for key in list(store.keys()):
        store.put(key, {})
    again = compare_online(CASES[:1], SETUP, store)
    assert again.reused == 0
    assert _same(again, whole)
