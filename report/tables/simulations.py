"""Simulations: what every VM got, what the scheduler did, what was predicted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from numaplace.models.instance import Instance
from numaplace.models.units import MICRO
from numaplace.report.tables import words
from numaplace.report.tables.columns import Column, Record, columns, within
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
from numaplace.solver.simulator.scenario import SchedulerName

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


_DOM0 = Record("vcpus:int pcpus:float busy_ms:float")
_RUN = Record("seed=0:int", Column("hosts", {str: OUTCOME}, "1"))
SIMULATION = Record(
    "instance=0.name",
    Column("affinity", {str: str}, lambda row: row[2].told(row[0])),
    "scheduler=2.scheduler release=2.release time_s=2.time_s:float",
    "warm_up_s=2.warm_up_s:float busy_ms=2.busy_ms:float",
    Column("dom0", (_DOM0, None), lambda row: row[2].dom0),
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


def shown_repeats(decimals: int) -> Callable[[Repeats], str]:
    """Return what shows repeats with so many decimals."""
    return lambda numbers: repeats_words(numbers, decimals)


def _share(vm: VmSummary) -> float | None:
    return 100 * vm.throughput.mean / vm.wanted if vm.wanted else None


_ONE, _FOUR = "{:.1f}".format, "{:.4f}".format
_GOT = columns(
    Column("vcpus", int, "", "vCPUs"),
    Column("throughput_vcpus", _REPEATS, "throughput", "throughput", shown_repeats(3), True),
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
    older = f" {options.release}" if options.scheduler is SchedulerName.CREDIT else ""
    scheduler = f"scheduler {options.scheduler}{older} of Xen"
    text.append(f"{planned}; affinity {told}; {scheduler}", "dim")
    if dom0 := options.dom0:
        clause = f"; dom0 with {words.plural(dom0.vcpus, 'vCPU')} keeps {dom0.pcpus:g} pCPUs busy"
        text.append(f"{clause}, {dom0.busy_ms:g} ms at a stretch", "dim")
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
