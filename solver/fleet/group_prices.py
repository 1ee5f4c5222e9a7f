"""What groups cost: options and contention by kind of host, prices to start from, and the bound.

Lagrangian relaxation: at prices of members, no plan of all VMs loses less than what all members are
worth and what the best contents of every host weigh, loss less worth. That holds for any prices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import gcd
from typing import cast

import highspy
import numpy as np

from numaplace.models import rates
from numaplace.models.trace import Ints
from numaplace.solver.deadline import Deadline
from numaplace.solver.fleet.groups import GroupFleet
from numaplace.solver.fleet.options import (
    AWAY,
    TWICE,
    Options,
    meets_on_host,
    options_of,
    sets_worth,
)
from numaplace.solver.fleet.tables import HostTable, TableItem
from numaplace.solver.milp.highs import quiet_highs, run_by

UNKNOWN = 1 << 60

Prices = Mapping[int, Ints]
"""By kind of group, what each member is worth, in halves of a micro-vCPU."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a fleet: how many there are of kinds of groups and hosts."""

    groups: Mapping[int, int]
    hosts: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Contents:
    """What one host of a kind holds: pairs (kind of group, option), and twice what that loses."""

    host: int
    parts: tuple[tuple[int, int], ...]
    lost: int = field(compare=False)


class Pricing:
    """Options, contention and the best contents of hosts of a fleet."""

    def __init__(self, fleet: GroupFleet, until: Deadline) -> None:
        self.fleet = fleet
        self.until = until
        self.options: list[dict[int, Options]] = []
        for host in fleet.hosts:
            made = (options_of(fleet.instance, g, host) for g in until.each(fleet.groups))
            self.options.append({k: o for k, o in enumerate(made) if o is not None})
        self.unit = gcd(*(vm.vcpus for group in fleet.groups for vm in group.members))
        self.ends = [self._end(h) for h in range(len(fleet.hosts))]
        self.vcpus = [np.array([vm.vcpus for vm in g.members], np.int64) for g in fleet.groups]
        self._rivals = self._rivals_by_kind()

    @property
    def whole(self) -> Part:
        """The whole fleet."""
        groups = {k: len(group.groups) for k, group in enumerate(self.fleet.groups)}
        return Part(groups, {h: len(host.hosts) for h, host in enumerate(self.fleet.hosts)})

    @cached_property
    def forced(self) -> set[int]:
        """Kinds of groups that fit whole on no host."""
        return {
            k
            for k, members in enumerate(self.vcpus)
            if all(
                k not in found or int(found[k].held.max()) + 1 < 1 << len(members)
                for found in self.options
            )
        }

    def is_whole(self, host: int, kind: int, option: int) -> bool:
        """Tell whether an option has all of a group."""
        held = int(self.options[host][kind].held[option])
        return held + 1 == 1 << len(self.vcpus[kind])

    def _end(self, host: int) -> tuple[Ints, Ints]:
        """Twice the contention of each node by vCPUs on it: at least that, if VMs differ.

        Contention grows with crowding and load, so the least of both by vCPU are taken.
        """
        found = self.fleet.hosts[host]
        crowds = [
            (vm.vcpus, *rates.crowd(vm, vm.vcpus, found.places[0]))
            for vm in {vm: None for g in self.fleet.groups for vm in g.members}
        ]
        load = min(milli // vcpus for vcpus, milli, _ in crowds)
        crowding = min(s for _, _, s in crowds)
        tables = []
        for node in range(2):
            room = found.rooms[node] // self.unit if node < len(found.rooms) else 0
            curve = rates.contention(found.places[min(node, len(found.places) - 1)])
            lost = [TWICE * curve.loss({crowding: load * a * self.unit}) for a in range(room + 1)]
            tables.append(np.array(lost, np.int64))
        return tables[0], tables[1]

    def _rivals_by_kind(self) -> dict[int, list[tuple[int, int, int, int, bool]]]:
        """Pairs that compete across groups of which there is one each."""
        at = {
            name: (k, m)
            for k, kind in enumerate(self.fleet.groups)
            if len(kind.groups) == 1
            for m, name in enumerate(kind.groups[0])
        }
        found: dict[int, list[tuple[int, int, int, int, bool]]] = {}
        for pair in self.fleet.across:
            if pair.first in at and pair.second in at:
                (a, m), (b, n) = at[pair.first], at[pair.second]
                price, hosts = TWICE * rates.competition_price(pair), meets_on_host(pair)
                found.setdefault(a, []).append((m, b, n, price, hosts))
        return found

    def contents(self, host: int, parts: Sequence[tuple[int, int]]) -> Contents:
        """Return contents with what they lose, by the very prices of the cost."""
        options, kind = self.options[host], self.fleet.hosts[host]
        lost = sum(int(options[k].lost[o]) for k, o in parts)
        chosen = {k: o for k, o in parts}
        for k, o in parts:
            for m, other, n, price, hosts in self._rivals.get(k, ()):
                if other in chosen:
                    a, b = options[k].ways[o, m], options[other].ways[chosen[other], n]
                    lost += price * bool(a != AWAY and b != AWAY and (hosts or a == b))
        for node, place in enumerate(kind.places):
            crowds = [
                rates.crowd(vm, vm.vcpus, place)
                for k, o in parts
                for m, vm in enumerate(self.fleet.groups[k].members)
                if options[k].ways[o, m] == node + 1
            ]
            lost += TWICE * rates.contention(place).loss(rates.by_crowding(crowds))
        return Contents(host, tuple(sorted(parts)), lost)

    def alone(self, host: int, kind: int) -> list[Contents]:
        """Return the best way of each part of a group to lie on a host alone."""
        options = self.options[host].get(kind)
        if options is None:
            return []
        order = np.lexsort((options.lost, options.held))
        first = np.unique(options.held[order], return_index=True)[1]
        return [self.contents(host, [(kind, int(o))]) for o in order[first]]

    def table(
        self, host: int, prices: Prices, part: Part, until: Deadline
    ) -> tuple[HostTable, list[int]]:
        """Return the table of a host at prices, and the kind of group of each item."""
        options = self.options[host]
        items: list[TableItem] = []
        kinds: list[int] = []
        for k, count in part.groups.items():
            found = options.get(k)
            if found is None:
                continue
            numbers, weights = found.best(sets_worth(prices[k]))
            good = weights < 0
            numbers, weights = numbers[good], weights[good]
            if not len(numbers):
                continue
            taken = found.taken[numbers] // self.unit
            room = sum(self.fleet.hosts[host].rooms) // self.unit
            copies = min(count, room // int(taken.sum(axis=1).min()))
            columns = (*taken.T.tolist(), weights.tolist(), numbers.tolist())
            item = TableItem(tuple(zip(*columns, strict=True)))
            items += [item] * copies
            kinds += [k] * copies
        end_a, end_b = self.ends[host]
        return HostTable(items, end_a[:, None] + end_b[None, :], until), kinds

    def bound(self, prices: Prices, part: Part, least: Mapping[int, int]) -> int:
        """Twice what no plan of all VMs loses less than; `least`: what contents weigh, by host."""
        worth = sum(count * int(prices[k].sum()) for k, count in part.groups.items())
        return worth + sum(count * min(0, least[h]) for h, count in part.hosts.items())

    def price(
        self, prices: Prices, part: Part, until: Deadline
    ) -> tuple[int, list[tuple[int, Contents]]]:
        """Return the bound at prices, and by kind of host and group the best contents with it."""
        least: dict[int, int] = {}
        found: dict[tuple[int, tuple[tuple[int, int], ...]], tuple[int, Contents]] = {}
        for h in part.hosts:
            table, kinds = self.table(h, prices, part, until)
            least[h] = table.least
            first = {k: g for g, k in reversed(list(enumerate(kinds)))}
            for weight, chosen in table.through_each(sorted(first.values()), until):
                parts = tuple(sorted((kinds[g], number) for g, number in chosen))
                if (h, parts) not in found:
                    found[h, parts] = weight, self.contents(h, parts)
        return self.bound(prices, part, least), list(found.values())

    def bound_only(self, prices: Prices, part: Part, until: Deadline) -> int:
        """Return the bound at prices."""
        least = {h: self.table(h, prices, part, until)[0].least for h in part.hosts}
        return self.bound(prices, part, least)

    @cached_property
    def start(self) -> Prices:
        """Prices to start from: of every group what it loses at least on an empty host.

        Added is what a vCPU adds to contention where all hosts are as full as they are on average.
        """
        slope = self._slope()
        return {
            k: prices + slope * self.vcpus[k]
            for k, prices in enumerate(map(self._alone, self.until.each(range(len(self.vcpus)))))
        }

    def _slope(self) -> int:
        """Twice what a vCPU adds to contention: the price at which the bound is best."""
        vcpus = sum(
            len(g.groups) * int(v.sum()) for g, v in zip(self.fleet.groups, self.vcpus, strict=True)
        )
        tables = [
            (len(host.hosts), table)
            for host, ends in zip(self.fleet.hosts, self.ends, strict=True)
            for table in ends
        ]
        steps = {int(x) // self.unit for _, table in tables for x in np.diff(table)} | {0}

        def worth(slope: int) -> int:
            at = slope * self.unit
            lows = (n * int((table - at * np.arange(len(table))).min()) for n, table in tables)
            return slope * vcpus + sum(lows)

        return max(sorted(steps), key=worth)

    def _alone(self, kind: int) -> Ints:
        """Prices of members at which no part of a group on an empty host weighs below zero."""
        vcpus = self.vcpus[kind]
        least: Ints = np.full(1 << len(vcpus), UNKNOWN, np.int64)
        for options in self.options:
            if kind in options:
                np.minimum.at(least, options[kind].held, options[kind].lost)
        size, whole = sets_worth(vcpus), int(least[-1])
        if whole < UNKNOWN and all(
            part >= UNKNOWN or part * int(size[-1]) >= whole * taken
            for part, taken in zip(least.tolist()[1:], size.tolist()[1:], strict=True)
        ):
            return spread(whole, vcpus)
        return _fair(least, len(vcpus), self.until)


def spread(total: int, vcpus: Ints) -> Ints:
    """Deal a price to members by their vCPUs, in whole numbers."""
    up_to = np.cumsum(vcpus)
    return np.diff(np.array([total * int(v) // int(up_to[-1]) for v in up_to]), prepend=0)


def _fair(least: Ints, count: int, until: Deadline) -> Ints:
    """Return the most that members can be worth if no set is worth more than it loses at least."""
    lp = quiet_highs()
    for _ in range(count):
        lp.addCol(-1.0, -highspy.kHighsInf, highspy.kHighsInf, 0, [], [])
    for held, lost in enumerate(least.tolist()):
        members = [m for m in range(count) if held >> m & 1]
        if members and lost < UNKNOWN:
            lp.addRow(-highspy.kHighsInf, lost / 1e6, len(members), members, [1.0] * len(members))
    run_by(lp, until)
    prices = np.rint(np.array(lp.getSolution().col_value) * 1e6).astype(np.int64)
    excess = (sets_worth(prices) - least).max(initial=0)
    return cast(Ints, prices - excess)
