"""What a plan can be worth at most, worked out before any search.

VMs that fit nowhere alone are worth nothing. The others share the vCPUs, the memory pools and the
device functions of each class of equal hosts, at every instant: a knapsack with several resources.
Prices on the resources give a bound (Lagrangian relaxation): what all resources cost, and for each
VM what its value is above the price of what it takes where that is cheapest. It holds for any
prices; good ones are found one after the other, each exactly, as in Dantzig's rule for one
resource. The sum is taken in integers, so that no rounding matters.

References
----------
G. B. Dantzig, "Discrete-variable extremum problems", Operations Research 5 (1957).
A. M. Geoffrion, "Lagrangean relaxation for integer programming", Mathematical Programming Study 2
(1974).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from itertools import product
from math import gcd

import numpy as np
import numpy.typing as npt

from numaplace.models.instance import Place
from numaplace.models.units import MILLI
from numaplace.models.vm import CpuPolicy, ThreadPolicy, Vm
from numaplace.solver.deadline import OutOfTimeError
from numaplace.solver.formulation.empty_hosts import EmptyHosts

INSTANTS_MAX = 8
ROUNDS = 3
STEPS, AIM = 60, 0.9
"""Subgradient steps, and the share of the best bound that the first ones aim at."""
UNIT = 2**20
"""Prices are whole multiples of a thousandth of value by this."""

Reals = npt.NDArray[np.float64]
Uses = tuple[tuple[tuple[str, int], ...] | None, ...]
"""What a VM takes of each resource, by class of hosts; None where it may not be."""


@dataclass(frozen=True, slots=True)
class Knapsack:
    """VMs that share resources at one instant."""

    free: int  # value of the VMs that take nothing then
    room: tuple[dict[str, int], ...]  # amount of each resource of each class of hosts
    kinds: dict[tuple[int, Uses], int]  # VMs by value and by what they take, counted


def value_bound(empty: EmptyHosts) -> int:
    """Return what no plan is worth more than, in thousandths; at least 0."""
    instance = empty.instance
    try:
        most = empty.possible_value_milli
        for knapsack in _knapsacks(empty):
            most = min(most, knapsack.free + _Priced(knapsack).bound())
    except OutOfTimeError:
        return instance.total_value_milli
    unit = gcd(*(instance.value_milli(vm) for vm in instance.vms))
    return most // unit * unit if unit else 0


def _knapsacks(empty: EmptyHosts) -> list[Knapsack]:
    """Return the knapsacks of the instants at which most vCPUs are wanted."""
    instance = empty.instance
    classes = Counter(empty.like_host)
    vms = [vm for vm in empty.until.each(instance.vms) if empty.possible(vm)]
    rooms = tuple(_room(empty, host, count, vms) for host, count in classes.items())
    of_kind: dict[tuple[object, ...], Uses] = {}
    for vm in empty.until.each(vms):
        if empty.kind(vm) not in of_kind:
            of_kind[empty.kind(vm)] = _uses(empty, vm, list(classes))
    uses = {vm.name: of_kind[empty.kind(vm)] for vm in vms}
    value = {vm.name: instance.value_milli(vm) for vm in vms}
    vcpus = {vm.name: vm.vcpus for vm in vms}
    fullest = sorted(
        instance.instants, key=lambda alive: -sum(vcpus.get(name, 0) for name in alive)
    )
    return [
        Knapsack(
            sum(value[name] for name in value if name not in alive),
            rooms,
            Counter((value[name], uses[name]) for name in value if name in alive),
        )
        for alive in empty.until.each(fullest[:INSTANTS_MAX])
    ]


def _room(empty: EmptyHosts, host_index: int, count: int, vms: list[Vm]) -> dict[str, int]:
    """What `count` hosts alike have together."""
    places = empty.instance.host_places[host_index]
    host = places[0].host
    ratio = host.ratio_milli
    room = {"vcpus": ratio * host.threads}
    for size in {vm.page_size for vm in vms}:
        room[f"memory {size}"] = sum(place.node.pool_mib(size) for place in places)
    for kind in {request.kind for vm in vms for request in vm.devices}:
        able = (device.functions for device in host.devices if device.answers(kind))
        room[f"device {kind}"] = sum(able)
    return {name: count * amount for name, amount in room.items()}


def _uses(empty: EmptyHosts, vm: Vm, classes: Collection[int]) -> Uses:
    """What a VM takes at least on each class of hosts."""
    instance, form = empty.instance, empty.instance.form(vm.name)
    memory_mib = (form.blocks - form.balloon_blocks) * form.block_mib
    allowed = {empty.like_host[h] for h in empty.hosts_to_try(vm) if empty.fits(vm, h)}
    found: list[tuple[tuple[str, int], ...] | None] = []
    for host_index in classes:
        if host_index not in allowed:
            found.append(None)
            continue
        wants: dict[str, int] = defaultdict(int)
        wants["vcpus"] = vm.vcpus * _vcpu_price(vm, instance.host_places[host_index])
        wants[f"memory {vm.page_size}"] = memory_mib
        for request in vm.devices:
            wants[f"device {request.kind}"] += request.count
        found.append(tuple(sorted(wants.items())))
    return tuple(found)


def _vcpu_price(vm: Vm, places: tuple[Place, ...]) -> int:
    """What a vCPU takes of ``overcommit * threads`` in thousandths: a dedicated one, a pCPU."""
    if vm.cpu_policy is CpuPolicy.SHARED:
        return MILLI
    ratio = places[0].host.ratio_milli
    if vm.thread_policy is not ThreadPolicy.ISOLATE:
        return ratio
    threads = (Counter(pcpu.core for pcpu in place.node.pcpus).values() for place in places)
    return ratio * min((min(of_node) for of_node in threads if of_node), default=1)


class _Priced:
    """A knapsack as arrays, and the prices of its resources."""

    def __init__(self, knapsack: Knapsack) -> None:
        self.names = sorted({name for room in knapsack.room for name in room})
        kinds = list(knapsack.kinds)
        shape = len(kinds), len(knapsack.room), len(self.names)
        self.count = [knapsack.kinds[kind] for kind in kinds]
        self.value = [value for value, _ in kinds]
        self.room = [[room.get(name, 0) for name in self.names] for room in knapsack.room]
        self.able = np.zeros(shape[:2], dtype=bool)
        self.use = np.zeros(shape, dtype=np.int64)
        index = {name: r for r, name in enumerate(self.names)}
        for k, (_, uses) in enumerate(kinds):
            for c, wants in enumerate(uses):
                if wants is not None:
                    self.able[k, c] = True
                    for name, amount in wants:
                        self.use[k, c, index[name]] = amount
        self.prices = np.zeros(shape[1:])
        # What is taken on average: prices that rise on several classes at once rise by this.
        counts = np.array(self.count)[:, None, None] * self.able[:, :, None]
        taken = (self.use * counts).sum(axis=0) / np.maximum(1, counts.sum(axis=0))
        self.scale = np.where(taken > 0, taken, 1.0)

    def bound(self) -> int:
        """Return the least bound found."""
        if not self.value:
            return 0
        every = list(range(len(self.room)))
        same = np.ones_like(self.scale)
        ways = [(every, same), (every, self.scale), *(([c], same) for c in every)]
        alone = (self._priced(every, r, same) for r in range(len(self.names)))
        starts = [self.prices, min(alone, key=self._estimate)]
        found: list[Reals] = []
        for self.prices in starts:
            for _ in range(ROUNDS):
                before = self.prices
                for r, (classes, scale) in product(range(len(self.names)), ways):
                    trial = self._priced(classes, r, scale)
                    self.prices = min(self.prices, trial, key=self._estimate)
                self.prices = min(self.prices, self._descended(), key=self._estimate)
                if self.prices is before:
                    break
            found.append(self.prices)
        return min(map(self._total, found))

    def _priced(self, classes: list[int], r: int, scale: Reals) -> Reals:
        """Return the prices with the best one of a resource in some classes."""
        prices = self.prices.copy()
        prices[classes, r] = self._best_price(classes, r, scale) / scale[classes, r]
        return prices

    def _descended(self) -> Reals:
        """Return better prices by subgradients: those of several resources change together."""
        room = np.maximum(1.0, np.array(self.room, dtype=float))
        count, rows = np.array(self.count), np.arange(len(self.value))
        best = now = self.prices
        least = self._estimate(best)
        for step in range(STEPS):
            worth = self._worth(now)
            where = worth.argmax(axis=1)
            taken = np.zeros_like(room)
            wanted = np.where(worth.max(axis=1) > 0, count, 0)
            np.add.at(taken, where, wanted[:, None] * self.use[rows, where])
            slope = 1.0 - taken / room  # by the price of all there is of each resource
            norm = float((slope**2).sum())
            if not norm:
                break
            length = (self._estimate(now) - AIM ** (1 / (1 + step / 10)) * least) / norm
            now = np.maximum(0.0, now - length * slope / room)
            if self._estimate(now) < least:
                best, least = now, self._estimate(now)
        return best

    def _best_price(self, classes: list[int], r: int, scale: Reals) -> float:
        """Return the price by `scale` of a resource in some classes that makes the bound least.

        Exact if each VM takes the same by `scale` in all of them; any price gives a bound.
        """
        rest = self.prices.copy()
        rest[classes, r] = 0.0
        worth = self._worth(rest)
        chosen = np.isin(np.arange(len(self.room)), classes)
        other = np.maximum(0.0, np.where(chosen, -np.inf, worth).max(axis=1))
        inside = np.where(chosen, worth, -np.inf)
        where = inside.argmax(axis=1)
        use = self.use[np.arange(len(where)), where, r] / scale[where, r]
        gain = inside.max(axis=1) - other
        paid = (gain > 0) & (use > 0)
        if not paid.any():
            return 0.0
        limits = gain[paid] / use[paid]
        taken = (np.array(self.count) * use)[paid]
        order = np.argsort(-limits)
        over = np.cumsum(taken[order]) > sum(self.room[c][r] / scale[c, r] for c in classes)
        return float(limits[order][over.argmax()]) if over.any() else 0.0

    def _estimate(self, prices: Reals) -> float:
        """Return the bound of some prices, nearly."""
        left = np.maximum(0.0, self._worth(prices).max(axis=1)) @ np.array(self.count)
        return float((prices * np.array(self.room, dtype=float)).sum() + left)

    def _worth(self, prices: Reals) -> Reals:
        """Value of each kind of VM above what it pays on each class of hosts."""
        paid = np.einsum("kcr,cr->kc", self.use, prices)
        return np.where(self.able, np.array(self.value)[:, None] - paid, -np.inf)

    def _total(self, prices: Reals) -> int:
        """Return the bound of some prices, rounded to whole units first."""
        whole = np.array([[round(p * UNIT) for p in row] for row in prices.tolist()], object)
        total: int = (whole * np.array(self.room, object)).sum()
        paid = (whole * self.use.astype(object)).sum(axis=2)
        for value, count, able, each in zip(self.value, self.count, self.able, paid, strict=True):
            total += count * max(0, value * UNIT - min(each[able]))
        return total // UNIT
