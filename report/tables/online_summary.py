"""What many windows, or a whole replay, come to: the numbers that tables and figures show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from numaplace.models.cost import Term
from numaplace.models.schedule import Goal
from numaplace.models.trace import Trace
from numaplace.solver.compare.policies import Comparison, PolicyRow
from numaplace.solver.placing.replay import NOT_SEEN, Replay, Sample

MS_PER_HOUR = 3_600_000
NS_PER_S = 1_000_000_000

LOSSES: dict[Term, str] = {
    Term.SPLIT_GUEST: "split_guest",
    Term.NODE_AFFINITY: "node_affinity",
    Term.CPU_CONTENTION: "cpu_contention",
}
"""Terms of the loss that a replay samples, with the field of `Sample` that holds each."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How a number varies: its median, mean, 90th percentile and largest value."""

    median: float
    mean: float
    p90: float
    largest: float


@dataclass(frozen=True, slots=True)
class PolicySummary:
    """One policy over the windows of one load.

    `reached` is by goal the sum over windows (vCPU ms, or VMs); a gap is None if no window has a
    bound for the goal; VMs are rejected because hosts are `full` or `fragmented`. `best` counts the
    windows on which every policy ran and no other reached more, ties for all. Times of a decision
    are medians over windows of the median and of the 99th percentile, and the largest 99th.
    """

    policy: str
    windows: int
    vms: int
    reached: Mapping[Goal, int]
    gaps: Mapping[Goal, Spread | None]
    full: int
    fragmented: int
    best: Mapping[Goal, int]
    p50_us: float
    p99_us: float
    p99_max_us: float


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """All policies over the windows of one load, None if windows were left as they are.

    On `compared` windows every policy ran. `solved` are by goal the windows with a known bound, and
    of these the optimum of `proven` is proven; goals without any are not in them. The first policy
    has the least median gap of value, then by mean, then by the other goals; policies without a gap
    go by the value they reached.
    """

    load: float | None
    windows: int
    vms: int
    compared: int
    solved: Mapping[Goal, int]
    proven: Mapping[Goal, int]
    policies: tuple[PolicySummary, ...]


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What one policy made of a trace; `complete` if the replay came to its end.

    VMs of the trace, those `seen` (arrived), accepted, and rejected by reason; value in vCPU ms;
    `prefix`, the VMs placed before the first that was not. `cpu`, `memory` and `fragmentation` are
    means over time of the samples, as shares; None without samples. `peak_loss_micro` is by term
    the largest loss of any sample, in micro-vCPU. Decisions a second count only the time they took;
    that and times of a decision are None if there were none.
    """

    policy: str
    complete: bool
    vms: int
    seen: int
    accepted: int
    full: int
    fragmented: int
    vcpu_ms: int
    prefix: int
    cpu: float | None
    memory: float | None
    fragmentation: float | None
    peak_loss_micro: Mapping[Term, int]
    decisions_per_s: float | None
    p50_us: float | None
    p99_us: float | None
    max_us: float | None


def vcpu_hours(vcpu_ms: int) -> float:
    """Value in the unit that bills are in."""
    return vcpu_ms / MS_PER_HOUR


def spread(numbers: Sequence[float]) -> Spread | None:
    """Return how numbers vary, None if there are none."""
    if not numbers:
        return None
    median, p90 = (float(number) for number in np.quantile(numbers, (0.5, 0.9)))
    return Spread(median, float(np.mean(numbers)), p90, float(max(numbers)))


def gaps_of(rows: Iterable[PolicyRow], goal: Goal) -> list[float]:
    """Gaps of rows by one goal, those that are known."""
    return [gap for row in rows if (gap := row.gaps[goal]) is not None]


def known_goals(comparison: Comparison) -> list[Goal]:
    """Goals for which any gap is known."""
    return [goal for goal in Goal if gaps_of(comparison.rows, goal)]


def rows_by_load(comparison: Comparison) -> dict[float | None, list[PolicyRow]]:
    """Rows of each load, in the order in which loads first occur."""
    found: dict[float | None, list[PolicyRow]] = {}
    for row in comparison.rows:
        found.setdefault(row.load, []).append(row)
    return found


def load_summaries(comparison: Comparison) -> list[LoadSummary]:
    """Sum up a comparison by load and policy."""
    return [_of_load(comparison, load, rows) for load, rows in rows_by_load(comparison).items()]


def _of_load(comparison: Comparison, load: float | None, rows: list[PolicyRow]) -> LoadSummary:
    by_policy: dict[str, list[PolicyRow]] = {}
    by_case: dict[str, list[PolicyRow]] = {}
    for row in rows:
        by_policy.setdefault(row.policy, []).append(row)
        by_case.setdefault(row.case, []).append(row)
    compared = [case for case in by_case.values() if len(case) == len(by_policy)]
    optima = [optimum for optimum in comparison.optima if optimum.case in by_case]
    solved = {goal: [each for each in optima if each.goal is goal] for goal in Goal}
    policies = [_of_policy(name, ran, compared) for name, ran in by_policy.items()]
    return LoadSummary(
        load=load,
        windows=len(by_case),
        vms=sum(case[0].vms for case in by_case.values()),
        compared=len(compared),
        solved={goal: len(found) for goal, found in solved.items() if found},
        proven={
            goal: sum(optimum.proven for optimum in found)
            for goal, found in solved.items()
            if found
        },
        policies=tuple(sorted(policies, key=_rank)),
    )


def _of_policy(
    policy: str, rows: Sequence[PolicyRow], compared: Sequence[Sequence[PolicyRow]]
) -> PolicySummary:
    p99s = [row.p99_us for row in rows]
    return PolicySummary(
        policy=policy,
        windows=len(rows),
        vms=sum(row.vms for row in rows),
        reached={goal: sum(row.reached[goal] for row in rows) for goal in Goal},
        gaps={goal: spread(gaps_of(rows, goal)) for goal in Goal},
        full=sum(row.full for row in rows),
        fragmented=sum(row.fragmented for row in rows),
        best={goal: sum(policy in _best(case, goal) for case in compared) for goal in Goal},
        p50_us=float(np.median([row.p50_us for row in rows])),
        p99_us=float(np.median(p99s)),
        p99_max_us=max(p99s),
    )


def _best(rows: Sequence[PolicyRow], goal: Goal) -> set[str]:
    """Policies that reach the most of one window."""
    most = max(row.reached[goal] for row in rows)
    return {row.policy for row in rows if row.reached[goal] == most}


def _rank(summary: PolicySummary) -> tuple[float, ...]:
    """Order of policies: by the gaps of each goal in turn, then by the value reached."""
    known = [summary.gaps[goal] for goal in Goal]
    gaps = [(inf, inf) if gap is None else (gap.median, gap.mean) for gap in known]
    return (*(number for pair in gaps for number in pair), -summary.reached[Goal.VALUE])


# ---- one replay ---------------------------------------------------------------------------------


def replay_summary(policy: str, replay: Replay, trace: Trace) -> ReplaySummary:
    """Sum up a replay; VMs it has not seen count neither as placed nor as rejected."""
    seen = replay.slots != NOT_SEEN
    micros = replay.latency_ns[seen] / 1000
    count, total_s = int(seen.sum()), float(replay.latency_ns[seen].sum()) / NS_PER_S
    p50, p99 = np.quantile(micros, (0.5, 0.99)).tolist() if count else (None, None)
    reached = replay.reached(trace)
    samples = replay.samples
    return ReplaySummary(
        policy=policy,
        complete=replay.complete,
        vms=len(trace),
        seen=count,
        accepted=reached[Goal.COUNT],
        full=replay.full,
        fragmented=replay.fragmented,
        vcpu_ms=reached[Goal.VALUE],
        prefix=reached[Goal.PREFIX],
        cpu=mean_over_time(samples, [sample.cpu for sample in samples]),
        memory=mean_over_time(samples, [sample.memory for sample in samples]),
        fragmentation=mean_over_time(samples, [sample.fragmentation for sample in samples]),
        peak_loss_micro={
            term: max((int(getattr(sample, field)) for sample in samples), default=0)
            for term, field in LOSSES.items()
        },
        decisions_per_s=count / total_s if total_s else None,
        p50_us=p50,
        p99_us=p99,
        max_us=float(micros.max()) if count else None,
    )


def mean_over_time(samples: Sequence[Sample], numbers: Sequence[float]) -> float | None:
    """Mean of what samples hold, weighted by the time between them.

    Between two samples a number is taken to change evenly. Samples of one and the same instant
    weigh alike.
    """
    if not samples:
        return None
    span = samples[-1].time_ms - samples[0].time_ms
    if not span:
        return float(np.mean(numbers))
    return float(np.trapezoid(numbers, [sample.time_ms for sample in samples])) / span
