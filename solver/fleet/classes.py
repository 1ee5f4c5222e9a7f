"""Hosts that are alike and VMs that are alike: what patterns are made of.

Hosts of a *class* are equal in all that rules and prices look at, once their nodes are sorted; VMs
of a *kind* likewise. A *unit* is what a plan takes whole or not at all: a VM, or the members of a
group that must be together on a host (some of which may stay out). Units of equal VMs are counted,
not told apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from numaplace.models.instance import Instance
from numaplace.models.relations import Competition, Cooperation, Scope
from numaplace.models.topology import Host, NumaNode
from numaplace.models.vm import MemoryMode, Vm, all_but_name
from numaplace.solver.deadline import NEVER, Deadline


@dataclass(frozen=True, slots=True)
class HostClass:
    """Equal hosts.

    Parameters
    ----------
    hosts
        Their indices; the first stands for all.
    orders
        Of each host, the positions of its nodes in the order in which they equal the first's.
    """

    hosts: tuple[int, ...]
    orders: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """Equal units.

    Parameters
    ----------
    members
        A VM of each kind in it, and how many of the kind it has.
    groups
        The VMs of each unit, by name, in the order of `members`.
    """

    members: tuple[tuple[Vm, int], ...]
    groups: tuple[tuple[str, ...], ...]

    @property
    def single(self) -> bool:
        """Whether it is one VM."""
        return len(self.members) == 1 and self.members[0][1] == 1

    @property
    def required(self) -> bool:
        """Whether no plan is without one."""
        return any(vm.required for vm, _ in self.members)


@dataclass(frozen=True, slots=True)
class Entry:
    """VMs of one kind in units of one sort; what patterns count.

    Parameters
    ----------
    unit
        Index of the unit.
    vm
        One of them.
    times
        How many a unit has.
    """

    unit: int
    vm: Vm
    times: int


class Census:
    """Classes and units of an instance.

    With `pairs`, VMs that talk, compete or run already are told apart, as their loss tells them
    apart; without, VMs are alike if the same plans have room for them.
    """

    def __init__(self, instance: Instance, until: Deadline = NEVER, *, pairs: bool = False) -> None:
        self.instance = instance
        self.until = until
        self.classes = tuple(_classes(instance, until, pairs))
        self.units = tuple(_units(instance, until, pairs))
        self.entries = tuple(
            Entry(u, vm, times) for u, unit in enumerate(self.units) for vm, times in unit.members
        )
        self.alone = tuple(
            replace(entry.vm, name=str(e), required=False) for e, entry in enumerate(self.entries)
        )
        self.related = tuple(self._related())

    def names(self) -> Iterable[tuple[str, int]]:
        """Name every VM with the index of its entry."""
        first = {entry.unit: e for e, entry in reversed(list(enumerate(self.entries)))}
        for u, unit in enumerate(self.units):
            entries = [e for e, (_, n) in enumerate(unit.members, first[u]) for _ in range(n)]
            for group in unit.groups:
                yield from zip(group, entries, strict=True)

    def _related(self) -> Iterable[tuple[str, Any, dict[str, int]]]:
        """Relations of VMs that are told apart: field, relation, their entries by name."""
        known = {
            entry.vm.name: e
            for e, entry in enumerate(self.entries)
            if len(self.units[entry.unit].groups) == entry.times == 1
        }
        for field in ("cooperations", "competitions"):
            found: tuple[Cooperation | Competition, ...] = getattr(self.instance, field)
            for pair in found:
                pairs = pair.first, pair.second
                if known.keys() >= set(pairs):
                    yield field, pair, {name: known[name] for name in pairs}
        for field in ("togethers", "aparts", "sharing"):
            for group in getattr(self.instance, field):
                entries = {name: known[name] for name in group.vms if name in known}
                if len(entries) > (field != "sharing"):
                    yield field, group, entries


def _classes(instance: Instance, until: Deadline, pairs: bool) -> Iterable[HostClass]:
    mirrored = not any(
        vm.hard_nodes or vm.soft_nodes or vm.memory_nodes or vm.memory_mode is MemoryMode.INTERLEAVE
        for vm in instance.vms
    )
    sets = {vm.allowed_hosts for vm in instance.vms if vm.allowed_hosts is not None}
    allowed: dict[str, list[int]] = defaultdict(list)
    for number, names in enumerate(sorted(sets, key=sorted)):
        for name in names:
            allowed[name].append(number)
    running = instance.current.placements.values() if pairs and instance.current else ()
    busy = {placement.host for placement in running}
    known: dict[tuple[object, ...], tuple[tuple[int, ...], tuple[object, ...]]] = {}
    found: dict[tuple[object, ...], list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
    for index, host in enumerate(until.each(instance.hosts)):
        alone = host.name in busy
        parts = (host.nodes, host.distances, host.latency_ns, host.bandwidth_mbps, host.devices)
        same = (*map(id, parts), alone)
        if same not in known:
            order = _order(host) if mirrored and not alone else tuple(range(len(host.nodes)))
            known[same] = order, _shape(host, order, ids=not mirrored or alone)
        order, shape = known[same]
        numbers = host.vcpu_overcommit, host.smt_yield, host.network_factor
        key = (shape, numbers, tuple(allowed[host.name]), index if alone else -1)
        found[key].append((index, order))
    for hosts in found.values():
        indices, orders = zip(*hosts, strict=True)
        yield HostClass(indices, orders)


def _order(host: Host) -> tuple[int, ...]:
    """Positions of a host's nodes, sorted by what each has."""

    def size(position: int) -> tuple[object, ...]:
        node = host.nodes[position]
        return (*_room(node), node.threads, node.cores, host.node_bandwidth_mbps(position) or 0)

    return tuple(sorted(range(len(host.nodes)), key=size))


def _room(node: NumaNode) -> tuple[int, ...]:
    return node.memory_mib, node.reserved_mib, node.pages_2m, node.pages_1g


def _shape(host: Host, order: tuple[int, ...], *, ids: bool) -> tuple[object, ...]:
    """All that rules and prices look at in a host, its nodes in some order, without numbers."""
    number = _Numbers()
    at = {host.nodes[position].id: k for k, position in enumerate(order)}
    nodes = tuple(
        (
            _room(node),
            host.node_bandwidth_mbps(position),
            number("socket", node.socket),
            tuple(
                (number("core", p.core), number("socket", p.socket), number("llc", p.llc))
                for p in node.pcpus
            ),
            node.id if ids else None,
        )
        for position in order
        for node in (host.nodes[position],)
    )
    devices = tuple(
        (d.address, d.kind, d.functions, d.vendor_product, tuple(sorted(at[n] for n in d.nodes)))
        for d in host.devices
    )
    return nodes, tuple(tuple(host.relative[a][b] for b in order) for a in order), devices


class _Numbers:
    """Numbers things in the order in which they are first met."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], int] = {}

    def __call__(self, what: str, thing: int | None) -> int | None:
        return None if thing is None else self._seen.setdefault((what, thing), len(self._seen))


def _units(instance: Instance, until: Deadline, pairs: bool) -> Iterable[Unit]:
    kind = _kinds(instance, pairs)
    groups: list[tuple[str, ...]] = [(vm.name,) for vm in instance.vms]
    joint = _composites(instance, until)
    inside = frozenset[str]().union(*joint)
    groups = [group for group in groups if group[0] not in inside] + joint
    found: dict[tuple[object, ...], list[tuple[str, ...]]] = defaultdict(list)
    numbers: dict[tuple[object, ...], int] = {}
    key = {vm.name: numbers.setdefault(kind(vm), len(numbers)) for vm in until.each(instance.vms)}
    for group in until.each(groups):
        ordered = tuple(sorted(group, key=key.__getitem__))
        found[len(group) > 1, *(key[name] for name in ordered)].append(ordered)
    for (_, *kinds), equal in found.items():
        count, first = Counter(kinds), dict(zip(kinds, equal[0], strict=True))
        members = tuple((instance.vm(first[k]), n) for k, n in count.items())
        yield Unit(members, tuple(equal))


def _kinds(instance: Instance, pairs: bool) -> Callable[[Vm], tuple[object, ...]]:
    """Return the function that tells what VMs are alike."""
    told_apart = {name for group in instance.sharing for name in group.vms}
    for relation in (*instance.togethers, *instance.aparts):
        if relation.scope == Scope.NODE:
            told_apart |= set(relation.vms)
    if pairs:
        for found in (instance.cooperations, instance.competitions):
            told_apart |= {name for pair in found for name in (pair.first, pair.second)}
        told_apart |= set(instance.current.placements) if instance.current else set()

    def kind(vm: Vm) -> tuple[object, ...]:
        return (vm.name if vm.name in told_apart else "", *all_but_name(vm))

    return kind


def _composites(instance: Instance, until: Deadline) -> list[tuple[str, ...]]:
    """Return the groups that must be together on a host and are in no other such group."""
    host = [group.vms for group in instance.togethers if group.scope == Scope.HOST]
    times = Counter(name for group in host for name in group)
    return [
        group
        for group in until.each(host)
        if all(times[name] == 1 for name in group)
        and all(instance.vm(a).overlaps(instance.vm(b)) for a, b in combinations(group, 2))
    ]
