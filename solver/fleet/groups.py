"""Fleets of groups: VMs that talk to one another, on hosts of one or two nodes.

Two groups are of a *kind* if their VMs and pairs are equal one by one; two hosts if their nodes
are. Pairs that compete across groups are no part of a kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from numaplace.models.instance import Between, Instance, Place
from numaplace.models.relations import Competition, Cooperation
from numaplace.models.topology import Host
from numaplace.models.units import MILLI
from numaplace.models.vm import CpuPolicy, MemoryMode, Vm, all_but_name
from numaplace.solver.deadline import Deadline

MEMBERS_MAX = 7
"""Of a group: it has a table of 3 to this power ways to lie on a host of two nodes."""
NODES_MAX = 2
STATES_MAX = 40_000
"""vCPUs on one node times those on the other, in a table."""

Pairs = tuple[tuple[int, int, Cooperation | Competition], ...]


@dataclass(frozen=True, slots=True)
class GroupKind:
    """Equal groups.

    Parameters
    ----------
    members
        VMs of the first.
    pairs
        Positions of two members and what relates them.
    groups
        Names of the VMs of each, in the order of the members.
    """

    members: tuple[Vm, ...]
    pairs: Pairs
    groups: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class HostKind:
    """Equal hosts.

    Parameters
    ----------
    places
        Nodes of the first that run VMs, in an order in which they equal those of each other host.
    hosts
        Of each, the ids of its nodes in that order.
    rooms
        vCPUs that each node may run.
    """

    places: tuple[Place, ...]
    hosts: tuple[tuple[str, tuple[int, ...]], ...]
    rooms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GroupFleet:
    """An instance as kinds of groups and hosts; `across` compete though of different groups."""

    instance: Instance
    groups: tuple[GroupKind, ...]
    hosts: tuple[HostKind, ...]
    across: tuple[Competition, ...]


def fleet_of(instance: Instance, until: Deadline) -> GroupFleet | None:
    """Return the fleet of groups that an instance is; None if it has more to it.

    All that rules and prices know of such VMs is their vCPUs, their pairs and how busy they are:
    where vCPUs fit, memory does. `OutOfTimeError` if it is late.
    """
    if not _is_plain(instance) or not all(map(_is_plain_vm, instance.vms)):
        return None
    if any(instance.form(vm.name).max_cells > 1 for vm in until.each(instance.vms)):
        return None
    hosts = _host_kinds(instance)
    if hosts is None or not all(_has_memory(instance, kind) for kind in hosts):
        return None
    groups, across = _group_kinds(instance, until)
    if not across and not any(kind.pairs for kind in groups):
        return None
    if max(len(kind.members) for kind in groups) > MEMBERS_MAX:
        return None
    return GroupFleet(instance, groups, hosts, across)


def _is_plain(instance: Instance) -> bool:
    more = (instance.togethers, instance.aparts, instance.sharing, instance.current)
    factors = {host.network_factor for host in instance.hosts}
    return not any(more) and instance.between is Between.NOTHING and len(factors) == 1


def _is_plain_vm(vm: Vm) -> bool:
    nodes = (vm.hard_nodes, vm.soft_nodes, vm.memory_nodes, vm.allowed_hosts)
    return (
        all(found is None for found in (*nodes, vm.start, vm.end))
        and vm.cpu_policy is CpuPolicy.SHARED
        and vm.memory_mode is not MemoryMode.INTERLEAVE
        and not vm.devices
    )


def _host_kinds(instance: Instance) -> tuple[HostKind, ...] | None:
    first: dict[tuple[object, ...], tuple[Place, ...]] = {}
    rooms: dict[tuple[object, ...], tuple[int, ...]] = {}
    found: dict[tuple[object, ...], list[tuple[str, tuple[int, ...]]]] = defaultdict(list)
    for host, places in zip(instance.hosts, instance.host_places, strict=True):
        running = sorted((place for place in places if place.node.pcpus), key=_node_key)
        states = 1
        for place in running:
            states *= _room(host, place) + 1
        if not 0 < len(running) <= NODES_MAX or states > STATES_MAX:
            return None
        far = tuple(instance.r(a, b) for a in running for b in running)
        key = (*map(_node_key, running), far, host.vcpu_overcommit, host.smt_yield)
        first.setdefault(key, tuple(running))
        rooms.setdefault(key, tuple(_room(host, place) for place in running))
        found[key].append((host.name, tuple(place.node.id for place in running)))
    return tuple(HostKind(first[key], tuple(found[key]), rooms[key]) for key in found)


def _node_key(place: Place) -> tuple[int, ...]:
    node = place.node
    return (
        node.threads,
        node.cores,
        node.memory_mib,
        node.reserved_mib,
        node.pages_2m,
        node.pages_1g,
    )


def _room(host: Host, place: Place) -> int:
    return host.ratio_milli * place.node.threads // MILLI


def _has_memory(instance: Instance, kind: HostKind) -> bool:
    """Tell whether VMs whose vCPUs fit a node have their memory on it."""
    need = {(vm.vcpus, instance.form(vm.name).memory_mib, vm.page_size) for vm in instance.vms}
    return all(
        mib * room <= vcpus * place.node.pool_mib(size)
        for vcpus, mib, size in need
        for place, room in zip(kind.places, kind.rooms, strict=True)
    )


def _group_kinds(
    instance: Instance, until: Deadline
) -> tuple[tuple[GroupKind, ...], tuple[Competition, ...]]:
    group_of = _joined(instance)
    inside: dict[int, list[Cooperation | Competition]] = defaultdict(list)
    across: list[Competition] = []
    for pair in until.each(instance.cooperations):
        inside[group_of[pair.first]].append(pair)
    for rival in until.each(instance.competitions):
        if group_of[rival.first] == group_of[rival.second]:
            inside[group_of[rival.first]].append(rival)
        else:
            across.append(rival)
    members: dict[int, list[Vm]] = defaultdict(list)
    for vm in instance.vms:
        members[group_of[vm.name]].append(vm)
    found: dict[tuple[object, ...], list[tuple[tuple[Vm, ...], Pairs]]] = defaultdict(list)
    for number, vms in until.each(members.items()):
        key, ordered, pairs = _ordered(vms, inside[number])
        found[key].append((ordered, pairs))
    kinds = (
        GroupKind(*equal[0], tuple(tuple(vm.name for vm in vms) for vms, _ in equal))
        for equal in found.values()
    )
    return tuple(kinds), tuple(across)


def _joined(instance: Instance) -> dict[str, int]:
    """Number the sets of VMs between which there is talk."""
    parent = {vm.name: vm.name for vm in instance.vms}

    def top(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for pair in instance.cooperations:
        parent[top(pair.first)] = top(pair.second)
    numbers: dict[str, int] = {}
    return {name: numbers.setdefault(top(name), len(numbers)) for name in parent}


def _told(pair: Cooperation | Competition) -> tuple[str, str, float]:
    return type(pair).__name__, pair.scope or "", pair.weight


def _ordered(
    vms: list[Vm], related: Iterable[Cooperation | Competition]
) -> tuple[tuple[object, ...], tuple[Vm, ...], Pairs]:
    """Order a group so that equal ones come out equal, mostly: its key, VMs and pairs."""
    at = {vm.name: k for k, vm in enumerate(vms)}
    kind = [all_but_name(vm) for vm in vms]
    ends: dict[int, list[tuple[str, str, float]]] = defaultdict(list)
    for pair in related:
        what = _told(pair)
        ends[at[pair.first]].append(what)
        ends[at[pair.second]].append(what)
    # vCPUs come first in the text of what is not ordered otherwise.
    order = sorted(range(len(vms)), key=lambda k: (vms[k].vcpus, sorted(ends[k]), repr(kind[k])))
    new = {old: k for k, old in enumerate(order)}
    found = []
    for pair in related:
        a, b = sorted((new[at[pair.first]], new[at[pair.second]]))
        found.append(((a, b, *_told(pair)), pair))
    found.sort(key=lambda told: told[0])
    key = tuple(kind[k] for k in order), tuple(told for told, _ in found)
    pairs = tuple((told[0], told[1], pair) for told, pair in found)
    return key, tuple(vms[k] for k in order), pairs
