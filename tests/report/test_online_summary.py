"""Sums over windows and over a replay: worked by hand, and against the rows they come from."""

import numpy as np
import pytest

from numaplace.models.cost import Term
from numaplace.models.schedule import Goal
from numaplace.models.trace import make_trace
from numaplace.report.tables.online_summary import (
    Spread,
    known_goals,
    load_summaries,
    mean_over_time,
    replay_summary,
    spread,
    vcpu_hours,
)
from numaplace.solver.compare.policies import Case, Comparison, Setup, compare_online
from numaplace.solver.compare.store import Store
from numaplace.solver.placing.replay import Sample, replay
from numaplace.solver.placing.rules import RULES
from numaplace.tests.report.online_samples import (
    HOUR_MS,
    comparison,
    fleet,
    random_comparison,
    replays,
    row,
    stopped,
    trace,
)


def _sample(time_ms: int, cpu: float) -> Sample:
    return Sample(time_ms, 1, 1, cpu, 0.0, (0.0, 0.0, 0.0), 1.0, 0.0, 0, 0, 0)


def _approx(found: Spread | None, *expected: float) -> None:
    assert found is not None
    numbers = (found.median, found.mean, found.p90, found.largest)
    assert numbers == pytest.approx(expected)


def test_gaps_are_summed_up_as_by_hand() -> None:
    (load,) = load_summaries(comparison())
    best, other = load.policies
    assert (best.policy, other.policy) == ("greedy_life", "first_fit")
    _approx(best.gaps[Goal.VALUE], 0.005, 0.005, 0.009, 0.01)
    _approx(other.gaps[Goal.VALUE], 0.05, 0.05, 0.09, 0.1)
    _approx(other.gaps[Goal.PREFIX], 0.35, 0.35, 0.47, 0.5)
    assert best.gaps[Goal.COUNT] is None and other.gaps[Goal.COUNT] is None


def test_counts_of_a_load() -> None:
    """Windows, VMs, rejections, latencies, optima; ties are won by all."""
    (load,) = load_summaries(comparison())
    assert (load.load, load.windows, load.vms, load.compared) == (0.9, 3, 30, 3)
    assert load.solved == {Goal.VALUE: 3, Goal.PREFIX: 2}
    assert load.proven == {Goal.VALUE: 2, Goal.PREFIX: 2}
    best, other = load.policies
    assert best.best == {Goal.VALUE: 2, Goal.COUNT: 2, Goal.PREFIX: 3}
    assert other.best == {Goal.VALUE: 1, Goal.COUNT: 2, Goal.PREFIX: 2}
    assert (other.full, other.fragmented) == (1 + 2 + 3, 3 * len("first_fit"))
    assert (other.p50_us, other.p99_us, other.p99_max_us) == (20, 92, 93)
    assert best.reached[Goal.VALUE] == 3980 * HOUR_MS


def test_a_window_that_some_policy_did_not_run_on_has_no_best() -> None:
    whole = comparison()
    cut = Comparison(whole.rows[:-1], whole.optima, missing=1)
    (load,) = load_summaries(cut)
    assert (load.windows, load.compared) == (3, 2)
    assert {each.policy: each.windows for each in load.policies} == {
        "greedy_life": 2,
        "first_fit": 3,
    }
    assert [each.best[Goal.VALUE] for each in load.policies] == [2, 0]


def test_order_without_any_optimum_is_by_value() -> None:
    rows = comparison().rows
    unknown = tuple(
        row(each.case, each.policy, tuple(each.reached.values()), (None, None, None))
        for each in rows
    )
    bare = Comparison(unknown, ())
    (load,) = load_summaries(bare)
    assert [each.policy for each in load.policies] == ["greedy_life", "first_fit"]
    assert load.solved == load.proven == {}
    assert known_goals(bare) == [] and known_goals(comparison()) == [Goal.VALUE, Goal.PREFIX]


def test_loads_are_apart_and_in_order() -> None:
    found = random_comparison((1.2, None, 0.9), windows=5)
    loads = load_summaries(found)
    assert [load.load for load in loads] == [1.2, None, 0.9]
    for load in loads:
        medians = [each.gaps[Goal.VALUE].median for each in load.policies]  # type: ignore[union-attr]
        assert medians == sorted(medians) and len(medians) == len(RULES)
        mine = [each for each in found.rows if each.load == load.load]
        assert sum(each.full for each in load.policies) == sum(each.full for each in mine)
        assert sum(each.best[Goal.COUNT] for each in load.policies) >= load.windows == 5
        names = {each.case for each in mine}
        proven = [each.proven for each in found.optima if each.case in names]
        assert sum(load.proven.values()) == sum(proven)


def test_nothing_sums_up_to_nothing() -> None:
    assert load_summaries(Comparison((), ())) == []
    assert spread([]) is None
    assert mean_over_time([], []) is None


def test_means_are_weighted_by_time() -> None:
    """Half the fleet is busy for nine tenths of the time, all of it at the end of the last."""
    samples = [_sample(0, 0.5), _sample(900, 0.5), _sample(1000, 1.0)]
    mean = mean_over_time(samples, [sample.cpu for sample in samples])
    assert mean == pytest.approx(0.9 * 0.5 + 0.1 * 0.75)
    at_once = [_sample(7, 0.2), _sample(7, 0.4)]
    assert mean_over_time(at_once, [0.2, 0.4]) == pytest.approx(0.3)


@pytest.mark.parametrize("name", RULES)
def test_a_replay_is_summed_up(name: str) -> None:
    found = replays()[name]
    summary = replay_summary(name, found, trace())
    assert summary.accepted + summary.full + summary.fragmented == summary.seen == len(trace())
    assert summary.complete and summary.fragmented > 0
    placed = found.slots >= 0
    assert summary.vcpu_ms == trace().vcpu_ms[placed].sum()
    assert summary.prefix == int(np.argmin(placed))
    assert summary.p50_us == pytest.approx(np.median(found.latency_ns) / 1000)
    assert summary.decisions_per_s == pytest.approx(1e9 / found.latency_ns.mean())
    peaks = {term: 0 for term in summary.peak_loss_micro}
    for sample in found.samples:
        losses = (sample.split_guest, sample.node_affinity, sample.cpu_contention)
        peaks = {term: max(peaks[term], loss) for term, loss in zip(peaks, losses, strict=True)}
    assert summary.peak_loss_micro == peaks and peaks[Term.SPLIT_GUEST] > 0
    cpus = [sample.cpu for sample in found.samples]
    assert summary.cpu is not None and min(cpus) < summary.cpu < max(cpus)


def test_a_stopped_replay_counts_only_what_it_has_seen() -> None:
    found = stopped("first_fit", 20)
    summary = replay_summary("first_fit", found, trace())
    assert not summary.complete and 0 < summary.seen < summary.vms == len(trace())
    assert summary.accepted + summary.full + summary.fragmented == summary.seen
    assert summary.p50_us is not None and summary.p50_us > 0
    never = replay_summary("first_fit", stopped("first_fit", 0), trace())
    assert (never.seen, never.accepted, never.cpu, never.p99_us) == (0, 0, None, None)


def test_an_empty_trace_has_no_means() -> None:
    empty = make_trace((), vcpus=[], memory_mib=[], start_ms=[])
    summary = replay_summary("xen", replay(empty, fleet(), RULES["xen"]), empty)
    assert summary.complete and summary.vms == summary.seen == summary.prefix == 0
    assert summary.decisions_per_s is summary.cpu is summary.fragmentation is None


def test_a_real_comparison() -> None:
    """With proven optima, gaps are those of what was reached to what could be."""
    cases = [Case(f"from {at}", None, trace().part(slice(at, at + 12))) for at in (0, 40)]
    rules = {name: RULES[name] for name in ("nova", "greedy_life")}
    with Store(None) as store:
        found = compare_online(cases, Setup(fleet(1), rules, time_limit_s=20), store)
    (load,) = load_summaries(found)
    assert load.proven == load.solved == {goal: 2 for goal in Goal}
    best = {each.case: each.objective for each in found.optima if each.goal is Goal.VALUE}
    for policy in load.policies:
        shares = [
            1 - each.reached[Goal.VALUE] / best[each.case]
            for each in found.rows
            if each.policy == policy.policy
        ]
        assert min(shares) >= 0
        gap = policy.gaps[Goal.VALUE]
        assert gap is not None and gap.mean == pytest.approx(np.mean(shares))


def test_value_in_hours() -> None:
    assert vcpu_hours(90 * 60_000) == 1.5
