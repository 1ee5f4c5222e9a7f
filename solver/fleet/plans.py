"""Plans of whole fleets made of patterns: hosts get patterns, entries get VMs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from numaplace.models.instance import Instance
from numaplace.models.locality import domain_of
from numaplace.models.plan import Placement, Plan, SharedCopy
from numaplace.models.relations import Apart, Scope, Together
from numaplace.solver.deadline import Deadline
from numaplace.solver.fleet.classes import Census, HostClass
from numaplace.solver.fleet.layouts import OneHost, Pattern


def moved(
    instance: Instance, found: Placement, of: HostClass, to: int, start: int = 0
) -> Placement:
    """Return a placement on the `start`-th host of a class as one on its `to`-th."""
    if to == start:
        return found
    first, host = instance.hosts[of.hosts[start]], instance.hosts[of.hosts[to]]
    nodes = {
        first.nodes[a].id: host.nodes[b].id
        for a, b in zip(of.orders[start], of.orders[to], strict=True)
    }
    if all(a == b for a, b in nodes.items()) and not any(cell.pcpus for cell in found.cells):
        return replace(found, host=host.name)
    pcpus = {
        p.id: q.id
        for a, b in zip(of.orders[start], of.orders[to], strict=True)
        for p, q in zip(first.nodes[a].pcpus, host.nodes[b].pcpus, strict=True)
    }
    cells = tuple(
        replace(
            cell,
            node=nodes[cell.node],
            memory_mib=tuple(sorted((nodes[node], mib) for node, mib in cell.memory_mib)),
            pcpus=tuple(pcpus[pcpu] for pcpu in cell.pcpus),
        )
        for cell in found.cells
    )
    return replace(found, host=host.name, cells=cells)


def copied(
    instance: Instance, copy: SharedCopy, of: HostClass, to: int, start: int = 0
) -> SharedCopy:
    """Return copies on the `start`-th host of a class as those on its `to`-th."""
    first, host = instance.hosts[of.hosts[start]], instance.hosts[of.hosts[to]]
    at = {first.nodes[a].id: b for a, b in zip(of.orders[start], of.orders[to], strict=True)}
    nodes = tuple(sorted(host.nodes[at[node]].id for node in copy.nodes))
    return replace(copy, host=host.name, nodes=nodes)


@dataclass(slots=True)
class Slots:
    """One host of a plan in the making: its pattern's entries, and the VMs given to them."""

    host_class: int
    host: int  # in the class
    pattern: Pattern
    given: dict[int, list[str]]


def assigned(census: Census, chosen: list[tuple[Pattern, int]]) -> list[Slots]:
    """Give patterns hosts, and their entries VMs that may be there.

    Units with VMs that are related to most others come first, where most room for them is left.
    What no host has room for is left out.
    """
    slots = list(_slots(chosen))
    hosts = [census.classes[slot.host_class].hosts[slot.host] for slot in slots]
    bonds = _Bonds(census.instance, hosts)
    first = {entry.unit: e for e, entry in reversed(list(enumerate(census.entries)))}
    room: dict[int, dict[int, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
    for s, slot in enumerate(slots):
        for entry, count in slot.pattern.held:
            room[census.entries[entry].unit][s][entry] = count
    groups = [(u, group) for u, unit in enumerate(census.units) for group in unit.groups]
    bound = [(bonds.degree(group), u, group) for u, group in groups]
    for _, u, group in sorted((found for found in bound if found[0]), key=lambda f: (-f[0], f[1])):
        able = bonds.able(group, room[u])
        best = max(able, key=lambda s: sum(room[u][s].values()), default=None)
        if best is not None:
            _give(census.units[u].members, group, first[u], (best, slots[best]), room[u])
            bonds.note(group, best)
    for degree, u, group in bound:
        if not degree and room[u]:
            at = next(iter(room[u]))
            _give(census.units[u].members, group, first[u], (at, slots[at]), room[u])
    return slots


def _slots(chosen: list[tuple[Pattern, int]]) -> Iterator[Slots]:
    used: dict[int, int] = {}
    for pattern, times in chosen:
        for _ in range(times):
            host = used.get(pattern.host_class, 0)
            used[pattern.host_class] = host + 1
            yield Slots(pattern.host_class, host, pattern, {})


def _give(
    members: tuple[tuple[object, int], ...],
    group: tuple[str, ...],
    first: int,
    to: tuple[int, Slots],
    room: dict[int, dict[int, int]],
) -> None:
    """Give a group's VMs to the entries of a slot that have room for them."""
    at, (number, slot) = 0, to
    left = room[number]
    for entry, (_, times) in enumerate(members, first):
        taken = min(times, left.get(entry, 0))
        if taken:
            slot.given.setdefault(entry, []).extend(group[at : at + taken])
            left[entry] -= taken
            if not left[entry]:
                del left[entry]
        at += times
    if not left:
        del room[number]


class _Bonds:
    """Which VMs may be where, by those that are placed: apart, together, over hosts and labels."""

    def __init__(self, instance: Instance, hosts: list[int]) -> None:
        self._vm = instance.vm
        groups = [g for g in instance.aparts if g.scope != Scope.NODE]
        self._groups: list[Together | Apart] = [*groups, *instance.togethers]
        self._of: dict[str, list[int]] = defaultdict(list)
        for number, group in enumerate(self._groups):
            for name in group.vms:
                self._of[name].append(number)
        self._placed: list[dict[str, tuple[str, int]]] = [{} for _ in self._groups]
        scopes = {self._scope(number) for number in range(len(self._groups))}
        self._domains = {
            scope: [domain_of(instance.hosts[host], scope) for host in hosts] for scope in scopes
        }

    def _scope(self, number: int) -> str:
        scope = self._groups[number].scope
        return Scope.HOST if scope == Scope.NODE else scope

    def degree(self, group: tuple[str, ...]) -> int:
        """How many VMs those of a unit are related to, at most."""
        numbers = {n for name in group for n in self._of.get(name, ())}
        return max((len(self._groups[n].vms) for n in numbers), default=0)

    def able(self, group: tuple[str, ...], slots: Iterable[int]) -> list[int]:
        """Return the slots that a unit may join."""
        left = list(slots)
        for name in group:
            for number in self._of.get(name, ()):
                relation, at = self._groups[number], self._domains[self._scope(number)]
                allies = relation.allies(name) if isinstance(relation, Apart) else group
                others = {
                    domain
                    for other, domain in self._placed[number].items()
                    if other not in allies and self._vm(name).overlaps(self._vm(other))
                }
                if isinstance(relation, Apart):
                    left = [s for s in left if at[s] not in others]
                elif others:
                    left = [s for s in left if others == {at[s]}]
        return left

    def note(self, group: tuple[str, ...], slot: int) -> None:
        """Note that a unit is on a host."""
        for name in group:
            for number in self._of.get(name, ()):
                self._placed[number][name] = self._domains[self._scope(number)][slot]


def fleet_plan(models: Sequence[OneHost], slots: list[Slots], until: Deadline) -> Plan:
    """Return the plan of hosts whose entries have VMs, by the layouts of their patterns."""
    placements: dict[str, Placement] = {}
    copies: list[SharedCopy] = []
    for slot in slots:
        model = models[slot.host_class]
        layout, of = model.layout(slot.pattern.held, until), model.census.classes[slot.host_class]
        instance = model.census.instance
        for entry, names in slot.given.items():
            for name, found in zip(names, layout.placements[entry], strict=False):
                placements[name] = moved(instance, found, of, slot.host)
        copies += (copied(instance, copy, of, slot.host) for copy in layout.copies)
    return Plan(placements, tuple(copies))


def patterns_of(models: Sequence[OneHost], plan: Plan) -> list[tuple[Pattern, int]]:
    """Return the patterns of a plan, as it has laid them out, and how often it has each."""
    census = models[0].census
    instance = census.instance
    entry_of = dict(census.names())
    by_host: dict[str, dict[int, list[Placement]]] = defaultdict(lambda: defaultdict(list))
    for name, found in plan.placements.items():
        by_host[found.host][entry_of[name]].append(found)
    copies: dict[str, list[SharedCopy]] = defaultdict(list)
    for copy in plan.copies:
        copies[copy.host].append(copy)
    place = {h: (c, k) for c, of in enumerate(census.classes) for k, h in enumerate(of.hosts)}
    times: Counter[Pattern] = Counter()
    for host, entries in by_host.items():
        c, k = place[instance.host_index[host]]
        of = census.classes[c]
        laid = {
            e: [moved(instance, found, of, 0, k) for found in placements]
            for e, placements in sorted(entries.items())
        }
        here = tuple(copied(instance, copy, of, 0, k) for copy in copies[host])
        pattern = models[c].laid_out(laid, here)
        if pattern is not None:
            times[pattern] += 1
    return list(times.items())
