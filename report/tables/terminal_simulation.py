"""Simulations in a terminal: what every VM got, what the scheduler did, and what was predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from numaplace.models.instance import Instance
from numaplace.models.units import MICRO
from numaplace.report.tables import talk_words, words
from numaplace.report.tables.online_words import percent
from numaplace.report.tables.simulation_summary import (
    HostSummary,
    Spread,
    VmSummary,
    host_summaries,
    spread,
)
from numaplace.report.tables.terminal_tables import ROWS_MAX, new_table
from numaplace.report.tables.terminal_views import Views
from numaplace.solver.simulator.from_plan import SimulatedAffinity
from numaplace.solver.simulator.runs import Repeated, RunOptions
from numaplace.solver.simulator.talk import Configuration, Point, Workload
from numaplace.solver.simulator.talk_run import Experiment

Columns = Mapping[str, Sequence[str]]

_WORDS = {"configuration", "is"}
COLUMNS_MIN = 3
"""So many columns stay in a table that is too wide."""


def simulation_views(
    instance: Instance, repeated: Repeated, options: RunOptions, planned: str, width: int
) -> Views:
    """What came of a plan: a table a host, all hosts together, loss simulated and predicted.

    `planned` tells in words where the plan is from.
    """
    views: Views = [_head(instance, repeated, options, planned)]
    if not repeated.runs:
        stopped = "stopped during the warm-up" if not repeated.complete else "no VM is placed"
        return [*views, Text(f"Nothing was simulated: {stopped}.", "bold yellow")]
    hosts = host_summaries(instance, repeated)
    shown: list[HostSummary] = []
    for host in hosts:
        if shown and sum(len(each.vms) for each in (*shown, host)) > ROWS_MAX:
            break
        shown.append(host)
    views += [_host_view(host, width) for host in shown]
    if len(hosts) > 1:
        views.append(_hosts_view(hosts, width))
    return [*views, _loss_view(repeated, options)]


def _head(
    instance: Instance, repeated: Repeated, options: RunOptions, planned: str
) -> RenderableType:
    done = len(repeated.runs)
    last = options.seed + max(done, 1) - 1
    seeds = f"seed {options.seed}" if done <= 1 else f"seeds {options.seed} to {last}"
    times = "" if repeated.wanted == 1 else f"{words.plural(done, 'repetition')} of "
    clause = f"{times}{options.time_s:g} simulated s after {options.warm_up_s:g} s, {seeds}"
    affinities = sorted(set(options.told(instance).values())) or [options.affinity]
    told = ", ".join(affinities)
    text = Text.assemble((instance.name or "instance", "bold"), f"  {clause}\n")
    text.append(f"{planned}; affinity {told}; scheduler of Xen {options.release}", "dim")
    if repeated.complete and done < repeated.wanted:
        text.append(f"\nstopped after {done} of {repeated.wanted} repetitions", "bold yellow")
    return text


def _host_view(host: HostSummary, width: int) -> RenderableType:
    rows = [*host.vms[:ROWS_MAX], host.all]
    columns = {"VM": [*(vm.name for vm in rows[:-1]), "all"], **_vm_columns(rows)}
    columns["moves/s"] = [f"{vm.moves:.1f}" for vm in rows]
    parts: list[RenderableType] = [Text(host.all.name, "bold"), *_with_sum(columns, width)]
    if len(host.vms) > ROWS_MAX:
        more = words.plural(len(host.vms) - ROWS_MAX, "more VM")
        parts.append(Text(f"and {more}", "italic"))
    return Group(*parts, _scheduler_words(host))


def _vm_columns(vms: Sequence[VmSummary]) -> dict[str, Sequence[str]]:
    return {
        "vCPUs": [str(vm.vcpus) for vm in vms],
        "throughput": [spread_words(vm.throughput, 3) for vm in vms],
        "of wanted\n%": [
            f"{100 * vm.throughput.mean / vm.wanted:.1f}" if vm.wanted else "-" for vm in vms
        ],
        "remote\n%": [percent(vm.remote) for vm in vms],
        "waited\n%": [percent(vm.waited) for vm in vms],
    }


def _scheduler_words(host: HostSummary) -> Text:
    stolen = [
        f"{rate:.1f} {'within a node' if distance == 1 else f'at distance {distance:.3g}'}"
        for distance, rate in host.steals.items()
    ]
    clauses = [
        f"steals/s: {', '.join(stolen) or 'none'}",
        f"migrations/s: {host.migrations:.1f}",
        f"switches/s: {host.switches:.0f}",
        f"fairness: {host.fairness:.4f}",
    ]
    return Text("; ".join(clauses), "dim")


def _hosts_view(hosts: Sequence[HostSummary], width: int) -> RenderableType:
    """All hosts, a row each."""
    shown = hosts[:ROWS_MAX]
    columns = {
        "host": [host.all.name for host in shown],
        "VMs": [str(len(host.vms)) for host in shown],
        **_vm_columns([host.all for host in shown]),
        "steals/s": [f"{sum(host.steals.values()):.1f}" for host in shown],
        "fairness": [f"{host.fairness:.4f}" for host in shown],
    }
    more = len(hosts) - ROWS_MAX
    notes = [Text(f"and {words.plural(more, 'more host')}", "italic")] if more > 0 else []
    return Group(Text("All hosts", "bold"), *_fitting(columns, width), *notes)


def _loss_view(repeated: Repeated, options: RunOptions) -> RenderableType:
    runs = repeated.runs
    done = spread_words(spread([run.throughput for run in runs]), 3)
    text = Text(f"Throughput {done} of {runs[0].wanted:.3f} wanted vCPUs", "bold")
    if not repeated.complete:
        return text.append("\nstopped: counts are of the time until then", "bold yellow")
    lost = spread_words(spread([run.lost for run in runs]), 3)
    terms = ", ".join(
        f"{words.term_name(term)} {micro / MICRO:.3f}"
        for term, micro in runs[0].predicted_micro.items()
        if micro
    )
    told = {options.affinity, *(options.vm_affinity or {}).values()}
    if told != {SimulatedAffinity.HARD}:
        note = "\nThe cost takes every vCPU to stay on its node; the scheduler was told otherwise."
        text.append(note, "not bold dim")
    text.append(f"\nLoss: simulated {lost}, predicted by the cost {runs[0].predicted:.3f} vCPUs")
    return text.append(f" ({terms})", "not bold dim") if terms else text


def spread_words(numbers: Spread, decimals: int) -> str:
    """``1.234 ± 0.005``; the mean alone if there is one number."""
    if numbers.count == 1:
        return f"{numbers.mean:.{decimals}f}"
    return f"{numbers.mean:.{decimals}f} ± {numbers.deviation:.{decimals}f}"


def _with_sum(columns: Columns, width: int) -> list[RenderableType]:
    last = len(columns["VM"]) - 1
    return _fitting(columns, width, frozenset({last}), bold=last)


def _fitting(
    columns: Columns, width: int, sections: frozenset[int] = frozenset(), bold: int | None = None
) -> list[RenderableType]:
    """A table of as many columns as fit, and words for those left out.

    `sections` are the rows that lie below a line.
    """
    names = list(columns)
    while len(names) > COLUMNS_MIN and _width(_table(columns, names)) > width:
        names.pop()
    table = _table(columns, names, sections, bold)
    left_out = [name.replace("\n", " ") for name in columns if name not in names]
    if not left_out:
        return [table]
    return [table, Text(f"no room for {', '.join(left_out)}; --json tells", "dim")]


def _width(table: Table) -> int:
    return Console(width=10_000).measure(table).maximum


def _table(
    columns: Columns,
    names: Sequence[str],
    sections: frozenset[int] = frozenset(),
    bold: int | None = None,
) -> Table:
    table = new_table(*names, right=set(names[1:]) - _WORDS)
    table.padding = (0, 1, 0, 0)
    for column in table.columns[1:]:
        column.no_wrap = True
    for at, row in enumerate(zip(*(columns[name] for name in names), strict=True)):
        if at in sections:
            table.add_section()
        table.add_row(*map(Text, row), style="bold" if at == bold else None)
    return table


# ---- the talk -----------------------------------------------------------------------------------


def workload_view(work: Workload) -> RenderableType:
    """Parameters that a calibration found."""
    return Text(
        f"Calibrated: CALIBRATED = Workload(cache_refill_us={work.cache_refill_us!r}, "
        f"specjbb_intensity={work.specjbb_intensity!r}, "
        f"memory_intensity={work.memory_intensity!r})"
    )


def talk_views(experiment: Experiment, width: int) -> Views:
    """The talk's table: throughput by configuration and number of VMs, and what is uncertain."""
    head = Text.assemble(
        ("The talk's experiment", "bold"), f"  {talk_words.setup_words(experiment)}"
    )
    if not experiment.points:
        return [head, Text(talk_words.NOTHING_RUN, "bold yellow")]
    notes = Text(talk_words.calibration_words(experiment), "dim")
    if experiment.missing:
        notes.append(f"\n{talk_words.missing_words(experiment)}", "bold yellow")
    errors = Text("Sources of error\n", "bold")
    lines = (*talk_words.SOURCES_OF_ERROR, f"for comparison, {talk_words.PUBLISHED}")
    errors.append("\n".join(f"- {line}" for line in lines), "not bold")
    return [head, _talk_view(experiment, width), notes, errors]


def _talk_view(experiment: Experiment, width: int) -> RenderableType:
    counts = experiment.setup.counts
    found = [experiment.point(each, count) for count in counts for each in Configuration]
    points = [point for point in found if point is not None]
    first = [at for at, point in enumerate(points) if at and point.vms != points[at - 1].vms]
    columns = {
        "VMs": [str(point.vms) for point in points],
        "configuration": [str(point.configuration) for point in points],
        "bops": [
            spread_words(Spread(point.mean, point.deviation, len(point.scores)), 0)
            for point in points
        ],
        "gain\n%": [_gain(experiment, point) for point in points],
        "remote\n%": [percent(point.remote_share) for point in points],
        "is": ["calibrated" if point.calibrated else "predicted" for point in points],
        "waited\n%": [percent(point.wait_share) for point in points],
        "steals\n/s": [f"{point.steals:.0f}" for point in points],
    }
    note = Text("gain: over all-cpus; steals include dom0's", "dim")
    return Group(*_fitting(columns, width, frozenset(first)), note)


def _gain(experiment: Experiment, point: Point) -> str:
    floats = point.configuration is Configuration.ALL_CPUS
    return "-" if floats else talk_words.gain(experiment.gain(point))
