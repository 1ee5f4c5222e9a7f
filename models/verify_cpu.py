"""The rule of dedicated pCPUs and their thread policies, part of the verifier."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Plan
from numaplace.models.topology import NumaNode
from numaplace.models.vm import CpuPolicy, ThreadPolicy, Vm

WHOLE_CORES = (ThreadPolicy.ISOLATE, ThreadPolicy.REQUIRE)


def _dedicated(
    instance: Instance, plan: Plan, alive: frozenset[str]
) -> Iterator[tuple[Vm, str, PlacedCell, NumaNode]]:
    for name, placement in plan.placements.items():
        vm = instance.vm(name)
        if vm.cpu_policy is CpuPolicy.DEDICATED and name in alive:
            for cell in placement.cells:
                node = instance.place_of[placement.host, cell.node].node
                yield vm, placement.host, cell, node


def held_threads(
    instance: Instance, plan: Plan, alive: frozenset[str]
) -> dict[tuple[str, int], set[int]]:
    """Return pCPUs that dedicated VMs alive keep from shared ones, by (host, node id).

    A VM that isolates or requires whole cores keeps all their threads.
    """
    held: dict[tuple[str, int], set[int]] = defaultdict(set)
    for vm, host, cell, node in _dedicated(instance, plan, alive):
        mine = set(cell.pcpus)
        if vm.thread_policy in WHOLE_CORES:
            cores = {pcpu.core for pcpu in node.pcpus if pcpu.id in mine}
            mine = {pcpu.id for pcpu in node.pcpus if pcpu.core in cores}
        held[host, cell.node] |= mine
    return held


def dedicated_cpus(instance: Instance, plan: Plan) -> Iterator[tuple[str, str]]:
    """Dedicated vCPUs hold pCPUs of their node by their thread policy, shared ones hold none.

    No pCPU is held twice at one instant, and a core serves over all time either VMs that take
    whole cores or VMs that take single threads (so that any plan whose counts fit can be pinned).
    """
    everyone = frozenset(instance.vm_index)
    for name, placement in plan.placements.items():
        shared = instance.vm(name).cpu_policy is CpuPolicy.SHARED
        if shared and any(cell.pcpus for cell in placement.cells):
            yield f"VM {name!r}", "is shared but holds pCPUs"
    for vm, _, cell, node in _dedicated(instance, plan, everyone):
        for message in _cell_faults(vm, cell, node):
            yield f"VM {vm.name!r}", message
    yield from _double_holders(instance, plan)
    yield from _mixed_cores(instance, plan, everyone)


def _cell_faults(vm: Vm, cell: PlacedCell, node: NumaNode) -> Iterator[str]:
    core_of = {pcpu.id: pcpu.core for pcpu in node.pcpus}
    foreign = sorted(set(cell.pcpus) - core_of.keys())
    if foreign:
        yield f"holds pCPUs {foreign}, which are not on node {node.id}"
        return
    if len(set(cell.pcpus)) != len(cell.pcpus) or len(cell.pcpus) != cell.vcpus:
        yield f"holds {len(set(cell.pcpus))} pCPUs on node {node.id} for {cell.vcpus} vCPUs"
    used = Counter(core_of[pcpu] for pcpu in set(cell.pcpus))
    threads = Counter(core_of.values())
    if vm.thread_policy is ThreadPolicy.ISOLATE and any(count > 1 for count in used.values()):
        yield f"isolates its vCPUs but has two on one core of node {node.id}"
    if vm.thread_policy is ThreadPolicy.REQUIRE:
        if any(threads[core] < 2 for core in used):
            yield f"requires sibling threads but holds a single-threaded core of node {node.id}"
        if sum(used[core] < threads[core] for core in used) > 1:
            yield f"requires whole cores but leaves several half used on node {node.id}"


def _double_holders(instance: Instance, plan: Plan) -> Iterator[tuple[str, str]]:
    for alive in instance.instants:
        holder: dict[tuple[str, int], str] = {}
        for vm, host, cell, node in _dedicated(instance, plan, alive):
            mine = set(cell.pcpus)
            if vm.thread_policy in WHOLE_CORES:
                cores = {pcpu.core for pcpu in node.pcpus if pcpu.id in mine}
                mine |= {pcpu.id for pcpu in node.pcpus if pcpu.core in cores}
            for pcpu in sorted(mine):
                other = holder.setdefault((host, pcpu), vm.name)
                if other != vm.name:
                    yield f"pCPU {pcpu} of host {host!r}", f"is held by {other!r} and {vm.name!r}"


def _mixed_cores(
    instance: Instance, plan: Plan, everyone: frozenset[str]
) -> Iterator[tuple[str, str]]:
    use: dict[tuple[str, int], bool] = {}
    for vm, host, cell, node in _dedicated(instance, plan, everyone):
        whole = vm.thread_policy in WHOLE_CORES
        mine = set(cell.pcpus)
        for core in sorted({pcpu.core for pcpu in node.pcpus if pcpu.id in mine}):
            if use.setdefault((host, core), whole) != whole:
                message = "serves whole-core VMs and single-thread VMs"
                yield f"core {core} of host {host!r}", message
