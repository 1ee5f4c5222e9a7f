"""What libvirt asks numad: which nodes to take for so many CPUs and so much memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan
from numaplace.models.topology import Host
from numaplace.models.units import ceil_div
from numaplace.models.vm import CELLS_MAX, MemoryMode, Vm
from numaplace.solver.placing.placer import Placer

_CROWDED = 1000.0  # vCPUs per pCPU that are allowed if the stated overcommit leaves no room
_BLOCKS = 512  # Blocks that the memory asked for is placed in at most


@dataclass(frozen=True, slots=True)
class Advice:
    """Nodes to run on, and what had to give way for them, in words; empty if nothing had to."""

    nodes: frozenset[int]
    remark: str = ""


def advise(instance: Instance, plan: Plan, host: Host, vcpus: int, memory_mib: int) -> Advice:
    """Return nodes of `host` for one more VM beside those that a valid plan places.

    As few nodes as will do, and of those the ones with the least loss. If there are none, more
    shared vCPUs than allowed are put up with, then memory on nodes beside those of the vCPUs, then
    all nodes are named: like numad, this always has an answer.
    """
    crowded = replace(host, vcpu_overcommit=max(_CROWDED, host.vcpu_overcommit))
    tries = (
        (host, MemoryMode.STRICT, ""),
        (crowded, MemoryMode.STRICT, "more vCPUs than the pCPUs are meant for"),
        (host, MemoryMode.PREFERRED, "memory on nodes beside those of the vCPUs"),
        (crowded, MemoryMode.PREFERRED, "memory elsewhere, and more vCPUs than meant"),
    )
    widest = min(vcpus, CELLS_MAX, sum(1 for node in host.nodes if node.pcpus))
    for (machine, mode, remark), cells in product(tries, range(1, widest + 1)):
        found = _place(instance, plan, machine, _request(instance, vcpus, memory_mib, mode, cells))
        if found is not None:
            memory = frozenset(node for node, mib in found.memory_by_node().items() if mib)
            return Advice(found.nodes | memory, remark)
    everywhere = frozenset(node.id for node in host.nodes if node.pcpus)
    return Advice(everywhere, "nothing fits, so all nodes with pCPUs are named")


def _request(instance: Instance, vcpus: int, memory_mib: int, mode: MemoryMode, cells: int) -> Vm:
    name = "numad"
    while name in instance.vm_index:
        name += "+"
    cell_mib = max(1, ceil_div(memory_mib, cells))  # no cell without a page
    if mode is MemoryMode.STRICT:
        parts = range(max(1, _BLOCKS // cells), 0, -1)
        block_mib = cell_mib // next(count for count in parts if cell_mib % count == 0)
        memory_mib = cell_mib * cells
    else:  # odd sizes have no parts to spill
        block_mib = ceil_div(cell_mib * cells, _BLOCKS)
        memory_mib = block_mib * ceil_div(cell_mib * cells, block_mib)
    return Vm(name, vcpus, memory_mib, memory_mode=mode, max_cells=cells, block_mib=block_mib)


def _place(instance: Instance, plan: Plan, host: Host, request: Vm) -> Placement | None:
    request = replace(request, allowed_hosts=frozenset({host.name}))
    hosts = tuple(host if known.name == host.name else known for known in instance.hosts)
    whole = replace(instance, hosts=hosts, vms=(*instance.vms, request), current=None)
    return Placer(whole, plan=plan).add(request)
