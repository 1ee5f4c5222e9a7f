"""Online policies against the optimal offline plan, on many windows of a trace, in parallel.

Every job is run once: its record goes to a store at once, and a run that was interrupted goes on
from there.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from numaplace import __version__
from numaplace.models.fleet import Fleet
from numaplace.models.result import SolveStatus, gap_of
from numaplace.models.schedule import Goal, faults, worth
from numaplace.models.trace import ARRAYS, Ints, Trace
from numaplace.solver.compare.store import Record, Store
from numaplace.solver.deadline import NEVER, Deadline
from numaplace.solver.offline.solve import solve_offline
from numaplace.solver.parallel import ONE_BY_ONE, JobEngine, run_parallel
from numaplace.solver.placing.replay import replay
from numaplace.solver.placing.rules import Rule


@dataclass(frozen=True, slots=True)
class Case:
    """A window of a trace."""

    name: str
    load: float | None  # that it was brought to, None if it was left as it is
    trace: Trace


@dataclass(frozen=True, slots=True)
class Optimum:
    """What is known of the best schedule of a case by one goal: value in vCPU ms, or VMs."""

    case: str
    goal: Goal
    status: SolveStatus
    objective: int
    bound: int
    seconds: float

    @property
    def proven(self) -> bool:
        """Whether the objective is proven to be the best."""
        return self.objective == self.bound


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """What one policy made of one case.

    Gaps are shares of the bound: how far at most from the best schedule there is; exactly so if
    that is proven, None if no bound is known.
    """

    case: str
    load: float | None
    policy: str
    vms: int
    reached: Mapping[Goal, int]  # vCPU ms, or VMs
    gaps: Mapping[Goal, float | None]
    proven: frozenset[Goal]  # whose optimum is
    full: int  # VMs rejected for want of room in the whole fleet
    fragmented: int  # VMs rejected in spite of room in the whole fleet
    p50_us: float  # time of a decision in microseconds
    p99_us: float


@dataclass(frozen=True)
class Comparison:
    """Rows by case and policy, the optima, and how many jobs were left undone.

    `failed` says which of them, if they were not just stopped, and why.
    """

    rows: tuple[PolicyRow, ...]
    optima: tuple[Optimum, ...]
    missing: int = 0
    reused: int = 0
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setup:
    """What all jobs have in common; limit, workers and seed are of each solve for an optimum."""

    fleet: Fleet
    rules: Mapping[str, Rule]  # policies by name
    goals: tuple[Goal, ...] = tuple(Goal)  # whose optimum is wanted
    time_limit_s: float = 60.0
    workers: int = 1
    seed: int = 0
    solver: str = "cpsat"  # or ``milp``
    share_s: float = math.inf  # what a solve gets of its limit where several share the time


@dataclass(frozen=True, slots=True)
class Job:
    """One policy, or one goal, on one case."""

    case: Case
    policy: str | None = None
    goal: Goal | None = None
    key: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.case.name}: {self.policy or f'optimum of {self.goal}'}"


SOLVES_SHARE, JOBS_SHARE = 0.8, 0.85
"""Of the time, for solves and for all jobs; the rest is for starting and ending processes."""


def compare_online(
    cases: Sequence[Case],
    setup: Setup,
    store: Store,
    *,
    engine: JobEngine = ONE_BY_ONE,
    on_done: Callable[[int, int, str], None] | None = None,
    until: Deadline = NEVER,
) -> Comparison:
    """Run every policy on every case, and solve every case for every goal.

    Jobs whose record is in `store` are not run again, the others where `engine` says. `on_done` is
    told the number of jobs done, of all jobs, and words for the last one. Until `until` all is
    done: solves share the time, what does not fit is left out.
    """
    jobs = list(_jobs(cases, setup))
    open_jobs = [job for job in jobs if not _known(job, store.get(job.key), setup)]
    done = len(jobs) - len(open_jobs)
    reused = done
    solves = max(1, sum(job.goal is not None for job in open_jobs))
    each_s = SOLVES_SHARE * until.left_s * min(engine.num_jobs, solves) / solves

    def keep(job: Job, record: Record) -> None:
        nonlocal done
        store.put(job.key, record)
        done += 1
        if on_done is not None:
            on_done(done, len(jobs), str(job))

    ran = run_parallel(
        partial(run_job, replace(setup, share_s=each_s)),
        open_jobs,
        engine=engine,
        until=until.share(JOBS_SHARE),
        on_result=keep,
    )
    found = [(job, store.get(job.key)) for job in jobs]
    least = replace(setup, time_limit_s=0.0)
    known = [(job, record) for job, record in found if record and _known(job, record, least)]
    optima = tuple(_optimum(job, record) for job, record in known if job.goal is not None)
    by_case = {(optimum.case, optimum.goal): optimum for optimum in optima}
    rows = tuple(_row(job, record, by_case) for job, record in known if job.policy is not None)
    failed = tuple(f"{open_jobs[index]}: {why}" for index, why in ran.failed.items())
    return Comparison(rows, optima, len(jobs) - done, reused, failed)


def _jobs(cases: Sequence[Case], setup: Setup) -> Iterator[Job]:
    fleet = hashlib.sha256(repr(setup.fleet.shapes).encode()).hexdigest()
    for case in cases:
        trace = hashlib.sha256(repr(case.trace.names).encode())
        for name in ARRAYS:
            trace.update(np.ascontiguousarray(getattr(case.trace, name)).tobytes())
        common = f"{__version__}/{fleet[:16]}/{trace.hexdigest()[:24]}"
        for policy in setup.rules:
            yield Job(case, policy=policy, key=f"{common}/policy:{policy}")
        for goal in setup.goals:
            yield Job(case, goal=goal, key=f"{common}/optimum:{goal}:{setup.solver}")


POLICY_FIELDS: dict[str, Any] = {
    "reached": {str: int},
    **{"full": int, "fragmented": int, "p50_us": float, "p99_us": float},
}
OPTIMUM_FIELDS: dict[str, Any] = {
    "status": str,
    **{"objective": int, "bound": int, "seconds": float, "time_limit_s": float},
}
"""What the records of a store have, as kinds of `report.tables.columns`."""


def _known(job: Job, record: Record | None, setup: Setup) -> bool:
    """Tell whether a record answers its job; an optimum not proven does if it had as much time.

    A record that lacks a field, or has a value of another kind, is none: the job is run again.
    """
    kinds = OPTIMUM_FIELDS if job.policy is None else POLICY_FIELDS
    if record is None or not all(n in record and _is(record[n], kinds[n]) for n in kinds):
        return False
    if job.policy is not None:
        return set(record["reached"]) == set(Goal)
    if record["status"] not in set(SolveStatus):
        return False
    proven = record["bound"] == record["objective"]
    return proven or bool(record["time_limit_s"] >= setup.time_limit_s)


def _is(value: object, kind: Any) -> bool:
    if isinstance(kind, dict):
        return isinstance(value, dict) and all(_is(one, kind[str]) for one in value.values())
    return type(value) is kind or (kind is float and type(value) is int)


def run_job(setup: Setup, job: Job, until: Deadline) -> Record | None:
    """Run one job; None if it was stopped before it came to its end."""
    if job.policy is not None:
        return _run_policy(job.case.trace, setup, job.policy, until)
    assert job.goal is not None
    return _run_optimum(job.case.trace, setup, job.goal, until)


def _run_policy(trace: Trace, setup: Setup, policy: str, until: Deadline) -> Record | None:
    rule = setup.rules[policy]
    found = replay(trace, setup.fleet, rule, samples=1, should_stop=lambda: until.over)
    if not found.complete:
        return None
    for fault in faults(trace, setup.fleet, found.slots):
        raise AssertionError(f"policy {policy} breaks a rule: {fault}")
    micros = found.latency_ns / 1000
    return {
        "reached": {str(goal): number for goal, number in found.reached(trace).items()},
        "full": found.full,
        "fragmented": found.fragmented,
        "p50_us": float(np.quantile(micros, 0.5)) if len(trace) else 0.0,
        "p99_us": float(np.quantile(micros, 0.99)) if len(trace) else 0.0,
    }


def _run_optimum(trace: Trace, setup: Setup, goal: Goal, until: Deadline) -> Record | None:
    began = time.monotonic()
    result = solve_offline(
        trace,
        setup.fleet,
        goal,
        time_limit_s=min(setup.time_limit_s, setup.share_s),
        workers=setup.workers,
        seed=setup.seed,
        hint=_best_online(trace, setup, goal),
        should_stop=lambda: until.over,
        solver=setup.solver,
    )
    if until.over and result.objective != result.bound:
        return None
    return {
        "status": str(result.status),
        "objective": result.objective,
        "bound": result.bound,
        "seconds": time.monotonic() - began,
        "time_limit_s": setup.time_limit_s,
    }


def _best_online(trace: Trace, setup: Setup, goal: Goal) -> Ints | None:
    """Schedule of the policy that reaches most, to start from."""
    found = [replay(trace, setup.fleet, rule, samples=1).slots for rule in setup.rules.values()]
    return max(found, key=lambda slots: worth(trace, slots, goal), default=None)


def _optimum(job: Job, record: Mapping[str, Any]) -> Optimum:
    assert job.goal is not None
    status, numbers = SolveStatus(record["status"]), ("objective", "bound", "seconds")
    return Optimum(job.case.name, job.goal, status, *(record[name] for name in numbers))


def _row(
    job: Job, record: Mapping[str, Any], optima: Mapping[tuple[str, Goal], Optimum]
) -> PolicyRow:
    assert job.policy is not None
    reached = {Goal(goal): int(number) for goal, number in record["reached"].items()}
    known = {goal: optima.get((job.case.name, goal)) for goal in Goal}
    return PolicyRow(
        case=job.case.name,
        load=job.case.load,
        policy=job.policy,
        vms=len(job.case.trace),
        reached=reached,
        gaps={g: gap_of(reached[g], found.bound) if found else None for g, found in known.items()},
        proven=frozenset(goal for goal, optimum in known.items() if optimum and optimum.proven),
        **{name: record[name] for name in ("full", "fragmented", "p50_us", "p99_us")},
    )
