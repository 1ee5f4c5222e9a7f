"""The work that vCPUs do while they run: progress, phases, time by node. It decides nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from numaplace.models.smt import thread_speed
from numaplace.solver.simulator.counters import GuestCount
from numaplace.solver.simulator.guest import VCpu
from numaplace.solver.simulator.machine import members
from numaplace.solver.simulator.progress import WorkProgress
from numaplace.solver.simulator.scenario import US_PER_MS, Guest, Scenario

ENDLESS = float("inf")


class Running:
    """Accounts for the time between events.

    Parameters
    ----------
    scenario, vcpus
        What is simulated, and its vCPUs in order.
    seed
        Seed of the lengths of phases; each vCPU has random numbers of its own, so that the phases
        of one scenario are those of another with the same VMs.
    on_end
        Told when the busy phase of a running vCPU ends: its index, and in how many microseconds.
        Only what was told last holds, and nothing once the vCPU has stopped.
    """

    def __init__(
        self,
        scenario: Scenario,
        vcpus: Sequence[VCpu],
        seed: int,
        on_end: Callable[[int, int], None],
    ) -> None:
        machine, size = scenario.machine, len(vcpus)
        self._scenario, self._vcpus, self._on_end = scenario, vcpus, on_end
        self._guest_of: list[Guest] = [g for g in scenario.guests for _ in g.cpus]
        self.progress = WorkProgress(scenario, vcpus)
        self._node_of, self._cache_of = machine.node_of, machine.cache_of
        cores = [members(mask) for mask in machine.core_mask]
        self._siblings = [[t for t in core if t != p] for p, core in enumerate(cores)]
        self._yield = [g.smt_yield or machine.host.smt_yield for g in self._guest_of]
        self._sockets, self._turbo = machine.socket_mask, scenario.hypervisor.turbo
        self._busy_cores = dict.fromkeys(machine.socket_mask, 0)
        self._clock = dict.fromkeys(machine.socket_mask, 1.0)
        self._on_pcpu: list[VCpu | None] = [None] * machine.size
        self._refill = scenario.hypervisor.cache_refill_us
        self._random = [random.Random(f"{seed}/{vcpu.domain.name}/{vcpu.number}") for vcpu in vcpus]
        self._last = [0] * size
        self._rate = [0.0] * size
        self._debt = [0.0] * size
        self._cache: list[int | None] = [None] * size
        self._left = [ENDLESS if g.utilisation >= 1.0 else 0.0 for g in self._guest_of]
        self._ran_on = [-1] * size
        self._work = [0.0] * size
        self._run = [[0] * len(machine.host.nodes) for _ in vcpus]
        self.waited = [0] * size
        self.moves = [0] * size

    # ---- phases ---------------------------------------------------------------------------------

    def busy(self, index: int) -> bool:
        """Begin a busy phase of a vCPU; false if it never wants to run."""
        guest = self._guest_of[index]
        if guest.utilisation < 1.0:
            self._left[index] = self._length(index, guest.busy_ms * US_PER_MS)
        return guest.utilisation > 0.0

    def blocked_us(self, index: int) -> int:
        """Length of a blocked phase of a vCPU that runs at times."""
        guest = self._guest_of[index]
        mean = guest.busy_ms * US_PER_MS * (1.0 - guest.utilisation) / guest.utilisation
        return max(1, round(self._length(index, mean)))

    def _length(self, index: int, mean: float) -> float:
        """Length of a phase; dom0's are many short and a few long ones, as those traced in Xen."""
        if self._guest_of[index].steady:
            return self._random[index].expovariate(1.0) * mean
        return mean * (0.5 + self._random[index].random())

    # ---- changes --------------------------------------------------------------------------------

    def settle(self, vcpu: VCpu, now: int) -> None:
        """Account for the time since a running vCPU was last looked at."""
        index = vcpu.index
        elapsed = now - self._last[index]
        if elapsed <= 0:
            return
        self._last[index] = now
        self._run[index][self._node_of[vcpu.pcpu]] += elapsed
        done = elapsed * self._rate[index]
        debt = self._debt[index]
        if debt:
            paid = min(debt, done)
            self._debt[index] = debt - paid
            done -= paid
        self._work[index] += done
        self._left[index] -= elapsed

    def _set_rate(self, vcpu: VCpu) -> None:
        index, pcpu = vcpu.index, vcpu.pcpu
        clock = self._clock[self._sockets[pcpu]]
        rate, busy = self.progress.rate(index, self._node_of[pcpu], clock), 1
        for sibling in self._siblings[pcpu]:
            if self._on_pcpu[sibling] is not None:
                busy += 1
        if busy > 1:
            rate *= thread_speed(self._yield[index], busy)
        self._rate[index] = rate

    def start(self, vcpu: VCpu, now: int) -> None:
        """Let a vCPU run on its pCPU from now on."""
        index, pcpu = vcpu.index, vcpu.pcpu
        self._on_pcpu[pcpu] = vcpu
        self.waited[index] += now - vcpu.queued_us
        self.moves[index] += self._ran_on[index] not in (-1, pcpu)
        self._ran_on[index] = pcpu
        self._last[index] = now
        cache = self._cache_of[pcpu]
        if self._cache[index] not in (None, cache):
            self._debt[index] = self._refill * self._guest_of[index].memory_intensity
        self._cache[index] = cache
        if self._left[index] < ENDLESS:
            self._on_end(index, max(1, round(self._left[index])))
        self._disturb(pcpu, now, 1)
        self._set_rate(vcpu)

    def stop(self, vcpu: VCpu, now: int) -> None:
        """Let a vCPU stop."""
        self.settle(vcpu, now)
        self._on_pcpu[vcpu.pcpu] = None
        self._disturb(vcpu.pcpu, now, -1)

    def _disturb(self, pcpu: int, now: int, more: int) -> None:
        """Change the speed of those that share a core, and of the socket if its clock changes."""
        slowed = [self._on_pcpu[sibling] for sibling in self._siblings[pcpu]]
        if self._turbo and not any(slowed):
            socket = self._sockets[pcpu]
            self._busy_cores[socket] += more
            cores = min(max(self._busy_cores[socket], 1), len(self._turbo))
            if self._turbo[cores - 1] != self._clock[socket]:
                self._clock[socket] = self._turbo[cores - 1]
                slowed = [self._on_pcpu[other] for other in members(socket & ~(1 << pcpu))]
        for other in slowed:
            if other is not None:
                self.settle(other, now)
                self._set_rate(other)

    def refresh(self, now: int) -> None:
        """Work out every speed anew, where it depends on what else runs."""
        running = [vcpu for vcpu in self._on_pcpu if vcpu is not None]
        for vcpu in running:
            self.settle(vcpu, now)
        self.progress.refresh([(vcpu.index, self._rate[vcpu.index]) for vcpu in running])
        for vcpu in running:
            self._set_rate(vcpu)

    # ---- counts ---------------------------------------------------------------------------------

    def forget(self, now: int) -> None:
        """Begin to count: what was before is warm-up."""
        for vcpu in self._on_pcpu:
            if vcpu is not None:
                self.settle(vcpu, now)
        for index, vcpu in enumerate(self._vcpus):
            vcpu.queued_us = max(vcpu.queued_us, now)
            self._work[index], self.waited[index], self.moves[index] = 0.0, 0, 0
            self._run[index] = [0] * len(self._run[index])

    def counts(self) -> tuple[GuestCount, ...]:
        """What each VM did."""
        found: list[GuestCount] = []
        first = 0
        for guest in self._scenario.guests:
            span = range(first, first + len(guest.cpus))
            first += len(guest.cpus)
            node_us = tuple(map(sum, zip(*(self._run[i] for i in span), strict=True)))
            far = sum(
                time * (1.0 - cpu.access[node])
                for i, cpu in zip(span, guest.cpus, strict=True)
                for node, time in enumerate(self._run[i])
            )
            run = sum(node_us)
            found.append(
                GuestCount(
                    guest.name,
                    len(guest.cpus),
                    sum(self._work[i] for i in span),
                    run,
                    sum(self.waited[i] for i in span),
                    far / run if run else 0.0,
                    node_us,
                    sum(self.moves[i] for i in span),
                    guest.utilisation,
                )
            )
        return tuple(found)
