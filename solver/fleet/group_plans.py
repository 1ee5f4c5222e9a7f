"""Contents of hosts, and the plan they are: groups take their places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from numaplace.models import rates
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.trace import Ints
from numaplace.solver.deadline import Deadline
from numaplace.solver.fleet.group_prices import Contents, Part, Pricing
from numaplace.solver.fleet.options import AWAY, meets_on_host


def covered(pricing: Pricing, used: Sequence[Contents]) -> dict[int, Ints]:
    """Return how often contents have each member, by kind of group."""
    found: dict[int, Ints] = {}
    for contents in used:
        for k, option in contents.parts:
            here = pricing.options[contents.host][k].ways[option] != AWAY
            found[k] = found[k] + here if k in found else here.astype(np.int64)
    return found


def packed(pricing: Pricing, part: Part, until: Deadline) -> list[Contents]:
    """Put group after group, the largest first, where it adds least, whole or else in parts.

    Of places that are as good, the fullest is taken. What fits nowhere is left out.
    """
    host = np.array([h for h, count in part.hosts.items() for _ in range(count)], np.int64)
    used: Ints = np.zeros((len(host), 2), np.int64)
    parts: list[list[tuple[int, int]]] = [[] for _ in host]
    order = sorted(part.groups, key=lambda k: -int(pricing.vcpus[k].sum()))
    for k in (kind for kind in order for _ in range(part.groups[kind])):
        missing = (1 << len(pricing.vcpus[k])) - 1
        while missing and not until.over:
            found = [(*_cheapest(pricing, h, k, missing, used[host == h]), h) for h in part.hosts]
            most, _, _, option, at, h = min(found)
            if not most:
                break
            n = int(np.flatnonzero(host == h)[at])
            parts[n].append((k, option))
            used[n] += pricing.options[h][k].taken[option] // pricing.unit
            missing &= ~int(pricing.options[h][k].held[option])
    return [pricing.contents(int(h), held) for h, held in zip(host, parts, strict=True) if held]


def _cheapest(
    pricing: Pricing, host: int, kind: int, missing: int, used: Ints
) -> tuple[int, int, int, int, int]:
    """Return the best option for missing members as what is least: minus its vCPUs, what it adds.

    Then the room it leaves, the option, and which of the hosts whose nodes are `used`.
    """
    options, (first, second) = pricing.options[host].get(kind), pricing.ends[host]
    if options is None:
        return 0, 0, 0, 0, 0
    used, places = np.unique(used, axis=0, return_index=True)
    able = np.flatnonzero((options.held & ~missing) == 0)
    taken = options.taken[able] // pricing.unit
    rooms = np.array((len(first), len(second))) - 1
    then = used[None] + taken[:, None]
    fits = np.logical_and.reduce(then <= rooms, axis=2)
    then = np.minimum(then, rooms)
    most: Ints = np.where(fits, -taken.sum(axis=1)[:, None], 0)
    added = options.lost[able][:, None] + first[then[..., 0]] + second[then[..., 1]]
    added = added - first[used[:, 0]] - second[used[:, 1]]
    left = (rooms - then).sum(axis=2)
    at = int(np.lexsort((left.ravel(), added.ravel(), most.ravel()))[0])
    way, place = divmod(at, len(used))
    return (
        int(most.flat[at]),
        int(added.flat[at]),
        int(left.flat[at]),
        int(able[way]),
        int(places[place]),
    )


def trimmed(pricing: Pricing, part: Part, used: list[Contents]) -> list[Contents]:
    """Leave out groups that contents have more often than there are, where most is lost."""
    over = {
        k: int(times.min()) - part.groups[k]
        for k, times in covered(pricing, used).items()
        if times.min() > part.groups[k]
    }
    for n, contents in enumerate(used):
        for k, option in contents.parts:
            if over.get(k, 0) > 0 and pricing.is_whole(contents.host, k, option):
                over[k] -= 1
                parts = list(used[n].parts)
                parts.remove((k, option))
                used[n] = pricing.contents(contents.host, parts)
    return [contents for contents in used if contents.parts]


SWAPS = 64
"""Equal groups with which one that is beside a rival may change places, at most."""


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a group, or a part of one, is: a host by name, and a way to lie on its nodes."""

    host: str
    nodes: tuple[int, ...]
    way: tuple[int, ...]


def plan_of(pricing: Pricing, used: Sequence[Contents]) -> Plan:
    """Return the plan of contents: one host each, and a group at each spot."""
    fleet = pricing.fleet
    spots: dict[int, list[_Spot]] = defaultdict(list)
    taken = [0] * len(fleet.hosts)
    for contents in used:
        host, nodes = fleet.hosts[contents.host].hosts[taken[contents.host]]
        taken[contents.host] += 1
        for k, option in contents.parts:
            way = pricing.options[contents.host][k].ways[option]
            spots[k].append(_Spot(host, nodes, tuple(way.tolist())))
    at: dict[str, tuple[str, int]] = {}
    for k, found in spots.items():
        at.update(_named(fleet.groups[k].groups, found))
    _calm_rivals(pricing, at)
    return Plan(
        {
            vm.name: Placement(host, (PlacedCell(node, vm.vcpus, ((node, mib),)),))
            for vm in fleet.instance.vms
            if vm.name in at
            for host, node in (at[vm.name],)
            for mib in (fleet.instance.form(vm.name).memory_mib,)
        }
    )


def _named(
    groups: Sequence[tuple[str, ...]], spots: Sequence[_Spot]
) -> Iterator[tuple[str, tuple[str, int]]]:
    """Give spots to groups: each VM and its host and node. Whole groups first."""
    left = [dict(enumerate(group)) for group in groups]
    for spot in sorted(spots, key=lambda spot: spot.way.count(AWAY)):
        here = [m for m, at in enumerate(spot.way) if at != AWAY]
        whole = next((names for names in left if all(m in names for m in here)), None)
        for m in here:
            names = whole or next((names for names in left if m in names), None)
            if names is not None:
                yield names.pop(m), (spot.host, spot.nodes[spot.way[m] - 1])
        left = [names for names in left if names]


def _calm_rivals(pricing: Pricing, at: dict[str, tuple[str, int]]) -> None:
    """Let equal groups change places where one is beside a rival of another group."""
    rivals: dict[str, list[tuple[str, int, bool]]] = defaultdict(list)
    for pair in pricing.fleet.across:
        price, hosts = rates.competition_price(pair), meets_on_host(pair)
        for name, other in ((pair.first, pair.second), (pair.second, pair.first)):
            rivals[name].append((other, price, hosts))

    def lost(names: Iterable[str]) -> int:
        return sum(
            price
            for name in names
            for other, price, hosts in rivals[name]
            if name in at and other in at
            if (at[name][0] == at[other][0] if hosts else at[name] == at[other])
        )

    def swap(group: tuple[str, ...], other: tuple[str, ...]) -> None:
        for name, beside in zip(group, other, strict=True):
            at[name], at[beside] = at[beside], at[name]

    for kind in pricing.fleet.groups:
        whole = [group for group in kind.groups if all(name in at for name in group)]
        for group in filter(lost, whole):
            for beside in whole[:SWAPS]:
                before = lost((*group, *beside))
                swap(group, beside)
                if lost((*group, *beside)) < before:
                    break
                swap(group, beside)
