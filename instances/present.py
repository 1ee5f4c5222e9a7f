"""Where imported VMs run now, as their files pin them, and which hold pCPUs of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from numaplace.instances.formats.format import Format
from numaplace.instances.formats.found import Found, placement_of
from numaplace.instances.formats.xen.records import XL_CFG
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan
from numaplace.models.topology import Host, NumaNode
from numaplace.models.units import PageSize, ceil_div
from numaplace.models.vm import CpuPolicy, GuestNuma, Vm
from numaplace.models.xen import domain_mib

_NOTHING = Found(Vm("nothing", 1, 1), 1)
_SETS = ("hard_nodes", "soft_nodes", "memory_nodes")


@dataclass(frozen=True, slots=True)
class Origin:
    """A file of VMs: its format, and what it holds.

    `names` has each VM's name in the instance by that in the file, if it is there once; `vms` are
    all that became of them.
    """

    format: Format
    path: Path
    names: Mapping[str, str]
    vms: tuple[Vm, ...]


def read_all_found(origins: Iterable[Origin], host: Host) -> dict[str, Found]:
    """Return what files say of where their VMs run, by the VMs' names in the instance."""
    return {
        origin.names[found.asked.name]: found
        for origin in origins
        if origin.format.place
        for found in origin.format.place(origin.path, host)
        if found.asked.name in origin.names
    }


def as_pinned(
    origins: Sequence[Origin],
    found: Mapping[str, Found],
    host: Host | None,
    keep_pins: bool,
    notes: list[str],
) -> tuple[Vm, ...]:
    """Return VMs as their pins say.

    A VM is dedicated if each vCPU is pinned to one pCPU of `host` that no other VM is pinned to.
    Pins, and bindings of memory, restrict a VM only if `keep_pins`.
    """
    users = Counter(p for each in found.values() for p in frozenset[int]().union(*each.pins))
    exist = {pcpu.id for node in host.nodes for pcpu in node.pcpus} if host else set()
    result: list[Vm] = []
    for origin in origins:
        for vm in origin.vms:
            said = found.get(vm.name, _NOTHING)
            if said.own and exist.issuperset(said.own) and all(users[p] == 1 for p in said.own):
                vm = replace(vm, cpu_policy=CpuPolicy.DEDICATED)
                reason = "each vCPU is pinned to a pCPU that no other pinned VM may use: dedicated"
                notes.append(f"VM {vm.name!r}: {reason}")
            told = said.pins or any(getattr(vm, name) for name in _SETS)
            if told and not keep_pins and origin.format.place:
                vm = replace(vm, hard_nodes=None, soft_nodes=None, memory_nodes=None)
                reason = "what its file pins it to is where it runs now, not where it must"
                if not said.pins:
                    reason = "the nodes its file names bind it no more, nor tell which pCPUs it has"
                notes.append(f"VM {vm.name!r}: {reason}: --keep-pins")
            result.append(vm)
    return tuple(result)


def present_plan(
    instance: Instance, found: Mapping[str, Found], notes: list[str]
) -> tuple[tuple[Vm, ...], Plan | None]:
    """Return the VMs, cut into as many cells as they have now, and where they run, if told."""
    pinned = [name for name, said in found.items() if said.pins]
    if len(instance.hosts) > 1 and pinned:
        reason = "on which of several hosts it runs is not told, so no current plan is made"
        notes += (f"VM {name!r}: {reason}" for name in pinned)
    if len(instance.hosts) > 1 or not pinned:
        return instance.vms, None
    host = instance.hosts[0]
    placements: dict[str, Placement] = {}
    vms = list(instance.vms)
    for name in pinned:
        vm = instance.vm(name)
        try:
            reading = placement_of(instance, vm, host, found[name])
        except InputError as error:
            notes.append(f"VM {name!r:.80}: where it runs now is not kept: {error.reason}")
            continue
        notes += reading.notes
        placements[name] = reading.item
        if not found[name].bound:
            reason = "nothing binds its memory: taken to lie on the nodes of its vCPUs"
            notes.append(f"VM {name!r}: {reason}")
        cells = len(reading.item.cells)
        if cells > 1 and vm.guest_numa is not GuestNuma.EXPLICIT:
            vms[instance.vm_index[name]] = replace(vm, max_cells=cells)
            notes.append(f"VM {name!r}: may be cut into {cells} cells, as it is now")
    return tuple(vms), Plan(placements) if placements else None


def with_domains(
    hosts: Sequence[Host], origins: Iterable[Origin], notes: list[str]
) -> tuple[Host, ...]:
    """Return hosts with memory reserved for what Xen domains take beside theirs.

    On which nodes that will be is not known: each reserves an even part of it all, and at least
    what the domain that wants most does.
    """
    domains = [vm for origin in origins if origin.format is XL_CFG for vm in origin.vms]
    extra = [domain_mib(vm.vcpus, vm.memory_mib) - vm.memory_mib for vm in domains]
    nodes = sum(1 for host in hosts for node in host.nodes if node.pcpus and node.memory_mib)
    if not extra or not nodes:
        return tuple(hosts)
    each_mib = max(*extra, ceil_div(sum(extra), nodes))
    reason = f"on each node for what Xen domains take beside their memory, {sum(extra)} MiB in all"
    notes.append(f"{each_mib} MiB are reserved {reason}")
    return tuple(
        replace(host, nodes=tuple(_less(node, each_mib) for node in host.nodes)) for host in hosts
    )


def _less(node: NumaNode, mib: int) -> NumaNode:
    if not node.pcpus or not node.memory_mib:
        return node
    mib = min(mib, node.pool_mib(PageSize.SMALL))
    return replace(node, reserved_mib=node.reserved_mib + mib)
