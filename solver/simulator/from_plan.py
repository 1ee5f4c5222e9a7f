"""Scenarios out of an instance and a plan: affinities as asked, memory where the plan put it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from numaplace.models.instance import Instance
from numaplace.models.locality import domain_of
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.relations import Cooperation, Scope
from numaplace.models.smt import smt_yield
from numaplace.models.topology import Host
from numaplace.models.vm import CpuPolicy, ThreadPolicy, Vm
from numaplace.solver.simulator.machine import Machine
from numaplace.solver.simulator.scenario import (
    Dom0,
    Guest,
    GuestCpu,
    Hypervisor,
    Reach,
    Rivalry,
    Scenario,
    Talk,
)

DOM0 = "Domain-0"


class SimulatedAffinity(StrEnum):
    """What the hypervisor is told of a plan.

    ``none``: nothing; vCPUs float over what pinning of the VM's own allows. ``hard``: each vCPU is
    pinned to its cell's node (a dedicated one to its pCPU). ``soft``: it would rather run there.
    ``both``: it would rather run there, and is pinned to that node's socket.
    """

    NONE = "none"
    HARD = "hard"
    SOFT = "soft"
    BOTH = "both"


def scenarios(
    instance: Instance,
    plan: Plan,
    affinity: SimulatedAffinity | Mapping[str, SimulatedAffinity] = SimulatedAffinity.HARD,
    hypervisor: Hypervisor | None = None,
    busy_ms: float = 20.0,
) -> dict[str, Scenario]:
    """Return a scenario for each host that runs a VM of the plan, by the host's name.

    Parameters
    ----------
    instance, plan
        What to simulate; VMs that are not placed are left out. Start and end are ignored: all VMs
        of the plan run at the same time.
    affinity
        What the hypervisor is told, for all VMs or by name (``HARD`` for names not there).
    hypervisor
        Scheduler, and what dom0 does: it is the last guest then. Today's without dom0 if None.
    busy_ms
        Mean length of a busy phase.
    """
    found: dict[str, Scenario] = {}
    for host in instance.hosts:
        names = [vm.name for vm in instance.vms if _is_on(plan, vm.name, host)]
        if not names:
            continue
        machine = Machine(host)
        told = {
            name: affinity
            if isinstance(affinity, SimulatedAffinity)
            else affinity.get(name, SimulatedAffinity.HARD)
            for name in names
        }
        held = _held(instance, plan, machine, told)
        guests = [
            _guest(instance, plan, machine, instance.vm(name), told[name], held, busy_ms)
            for name in names
        ]
        hypervisor = hypervisor or Hypervisor()
        if hypervisor.dom0:
            guests.append(_dom0(machine, hypervisor.dom0, held))
        index = {name: number for number, name in enumerate(names)}
        found[host.name] = Scenario(
            machine,
            tuple(guests),
            tuple(_talks(instance, index)),
            tuple(_rivalries(instance, index, machine)),
            hypervisor,
        )
    return found


def _is_on(plan: Plan, name: str, host: Host) -> bool:
    return name in plan and plan.placements[name].host == host.name


def _held(
    instance: Instance, plan: Plan, machine: Machine, told: Mapping[str, SimulatedAffinity]
) -> dict[str, int]:
    """PCPUs that nobody else may use, by the dedicated VM that holds them.

    Siblings of an isolated vCPU stay idle. A VM of which the hypervisor is told only softly, or
    nothing, holds none.
    """
    held: dict[str, int] = {}
    for name, how in told.items():
        vm = instance.vm(name)
        if vm.cpu_policy is not CpuPolicy.DEDICATED or how not in (
            SimulatedAffinity.HARD,
            SimulatedAffinity.BOTH,
        ):
            continue
        mask = 0
        for cell in plan.placements[name].cells:
            for pcpu in cell.pcpus:
                at = machine.index_of[pcpu]
                isolated = vm.thread_policy is ThreadPolicy.ISOLATE
                mask |= machine.core_mask[at] if isolated else 1 << at
        held[name] = mask
    return held


def _guest(
    instance: Instance,
    plan: Plan,
    machine: Machine,
    vm: Vm,
    told: SimulatedAffinity,
    held: Mapping[str, int],
    busy_ms: float,
) -> Guest:
    placement = plan.placements[vm.name]
    taken_pcpus = 0
    for name, mask in held.items():
        taken_pcpus |= mask if name != vm.name else 0
    cpus: list[GuestCpu] = []
    for cell in placement.cells:
        access = _access(instance, plan, machine.host, vm, placement, cell)
        for number in range(cell.vcpus):
            hard, soft = _masks(machine, vm, cell, number, told)
            hard = hard & ~taken_pcpus or hard
            cpus.append(GuestCpu(hard, soft & hard or hard, access))
    busy = max(vm.vcpus * vm.utilisation, 1e-9)
    taken = sum(cell.nominal_mib - cell.total_mib for cell in placement.cells)
    pressure = instance.prices.balloon_pressure * vm.vcpus * taken / vm.memory_mib
    far = sum(
        pair.weight * _beyond(instance, plan, pair, machine.host) / 2
        for pair in instance.cooperations
        if vm.name in (pair.first, pair.second) and _apart(plan, pair.first, pair.second)
    )
    return Guest(
        vm.name,
        tuple(cpus),
        utilisation=vm.utilisation,
        memory_intensity=vm.memory_intensity,
        bandwidth_mbps=float(vm.bandwidth_mbps),
        busy_ms=busy_ms,
        drag=(pressure + far) / busy,
        reaches=tuple(_reaches(machine.host, vm, placement, busy)),
        smt_yield=smt_yield(vm, machine.host.smt_yield),
    )


def _dom0(machine: Machine, dom0: Dom0, held: Mapping[str, int]) -> Guest:
    open_ = machine.everywhere
    for mask in held.values():
        open_ &= ~mask
    nodes = len(machine.node_mask)
    cpu = GuestCpu(open_ or machine.everywhere, open_ or machine.everywhere, (1.0 / nodes,) * nodes)
    return Guest(
        DOM0,
        (cpu,) * dom0.vcpus,
        utilisation=dom0.pcpus / dom0.vcpus,
        memory_intensity=0.0,
        busy_ms=dom0.busy_ms,
        steady=True,
    )


def _beyond(instance: Instance, plan: Plan, pair: Cooperation, host: Host) -> float:
    """What a pair of VMs on two hosts loses per unit of weight."""
    if pair.scope is None:
        return host.network_factor - 1.0
    hosts = (instance.host(plan.placements[name].host) for name in (pair.first, pair.second))
    return float(len({domain_of(each, pair.scope) for each in hosts}) - 1)


def _apart(plan: Plan, first: str, second: str) -> bool:
    """Tell whether two VMs are placed, on different hosts."""
    if first not in plan or second not in plan:
        return False
    return plan.placements[first].host != plan.placements[second].host


def _masks(
    machine: Machine, vm: Vm, cell: PlacedCell, number: int, told: SimulatedAffinity
) -> tuple[int, int]:
    """Hard and soft affinity of one vCPU of a cell."""
    pinned = machine.everywhere
    if vm.hard_nodes is not None:
        known = vm.hard_nodes & machine.host.position.keys()
        pinned = machine.mask_of_nodes(frozenset(known)) or machine.everywhere
    if told is SimulatedAffinity.NONE:
        return pinned, pinned
    home = machine.mask_of_nodes(frozenset({cell.node}))
    if cell.pcpus:
        home = 1 << machine.index_of[cell.pcpus[number % len(cell.pcpus)]]
    home = home & pinned or home
    if told is SimulatedAffinity.HARD:
        return home, home
    if told is SimulatedAffinity.BOTH:
        first = (home & -home).bit_length() - 1
        pinned = (pinned & machine.socket_mask[first]) | home
    return pinned | home, home


def _access(
    instance: Instance, plan: Plan, host: Host, vm: Vm, placement: Placement, cell: PlacedCell
) -> tuple[float, ...]:
    """Share of a cell's accesses by node: as in `numaplace.models.rates.memory_rate`."""
    share = [0.0] * len(host.nodes)
    group = instance.group_of.get(vm.name)
    key = (group.name if group else "", host.name)
    copies = next((copy.nodes for copy in plan.copies if (copy.group, copy.host) == key), ())
    if copies:
        here = host.position[cell.node]
        nearest = min(copies, key=lambda node: host.relative[here][host.position[node]])
        share[host.position[nearest]] += instance.form(vm.name).shared_mib / vm.memory_mib
    own = max(0.0, 1.0 - sum(share))
    whole = sum(other.total_mib for other in placement.cells)
    for other in placement.cells:
        for node, mib in other.memory_mib:
            share[host.position[node]] += own * (1.0 - vm.locality) * mib / whole
    for node, mib in cell.memory_mib:
        share[host.position[node]] += own * vm.locality * mib / max(1, cell.total_mib)
    rest = 1.0 - sum(share)
    share[host.position[cell.node]] += rest  # a cell without own pages, or rounding
    return tuple(max(0.0, part) for part in share)


def _reaches(host: Host, vm: Vm, placement: Placement, busy: float) -> Iterator[Reach]:
    """Devices, each from the VM's nearest cell that may serve it."""
    requests = {request.kind: request for request in vm.devices}
    devices = {device.address: device for device in host.devices}
    for taken in placement.devices:
        request, device = requests.get(taken.request), devices[taken.address]
        if request is not None and device.nodes:
            nodes = [host.position[node] for node in device.nodes]
            homes = [host.position[cell.node] for cell in placement.cells]
            near = min(nodes, key=lambda n: min(host.relative[home][n] for home in homes))
            yield Reach(near, request.weight * taken.functions / busy)


def _talks(instance: Instance, index: Mapping[str, int]) -> Iterator[Talk]:
    for pair in instance.cooperations:
        if pair.first in index and pair.second in index and pair.scope is None:
            busy = [_busy(instance.vm(name)) for name in (pair.first, pair.second)]
            weights = (pair.weight / 2 / busy[0], pair.weight / 2 / busy[1])
            yield Talk(index[pair.first], index[pair.second], weights)


def _rivalries(instance: Instance, index: Mapping[str, int], machine: Machine) -> Iterator[Rivalry]:
    domains: dict[str, tuple[int, ...]] = {
        Scope.HOST: (0,) * machine.size,
        Scope.NODE: machine.node_of,
        Scope.LLC: machine.cache_of,
    }
    for pair in instance.competitions:
        if pair.first in index and pair.second in index:
            busy = [_busy(instance.vm(name)) for name in (pair.first, pair.second)]
            weights = (pair.weight / 2 / busy[0], pair.weight / 2 / busy[1])
            where = domains.get(pair.scope, domains[Scope.HOST])
            yield Rivalry(index[pair.first], index[pair.second], weights, where)


def _busy(vm: Vm) -> float:
    return max(vm.vcpus * vm.utilisation, 1e-9)


def striped(instance: Instance, host: Host, names: list[str]) -> Plan:
    """Return what a hypervisor does that places nothing: memory striped evenly over all nodes.

    Its vCPUs count as on the nodes in turn; nobody is told so (`SimulatedAffinity.NONE`).
    """
    nodes = [node.id for node in host.nodes if node.memory_mib]
    homes = [node.id for node in host.nodes if node.threads]
    placements: dict[str, Placement] = {}
    for turn, name in enumerate(names):
        vm = instance.vm(name)
        each, more = divmod(vm.memory_mib, len(nodes))
        memory = tuple((node, each + (k < more)) for k, node in enumerate(nodes))
        kept = tuple((node, mib) for node, mib in memory if mib)
        cell = PlacedCell(homes[turn % len(homes)], vm.vcpus, kept)
        placements[name] = Placement(host.name, (cell,))
    return Plan(placements)
