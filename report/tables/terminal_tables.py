"""Tables for the terminal: plans, losses, comparisons, violations, catalogues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from numaplace.models.cost import Cost
from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan
from numaplace.models.result import Result, SolveStatus
from numaplace.models.topology import Host
from numaplace.models.units import SLIT_LOCAL
from numaplace.models.verify import Violation
from numaplace.models.vm import Vm
from numaplace.report.picture.terminal import bar_of
from numaplace.report.tables import words

ROWS_MAX = 200
DISTANCES_MAX = 16
STATUS_STYLE = {
    SolveStatus.OPTIMAL: "bold green",
    SolveStatus.FEASIBLE: "bold yellow",
    SolveStatus.INFEASIBLE: "bold red",
    SolveStatus.UNKNOWN: "bold red",
}


def titled(title: str, table: Table) -> RenderableType:
    """Put a title above a table, which may be narrower."""
    return Group(Text(title, "bold"), table)


def new_table(*columns: str, right: Iterable[str] = ()) -> Table:
    """Make a table in the house style; columns named in `right` hold numbers."""
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        header_style="bold",
    )
    numbers = set(right)
    for name in columns:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return table


def summary(instance: Instance, result: Result) -> Text:
    """One paragraph on what a solve came to."""
    status = Text(str(result.status), STATUS_STYLE[result.status])
    text = Text.assemble((instance.name or "instance", "bold"), f"  {result.solver}: ", status)
    if instance.vms and result.plan is not None and not result.plan.placements:
        proven = result.status in (SolveStatus.OPTIMAL, SolveStatus.INFEASIBLE)
        text.append(f", nothing {'can be' if proven else 'is'} placed")
        return text.append(f", {words.seconds(result.runtime_s)}")
    if result.cost is None or result.plan is None:
        return text.append(f" after {words.seconds(result.runtime_s)}")
    clauses = words.cost_words(instance, result.cost, len(result.plan))
    proof = words.proof_words(result)
    return text.append(f", {', '.join(clauses)} ({proof}), {words.seconds(result.runtime_s)}")


def plan_table(plan: Plan, instance: Instance) -> RenderableType:
    """Where each VM is: host, vCPUs by node, memory by node, devices, pCPUs."""
    columns = ["VM", "host", "vCPUs on node", "memory on node", "devices", "pCPUs"]
    placed = [vm for vm in instance.vms if vm.name in plan][:ROWS_MAX]
    cells = [_plan_cells(vm, plan.placements[vm.name]) for vm in placed]
    kept = [at for at, _ in enumerate(columns) if at < 4 or any(row[at] for row in cells)]
    if len(instance.hosts) == 1:
        kept.remove(1)
    table = new_table(*(columns[at] for at in kept))
    for row in cells:
        table.add_row(*(Text(row[at]) for at in kept))
    parts = [titled("Plan", table)]
    if len(plan) > ROWS_MAX:
        parts.append(Text(f"and {words.plural(len(plan) - ROWS_MAX, 'more VM')}", "italic"))
    for copy in plan.copies:
        nodes = words.id_ranges(tuple(sorted(copy.nodes)))
        parts.append(Text(f"pages of {copy.group} on {copy.host}: node {nodes}", "dim"))
    return Group(*parts)


def _plan_cells(vm: Vm, placement: Placement) -> tuple[str, ...]:
    vcpus: dict[int, int] = {}
    for cell in placement.cells:
        vcpus[cell.node] = vcpus.get(cell.node, 0) + cell.vcpus
    pcpus = sorted(pcpu for cell in placement.cells for pcpu in cell.pcpus)
    mem = sorted(placement.memory_by_node().items())
    return (
        vm.name,
        placement.host,
        ", ".join(f"{count} on {node}" for node, count in sorted(vcpus.items())),
        "\n".join(f"{words.memory(mib)} on {node}" for node, mib in mem if mib),
        ", ".join(
            words.short_address(d.address) + (f" ×{d.functions}" if d.functions > 1 else "")
            for d in placement.devices
        ),
        words.id_ranges(tuple(pcpus)),
    )


def loss_table(cost: Cost) -> RenderableType:
    """Loss by term, the largest first, each with the subjects that lose most."""
    losses = words.term_losses(cost)
    if not losses:
        return Text("No loss: every VM runs as if it were alone.", "dim")
    table = new_table("term", "vCPUs", "", "most by", right=["vCPUs"])
    largest = max(losses.values())
    for name, micro in losses.items():
        items = [item for item in cost.items if words.term_name(item.term) == name]
        worst = sorted(items, key=lambda item: -item.micro)[:3]
        subjects = ", ".join(f"{item.subject} {words.loss(item.micro)}" for item in worst)
        more = f", {len(items) - 3} more" if len(items) > 3 else ""
        share = bar_of(micro, largest, 10)
        table.add_row(name, words.loss(micro), share, Text(subjects + more))
    table.add_section()
    table.add_row("all", words.loss(cost.loss_micro), "", "", style="bold")
    return titled("Loss in vCPUs", table)


def unplaced_table(missing: Mapping[str, str]) -> RenderableType:
    """VMs that are not placed, and why."""
    table = new_table("VM", "why")
    for name, why in list(missing.items())[:ROWS_MAX]:
        table.add_row(Text(name), Text(why or "not told"))
    return titled(f"Not placed: {words.plural(len(missing), 'VM')}", table)


def violation_table(found: Sequence[Violation]) -> RenderableType:
    """Rules that a plan breaks."""
    table = new_table("what", "how", "rule")
    for violation in found[:ROWS_MAX]:
        table.add_row(Text(violation.subject), Text(violation.message), str(violation.rule))
    return titled(f"The plan breaks rules in {words.plural(len(found), 'place')}", table)


def distance_table(host: Host) -> RenderableType | None:
    """Distances between the nodes of a host; None if there are too few or too many nodes."""
    if not 1 < len(host.nodes) <= DISTANCES_MAX:
        return None
    ids = [str(node.id) for node in host.nodes]
    measured = any(value > 0 for row in host.latency_ns for value in row)
    what = "latency over local latency" if measured else "distance, 10 = local"
    table = new_table("from \\ to", *ids, right=ids)
    scale = 1 if measured else SLIT_LOCAL
    for name, row in zip(ids, host.relative, strict=True):
        table.add_row(Text(name, "bold"), *(f"{scale * r:.3g}" for r in row))
    return titled(f"{host.name}: {what}", table)


def vm_table(instance: Instance) -> RenderableType:
    """What the VMs of an instance ask for."""
    table = new_table("VM", "vCPUs", "memory", "wishes", right=["vCPUs", "memory"])
    for vm in instance.vms[:ROWS_MAX]:
        wishes = ", ".join(_wishes(vm))
        table.add_row(Text(vm.name), str(vm.vcpus), words.memory(vm.memory_mib), Text(wishes))
    if len(instance.vms) <= ROWS_MAX:
        return titled("VMs", table)
    more = words.plural(len(instance.vms) - ROWS_MAX, "more VM")
    return Group(titled("VMs", table), Text(f"and {more}", "italic"))


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
