"""Simulations: what every VM got, what the scheduler did, what was predicted; and the talk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import takewhile
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from numaplace.models.instance import Instance
from numaplace.models.units import MICRO
from numaplace.report.tables import talk_words, words
from numaplace.report.tables.columns import Column, Plain, Record, columns, within
from numaplace.report.tables.online_words import percent
from numaplace.report.tables.plans import plan_column
from numaplace.report.tables.simulation_summary import (
    HostSummary,
    Repeats,
    VmSummary,
    host_summaries,
    repeats,
    waited_share,
)
from numaplace.report.tables.table import ROWS_MAX, Table, Views
from numaplace.solver.simulator.counters import Outcome
from numaplace.solver.simulator.from_plan import SimulatedAffinity
from numaplace.solver.simulator.runs import Repeated, RunOptions
from numaplace.solver.simulator.talk import (
    SPECJBB,
    SYSBENCH_CPU,
    SYSBENCH_MEMORY,
    Configuration,
    Point,
    Workload,
    talk_host,
)
from numaplace.solver.simulator.talk_run import Experiment

# ---- counters -----------------------------------------------------------------------------------

_GUEST_COUNT = Record(  # of triples (guest, time in µs, ids of nodes)
    "name=0.name vcpus=0.vcpus:int work_us=0.work_us:float run_us=0.run_us:int",
    "wait_us=0.wait_us:int remote_share=0.remote_share:float moves=0.moves:int",
    Column("throughput_vcpus", float, lambda row: row[0].throughput(row[1])),
    Column("wait_share", float, lambda row: waited_share(row[0])),
    Column("node_us", {str: int}, lambda row: dict(zip(row[2], row[0].node_us, strict=True))),
)


def _guests(row: tuple[Outcome, list[int]]) -> list[Any]:
    return [(guest, row[0].time_us, row[1]) for guest in row[0].guests]


_STEALS = Record("relative_distance=0:float count=1:int")
OUTCOME = Record(
    within(
        "0",
        "time_us:int throughput_vcpus=throughput:float remote_share:float wait_share:float",
        "fairness:float migrations:int switches:int events:int",
        Column("steals", [_STEALS], lambda outcome: outcome.steals.items()),
    ),
    Column("vms", [_GUEST_COUNT], _guests),
)
"""All counters of a pair (outcome of a host, ids of its nodes)."""

_REPEATS = Record("mean:float deviation:float count:int")

# ---- a simulation -------------------------------------------------------------------------------


def _spread(attribute: str) -> Any:
    def get(row: Any) -> Repeats | None:
        _, repeated, _ = row
        runs = repeated.runs if attribute != "lost" or repeated.complete else ()
        return repeats([getattr(run, attribute) for run in runs]) if runs else None

    return get


def _runs(row: Any) -> list[Any]:
    instance, repeated, options = row
    return [(options.seed + at, _outcomes(instance, run)) for at, run in enumerate(repeated.runs)]


def _outcomes(instance: Instance, run: Any) -> dict[str, tuple[Outcome, list[int]]]:
    return {
        name: (outcome, [node.id for node in instance.host(name).nodes])
        for name, outcome in run.hosts.items()
    }


def _terms(row: Any) -> dict[Any, int]:
    runs = row[1].runs
    return {term: micro for term, micro in runs[0].predicted_micro.items() if micro} if runs else {}


def _first(attribute: str, otherwise: float | None) -> Any:
    return lambda row: getattr(row[1].runs[0], attribute) if row[1].runs else otherwise


_RUN = Record("seed=0:int", Column("hosts", {str: OUTCOME}, "1"))
SIMULATION = Record(
    "instance=0.name",
    Column("affinity", {str: str}, lambda row: row[2].told(row[0])),
    "release=2.release time_s=2.time_s:float warm_up_s=2.warm_up_s:float busy_ms=2.busy_ms:float",
    "seed=2.seed:int repetitions=1.wanted:int complete=1.complete:bool",
    Column("repetitions_done", int, lambda row: len(row[1].runs) if row[1].complete else 0),
    Column("wanted_vcpus", float, _first("wanted", 0.0)),
    Column("throughput_vcpus", (_REPEATS, None), _spread("throughput")),
    Column("lost_vcpus", (_REPEATS, None), _spread("lost")),
    Column("predicted_loss_vcpus", (float, None), _first("predicted", None)),
    Column("predicted_loss_micro_by_term", {str: int}, _terms),
    Column("runs", [_RUN], _runs),
)
"""Everything of a triple (instance, repetitions, options)."""


def _not_placed(row: Any) -> list[str]:
    return [vm.name for vm in row[0][0].vms if vm.name not in row[1]]


SIMULATE = Record(
    within("0", SIMULATION.columns),
    Column("not_placed", [str], _not_placed),
    "plan_from=2",
    plan_column("1", "3"),
    name="simulate",
)
"""The same of (the one before, plan, where it is from, how it came about)."""


def repeats_words(numbers: Repeats, decimals: int) -> str:
    """``1.234 ± 0.005``; the mean alone if there is one number."""
    if numbers.count == 1:
        return f"{numbers.mean:.{decimals}f}"
    return f"{numbers.mean:.{decimals}f} ± {numbers.deviation:.{decimals}f}"


def _repeats(decimals: int) -> Callable[[Repeats], str]:
    return lambda numbers: repeats_words(numbers, decimals)


def _share(vm: VmSummary) -> float | None:
    return 100 * vm.throughput.mean / vm.wanted if vm.wanted else None


_ONE, _FOUR = "{:.1f}".format, "{:.4f}".format
_GOT = columns(
    Column("vcpus", int, "", "vCPUs"),
    Column("throughput_vcpus", _REPEATS, "throughput", "throughput", _repeats(3), True),
    "wanted_vcpus=wanted:float",
    Column("throughput_percent", (float, None), _share, "of wanted\n%", _ONE),
    Column("remote_share", float, "remote", "remote\n%", percent),
    Column("wait_share", float, "waited", "waited\n%", percent),
)
_MOVES = Column("moves_per_s", float, "moves", "moves/s", _ONE)
GOT = columns("host=0", within("1", Column("vm", str, "name", "VM"), _GOT, _MOVES))
"""What a VM got, of pairs (host, summary of the VM)."""

_HOST = columns(
    Column("host", str, "all.name", "host"),
    Column("vms", int, lambda host: len(host.vms), "VMs"),
    within("all", _GOT),
    Column("steals_per_s", float, lambda host: sum(host.steals.values()), "steals/s", _ONE),
    Column("fairness", float, "", "fairness", _FOUR),
)


def vm_rows(instance: Instance, repeated: Repeated) -> Table:
    """A row a VM of any host."""
    hosts = host_summaries(instance, repeated)
    return Table(GOT, [(host.all.name, vm) for host in hosts for vm in host.vms], noun="VM", keys=2)


def simulation_views(
    instance: Instance, repeated: Repeated, options: RunOptions, planned: str
) -> Views:
    """What came of a plan: a table a host, all hosts together, loss simulated and predicted.

    `planned` tells in words where the plan is from.
    """
    views: Views = [_head(instance, repeated, options, planned)]
    if not repeated.runs:
        stopped = "stopped during the warm-up" if not repeated.complete else "no VM is placed"
        return [*views, Text(f"Nothing was simulated: {stopped}.", "bold yellow")]
    hosts = host_summaries(instance, repeated)
    sums = [sum(len(host.vms) for host in hosts[: at + 1]) for at in range(len(hosts))]
    shown = max(1, len([*takewhile(lambda vms: vms <= ROWS_MAX, sums)]))
    views += [_host_table(host) for host in hosts[:shown]]
    if len(hosts) > 1:
        views.append(Table(_HOST, hosts, "All hosts", "host"))
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


def _host_table(host: HostSummary) -> Table:
    rows = [(host.all.name, vm) for vm in host.vms]
    total = (host.all.name, replace(host.all, name="all"))
    return Table(GOT, rows, host.all.name, "VM", total, notes=[_scheduler_words(host)])


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


def _loss_view(repeated: Repeated, options: RunOptions) -> RenderableType:
    runs = repeated.runs
    done = repeats_words(repeats([run.throughput for run in runs]), 3)
    text = Text(f"Throughput {done} of {runs[0].wanted:.3f} wanted vCPUs", "bold")
    if not repeated.complete:
        return text.append("\nstopped: counts are of the time until then", "bold yellow")
    lost = repeats_words(repeats([run.lost for run in runs]), 3)
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


# ---- the talk -----------------------------------------------------------------------------------


def _bops(point: Point) -> Repeats:
    return Repeats(point.mean, point.deviation, len(point.scores))


def _gain(row: tuple[Experiment, Point]) -> str:
    floats = row[1].configuration is Configuration.ALL_CPUS
    return "-" if floats else talk_words.gain(row[0].gain(row[1]))


POINT = columns(
    Column("-vms", int, "1.vms", "VMs"),
    Column("configuration", str, "1.configuration", "configuration"),
    "vms=1.vms:int",
    Column("repetitions", int, lambda row: len(row[1].scores)),
    "bops_mean=1.mean:float bops_deviation=1.deviation:float",
    Column("gain_over_all_cpus", (float, None), lambda row: row[0].gain(row[1])),
    within("1", Column("-bops", object, _bops, "bops", _repeats(0), True)),
    Column("-gain", object, ".", "gain\n%", _gain, right=True),
    Column("remote_share", float, "1.remote_share", "remote\n%", percent),
    Column("-is", bool, "1.calibrated", "is", lambda it: "calibrated" if it else "predicted"),
    Column("wait_share", float, "1.wait_share", "waited\n%", percent),
    Column("steals_per_s", float, "1.steals", "steals\n/s", "{:.0f}".format),
    "calibrated=1.calibrated:bool",
)
"""A configuration with a number of VMs, of pairs (experiment, point); shares are of 1."""


def _raw(experiment: Experiment) -> list[Any]:
    nodes, seed = [node.id for node in talk_host().nodes], experiment.setup.seed
    return [(*key, seed + key[2], (one, nodes)) for key, one in experiment.outcomes.items()]


_RAW = Record(
    "configuration=0 vms=1:int repetition=2:int seed=3:int", Column("outcome", OUTCOME, "4")
)
_SCORES = Record(POINT, "bops=1.scores:[float]")


def _published() -> dict[str, Plain]:
    rows = {
        "specjbb2005_bops": SPECJBB,
        "sysbench_memory": SYSBENCH_MEMORY,
        "sysbench_cpu_per_s": SYSBENCH_CPU,
    }
    return {name: asdict(row) for name, row in rows.items()}


def _points(experiment: Experiment) -> list[tuple[Experiment, Point]]:
    return [(experiment, point) for point in experiment.points]


TALK = Record(
    Column("workload", {str: object}, lambda experiment: asdict(experiment.setup.work)),
    "vms=setup.counts:[int] time_s=setup.time_s:float repetitions=setup.repetitions:int",
    "seed=setup.seed:int bops_per_vcpu=bops:float runs_missing=missing:int",
    Column("published_a_vm_of_two", {str: {str: object}}, lambda _: _published()),
    Column("points", [_SCORES], _points),
    Column("runs", [_RAW], _raw),
    name="talk",
)
"""The talk's experiment: parameters, points, and all counters of every run."""


def point_table(experiment: Experiment) -> Table:
    """The points in the order in which they were run."""
    return Table(POINT, _points(experiment), noun="point", keys=2)


def workload_view(work: Workload) -> RenderableType:
    """Parameters that a calibration found."""
    return Text(
        f"Calibrated: CALIBRATED = Workload(cache_refill_us={work.cache_refill_us!r}, "
        f"specjbb_intensity={work.specjbb_intensity!r}, "
        f"memory_intensity={work.memory_intensity!r})"
    )


def talk_views(experiment: Experiment) -> Views:
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
    return [head, _talk_view(experiment), notes, errors]


def _talk_view(experiment: Experiment) -> RenderableType:
    counts = experiment.setup.counts
    found = [experiment.point(each, count) for count in counts for each in Configuration]
    rows = [(experiment, point) for point in found if point is not None]
    note = Text("gain: over all-cpus; steals include dom0's", "dim")
    table = Table(POINT, rows, noun="point", keys=2, section=lambda row: row[1].vms)
    return Group(table, note)
