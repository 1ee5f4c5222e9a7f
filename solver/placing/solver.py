"""Solvers that decide one VM at a time, in order of start, and never go back.

Each is a function of an instance and parameters, found by name in `GREEDY_SOLVERS`. They prove
nothing: results carry no bounds, and a required VM left out means that no plan was found, not
that there is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush

import numpy as np

from numaplace.models.forms import CellType
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Result, SolveStatus
from numaplace.models.units import MILLI, PageSize
from numaplace.models.vm import CpuPolicy, MemoryMode, Vm
from numaplace.solver.base import Solver, make_result, no_plan
from numaplace.solver.deadline import NEVER, Deadline
from numaplace.solver.params import SolveParams
from numaplace.solver.placing.arrays import Bools, Ints
from numaplace.solver.placing.build import Candidate
from numaplace.solver.placing.cell_offer import CellOffer, places_for
from numaplace.solver.placing.nova import NovaPlacement
from numaplace.solver.placing.occupancy import Occupancy
from numaplace.solver.placing.placer import Order, Placer, ordered, start_of
from numaplace.solver.placing.rules import Rule, best_fit, first_fit, greedy
from numaplace.solver.placing.search import PlaceSearch
from numaplace.solver.placing.xen import XenPlacement

STOPPED = "the solve was stopped before it was looked at"
NO_TIME = "no time: the time limit was over before it was looked at"
# Decides where one VM goes; None if it finds no place that obeys every rule.
Chooser = Callable[[Placer, Vm], Candidate | None]


@dataclass(slots=True)
class PlacedVms:
    """Plan of one run, why VMs are missing from it, and the time of each decision."""

    plan: Plan
    unplaced: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    @property
    def stats(self) -> dict[str, float]:
        """Decisions and their time in microseconds."""
        micros = [second * 1e6 for second in self.seconds]
        return {
            "decisions": float(len(micros)),
            "mean_decision_us": sum(micros) / max(1, len(micros)),
            "max_decision_us": max(micros, default=0.0),
        }


def place_all(
    engine: Placer,
    vms: Iterable[Vm],
    chooser: Chooser,
    *,
    explain: bool = True,
    until: Deadline = NEVER,
) -> PlacedVms:
    """Place VMs one after another; those that have ended by then are finished first (online)."""
    outcome = PlacedVms(Plan())
    ends: list[tuple[int, int, str]] = []  # of running VMs, in order of end, then of coming
    for vm in vms:
        while engine.state.online and ends and ends[0][0] <= start_of(vm):
            engine.state.finish(heappop(ends)[2])
        if until.over:
            outcome.unplaced[vm.name] = STOPPED if until.stopped else NO_TIME
            continue
        began = time.perf_counter()
        found = chooser(engine, vm)
        if found is not None:
            engine.take(found)
            if vm.end is not None:
                heappush(ends, (vm.end, len(outcome.seconds), vm.name))
        outcome.seconds.append(time.perf_counter() - began)
        if found is None:
            outcome.unplaced[vm.name] = _reason(engine, vm, chooser) if explain else "does not fit"
    outcome.plan = engine.plan()
    return outcome


def place_rest(
    instance: Instance,
    plan: Plan | None = None,
    *,
    order: Order | Iterable[Vm] = Order.DECREASING,
    rule: Rule = greedy,
    until: Deadline = NEVER,
) -> PlacedVms:
    """Place the VMs that a valid plan leaves out, each where a rule would, and move none.

    For start plans and for the repair of fleets: some 0.2 ms a VM of a kind that came before, see
    `tables`. The VMs come in an order, or as they are given; what is late stays unplaced.
    """
    vms = ordered(instance, order) if isinstance(order, Order) else order
    engine = Placer(instance, rule, plan=plan)
    rest = [vm for vm in vms if vm.name not in engine]
    return place_all(engine, rest, by_rule, explain=False, until=until)


def _reason(engine: Placer, vm: Vm, chooser: Chooser) -> str:
    """Say why a chooser did not place a VM, in words."""
    looked = chooser is by_rule and engine.rule is greedy
    other = None if looked else PlaceSearch(engine.state, vm, greedy).best()
    if other is None:
        return why_not(engine.state, vm)
    where = other.footprint.placement
    nodes = ", ".join(map(str, sorted(where.nodes)))
    return f"does not fit where this solver puts it (node {nodes} of {where.host} would do)"


def by_rule(engine: Placer, vm: Vm) -> Candidate | None:
    """Choose by the engine's own rule."""
    return engine.find(vm)


def solve_online(
    name: str,
    instance: Instance,
    params: SolveParams,
    *,
    rule: Rule,
    make_chooser: Callable[[Instance], Chooser],
    order: Order = Order.GIVEN,
) -> Result:
    """Place every VM by a chooser and wrap what came out."""
    began = time.perf_counter()
    # One picture of now will do, unless copies of shared pages take memory at other times too.
    timed = any(vm.start is not None or vm.end is not None for vm in instance.vms)
    outcome = place_all(
        Placer(instance, rule, online=timed and not instance.sharing),
        ordered(instance, order),
        make_chooser(instance),
        explain=params.explain,
        until=params.until,
    )
    missing = [
        f"VM {vm.name!r}: {outcome.unplaced[vm.name]}"
        for vm in instance.vms
        if vm.name in outcome.unplaced and (vm.required or params.require_all)
    ]
    seconds = time.perf_counter() - began
    if missing:
        return no_plan(name, SolveStatus.UNKNOWN, seconds, missing, outcome.stats)
    return make_result(
        name,
        instance,
        outcome.plan,
        {},
        runtime_s=seconds,
        unplaced=outcome.unplaced,
        stats=outcome.stats,
    )


def why_not(state: Occupancy, vm: Vm) -> str:
    """Say why `vm`, which is not placed, fits nowhere as things are."""
    arrays, form = state.arrays, state.instance.form(vm.name)
    usable = arrays.allowed(vm)
    if not usable.any():
        return "no node with pCPUs is among its allowed hosts and hard nodes"
    allowed, exactly = places_for(state, vm)
    if not allowed.any():
        return "the nodes it may use are closed to it by VMs it must be together with or apart from"
    if exactly is not None and all(s.num_cells != len(exactly) for s in form.shapes):
        return f"must use the {len(exactly)} nodes of a VM it is tied to, but has other cells"
    shape = form.shapes[-1]
    kind = min(shape.types, key=lambda t: (t.vcpus, t.blocks))
    cell = "" if shape.num_cells == 1 else f"for each of {shape.num_cells} cells "
    text = (
        _cpus(state, vm, kind, allowed, cell)
        or _memory(state, vm, kind, allowed, cell)
        or _devices(state, vm, allowed)
        or _sharing(state, vm, allowed)
    )
    if text:
        return text
    size = kind.vcpus, kind.blocks, shape.num_cells
    fits = CellOffer(state, vm, allowed, *size, balloon=True).fits
    if not fits.any():
        memory = f"{form.blocks * form.block_mib} MiB in {vm.page_size} pages"
        return f"no node that has {kind.vcpus} vCPUs free has room for {memory} too"
    if shape.num_cells > 1:
        count = int(fits.sum())
        return f"its {shape.num_cells} cells do not fit together: {count} nodes have room for one"
    return "CPUs, memory, devices and shared pages are each free, but not together on one host"


def _cpus(state: Occupancy, vm: Vm, kind: CellType, allowed: Bools, cell: str) -> str:
    arrays, rows = state.arrays, state.rows(vm.name)
    if vm.cpu_policy is CpuPolicy.DEDICATED:
        mask = state.row_mask(vm.name)
        free = np.array([state.room(p, vm.thread_policy, mask) for p in range(arrays.size)])
        what = f"dedicated vCPUs (threads: {vm.thread_policy})"
        return _short(state, allowed, free, kind.vcpus, what, cell)
    shared: Ints = state.ledger.least(state.ledger.free_cpu, rows) // MILLI
    text = _short(state, allowed, shared, kind.vcpus, "vCPUs", cell)
    return text and f"{text} (vcpu_overcommit, import --overcommit, allows more)"


def _memory(state: Occupancy, vm: Vm, kind: CellType, allowed: Bools, cell: str) -> str:
    arrays, form = state.arrays, state.instance.form(vm.name)
    free = state.ledger.least(state.ledger.free_mib[vm.page_size], state.rows(vm.name))
    what = f"MiB in {vm.page_size} pages"
    if vm.memory_mode is MemoryMode.STRICT and vm.memory_nodes is None:
        need = max(0, kind.blocks - form.balloon_blocks) * form.block_mib
        return _short(state, allowed, free, need, what, cell)
    if vm.memory_nodes is not None:
        free = free * np.isin(arrays.node_id, list(vm.memory_nodes))
    of_host = np.add.reduceat(np.maximum(0, free), arrays.host_starts)
    need = (form.blocks - form.balloon_blocks) * form.block_mib
    hosts = np.unique(arrays.host_index[allowed])
    best = int(hosts[of_host[hosts].argmax()])
    if of_host[best] >= need:
        return ""
    name = state.instance.hosts[best].name
    return f"needs {need} {what} on the nodes of one host, most free is {of_host[best]} on {name}"


def _short(state: Occupancy, allowed: Bools, free: Ints, need: int, what: str, cell: str) -> str:
    """Text if no allowed place has as much free as is needed."""
    best = int(np.where(allowed, free, -1).argmax())
    if free[best] >= need:
        return ""
    place = state.instance.places[best]
    return (
        f"{cell}needs {need} {what} on one node, most free is {max(0, int(free[best]))} on {place}"
    )


def _devices(state: Occupancy, vm: Vm, allowed: Bools) -> str:
    arrays, rows = state.arrays, state.rows(vm.name)
    hosts = sorted({int(arrays.host_index[p]) for p in np.flatnonzero(allowed)})
    for request in vm.devices:
        free = {
            h: sum(
                state.free_functions(h, d.address, d.functions, rows)
                for d in state.instance.hosts[h].devices
                if d.answers(request.kind)
            )
            for h in hosts
        }
        best = max(hosts, key=free.__getitem__)
        if free[best] < request.count:
            name = state.instance.hosts[best].name
            return (
                f"needs {request.count} functions of {request.kind!r}, "
                f"most free is {free[best]} on {name}"
            )
    return ""


def _sharing(state: Occupancy, vm: Vm, allowed: Bools) -> str:
    """Text if it is a copy of the VM's sharing group that finds no room; empty if not."""
    group = state.instance.group_of.get(vm.name)
    if group is None:
        return ""
    rows, have = state.group_rows(group), state.copies_of(group)
    usable = np.ones_like(allowed) if group.across_nodes else allowed
    free = {p: state.free_mib(p, PageSize.SMALL, rows) for p in np.flatnonzero(usable).tolist()}
    if have & free.keys() or max(free.values()) >= group.shared_mib:
        return ""
    return f"no node has {group.shared_mib} MiB free for a copy of sharing group {group.name!r}"


def _solver(name: str, rule: Rule, make: Callable[[Instance], Chooser], order: Order) -> Solver:
    return partial(solve_online, name, rule=rule, make_chooser=make, order=order)


def _by_rule(_: Instance) -> Chooser:
    return by_rule


# Least marginal loss, required and large VMs first: a better start for other solvers.
solve_greedy_sorted = _solver("greedy_sorted", greedy, _by_rule, Order.DECREASING)

# Solvers of this folder by name. Least marginal loss; the first node that has room; the node that
# is fullest afterwards; Xen's automatic placement, of release 4.2 and of today; OpenStack Nova's
# order of cells, spread. VMs come in the order of the instance: what an online system can do.
GREEDY_SOLVERS: dict[str, Solver] = {
    name: _solver(name, rule, make, Order.GIVEN)
    for name, rule, make in (
        ("greedy", greedy, _by_rule),
        ("first_fit", first_fit, _by_rule),
        ("best_fit", best_fit, _by_rule),
        ("xen_4_2", first_fit, partial(XenPlacement, release_4_2=True)),
        ("xen", first_fit, partial(XenPlacement, release_4_2=False)),
        ("nova", first_fit, NovaPlacement),
    )
}
solve_greedy = GREEDY_SOLVERS["greedy"]
