"""Replays of traces, and comparisons of online policies with the optimum."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from math import floor, log10
from typing import Any

from rich.text import Text

from numaplace.models.cost import Term
from numaplace.models.fleet import Fleet
from numaplace.models.schedule import Goal
from numaplace.models.trace import Trace
from numaplace.models.units import MICRO
from numaplace.report.tables import words
from numaplace.report.tables.columns import ABSENT, Column, Columns, Record, columns, within
from numaplace.report.tables.online_summary import (
    LOSSES,
    LoadSummary,
    PolicySummary,
    ReplaySummary,
    load_summaries,
    replay_summary,
    vcpu_hours,
)
from numaplace.report.tables.online_words import (
    NOTHING_COMPARED,
    NOTHING_REPLAYED,
    load_words,
    micros,
    missing_words,
    percent,
    proof_words,
    stopped_words,
    trace_words,
)
from numaplace.report.tables.table import Table, Views
from numaplace.solver.compare.policies import Comparison, Optimum
from numaplace.solver.placing.replay import Replay, Sample


def _aligned(numbers: Sequence[float], digits: int = 5) -> Callable[[float], str]:
    """Show numbers with as many decimals as the largest needs to have so many digits."""
    largest = max((abs(number) for number in numbers), default=0.0)
    decimals = digits - 1 - floor(log10(largest)) if largest else 0
    return f"{{:.{max(0, decimals)}f}}".format


# ---- a policy on a window -----------------------------------------------------------------------


def _reached(goal: Goal) -> Callable[[Any], int]:
    return lambda row: int(row.reached[goal])


def _hours(row: Any) -> float:
    return vcpu_hours(row.reached[Goal.VALUE])


_REACHED = (
    Column("value_vcpu_hours", float, _hours),
    Column("value_vcpu_ms", int, _reached(Goal.VALUE)),
    Column("count", int, _reached(Goal.COUNT)),
)


def _gap(goal: Goal) -> Column:
    return Column(f"{goal}_gap", (float, None), lambda row: row.gaps[goal])


def _proven(goal: Goal) -> Column:
    return Column(f"{goal}_proven", bool, lambda row: goal in row.proven)


WINDOW = columns(
    "case load:float? policy vms:int",
    _REACHED,
    Column("prefix", int, _reached(Goal.PREFIX)),
    map(_gap, Goal),
    map(_proven, Goal),
    "rejected_full=full:int rejected_fragmented=fragmented:int p50_us:float p99_us:float",
)
"""What one policy made of one window; gaps are shares of the bound."""


def _in_hours(name: str) -> Column:
    def hours(optimum: Optimum) -> Any:
        return vcpu_hours(getattr(optimum, name)) if optimum.goal is Goal.VALUE else ABSENT

    return Column(f"{name}_vcpu_hours", float, hours, optional=True)


_OPTIMUM = Record(
    "case goal status proven:bool objective:int bound:int seconds:float",
    map(_in_hours, ("objective", "bound")),
)


def window_table(comparison: Comparison) -> Table:
    """The rows of a comparison."""
    return Table(WINDOW, comparison.rows, noun="row", keys=3)


# ---- a policy on all windows --------------------------------------------------------------------


def _median(goal: Goal, part: str, head: str) -> Column:
    def show(gap: Any) -> str:
        return percent(getattr(gap, part))

    name, get = f"-{goal}_gap_{part}", lambda policy: policy.gaps[goal]
    return Column(name, object, get, head, show, right=True, optional=True)


def _gap_columns() -> list[Column]:
    """Median of the gap by each goal that has any; of the value also mean and 90th percentile."""
    found: list[Column] = []
    for goal in Goal:
        found.append(_median(goal, "median", f"{goal}\ngap %\nmedian"))
        if goal is Goal.VALUE:
            found += [_median(goal, part, part) for part in ("mean", "p90")]
    return found


def _placed(policy: PolicySummary) -> str:
    return f"{policy.reached[Goal.COUNT]}/{policy.vms}"


def _policy_columns(summary: LoadSummary) -> Columns:
    more: Any = {"right": True, "group": "Rejections and time"}
    hours = _aligned([_hours(policy) for policy in summary.policies])
    gaps = any(gap for policy in summary.policies for gap in policy.gaps.values())
    best = f"best by\nvalue,\nof {summary.compared}"
    rejected, times = "rejected\nfull/\nfragmented", "µs\np50/p99"
    reached = (
        Column("-value", float, _hours, "value\nvCPU-hours", hours),
        Column("-placed", str, _placed, "placed", right=True),
    )
    return columns(
        Column("policy", str, "", "policy"),
        _gap_columns() if gaps else reached,
        Column("-rejected", str, lambda it: f"{it.full}/{it.fragmented}", rejected, **more),
        Column("-best", int, lambda policy: policy.best[Goal.VALUE], best, **more),
        Column("-us", str, lambda it: f"{micros(it.p50_us)}/{micros(it.p99_us)}", times, **more),
    )


_SPREAD = Record("median:float mean:float p90:float max=largest:float")
_POLICY = Record(
    "policy windows:int vms:int",
    _REACHED,
    Column("gap", {str: (_SPREAD, None)}, "gaps"),
    Column("windows_best", {str: int}, "best"),
    "rejected_full=full:int rejected_fragmented=fragmented:int",
    "p50_us_median=p50_us:float p99_us_median=p99_us:float p99_us_max=p99_max_us:float",
)
_SOLVED = Record(
    "proven=0:int windows=1:int", Column("proven_share", float, lambda pair: pair[0] / pair[1])
)


def _optima(load: LoadSummary) -> dict[Goal, tuple[int, int]]:
    return {goal: (load.proven[goal], count) for goal, count in load.solved.items()}


_LOAD = Record(
    "load:float? windows:int windows_with_all_policies=compared:int vms:int",
    Column("optima", {str: _SOLVED}, _optima),
    Column("policies", [_POLICY]),
)
AGAINST = Record(
    Column("rows", [Record(WINDOW)]),
    Column("optima", [_OPTIMUM]),
    Column("summary", [_LOAD], load_summaries),
    "jobs_missing=missing:int jobs_reused=reused:int",
    name="replay-against",
)
"""Everything of a comparison, with its sums by load and policy."""


def comparison_views(comparison: Comparison) -> Views:
    """Policies against the optimum: a table a load, and how much of the optima is proven."""
    views: Views = [_load_table(summary) for summary in load_summaries(comparison)]
    if not comparison.rows:
        views.append(Text(NOTHING_COMPARED))
    notes = Text()
    if comparison.missing:
        notes.append(missing_words(comparison.missing), "bold yellow")
    if comparison.reused:
        notes.append("\n" if notes else "")
        notes.append(f"{words.plural(comparison.reused, 'result')} known from before", "dim")
    return [*views, notes] if notes else views


def _load_table(summary: LoadSummary) -> Table:
    windows, vms = words.plural(summary.windows, "window"), words.plural(summary.vms, "VM")
    title = f"{load_words(summary.load)}: {windows}, {vms} in all"
    notes = [Text(proof_words(summary), "dim")] if summary.solved else []
    return Table(_policy_columns(summary), summary.policies, title, notes=notes)


# ---- replays ------------------------------------------------------------------------------------


def replay_columns(found: Sequence[ReplaySummary] = ()) -> Columns:
    """What a policy made of a trace: counters, the fleet over time, speed."""
    fleet, speed = "The fleet over time", "Time of a decision"

    def mean(name: str) -> Column:
        head = f"{'CPU' if name == 'cpu' else name}\nmean %"
        return Column(f"mean_{name}", (float, None), name, head, percent, group=fleet)

    def peak(term: Term) -> Column:
        def vcpus(row: ReplaySummary) -> float:
            return row.peak_loss_micro[term] / MICRO

        head = "peak loss\n" + words.term_name(term).replace(" ", "\n") + "\nvCPUs"
        show = _aligned([vcpus(row) for row in found], 4)
        return Column(f"-peak_{term}", float, vcpus, head, show, optional=True, group=fleet)

    def peaks(row: ReplaySummary) -> dict[Term, float]:
        return {term: micro / MICRO for term, micro in row.peak_loss_micro.items()}

    def hours(row: ReplaySummary) -> float:
        return vcpu_hours(row.vcpu_ms)

    def share(row: ReplaySummary) -> float | None:
        return 100 * row.accepted / row.seen if row.seen else None

    aligned = _aligned([hours(row) for row in found])
    return columns(
        Column("policy", str, "", "policy"),
        "complete:bool vms:int seen:int",
        Column("accepted", int, "", "accepted"),
        Column("-accepted_share", (float, None), share, "%", "{:.2f}".format),
        Column("rejected_full", int, "full", "rejected\nfull"),
        Column("rejected_fragmented", int, "fragmented", "rejected\nfragmented"),
        Column("value_vcpu_hours", float, hours, "value\nvCPU-hours", aligned),
        "value_vcpu_ms=vcpu_ms:int",
        Column("prefix", int, "", "prefix"),
        map(mean, ("cpu", "memory", "fragmentation")),
        map(peak, LOSSES),
        Column("peak_loss_vcpus", {str: float}, peaks),
        Column("peak_loss_micro", {str: int}),
        Column("decisions_per_s", (float, None), "", "decisions/s", "{:.0f}".format, group=speed),
        Column("p50_us", (float, None), "", "p50 µs", micros, group=speed),
        Column("p99_us", (float, None), "", "p99 µs", micros, group=speed),
        "max_us:float?",
    )


def _samples(samples: Sequence[Sample]) -> dict[str, list[Any]]:
    """Samples as one list a quantity, all of one length."""
    columns: dict[str, list[Any]] = {}
    for name in (field.name for field in fields(Sample)):
        numbers = [getattr(sample, name) for sample in samples]
        if name == "node_cpu":
            for at, percentile in enumerate(("p10", "p50", "p90")):
                columns[f"node_cpu_{percentile}"] = [shares[at] for shares in numbers]
        else:
            columns[f"{name}_micro" if name in LOSSES.values() else name] = numbers
    return columns


REPLAYED = Record(
    within("0", replay_columns()),
    Column("samples", {str: [float]}, lambda row: _samples(row[1].samples)),
)
"""All counters of a pair (summary, replay), and its samples as a list for each quantity."""

REPLAY = Record(
    Column("trace", {str: object}, "0"), Column("policies", [REPLAYED], "1"), name="replay"
)
"""Of a pair (what was read of the trace, replays)."""


def replay_table(replays: Mapping[str, Replay], trace: Trace) -> Table:
    """A row a policy."""
    found = [replay_summary(name, replay, trace) for name, replay in replays.items()]
    return Table(replay_columns(found), found, noun="row")


def replay_views(replays: Mapping[str, Replay], trace: Trace, fleet: Fleet) -> Views:
    """What each policy made of a trace."""
    views: Views = [Text.assemble(("Replay", "bold"), f"  {trace_words(trace, fleet)}")]
    if not replays:
        return [*views, Text(NOTHING_REPLAYED)]
    table = replay_table(replays, trace)
    stopped = stopped_words(table.rows)
    views.append(table)
    return [*views, Text("\n".join(stopped), "bold yellow")] if stopped else views
