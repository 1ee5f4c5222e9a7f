"""What a scoring rule sees: every slot that can take one VM, as arrays.

Each attribute is worked out when a rule first asks for it, so that a rule pays for what it uses.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from numaplace.models.rates import access_loss, busy_load, outside_loss
from numaplace.models.trace import NO_NODE, Ints, Reals
from numaplace.models.units import to_milli
from numaplace.solver.placing.mix import other_most
from numaplace.solver.placing.trace_state import FleetState

DIGITS = 9
"""Digits that count when shares are compared: what is equal on paper must be equal here."""


class Offer:
    """The slots that fit a VM now; all arrays have one entry a slot, in order of slot.

    Parameters
    ----------
    state
        What is free.
    vm
        Index of the VM in the trace.
    slots
        Slots to look at, whether they fit or not; None: all that fit.

    Attributes
    ----------
    slots
        Numbers of the slots.
    first, second
        Their places; the same twice if the VM is not cut.
    """

    def __init__(self, state: FleetState, vm: int, slots: Ints | None = None) -> None:
        self.state, self.vm, fleet = state, vm, state.fleet
        self.vcpus, self.mib = state.parts(vm)
        self.cut = self.vcpus[1] > 0
        self.slots: Ints
        if slots is not None:
            self.slots, self.first, self.second = slots, fleet.first[slots], fleet.second[slots]
            return
        cpu, mib = state.free_cpu, state.free_mib
        if not self.cut:
            fits = (cpu >= self.vcpus[0]) & (mib >= self.mib[0])
            self.slots = fits.nonzero()[0]
            self.first = self.second = self.slots
            return
        span = fleet.slots(2)
        a, b = fleet.first[span], fleet.second[span]
        fits = (cpu[a] >= self.vcpus[0]) & (mib[a] >= self.mib[0])
        fits &= (cpu[b] >= self.vcpus[1]) & (mib[b] >= self.mib[1])
        pairs = fits.nonzero()[0]
        self.slots = pairs + fleet.num_places
        self.first, self.second = a[pairs], b[pairs]

    def __len__(self) -> int:
        return len(self.slots)

    @cached_property
    def host(self) -> Ints:
        """Host of each slot."""
        return self.state.fleet.place_host[self.first]

    def total(self, of_places: Ints) -> Ints:
        """Sum of an amount by place over the places of each slot."""
        return of_places[self.first] + of_places[self.second] if self.cut else of_places[self.first]

    @cached_property
    def left_cpu(self) -> Ints:
        """VCPUs the slot's places have left once the VM is there."""
        return self.total(self.state.free_cpu) - sum(self.vcpus)

    @cached_property
    def left_mib(self) -> Ints:
        """MiB they have left."""
        return self.total(self.state.free_mib) - sum(self.mib)

    @cached_property
    def left(self) -> Reals:
        """Room left: share of the places' vCPUs plus share of their memory."""
        fleet = self.state.fleet
        cpu = self.left_cpu / np.maximum(1, self.total(fleet.cpu_capacity))
        room: Reals = cpu + self.left_mib / np.maximum(1, self.total(fleet.memory_mib))
        return np.round(room, DIGITS)

    @cached_property
    def host_left(self) -> Reals:
        """Room the whole host has left, in the same way."""
        state, host = self.state, self.host
        cpu = (state.host_free_cpu[host] - sum(self.vcpus)) / state.host_cpu[host]
        room: Reals = cpu + (state.host_free_mib[host] - sum(self.mib)) / state.host_mib[host]
        return np.round(room, DIGITS)

    @cached_property
    def unevenness(self) -> Reals:
        """Variance, over the nodes of its host that have pCPUs, of the vCPUs left free."""
        state, fleet, host = self.state, self.state.fleet, self.host
        starts = fleet.host_start[:-1]
        nodes = np.add.reduceat((fleet.cpu_capacity > 0).astype(np.int64), starts)[host]
        squares = np.add.reduceat(state.free_cpu**2, starts)[host]
        for places, vcpus in zip((self.first, self.second), self.vcpus, strict=True):
            squares = squares - 2 * state.free_cpu[places] * vcpus + vcpus**2
        total = state.host_free_cpu[host] - sum(self.vcpus)
        variance: Reals = squares / nodes - (total / nodes) ** 2
        return np.round(variance, DIGITS)

    @cached_property
    def split_loss(self) -> Ints:
        """Loss in micro-vCPU from cells that reach each other's memory (`rates.split_rate`)."""
        trace, fleet = self.state.trace, self.state.fleet
        if not self.cut:
            return np.zeros(len(self), np.int64)
        mu = float(trace.memory_intensity[self.vm])
        busy = float(trace.utilisation[self.vm])
        loss: Ints = np.zeros(len(self), np.int64)
        pairs = self.slots - fleet.num_places
        for r, vcpus, mib in zip(fleet.pair_distance, self.vcpus, reversed(self.mib), strict=True):
            loss += access_loss(vcpus * busy, mib / sum(self.mib), mu, r[pairs])
        return loss

    @cached_property
    def affinity_loss(self) -> Ints:
        """Loss in micro-vCPU from vCPUs outside the soft node (`rates.affinity_rate`)."""
        trace = self.state.trace
        soft, weight = int(trace.soft_node[self.vm]), float(trace.soft_weight[self.vm])
        loss: Ints = np.zeros(len(self), np.int64)
        if soft == NO_NODE or weight == 0:
            return loss
        for places, vcpus in zip((self.first, self.second), self.vcpus, strict=True):
            price = outside_loss(weight, vcpus, sum(self.vcpus))
            loss += np.where(self.state.fleet.node_id[places] == soft, 0, price)
        return loss

    @cached_property
    def contention_loss(self) -> Ints:
        """Loss in micro-vCPU that the VM's load adds on its places."""
        state = self.state
        loss: Ints = np.zeros(len(self), np.int64)
        if state.never_contends:
            return loss
        busy = float(state.trace.utilisation[self.vm])
        for places, vcpus in zip((self.first, self.second), self.vcpus, strict=True):
            if vcpus:
                before = state.load_milli[places]
                after = before + to_milli(busy_load(vcpus, busy))
                curves = state.contention.at(places)
                loss += curves.loss(after) - curves.loss(before)
        return loss

    @cached_property
    def loss(self) -> Ints:
        """Loss in micro-vCPU that the VM would add."""
        return self.split_loss + self.affinity_loss + self.contention_loss

    @cached_property
    def room_lost(self) -> Reals:
        """Weighted number of the VMs that usually come for which there is no room afterwards."""
        state, fleet, mix = self.state, self.state.fleet, self.state.mix
        tables = mix.tables
        now = mix.index(state.free_cpu, state.free_mib)
        places = (self.first, self.second) if self.cut else (self.first,)
        after = [
            mix.index(state.free_cpu[at] - vcpus, state.free_mib[at] - mib)
            for at, vcpus, mib in zip(places, self.vcpus, self.mib, strict=False)
        ]
        lost: Reals = np.zeros(len(self))
        for at, then in zip(places, after, strict=True):
            lost += tables.whole[now[at]] - tables.whole[then]
        for weight, takes in tables.halves:
            have = takes[now]
            left = [takes[then] for then in after]
            if self.cut:
                before = np.minimum(have[self.first], have[self.second])
                lost += weight * (before - np.minimum(*left))
            else:
                other = other_most(have, fleet)[self.first]
                lost += weight * (np.minimum(have[self.first], other) - np.minimum(left[0], other))
        return np.round(lost, DIGITS)

    @cached_property
    def extends(self) -> Reals:
        """Share of the VM's predicted life for which it would be the last on its host."""
        state = self.state
        end = int(state.trace.predicted_end_ms[self.vm])
        begin = np.maximum(state.host_end_ms[self.host], state.now_ms)
        share: Reals = np.maximum(0, end - begin) / max(1, end - state.now_ms)
        return share
