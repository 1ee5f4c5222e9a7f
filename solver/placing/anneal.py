"""Simulated annealing of simple VMs over nodes: moves, swaps and exchanges of whole nodes."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from numaplace.models.units import MILLI
from numaplace.solver.deadline import Deadline
from numaplace.solver.placing.occupancy import Occupancy
from numaplace.solver.placing.prices import FORBIDDEN, MovePrices, simple_vms

PLACES_MAX = 256
CHECK_EVERY = 200
SAMPLES = 300
SCATTERED = 0.5  # Share of runs that also gather VMs whose memory is scattered or ballooned
MOVES = 0.5  # Share of moves among the changes tried; the others are swaps
STRAIN = 0.3  # Price of one vCPU too many as a share of a mean change
EXCHANGES = 0.02  # Share of exchanges of all VMs of two places, among the moves
# First temperature as a share of a mean change, and the last as a share of the first.
HOT, COOLING = 0.3, 0.03


@dataclass(frozen=True, slots=True)
class Moves:
    """Places of VMs to be placed anew, all memory local, and what that changes in micro-vCPU."""

    places: dict[str, int]
    change_micro: int


def anneal(state: Occupancy, until: Deadline, rng: random.Random) -> Moves:
    """Search until a deadline; return what should move.

    Nothing moves if nothing better is found. `state` is left as it was.
    """
    if not state.ledger.single_row or state.arrays.size > PLACES_MAX:
        return Moves({}, 0)
    scattered = rng.random() < SCATTERED
    prices = MovePrices(state, simple_vms(state, scattered=scattered))
    best_at, best = _run(prices, until, rng)
    if best == prices.scattered_micro:
        return Moves({}, 0)
    moved = {
        name: place_index
        for v, (name, place_index) in enumerate(zip(prices.names, best_at, strict=True))
        if place_index != prices.at[v] or not prices.gathered[v]
    }
    return Moves(moved, best - prices.scattered_micro)


def _run(prices: MovePrices, until: Deadline, rng: random.Random) -> tuple[list[int], int]:
    """Anneal; return the best place of each VM and the sum of changes that led there."""
    movable = [v for v, options in enumerate(prices.options) if len(options) > 1]
    walk = _Walk(prices, rng.random)
    deltas = [abs(d) for d in (walk.propose(movable) for _ in range(SAMPLES if movable else 0))]
    deltas = [delta for delta in deltas if 0 < delta < FORBIDDEN // 2]
    if not deltas:
        return prices.at, prices.scattered_micro
    mean = sum(deltas) / len(deltas)
    walk.price_strain(STRAIN * mean)
    hot = HOT * mean
    began = time.monotonic()
    heat, count, now, best = hot, 0, 0, prices.scattered_micro
    best_at = list(prices.at)
    chance, exp = rng.random, math.exp
    while True:
        count += 1
        if count % CHECK_EVERY == 0:
            if until.over:
                return best_at, best
            heat = hot * COOLING ** ((time.monotonic() - began) / max(1e-9, until.end - began))
        delta = walk.propose(movable)
        if delta > 0 and chance() >= exp(-delta / heat):
            continue
        now += walk.apply()
        if now < best and not walk.total_strain:
            best = now
            best_at = list(walk.at)


class _Walk:
    """A point in the search: where each VM is, what is free, and the change last proposed.

    Places may be overfull on the way, at a price (*strain*) that cooling makes prohibitive: where
    nodes are nearly full, few ways lead from one valid plan to another.
    """

    def __init__(self, prices: MovePrices, chance: Callable[[], float]) -> None:
        self.prices = prices
        self.chance = chance
        self.at = list(prices.at)
        self.cpu_free = list(prices.cpu_free)
        copies = {id(free): list(free) for free in prices.mib_free}
        self.mib_free = [copies[id(free)] for free in prices.mib_free]
        self.load = list(prices.load_at)
        self.demand = list(prices.demand_at)
        places = range(len(self.load))
        arrays = prices.arrays
        self._cores = [place.node.cores * MILLI for place in arrays.instance.places]
        self._lines = [list(values) for values in prices.lines_at]
        self._limit: list[int] = arrays.bandwidths.quiet_milli.tolist()
        self._bandwidth = arrays.bandwidth
        self._cpu_strain = self._mib_strain = 0.0
        self.crowd = [self._crowd(p, self.load[p], self.demand[p], ()) for p in places]
        self.strain = [0.0] * len(self.load)
        self.total_strain = 0.0
        self._moves: tuple[tuple[int, int], ...] = ()
        self._places = (0, 0)
        self._crowds = (0, 0)
        self._strains = (0.0, 0.0)
        self._change = 0

    def price_strain(self, per_vcpu: float) -> None:
        """Set the price of a vCPU too many on a place, and of memory in the same proportion."""
        prices = self.prices
        mib_per_cpu = max(1, sum(prices.mib)) / max(1, sum(prices.cpu))
        self._cpu_strain = per_vcpu / MILLI
        self._mib_strain = self._cpu_strain / mib_per_cpu
        pools = {id(free): free for free in self.mib_free}.values()
        for place_index, cpu_free in enumerate(self.cpu_free):
            least = min(free[place_index] for free in pools)
            self.strain[place_index] = self._strain(cpu_free, least)
        self.total_strain = sum(self.strain)

    def propose(self, movable: list[int]) -> float:
        """Draw a move or a swap; return what it would change, strain included."""
        chance, at = self.chance, self.at
        v = movable[int(chance() * len(movable))]
        old = at[v]
        drawn = chance()
        if drawn < EXCHANGES:
            u = movable[int(chance() * len(movable))]
            return self._nothing() if at[u] == old else self._exchange(movable, old, at[u])
        if drawn < MOVES:
            options = self.prices.options[v]
            new = options[int(chance() * len(options))]
            self._moves = ((v, new),)
            if new == old:
                return self._nothing()
            return self._weigh(v, -1, old, new)
        u = movable[int(chance() * len(movable))]
        new = at[u]
        self._moves = ((v, new), (u, old))
        return self._nothing() if new == old else self._weigh(v, u, old, new)

    def _nothing(self) -> float:
        self._moves = ()
        self._change = 0
        return 0.0

    def _weigh(self, v: int, u: int, old: int, new: int) -> float:
        """Weigh moving `v` from one place to another, and `u` the other way unless it is -1."""
        prices = self.prices
        change = self._felt(v, old, new, u)
        cpu, mib = prices.cpu[v], prices.mib[v]
        load, demand = prices.load[v], prices.demand[v]
        free_old, free_new = self.mib_free[v][old] + mib, self.mib_free[v][new] - mib
        strained = 0
        if u >= 0:
            change += self._felt(u, new, old, v)
            cpu -= prices.cpu[u]
            load -= prices.load[u]
            demand -= prices.demand[u]
            mib_u = prices.mib[u]
            if self.mib_free[u] is self.mib_free[v]:
                free_old -= mib_u
                free_new += mib_u
            else:
                strained = min(0, self.mib_free[u][old] - mib_u)
        free = (free_old + strained, free_new)
        return self._settle(change, (old, new), cpu, free, load, demand)

    def _exchange(self, movable: list[int], p: int, q: int) -> float:
        """Weigh exchanging all VMs of two places: good groups may be at the wrong end of a host."""
        prices, at = self.prices, self.at
        other = {p: q, q: p}
        new = {v: other[at[v]] for v in movable if at[v] in other}
        change = 0
        for v, place_index in new.items():
            old = at[v]
            change += prices.price[v][place_index] - prices.price[v][old]
            for partner, row in prices.pairs[v]:
                there = at[partner]
                if partner not in new:
                    change += row[prices.kind[place_index][there]] - row[prices.kind[old][there]]
                elif partner > v:
                    change += (
                        row[prices.kind[place_index][new[partner]]] - row[prices.kind[old][there]]
                    )
        cpu = mib = load = demand = 0
        for v in new:
            sign = 1 if at[v] == p else -1
            cpu += sign * prices.cpu[v]
            mib += sign * prices.mib[v]
            load += sign * prices.load[v]
            demand += sign * prices.demand[v]
        free = self.mib_free[next(iter(new))]
        if any(self.mib_free[v] is not free for v in new):
            return self._nothing()
        self._moves = tuple(new.items())
        return self._settle(change, (p, q), cpu, (free[p] + mib, free[q] - mib), load, demand)

    def _settle(
        self,
        change: int,
        places: tuple[int, int],
        cpu: int,
        mib_free: tuple[int, int],
        load: int,
        demand: int,
    ) -> float:
        """Add crowding and strain of two places between which `cpu`, `load`, `demand` shift."""
        old, new = places
        moves = self._moves
        crowd_old = self._crowd(old, self.load[old] - load, self.demand[old] - demand, moves)
        crowd_new = self._crowd(new, self.load[new] + load, self.demand[new] + demand, moves)
        strain_old = self._strain(self.cpu_free[old] + cpu, mib_free[0])
        strain_new = self._strain(self.cpu_free[new] - cpu, mib_free[1])
        change += crowd_old + crowd_new - self.crowd[old] - self.crowd[new]
        self._change = change
        self._places = places
        self._crowds = (crowd_old, crowd_new)
        self._strains = (strain_old, strain_new)
        return change + strain_old + strain_new - self.strain[old] - self.strain[new]

    def _felt(self, v: int, old: int, new: int, swapped: int) -> int:
        """Change of what a VM feels of places and partners; `swapped` changes places with it."""
        price = self.prices.price[v]
        change = price[new] - price[old]
        kind, at = self.prices.kind, self.at
        kind_new, kind_old = kind[new], kind[old]
        for partner, row in self.prices.pairs[v]:
            if partner != swapped:
                there = at[partner]
                change += row[kind_new[there]] - row[kind_old[there]]
        return change

    def _crowd(
        self, place_index: int, load: int, demand: int, moves: tuple[tuple[int, int], ...]
    ) -> int:
        """CPU and bandwidth contention; most places have none, which is quick to see."""
        loss = self.prices.pinned_at[place_index]
        if load > self._cores[place_index]:
            loss = max(loss, *self._moved_lines(place_index, moves))
        bandwidth = self._bandwidth[place_index]
        if demand > self._limit[place_index] and bandwidth is not None:
            loss += bandwidth.loss(demand)
        return loss

    def _moved_lines(self, place: int, moves: tuple[tuple[int, int], ...]) -> list[int]:
        """Lines of CPU contention of a place, were VMs moved."""
        lines = self._lines[place]
        for v, new in moves:
            add, old = self.prices.adds[v][place], self.at[v]
            if new == place:
                lines = [a + b for a, b in zip(lines, add, strict=True)]
            elif old == place:
                lines = [a - b for a, b in zip(lines, add, strict=True)]
        return lines

    def _strain(self, cpu_free: int, mib_free: int) -> float:
        strain = 0.0
        if cpu_free < 0:
            strain -= cpu_free * self._cpu_strain
        if mib_free < 0:
            strain -= mib_free * self._mib_strain
        return strain

    def apply(self) -> int:
        """Make the change last proposed; return what it changes without strain."""
        if not self._moves:
            return 0
        prices = self.prices
        for place in self._places:
            self._lines[place] = self._moved_lines(place, self._moves)
        for v, new in self._moves:
            old = self.at[v]
            self.at[v] = new
            for free, amount in ((self.cpu_free, prices.cpu[v]), (self.mib_free[v], prices.mib[v])):
                free[old] += amount
                free[new] -= amount
            for used, amount in ((self.load, prices.load[v]), (self.demand, prices.demand[v])):
                used[old] -= amount
                used[new] += amount
        for place_index, crowd, strain in zip(
            self._places, self._crowds, self._strains, strict=True
        ):
            self.crowd[place_index] = crowd
            self.strain[place_index] = strain
        self.total_strain = sum(self.strain)
        return self._change
