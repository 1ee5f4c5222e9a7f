"""Replays and comparisons of online policies in a terminal; numbers and names are never broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import floor, log10

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from numaplace.models.fleet import Fleet
from numaplace.models.schedule import Goal
from numaplace.models.trace import Trace
from numaplace.models.units import MICRO
from numaplace.report.tables import words
from numaplace.report.tables.online_summary import (
    LoadSummary,
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
from numaplace.report.tables.terminal_tables import new_table
from numaplace.report.tables.terminal_views import Views
from numaplace.solver.compare.policies import Comparison
from numaplace.solver.placing.replay import Replay

Columns = Mapping[str, Sequence[str]]

# Room between columns: as the house has it, and closer where that does not fit.
_PADDINGS = ((0, 1), (0, 1, 0, 0), (0, 0))


def comparison_views(comparison: Comparison, width: int) -> Views:
    """Policies against the optimum: a table a load, and how much of the optima is proven."""
    views: Views = [_load_view(summary, width) for summary in load_summaries(comparison)]
    if not comparison.rows:
        views.append(Text(NOTHING_COMPARED))
    notes = Text()
    if comparison.missing:
        notes.append(missing_words(comparison.missing), "bold yellow")
    if comparison.reused:
        notes.append("\n" if notes else "")
        notes.append(f"{words.plural(comparison.reused, 'result')} known from before", "dim")
    return [*views, notes] if notes else views


def _load_view(summary: LoadSummary, width: int) -> RenderableType:
    windows, vms = words.plural(summary.windows, "window"), words.plural(summary.vms, "VM")
    parts: list[RenderableType] = [
        Text(f"{load_words(summary.load)}: {windows}, {vms} in all", "bold")
    ]
    keys = {"policy": [policy.policy for policy in summary.policies]}
    groups = {"": _gap_columns(summary), "Rejections and time": _rest_columns(summary)}
    parts += _tables(keys, groups, width)
    if summary.solved:
        parts.append(Text(proof_words(summary), "dim"))
    return Group(*parts)


def _gap_columns(summary: LoadSummary) -> Columns:
    """Gaps by the goals that have any; what was reached if none has."""
    columns: dict[str, list[str]] = {}
    for goal in Goal:
        found = [policy.gaps[goal] for policy in summary.policies]
        if not any(found):
            continue
        head = f"{goal}\ngap %\nmedian"
        columns[head] = ["-" if gap is None else percent(gap.median) for gap in found]
        if goal is Goal.VALUE:
            columns["mean"] = ["-" if gap is None else percent(gap.mean) for gap in found]
            columns["p90"] = ["-" if gap is None else percent(gap.p90) for gap in found]
    if columns:
        return columns
    hours = [vcpu_hours(policy.reached[Goal.VALUE]) for policy in summary.policies]
    placed = [f"{policy.reached[Goal.COUNT]}/{policy.vms}" for policy in summary.policies]
    return {"value\nvCPU-hours": _aligned(hours), "placed": placed}


def _rest_columns(summary: LoadSummary) -> Columns:
    policies = summary.policies
    return {
        "rejected\nfull/\nfragmented": [f"{each.full}/{each.fragmented}" for each in policies],
        f"best by\nvalue,\nof {summary.compared}": [
            str(each.best[Goal.VALUE]) for each in policies
        ],
        "µs\np50/p99": [f"{micros(each.p50_us)}/{micros(each.p99_us)}" for each in policies],
    }


# ---- replays ------------------------------------------------------------------------------------


def replay_views(replays: Mapping[str, Replay], trace: Trace, fleet: Fleet, width: int) -> Views:
    """What each policy made of a trace: counters, the fleet over time, speed."""
    views: Views = [Text.assemble(("Replay", "bold"), f"  {trace_words(trace, fleet)}")]
    if not replays:
        return [*views, Text(NOTHING_REPLAYED)]
    found = [replay_summary(name, replay, trace) for name, replay in replays.items()]
    keys = {"policy": [summary.policy for summary in found]}
    groups = {
        "": _counters(found),
        "The fleet over time": _fleet_columns(found),
        "Time of a decision": _speed(found),
    }
    views.append(Group(*_tables(keys, groups, width)))
    stopped = stopped_words(found)
    return [*views, Text("\n".join(stopped), "bold yellow")] if stopped else views


def _counters(found: Sequence[ReplaySummary]) -> Columns:
    return {
        "accepted": [str(each.accepted) for each in found],
        "%": [f"{100 * each.accepted / each.seen:.2f}" if each.seen else "-" for each in found],
        "rejected\nfull": [str(each.full) for each in found],
        "rejected\nfragmented": [str(each.fragmented) for each in found],
        "value\nvCPU-hours": _aligned([vcpu_hours(each.vcpu_ms) for each in found]),
        "prefix": [str(each.prefix) for each in found],
    }


def _fleet_columns(found: Sequence[ReplaySummary]) -> Columns:
    """Means over time, and the largest losses of those terms that any policy loses by."""
    columns = {
        "CPU\nmean %": [_or_dash(each.cpu, percent) for each in found],
        "memory\nmean %": [_or_dash(each.memory, percent) for each in found],
        "fragmentation\nmean %": [_or_dash(each.fragmentation, percent) for each in found],
    }
    for term in found[0].peak_loss_micro:
        losses = [each.peak_loss_micro[term] for each in found]
        if any(losses):
            name = words.term_name(term).replace(" ", "\n")
            columns[f"peak loss\n{name}\nvCPUs"] = _aligned([loss / MICRO for loss in losses], 4)
    return columns


def _speed(found: Sequence[ReplaySummary]) -> Columns:
    return {
        "decisions/s": [
            _or_dash(each.decisions_per_s, lambda rate: f"{rate:.0f}") for each in found
        ],
        "p50 µs": [_or_dash(each.p50_us, micros) for each in found],
        "p99 µs": [_or_dash(each.p99_us, micros) for each in found],
    }


# ---- cells and tables ---------------------------------------------------------------------------


def _or_dash(number: float | None, shown: Callable[[float], str]) -> str:
    return "-" if number is None else shown(number)


def _aligned(numbers: Sequence[float], digits: int = 5) -> list[str]:
    """Numbers with as many decimals as the largest needs to have so many digits."""
    largest = max((abs(number) for number in numbers), default=0.0)
    decimals = digits - 1 - floor(log10(largest)) if largest else 0
    return [f"{number:.{max(0, decimals)}f}" for number in numbers]


def _tables(keys: Columns, groups: Mapping[str, Columns], width: int) -> list[RenderableType]:
    """All columns in one table if they fit; else a table a group, under the group's title."""
    together = {name: cells for columns in groups.values() for name, cells in columns.items()}
    whole = _fitting_table({**keys, **together}, width)
    if whole is not None:
        return [whole]
    parts: list[RenderableType] = []
    for title, columns in groups.items():
        parts += [Text(), Text(title, "bold")] if title else []
        parts += _spread_out(keys, columns, width)
    return parts


def _spread_out(keys: Columns, columns: Columns, width: int) -> list[RenderableType]:
    """Columns over as few tables as fit, each with the columns `keys` first."""
    tables: list[RenderableType] = []
    taken: dict[str, Sequence[str]] = {}
    for name, cells in columns.items():
        if taken and _fitting_table({**keys, **taken, name: cells}, width) is None:
            tables += [_closest({**keys, **taken}, width), Text()]
            taken = {}
        taken[name] = cells
    return [*tables, _closest({**keys, **taken}, width)]


def _closest(columns: Columns, width: int) -> Table:
    return _fitting_table(columns, width) or _table(columns, _PADDINGS[-1])


def _fitting_table(columns: Columns, width: int) -> Table | None:
    """The table with as much room between its columns as fits; None if it does not fit."""
    for padding in _PADDINGS:
        table = _table(columns, padding)
        if Console(width=10_000).measure(table).maximum <= width:
            return table
    return None


def _table(columns: Columns, padding: tuple[int, ...]) -> Table:
    table = new_table(*columns, right=set(columns) - {"policy"})
    table.padding = padding  # type: ignore[assignment]
    for column in table.columns:
        column.no_wrap = True
    for row in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, row))
    return table
