"""Prices of all that simple VMs can do, for annealing: by VM and place, by pair and kind of pair.

A VM is *simple* if one node is all it needs: shared CPUs, one cell, its memory where its vCPUs
are, no device, no sharing group, not tied to others' nodes. The others stay where they are; what
they take and attract is part of the prices. Everything is in plain lists of integers, the fastest
there is for single look-ups in Python.
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from numaplace.models import rates
from numaplace.models.cores import node_llcs
from numaplace.models.instance import Between
from numaplace.models.relations import Scope
from numaplace.models.units import MILLI, PageSize
from numaplace.models.vm import CpuPolicy, MemoryMode
from numaplace.solver.placing.cell_offer import migration_loss, pair_loss, place_loss, places_for
from numaplace.solver.placing.ledger import Footprint
from numaplace.solver.placing.occupancy import Occupancy

FORBIDDEN = 1 << 50  # Price of what a rule forbids
SAME_NODE, SAME_LLC = 1, 2  # Bits of a pair of places; those of scopes of whole hosts follow


def simple_vms(state: Occupancy, *, scattered: bool) -> list[str]:
    """Return the simple VMs placed; with `scattered` also those that spill or are ballooned."""
    return [
        name
        for name, print_ in state.placed.items()
        if _may_be_simple(state, print_) and (scattered or is_gathered(print_))
    ]


def _may_be_simple(state: Occupancy, print_: Footprint) -> bool:
    vm, instance = print_.vm, state.instance
    return (
        vm.cpu_policy is CpuPolicy.SHARED
        and instance.form(vm.name).max_cells == 1
        and vm.memory_mode is not MemoryMode.INTERLEAVE
        and vm.memory_nodes is None
        and not vm.devices
        and vm.name not in instance.group_of
        and not state.arrays.togethers.get(vm.name)
    )


def is_gathered(print_: Footprint) -> bool:
    """Tell whether a VM of one cell has all its memory where its vCPUs are."""
    (place_index, mib), *others = print_.pages or ((-1, 0),)
    return place_index == print_.homes[0][0] and not others and mib >= print_.vm.memory_mib


class MovePrices:
    """Simple VMs by index: where they are, what they need, and the prices of all they can do.

    Attributes
    ----------
    scattered_micro
        What the VMs lose now because not all their memory is where their vCPUs are; the prices take
        it all as local, so places may be overfull to begin with.
    kind
        By two places, the number of all that a pair of VMs there feels.
    pairs
        By VM, its partners and their prices by kind.
    price, options
        By VM, its price at each place, and the places it may go to.
    """

    def __init__(self, state: Occupancy, names: list[str]) -> None:
        self.arrays, self.names, ledger = state.arrays, names, state.ledger
        prints = [state.placed[name] for name in names]
        self.at = [print_.homes[0][0] for print_ in prints]
        self.gathered = [is_gathered(print_) for print_ in prints]
        self.cpu = [print_.vm.vcpus * MILLI for print_ in prints]
        self.mib = [state.instance.form(print_.vm.name).own_mib for print_ in prints]
        self.load = [print_.crowd[0][1] for print_ in prints]
        # By VM, place and line of CPU contention; equal VMs have one table.
        tables = {id(t): t for t in (self.arrays.crowd(p.vm, p.vm.vcpus) for p in prints)}
        lists: dict[int, list[list[int]]] = {key: t.T.tolist() for key, t in tables.items()}
        self.adds = [lists[id(self.arrays.crowd(p.vm, p.vm.vcpus))] for p in prints]
        self.demand = [
            rates.demand_per_block(state.instance, print_.vm)
            * state.instance.form(print_.vm.name).blocks
            for print_ in prints
        ]
        self.cpu_free: list[int] = ledger.free_cpu[0].tolist()
        free: dict[PageSize, list[int]] = {
            size: pool[0].tolist() for size, pool in ledger.free_mib.items()
        }
        self.load_at = [0] * self.arrays.size
        for print_ in state.placed.values():
            for place, milli, _ in print_.crowd:
                self.load_at[place] += milli
        self.lines_at: list[list[int]] = ledger.values[0].T.tolist()
        self.pinned_at = [state.pinned_loss(place) for place in range(self.arrays.size)]
        self.demand_at: list[int] = ledger.demand_milli[0].tolist()
        for v, print_ in enumerate(prints):
            pool = free[print_.vm.page_size]
            for place_index, mib in print_.pages:
                pool[place_index] += mib
            for place_index, demand in print_.demand:
                self.demand_at[place_index] -= demand
            pool[self.at[v]] -= self.mib[v]
            self.demand_at[self.at[v]] += self.demand[v]
        self.mib_free = [free[print_.vm.page_size] for print_ in prints]
        self._number_kinds()
        self._price_pairs()
        self._price_places(state, prints)

    def _number_kinds(self) -> None:
        """Number pairs of places by all that a pair of VMs feels: distance, what they share."""
        arrays, places = self.arrays, self.arrays.instance.places
        distance = np.array([arrays.mean_r(place_index) for place_index in range(arrays.size)])
        meets = np.eye(arrays.size, dtype=np.int64) * SAME_NODE
        of_hosts = sorted(arrays.instance.scopes - {Scope.NODE, Scope.LLC})
        self.bits: dict[str, int] = {Scope.NODE: SAME_NODE, Scope.LLC: SAME_NODE | SAME_LLC}
        self.bits |= {scope: SAME_LLC << n for n, scope in enumerate(of_hosts, 1)}
        for scope in of_hosts:
            domains = arrays.domains(scope)
            meets += (domains[:, None] == domains[None, :]) * self.bits[scope]
        for span in arrays.host_slice:
            llcs = {place.index: node_llcs(place.node) for place in places[span]}
            for a in llcs:
                for b in llcs:
                    if a != b and llcs[a] & llcs[b]:
                        meets[a, b] += SAME_LLC
        table = np.stack([distance.ravel(), meets.ravel().astype(np.float64)], axis=1)
        kinds, numbers = np.unique(table, axis=0, return_inverse=True)
        self.kinds = [(float(r), int(meet)) for r, meet in kinds]
        self.kind: list[list[int]] = numbers.reshape(arrays.size, arrays.size).tolist()

    def _price_pairs(self) -> None:
        """Price each pair of simple VMs that feel each other, by kind of pair of places."""
        instance = self.arrays.instance
        index = {name: v for v, name in enumerate(self.names)}
        rows: dict[tuple[int, int], list[int]] = {}

        def add(first: str, second: str, price: list[int]) -> None:
            if first in index and second in index and any(price):
                pair = (index[first], index[second])
                pair = (min(pair), max(pair))
                row = rows.setdefault(pair, [0] * len(price))
                rows[pair] = [a + b for a, b in zip(row, price, strict=True)]

        for talk in instance.cooperations:
            price = [rates.distance_loss(talk.weight, r) for r, _ in self.kinds]
            if talk.scope is not None:
                parted = rates.parted_price(talk)
                price = [parted - met for met in self._if_met(talk.scope, parted)]
            add(talk.first, talk.second, price)
        for rival in instance.competitions:
            add(
                rival.first, rival.second, self._if_met(rival.scope, rates.competition_price(rival))
            )
        for rule in instance.aparts:
            forbidden = self._if_met(rule.scope, FORBIDDEN)
            parts = [[name for name in part if name in index] for part in rule.parts]
            for these, those in combinations(parts, 2):
                for first, second in product(these, those):
                    add(first, second, forbidden)
        self.pairs: list[list[tuple[int, list[int]]]] = [[] for _ in self.names]
        for (a, b), row in rows.items():
            self.pairs[a].append((b, row))
            self.pairs[b].append((a, row))

    def _if_met(self, scope: str, price: int) -> list[int]:
        return [price if meet & self.bits[scope] else 0 for _, meet in self.kinds]

    def _price_places(self, state: Occupancy, prints: list[Footprint]) -> None:
        """Price each simple VM at each place by itself and by the VMs that stay."""
        simple = set(self.names)
        others = {name: print_ for name, print_ in state.placed.items() if name not in simple}
        stay_on_host = self.arrays.instance.between is not Between.NOTHING
        self.scattered_micro = 0
        self.price: list[list[int]] = []
        self.options: list[list[int]] = []
        for print_ in prints:
            vm, form = print_.vm, self.arrays.instance.form(print_.vm.name)
            mask, _ = places_for(state, vm, others)
            if stay_on_host:
                mask &= self.arrays.host_index == print_.host_index
            mask &= self.arrays.cpu_capacity >= vm.vcpus * MILLI
            mask &= self.arrays.pool_mib[vm.page_size] >= form.own_mib
            here = print_.homes[0][0]
            local = place_loss(self.arrays, vm, vm.vcpus)
            local = local + migration_loss(self.arrays, vm, form.blocks)
            self.scattered_micro += print_.own_micro - int(local[here])
            price = local + pair_loss(state, vm, vm.vcpus, 1, others)
            self.price.append(np.where(mask, price, FORBIDDEN).tolist())
            self.options.append(np.flatnonzero(mask).tolist())
