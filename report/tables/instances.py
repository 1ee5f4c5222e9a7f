"""Instances, and what is on their nodes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Provenance, Result
from numaplace.models.topology import Host
from numaplace.models.units import SLIT_LOCAL
from numaplace.models.verify import Violation
from numaplace.models.vm import Vm
from numaplace.report.tables import words
from numaplace.report.tables.columns import Column, Record, columns, within
from numaplace.report.tables.fleet import is_fleet
from numaplace.report.tables.plans import (
    TOLD,
    VIOLATION,
    hosts_view,
    loss_table,
    plan_table,
    told_views,
    unplaced_table,
    violation_table,
)
from numaplace.report.tables.table import Table, Views
from numaplace.report.tables.usage import MemoryUse, NodeUse, host_uses

DISTANCES_MAX = 16
HOSTS_MAX = 3


def distance_table(host: Host) -> Table | None:
    """Distances between the nodes of a host; None if there are too few or too many nodes."""
    if not 1 < len(host.nodes) <= DISTANCES_MAX:
        return None
    measured = any(value > 0 for row in host.latency_ns for value in row)
    what = "latency over local latency" if measured else "distance, 10 = local"
    scale = 1 if measured else SLIT_LOCAL

    def to(at: int, node: str) -> Column:
        return Column(node, float, lambda row: scale * row[1][at], node, "{:.3g}".format)

    first = Column("node", str, "0", "from \\ to", lambda node: Text(node, "bold"))
    parts = [first, *(to(at, str(node.id)) for at, node in enumerate(host.nodes))]
    rows = [(str(node.id), row) for node, row in zip(host.nodes, host.relative, strict=True)]
    return Table(parts, rows, f"{host.name}: {what}", "node")


VM = (
    Column("vm", str, "name", "VM"),
    Column("vcpus", int, "", "vCPUs"),
    Column("memory_mib", int, "", "memory", words.memory),
    Column("wishes", [str], lambda vm: _wishes(vm), "wishes", ", ".join, prose=True),
)


def vm_table(instance: Instance) -> Table:
    """What the VMs of an instance ask for."""
    return Table(VM, instance.vms, "VMs", "VM")


def _wishes(vm: Vm) -> list[str]:
    """What is out of the ordinary about a VM."""
    found: list[str] = []
    if vm.cpu_policy == "dedicated":
        found.append(f"dedicated pCPUs ({vm.thread_policy})")
    if vm.page_size != "4K":
        found.append(f"{vm.page_size} pages")
    if vm.memory_mode != "preferred":
        found.append(f"memory {vm.memory_mode}")
    if vm.balloon_mib:
        found.append(f"balloons to {words.memory(vm.memory_least_mib)}")
    if vm.sees_cells:
        found.append(f"guest NUMA {vm.guest_numa}")
    found += [f"{request.count} {request.kind} ({request.policy})" for request in vm.devices]
    for name, nodes in (("pinned to", vm.hard_nodes), ("near", vm.soft_nodes)):
        if nodes is not None:
            found.append(f"{name} node {words.id_ranges(tuple(sorted(nodes)))}")
    if vm.required:
        found.append("required")
    return found


def _vcpus(use: NodeUse) -> dict[str, int]:
    return {cpu.vm: cpu.vcpus for cpu in use.cpu}


def _used(uses: Sequence[MemoryUse]) -> str:
    return words.memory(sum(use.mib for use in uses))


_HELD = Record(
    "address=device.address", Column("holders", {str: int}, lambda use: dict(use.holders))
)
_USED = Record("owner mib:int pages=pool home:int?")
NODE = columns(
    Column("host", str, "0.host.name", "host"),
    within(
        "1",
        Column("node", int, "place.node.id", "node"),
        Column("pcpus", int, "place.node.threads", "pCPUs"),
        Column("vcpus", {str: int}, _vcpus, "vCPUs", lambda on: str(sum(on.values())), True),
        Column("memory_mib", int, "place.node.memory_mib", "memory", words.memory),
        Column("reserved_mib", int, "place.node.reserved_mib", "reserved", words.memory),
        Column("used_mib", [_USED], "memory", "used", _used, True),
        Column("devices", [_HELD], "", "devices", lambda held: str(len(held)), True),
    ),
)
"""What is on each node, of pairs (host use, node use)."""

SHOW = Record(
    Column("violations", [Record(VIOLATION)], "0"),
    Column("nodes", [Record(NODE)], "1"),
    within(lambda row: row[2:], TOLD),
    name="show",
)
"""Of (violations, node rows, how the plan came about, result as far as that holds)."""


def node_table(instance: Instance, plan: Plan) -> Table:
    """What is on each node: vCPUs and memory by VM, and who holds which device."""
    rows = [(use, node) for use in host_uses(instance, plan) for node in use.nodes]
    return Table(NODE, rows, "Nodes", "node", keys=2)


ENTRY = (
    Column("name", str, "", "name"),
    Column("known_value_milli", (int, None), "", "value", words.value),
    Column("known_loss_micro", (int, None), "", "loss", words.loss),
    Column("description", str, "", "what it shows", prose=True),
    Column("source"),
)


# ---- what commands show -------------------------------------------------------------------------


def instance_views(instance: Instance, *, vms: bool = True, width: int | None = None) -> Views:
    """What an instance holds: sums, a picture if `width` is given, distances, VMs."""
    head = Text.assemble(
        (instance.name or "instance", "bold"), f"  {words.instance_words(instance)}"
    )
    views: Views = [head]
    if instance.comment:
        views.append(Text(instance.comment, "dim"))
    if width is not None:
        views.append(hosts_view(Plan(), instance, width))
    views += _distances(instance)
    return [*views, vm_table(instance)] if vms and instance.vms else views


def _distances(instance: Instance) -> Views:
    """Distances of the first few hosts that differ in them."""
    different = {(host.nodes, host.relative): host for host in reversed(instance.hosts)}
    tables = (distance_table(host) for host in reversed(different.values()))
    found: Views = [table for table in tables if table is not None]
    return found[:HOSTS_MAX]


def show_views(
    instance: Instance,
    plan: Plan | None,
    width: int,
    found: Sequence[Violation] = (),
    told: Provenance | None = None,
    result: Result | None = None,
) -> Views:
    """An instance, or a plan that is at hand: rules it breaks, sums, picture, table, losses.

    `told` is how the plan came about, and `result` that as far as it holds.
    """
    if plan is None:
        return instance_views(instance, width=width)
    cost = evaluate(instance, plan)
    clauses = ", ".join(words.cost_words(instance, cost, len(plan)))
    head = Text(instance.name or "instance", "bold")
    if found:
        head.append(f", {words.broken_words(found)}", "bold red")
    head.append(f"  {clauses}", "not bold default")
    views: Views = [violation_table(found)] if found else []
    views += [head, *told_views(told, result)]
    views += [hosts_view(plan, instance, width), *_distances(instance)]
    if plan.placements:
        views += (
            [loss_table(cost)]
            if is_fleet(instance)
            else [plan_table(plan, instance), loss_table(cost)]
        )
    missing = words.unplaced(instance, result) if result is not None else None
    return [*views, unplaced_table(missing)] if missing else views
