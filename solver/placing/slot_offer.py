"""Every slot of a fleet that can take one VM of a trace."""

from __future__ import annotations

import numpy as np

from numaplace.models.rates import ContentionLines, access_loss, outside_loss
from numaplace.models.trace import NO_NODE, Ints, Reals
from numaplace.models.units import PageSize
from numaplace.solver.placing.fleet_state import FleetState, other_most
from numaplace.solver.placing.ledger import NOW
from numaplace.solver.placing.offer import DIGITS, Lazy, Offer


class SlotOffer(Offer):
    """The slots that fit a VM of a trace now, or some `slots`, whether they fit or not."""

    def __init__(self, state: FleetState, vm: int, slots: Ints | None = None) -> None:
        self.ledger, self.rows, self.size = state.ledger, NOW, PageSize.SMALL
        self.free_cpu, self.free_mib = state.free_cpu, state.free_mib
        self.state, self.vm, fleet = state, vm, state.fleet
        self.vcpus, self.mib, self.load_milli = state.parts(vm)
        self.cpu = self.vcpus
        self.cut = self.vcpus[1] > 0
        if slots is not None:
            self.slots, self.first, self.second = slots, fleet.first[slots], fleet.second[slots]
            return
        cpu, mib = self.free_cpu, self.free_mib
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

    @Lazy
    def runnable(self) -> Ints:
        """VCPUs that may run on the places; all of a VM of two cells count on both."""
        return self.total(self.state.runnable)

    @Lazy
    def runnable_once(self) -> Ints:
        """The same, each counted once."""
        if not self.cut:
            return self.runnable
        return self.runnable - self.state.spanning[self.slots - self.state.fleet.num_places]

    @Lazy
    def split_loss(self) -> Ints:
        """Loss in micro-vCPU from cells that reach each other's memory (`rates.split_rate`)."""
        trace, fleet = self.state.trace, self.state.fleet
        if not self.cut:
            return self.none
        mu = float(trace.memory_intensity[self.vm])
        busy = float(trace.utilisation[self.vm])
        loss = self.none
        pairs = self.slots - fleet.num_places
        for r, vcpus, mib in zip(fleet.pair_distance, self.vcpus, reversed(self.mib), strict=True):
            loss += access_loss(vcpus * busy, mib / sum(self.mib), mu, r[pairs])
        return loss

    @Lazy
    def affinity_loss(self) -> Ints:
        """Loss in micro-vCPU from vCPUs outside the soft node (`rates.affinity_rate`)."""
        trace = self.state.trace
        soft, weight = int(trace.soft_node[self.vm]), float(trace.soft_weight[self.vm])
        loss = self.none
        if soft == NO_NODE or weight == 0:
            return loss
        for places, vcpus in zip((self.first, self.second), self.vcpus, strict=True):
            price = outside_loss(weight, vcpus, sum(self.vcpus))
            loss += np.where(self.state.fleet.node_id[places] == soft, 0, price)
        return loss

    @Lazy
    def contention_loss(self) -> Ints:
        """Loss in micro-vCPU that the VM's load adds on its places."""
        state = self.state
        loss = self.none
        if state.never_contends:
            return loss
        for places, load in zip((self.first, self.second), self.load_milli, strict=True):
            if load:
                before = state.ledger.values[0][:, places]
                after = before + load * state.weights(self.vm)[:, places]
                loss += ContentionLines.loss(after) - ContentionLines.loss(before)
        return loss

    @Lazy
    def loss(self) -> Ints:
        """Loss in micro-vCPU that the VM would add."""
        loss = self.split_loss if self.cut else self.none
        if self.state.trace.soft_node[self.vm] != NO_NODE:
            loss = loss + self.affinity_loss
        return loss if self.state.never_contends else loss + self.contention_loss

    @Lazy
    def room_lost(self) -> Reals:
        """Weighted number of the VMs that usually come for which there is no room afterwards."""
        fleet, mix = self.state.fleet, self.state.mix
        tables = mix.tables
        now = mix.index(self.free_cpu, self.free_mib)
        places = (self.first, self.second) if self.cut else (self.first,)
        after = [
            mix.index(self.free_cpu[at] - vcpus, self.free_mib[at] - mib)
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

    @Lazy
    def extends(self) -> Reals:
        """Share of the VM's predicted life for which it would be the last on its host."""
        state = self.state
        end = int(state.trace.predicted_end_ms[self.vm])
        begin = np.maximum(state.host_end_ms[self.host], state.now_ms)
        share: Reals = np.maximum(0, end - begin) / max(1, end - state.now_ms)
        return share
