"""What a plan uses of each node: the facts that pictures and tables show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from numaplace.models.errors import InputError
from numaplace.models.instance import Instance, Place
from numaplace.models.plan import Placement, Plan
from numaplace.models.topology import Device, Host
from numaplace.models.units import PageSize
from numaplace.models.vm import CpuPolicy


@dataclass(frozen=True, slots=True)
class CpuUse:
    """vCPUs of one VM on a node; `pcpus` are those it holds alone."""

    vm: str
    vcpus: int
    pcpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Memory (of a page pool) of one VM, or the copy of a sharing group, on a node.

    `home` is the node of the vCPUs whose pages these are; None for pages of a sharing group.
    """

    owner: str
    mib: int
    pool: PageSize
    home: int | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """A device and the functions that VMs hold of it."""

    device: Device
    holders: tuple[tuple[str, int], ...] = ()

    @property
    def taken(self) -> int:
        """Functions held."""
        return sum(count for _, count in self.holders)


@dataclass(frozen=True, slots=True)
class NodeUse:
    """Use of one node; VMs in the order of the instance, pages at home before pages away."""

    place: Place
    cpu: tuple[CpuUse, ...] = ()
    memory: tuple[MemoryUse, ...] = ()
    devices: tuple[DeviceUse, ...] = ()

    @property
    def key(self) -> str:
        """``host/node``."""
        return str(self.place)

    @property
    def vcpus(self) -> int:
        """How many vCPUs run here."""
        return sum(use.vcpus for use in self.cpu)

    @property
    def used_mib(self) -> int:
        """Memory taken by VMs."""
        return sum(use.mib for use in self.memory)

    @property
    def vms(self) -> tuple[str, ...]:
        """VMs whose vCPUs run here."""
        return tuple(use.vm for use in self.cpu)

    def away(self, use: MemoryUse) -> bool:
        """Tell whether pages lie on another node than the vCPUs that use them."""
        return use.home is not None and use.home != self.place.node.id


@dataclass(frozen=True, slots=True)
class HostUse:
    """Use of one host; `devices` are those whose node is unknown."""

    host: Host
    nodes: tuple[NodeUse, ...]
    devices: tuple[DeviceUse, ...] = ()

    @property
    def vcpus(self) -> int:
        """How many vCPUs run here."""
        return sum(node.vcpus for node in self.nodes)

    @property
    def used_mib(self) -> int:
        """Memory taken by VMs."""
        return sum(node.used_mib for node in self.nodes)

    @property
    def memory_mib(self) -> int:
        """Memory of all nodes."""
        return sum(node.place.node.memory_mib for node in self.nodes)


def busiest_instant(instance: Instance, plan: Plan) -> frozenset[str]:
    """Return the VMs that exist when most vCPUs of the plan do; all VMs if none has times."""

    def placed_vcpus(alive: frozenset[str]) -> int:
        return sum(instance.vm(name).vcpus for name in plan.placements if name in alive)

    return max(instance.instants, key=placed_vcpus, default=frozenset())


def host_uses(
    instance: Instance, plan: Plan, alive: frozenset[str] | None = None
) -> tuple[HostUse, ...]:
    """Work out what VMs use of every node.

    Parameters
    ----------
    instance, plan
        The plan must name only things that exist.
    alive
        VMs to look at; those of the busiest instant if None.
    """
    alive = busiest_instant(instance, plan) if alive is None else alive
    names = (vm.name for vm in instance.vms if vm.name in plan and vm.name in alive)
    shown = {name: plan.placements[name] for name in names}
    of_host: dict[str, list[tuple[str, Placement]]] = defaultdict(list)
    for name, placement in shown.items():
        of_host[placement.host].append((name, placement))
    cpu = _cpu(instance, shown)
    memory = _memory(instance, shown)
    for copy in plan.copies:
        group = next(group for group in instance.sharing if group.name == copy.group)
        for node in copy.nodes if any(name in shown for name in group.vms) else ():
            use = MemoryUse(group.name, group.shared_mib, PageSize.SMALL, shared=True)
            memory[copy.host, node].append(use)
    return tuple(
        _host_use(instance, index, cpu, memory, of_host[host.name])
        for index, host in enumerate(instance.hosts)
    )


def of_host(instance: Instance, plan: Plan, name: str) -> tuple[Instance, Plan]:
    """One host with the VMs that a plan has there, and the relations among them alone.

    `InputError` tells that there is no such host.
    """
    if name not in instance.host_index:
        raise InputError("show", "--host", f"{name!r} is no host of the instance")
    here = {vm: place for vm, place in plan.placements.items() if place.host == name}
    vms = tuple(replace(vm, allowed_hosts=None) for vm in instance.vms if vm.name in here)
    kept: dict[str, Any] = {
        field: tuple(p for p in getattr(instance, field) if p.first in here and p.second in here)
        for field in ("cooperations", "competitions")
    }
    kept |= {
        field: tuple(group for group in getattr(instance, field) if here.keys() >= set(group.vms))
        for field in ("togethers", "aparts", "sharing")
    }
    copies = tuple(copy for copy in plan.copies if copy.host == name)
    only = replace(instance, hosts=(instance.host(name),), vms=vms, current=None, **kept)
    return only, Plan(here, copies)


def by_interest(uses: Iterable[HostUse]) -> list[HostUse]:
    """Hosts in the order of interest: those that run VMs first, then those with more nodes."""
    return sorted(uses, key=lambda use: (use.vcpus == 0, -len(use.nodes)))


_Key = tuple[str, int]


def _cpu(instance: Instance, shown: dict[str, Placement]) -> dict[_Key, list[CpuUse]]:
    found: dict[_Key, list[CpuUse]] = defaultdict(list)
    for name, placement in shown.items():
        dedicated = instance.vm(name).cpu_policy is CpuPolicy.DEDICATED
        for node in sorted(placement.nodes):
            cells = [cell for cell in placement.cells if cell.node == node]
            held = [pcpu for cell in cells for pcpu in cell.pcpus] if dedicated else []
            use = CpuUse(name, sum(cell.vcpus for cell in cells), tuple(sorted(held)))
            found[placement.host, node].append(use)
    return found


def _memory(instance: Instance, shown: dict[str, Placement]) -> dict[_Key, list[MemoryUse]]:
    at_home: dict[_Key, list[MemoryUse]] = defaultdict(list)
    away: dict[_Key, list[MemoryUse]] = defaultdict(list)
    for name, placement in shown.items():
        pool = instance.vm(name).page_size
        amounts: dict[tuple[int, int], int] = defaultdict(int)
        for cell in placement.cells:
            for node, mib in cell.memory_mib:
                amounts[node, cell.node] += mib
        for (node, home), mib in sorted(amounts.items()):
            if mib:
                target = at_home if node == home else away
                target[placement.host, node].append(MemoryUse(name, mib, pool, home))
    for key, uses in away.items():
        at_home[key] += uses
    return at_home


def _host_use(
    instance: Instance,
    index: int,
    cpu: dict[_Key, list[CpuUse]],
    memory: dict[_Key, list[MemoryUse]],
    here: list[tuple[str, Placement]],
) -> HostUse:
    host = instance.hosts[index]
    devices: dict[int | None, list[DeviceUse]] = defaultdict(list)
    holders = _holders(here)
    for device in host.devices:
        first = min(device.nodes, default=None)
        devices[first].append(DeviceUse(device, tuple(holders.get(device.address, ()))))
    nodes = tuple(
        NodeUse(
            place,
            tuple(cpu.get((host.name, place.node.id), ())),
            tuple(memory.get((host.name, place.node.id), ())),
            tuple(devices[place.node.id]),
        )
        for place in instance.host_places[index]
    )
    return HostUse(host, nodes, tuple(devices[None]))


def _holders(here: list[tuple[str, Placement]]) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for name, placement in here:
        for taken in placement.devices:
            found[taken.address].append((name, taken.functions))
    return found
