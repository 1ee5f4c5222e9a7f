"""The simulation: an event heap, run queues, and the decisions of Xen's credit scheduler.

After the description of ``xen/common/sched/credit.c``; `balance` chooses pCPUs, `credit` keeps the
accounts, `running` does the work. Time is in whole microseconds; equal times are handled in the
order in which events were announced, so a seed gives one result to the last digit.
"""

from __future__ import annotations

import heapq
import random
from bisect import insort
from collections import deque
from collections.abc import Callable
from enum import IntEnum

from numaplace.solver.simulator.balance import Release, pick, steps, victim
from numaplace.solver.simulator.counters import Outcome, Segment, Tally
from numaplace.solver.simulator.credit import CreditBank, activate, burn
from numaplace.solver.simulator.guest import Domain, Priority, VCpu
from numaplace.solver.simulator.machine import members, next_in
from numaplace.solver.simulator.running import Running
from numaplace.solver.simulator.scenario import US_PER_MS, US_PER_S, Scenario

TICKS_A_SLICE = 3
STEP_US = US_PER_S // 10


class Event(IntEnum):
    """What can happen."""

    ACCOUNT = 0
    TICK = 1
    REFRESH = 2
    SLICE = 3
    WAKE = 4
    PHASE_END = 5
    START = 6


class Simulation:
    """A host with its scheduler, in motion.

    Parameters
    ----------
    scenario
        What is simulated.
    seed
        Seed of the phases, and of when and where vCPUs start.
    timeline
        Whether to keep who ran where.

    Attributes
    ----------
    now
        Time in microseconds.
    current, queues
        By pCPU: who runs, and who waits, best first.
    idle, waiting
        Sets of pCPUs that are idle, and whose queue is not empty.
    counted_from_us
        When the warm-up was over.
    """

    def __init__(self, scenario: Scenario, *, seed: int = 0, timeline: bool = False) -> None:
        machine, hypervisor = scenario.machine, scenario.hypervisor
        self.scenario, self.machine, self.release = scenario, machine, hypervisor.release
        self._slice_us = hypervisor.timeslice_ms * US_PER_MS
        self._ratelimit_us = hypervisor.ratelimit_us
        self.domains = [Domain(g.name, g.weight, g.cap) for g in scenario.guests]
        self.vcpus: list[VCpu] = []
        for guest, domain in zip(scenario.guests, self.domains, strict=True):
            for number, cpu in enumerate(guest.cpus):
                vcpu = VCpu(len(self.vcpus), domain, number, cpu.hard, cpu.soft)
                domain.vcpus.append(vcpu)
                self.vcpus.append(vcpu)
        self.now = 0
        self.current: list[VCpu | None] = [None] * machine.size
        self.queues: list[list[VCpu]] = [[] for _ in range(machine.size)]
        self.idle, self.waiting = machine.everywhere, 0
        self._unsorted = [False] * machine.size
        self._bias = list(range(machine.size))
        self._last_tickled = 0
        self._slice_number = [0] * machine.size
        self._pending: deque[int] = deque()
        self._queued: list[VCpu] = []
        self._is_pending = [False] * machine.size
        self._heap: list[tuple[int, int, int, int, int]] = []
        self._sequence = 0
        self._bank = CreditBank(self.domains, machine.size, self._slice_us)
        self._timeline = timeline
        self.counted_from_us = 0
        self.tally = Tally()
        self.running = Running(scenario, self.vcpus, seed, self._announce_phase_end)
        self._begin(seed)

    def _begin(self, seed: int) -> None:
        """Let vCPUs start one after the other within the first timeslice, where it is quietest."""
        rng = random.Random(f"{seed}/start")
        for vcpu in self.vcpus:
            allowed = members(vcpu.soft)
            vcpu.pcpu = allowed[rng.randrange(len(allowed))]
            self._at(rng.randrange(self._slice_us), Event.START, vcpu.index)
        tick = self._slice_us // TICKS_A_SLICE
        self._at(tick, Event.TICK)
        self._at(self._slice_us, Event.ACCOUNT)
        if self.running.progress.changes:
            self._at(tick, Event.REFRESH)

    # ---- time -----------------------------------------------------------------------------------

    def _at(self, time_us: int, event: Event, a: int = 0, b: int = 0) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (time_us, self._sequence, event, a, b))

    def _announce_phase_end(self, index: int, number: int, after_us: int) -> None:
        self._at(self.now + after_us, Event.PHASE_END, index, number)

    def run_until(self, time_us: int, check: Callable[[Simulation], None] | None = None) -> None:
        """Go on until a time; `check` is called after each instant."""
        heap, handle = self._heap, self._handle
        while heap and heap[0][0] <= time_us:
            self.now, _, event, a, b = heapq.heappop(heap)
            self.tally.events += 1
            handle(event, a, b)
            self._settle()
            if check is not None and (not heap or heap[0][0] > self.now):
                check(self)
        self.now = time_us

    def _settle(self) -> None:
        """Let the pCPUs that were told look for work, until none idles that could have some.

        Xen tells idle pCPUs of a vCPU that wakes, but not of one that was preempted by a vCPU of
        another affinity, and so may leave them asleep until the next tick. Not here. Only vCPUs
        queued just now matter: a pCPU that turns idle has looked at all others.
        """
        while True:
            while self._pending:
                pcpu = self._pending.popleft()
                self._is_pending[pcpu] = False
                self._schedule(pcpu)
            queued, self._queued = self._queued, []
            for vcpu in queued:
                waits = vcpu.runnable and not (vcpu.running or vcpu.parked)
                if waits and self.idle & vcpu.hard:
                    self._raise(self._next_idle(self.idle & vcpu.hard))
                    self._queued = queued  # once more when that one has chosen
                    break
            if not self._pending:
                return

    def _handle(self, event: int, a: int, b: int) -> None:
        if event == Event.PHASE_END:
            if self.running.is_done(a, b, self.now):
                self._block(self.vcpus[a])
        elif event == Event.WAKE:
            self._begin_phase(self.vcpus[a])
        elif event == Event.START:
            self.vcpus[a].pcpu = self._pick(self.vcpus[a])
            self._begin_phase(self.vcpus[a])
        elif event == Event.SLICE:
            if b == self._slice_number[a]:
                self._raise(a)
        elif event == Event.TICK:
            for pcpu in members(self.machine.everywhere & ~self.idle):
                self._tick(pcpu)
            self._at(self.now + self._slice_us // TICKS_A_SLICE, Event.TICK)
        elif event == Event.ACCOUNT:
            self._bank.hand_out(self._park, self._unpark)
            self._unsorted = [True] * self.machine.size
            self._at(self.now + self._slice_us, Event.ACCOUNT)
        else:
            self.running.refresh(self.now)
            self._at(self.now + self._slice_us // TICKS_A_SLICE, Event.REFRESH)

    # ---- ticks ----------------------------------------------------------------------------------

    def _tick(self, pcpu: int) -> None:
        """Look after the vCPU that runs, and sort the queue if credit was handed out."""
        vcpu = self.current[pcpu]
        if vcpu is not None:
            if vcpu.priority == Priority.BOOST:
                vcpu.priority = Priority.UNDER
            burn(vcpu, self.now)
            if not vcpu.active:
                activate(vcpu)
            elif self._pick(vcpu) != pcpu:
                vcpu.moving = True
                self._raise(pcpu)
        if self._unsorted[pcpu]:
            self._unsorted[pcpu] = False
            self.queues[pcpu].sort(key=_order)  # stable: first come, first served in a class

    def _pick(self, vcpu: VCpu) -> int:
        return pick(vcpu, self.idle, self.machine, self._bias, self.release)

    # ---- vCPUs come and go ----------------------------------------------------------------------

    def _begin_phase(self, vcpu: VCpu) -> None:
        if not self.running.busy(vcpu.index):
            return
        vcpu.runnable = True
        vcpu.queued_us = self.now
        if not vcpu.parked:
            if vcpu.priority == Priority.UNDER:
                vcpu.priority = Priority.BOOST
            self._wake(vcpu)

    def _block(self, vcpu: VCpu) -> None:
        vcpu.runnable = False
        self._raise(vcpu.pcpu)
        after = self.running.blocked_us(vcpu.index)
        if after is not None:
            self._at(self.now + after, Event.WAKE, vcpu.index)

    def _park(self, vcpu: VCpu) -> None:
        vcpu.parked = True
        if vcpu.running:
            self._raise(vcpu.pcpu)
        elif vcpu.runnable:
            self._dequeue(vcpu)
        vcpu.queued_us = self.now

    def _unpark(self, vcpu: VCpu) -> None:
        vcpu.parked = False
        if vcpu.runnable and not vcpu.running:
            self.running.waited[vcpu.index] += self.now - vcpu.queued_us
            self._wake(vcpu)

    def _wake(self, vcpu: VCpu) -> None:
        self._enqueue(vcpu)
        self._tickle(vcpu)

    # ---- queues ----------------------------------------------------------------------------------

    def _enqueue(self, vcpu: VCpu) -> None:
        insort(self.queues[vcpu.pcpu], vcpu, key=_order)
        self.waiting |= 1 << vcpu.pcpu
        self._queued.append(vcpu)
        vcpu.queued_us = self.now

    def _dequeue(self, vcpu: VCpu) -> None:
        queue = self.queues[vcpu.pcpu]
        queue.remove(vcpu)
        if not queue:
            self.waiting &= ~(1 << vcpu.pcpu)
        self.running.waited[vcpu.index] += self.now - vcpu.queued_us

    def _raise(self, pcpu: int) -> None:
        """Let a pCPU look for work once this event is handled."""
        if not self._is_pending[pcpu]:
            self._is_pending[pcpu] = True
            self._pending.append(pcpu)

    def _tickle(self, vcpu: VCpu) -> None:
        """Tell a pCPU that a vCPU waits: its own, or an idle one that it may use."""
        own = self.current[vcpu.pcpu]
        higher = own is None or vcpu.priority > own.priority
        if own is None:
            self._raise(vcpu.pcpu)
            return
        if self.release is Release.XEN_4_2:
            if higher:
                self._raise(vcpu.pcpu)
            if self.idle & vcpu.hard:
                self._raise(self._next_idle(self.idle & vcpu.hard))
            return
        for mask in steps(vcpu, self.release):
            if self.idle & mask:
                self._raise(self._next_idle(self.idle & mask))
                return
        if higher:
            self._raise(vcpu.pcpu)

    def _next_idle(self, idlers: int) -> int:
        self._last_tickled = next_in(idlers, self._last_tickled)
        return self._last_tickled

    # ---- the decision ---------------------------------------------------------------------------

    def _schedule(self, pcpu: int) -> None:
        """Choose who runs on a pCPU now."""
        last = self.current[pcpu]
        if last is not None:
            burn(last, self.now)
            goes_on = last.runnable and not last.parked and not last.moving
            ran = self.now - last.started_us
            if goes_on and ran < self._ratelimit_us:
                self._arm(pcpu, self._ratelimit_us - ran)
                return
            if goes_on:
                self._enqueue(last)
        chosen = self._next(pcpu)
        if chosen is not None and chosen is last:
            self._arm(pcpu, self._slice_us)
            return
        if last is not None:
            self._stop(last, pcpu)
        if chosen is None:
            self.idle |= 1 << pcpu
            return
        self.idle &= ~(1 << pcpu)
        self._start(chosen, pcpu)
        self._arm(pcpu, self._slice_us)

    def _next(self, pcpu: int) -> VCpu | None:
        """Take the best vCPU for a pCPU off its queue, or off another's if that one is better."""
        queue = self.queues[pcpu]
        priority = queue[0].priority if queue else Priority.IDLE
        if priority <= Priority.OVER:
            stolen = victim(pcpu, priority, self.queues, self.waiting, self.machine, self.release)
            if stolen is not None:
                self._count_steal(stolen, pcpu)
                self._dequeue(stolen)
                return stolen
        if not queue:
            return None
        chosen = queue[0]
        self._dequeue(chosen)
        return chosen

    def _count_steal(self, vcpu: VCpu, thief: int) -> None:
        node_of = self.machine.node_of
        here, there = node_of[thief], node_of[vcpu.pcpu]
        self.tally.steals[self.machine.host.relative[here][there]] += 1

    def _arm(self, pcpu: int, after_us: int) -> None:
        self._slice_number[pcpu] += 1
        self._at(self.now + after_us, Event.SLICE, pcpu, self._slice_number[pcpu])

    def _stop(self, vcpu: VCpu, pcpu: int) -> None:
        self.running.stop(vcpu, self.now)
        vcpu.running = False
        self.current[pcpu] = None
        self.note_segment(vcpu, pcpu)
        if vcpu.moving:
            vcpu.moving = False
            if vcpu.runnable and not vcpu.parked:
                target = self._pick(vcpu)
                self.tally.migrations += target != pcpu
                self.running.moves[vcpu.index] += target != pcpu
                vcpu.pcpu = target
                self._wake(vcpu)

    def note_segment(self, vcpu: VCpu, pcpu: int) -> None:
        """Keep that a vCPU has run on a pCPU until now, if a timeline is wanted."""
        began = max(vcpu.started_us, self.counted_from_us)
        if self._timeline and self.now > began:
            self.tally.segments.append(Segment(pcpu, vcpu.name, began, self.now))

    def _start(self, vcpu: VCpu, pcpu: int) -> None:
        self.running.moves[vcpu.index] += vcpu.pcpu != pcpu
        vcpu.pcpu, vcpu.running = pcpu, True
        vcpu.started_us = vcpu.burnt_us = self.now
        self.current[pcpu] = vcpu
        self.tally.switches += 1
        self.running.start(vcpu, self.now)


def _order(vcpu: VCpu) -> int:
    return -vcpu.priority


def simulate(
    scenario: Scenario,
    time_s: float,
    *,
    seed: int = 0,
    warm_up_s: float = 0.0,
    timeline: bool = False,
    should_stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Simulate a host for some time.

    Parameters
    ----------
    scenario
        What is simulated.
    time_s, warm_up_s
        Simulated seconds that count, and those before them that do not.
    seed
        The same seed gives the same outcome, to the last digit.
    timeline
        Whether to keep who ran where.
    should_stop
        Asked every simulated 100 ms; once it answers True, the outcome is of the time until then.
    """
    simulation = Simulation(scenario, seed=seed, timeline=timeline)
    warm, end = round(warm_up_s * US_PER_S), round((warm_up_s + time_s) * US_PER_S)
    stop = should_stop or bool
    while simulation.now < warm and not stop():
        simulation.run_until(min(warm, simulation.now + STEP_US))
    warm = min(warm, simulation.now)
    simulation.running.forget(warm)
    simulation.counted_from_us = warm
    simulation.tally = Tally()
    while simulation.now < end and not stop():
        simulation.run_until(min(end, simulation.now + STEP_US))
    for pcpu, vcpu in enumerate(simulation.current):
        if vcpu is not None:
            simulation.running.settle(vcpu, simulation.now)
            simulation.note_segment(vcpu, pcpu)
    for vcpu in simulation.vcpus:
        if vcpu.runnable and not vcpu.running:
            waited = simulation.now - max(vcpu.queued_us, warm)
            simulation.running.waited[vcpu.index] += waited
    tally = simulation.tally
    return Outcome(
        simulation.now - warm,
        simulation.running.counts(),
        dict(sorted(tally.steals.items())),
        tally.migrations,
        tally.switches,
        tally.events,
        tuple(tally.segments),
    )
