"""The credit scheduler: a queue for each pCPU, ticks, wake-ups that tell idle pCPUs, theft.

After the description of Xen's ``xen/common/sched/credit.c``; `balance` chooses pCPUs, `credit`
keeps the accounts.
"""

from __future__ import annotations

import random

from numaplace.solver.simulator.balance import Release, pick, steps, victim
from numaplace.solver.simulator.credit import CreditBank, burn
from numaplace.solver.simulator.guest import Priority, VCpu
from numaplace.solver.simulator.machine import cyclic, next_in
from numaplace.solver.simulator.scenario import US_PER_MS
from numaplace.solver.simulator.scheduler import Board

TICKS_A_SLICE = 3
TICK_LATE_US = 8
"""A tick is set anew when it has been handled, that is up to so much after it was due."""
BOOST, UNDER, OVER, IDLE = Priority.BOOST, Priority.UNDER, Priority.OVER, Priority.IDLE


class Credit1:
    """Decisions of the credit scheduler.

    Parameters
    ----------
    board
        Who runs where.

    Attributes
    ----------
    queues, waiting
        By pCPU: who waits, best first; and the set of pCPUs whose queue is not empty. Those whose
        first is not in debt are kept as well: only there is work for one that has some itself.
    """

    def __init__(self, board: Board) -> None:
        self._board, self._clock = board, board.clock
        self._machine, hypervisor = board.scenario.machine, board.scenario.hypervisor
        size, self._release = self._machine.size, hypervisor.release
        self._slice_us = hypervisor.timeslice_ms * US_PER_MS
        self._tick_us = self._slice_us // TICKS_A_SLICE
        self._ratelimit_us = hypervisor.ratelimit_us
        self.queues: list[list[VCpu]] = [[] for _ in range(size)]
        self.waiting = self._urgent = 0
        self._unsorted = 0
        self._bias = [size - 1] * size
        self._stolen_from = [(m & -m).bit_length() - 1 for m in self._machine.node_mask]
        self._last_told = 0
        self._choosy = any(v.soft != v.hard for domain in board.domains for v in domain.vcpus)
        self._bank = CreditBank(board.domains, size, self._slice_us)
        self._random = random.Random(f"{board.seed}/ticks")
        self._ticks = [self._clock.timer(self._tick, pcpu) for pcpu in range(size)]
        self._account = self._clock.timer(self._hand_out, None)
        self._clock.set(self._account, self._slice_us)

    # ---- accounts -------------------------------------------------------------------------------

    def _hand_out(self, _: None) -> None:
        self._bank.hand_out(self._park, self._unpark)
        self._unsorted = self._machine.everywhere
        for pcpu in cyclic(self.waiting, -1):
            self._note_first(pcpu)
        self._clock.set(self._account, self._clock.now + self._slice_us + self._late())

    def _late(self) -> int:
        return self._random.randrange(1, TICK_LATE_US + 1)

    def _tick(self, pcpu: int) -> None:
        """Look after the vCPU that runs, and sort the queue if credit was handed out."""
        vcpu, now = self._board.current[pcpu], self._clock.now
        if vcpu is None:
            return
        if vcpu.priority == BOOST:
            vcpu.priority = UNDER
        burn(vcpu, now)
        if not vcpu.active:
            self._bank.activate(vcpu)
        elif self._pick(vcpu, commit=False) != pcpu:
            vcpu.moving = True
            self._board.tell(pcpu)
        if self._unsorted >> pcpu & 1:
            self._unsorted &= ~(1 << pcpu)
            self.queues[pcpu].sort(key=_is_over)  # stable: first come, first served
            self._note_first(pcpu)
        self._clock.set(self._ticks[pcpu], now + self._tick_us + self._late())

    def _pick(self, vcpu: VCpu, *, commit: bool = True) -> int:
        idle, lonely = self._board.idle, not self.queues[vcpu.pcpu]
        return pick(
            vcpu, idle, self._machine, self._bias, self._release, lonely=lonely, commit=commit
        )

    def _park(self, vcpu: VCpu) -> None:
        vcpu.parked = True
        if vcpu.running:
            self._board.tell(vcpu.pcpu)
        elif vcpu.runnable:
            self._dequeue(vcpu)

    def _unpark(self, vcpu: VCpu) -> None:
        vcpu.parked = False
        if vcpu.runnable and not vcpu.running:
            self._enqueue(vcpu)
            self._tickle(vcpu)
            self._board.settle()  # before the next one is unparked

    # ---- queues ---------------------------------------------------------------------------------

    def pick(self, vcpu: VCpu) -> int:
        """Choose a pCPU for a vCPU that comes into being."""
        return self._pick(vcpu)

    def join(self, vcpu: VCpu) -> None:
        """Nothing has to be kept of a vCPU that does not run yet."""

    def wake(self, vcpu: VCpu) -> None:
        """Queue a vCPU that wants to run, before others unless it is in debt."""
        if vcpu.parked:
            return
        if vcpu.priority == UNDER:
            vcpu.priority = BOOST
        self._enqueue(vcpu)
        self._tickle(vcpu)

    def _enqueue(self, vcpu: VCpu) -> None:
        """Put a vCPU behind the last that is not worse, as the queue is sorted now."""
        queue, priority, at = self.queues[vcpu.pcpu], vcpu.priority, 0
        for other in queue:
            if priority > other.priority:
                break
            at += 1
        queue.insert(at, vcpu)
        if not at:
            self._note_first(vcpu.pcpu)

    def _dequeue(self, vcpu: VCpu) -> None:
        self.queues[vcpu.pcpu].remove(vcpu)
        self._note_first(vcpu.pcpu)

    def _note_first(self, pcpu: int) -> None:
        queue, bit = self.queues[pcpu], 1 << pcpu
        self.waiting = self.waiting | bit if queue else self.waiting & ~bit
        urgent = queue and queue[0].priority > OVER
        self._urgent = self._urgent | bit if urgent else self._urgent & ~bit

    def _tickle(self, vcpu: VCpu) -> None:
        """Tell a pCPU that a vCPU waits: its own, or an idle one that it may use."""
        board, pcpu = self._board, vcpu.pcpu
        if board.idle >> pcpu & 1:
            board.call(pcpu)
            return
        own = board.current[pcpu]
        higher = own is not None and vcpu.priority > own.priority
        if self._release is Release.XEN_4_2:
            if higher:
                board.call(pcpu)
            self._tell_idle(vcpu.hard)
            return
        if board.idle:
            for mask in steps(vcpu, self._release):
                if board.idle & mask:
                    # Until 2016 any idle pCPU was woken once there was one where it was wanted.
                    self._tell_idle(vcpu.hard if self._release is Release.XEN_4_3 else mask)
                    return
        if higher:
            if board.idle and own is not None and self._release is Release.XEN_4_3:
                own.moving = True
            board.call(pcpu)

    def _tell_idle(self, mask: int) -> None:
        """Tell the next idle pCPU of a set, if there is one."""
        if self._board.idle & mask:
            self._last_told = next_in(self._board.idle & mask, self._last_told)
            self._board.call(self._last_told)

    # ---- the decision ---------------------------------------------------------------------------

    def choose(self, pcpu: int, last: VCpu | None) -> tuple[VCpu | None, int]:
        """Return who runs on a pCPU now, taken off its queue, and for how many microseconds."""
        now, goes_on = self._clock.now, False
        if last is not None:
            burn(last, now)
            goes_on = last.runnable and not (last.parked or last.moving)
            ran = now - last.started_us
            if goes_on and ran < self._ratelimit_us:
                return last, self._ratelimit_us - ran
            if goes_on:
                self._enqueue(last)
        queue = self.queues[pcpu]
        priority = queue[0].priority if queue else IDLE
        chosen = queue[0] if queue else None
        if priority <= OVER:
            # Not from those that are about to look for work themselves.
            others = (self._urgent if queue else self.waiting) & self._board.busy & ~(1 << pcpu)
            if others:
                chosen = self._stolen(pcpu, priority, others) or chosen
        if chosen is not None:
            self._dequeue(chosen)
            chosen.pcpu = pcpu
            if last is None:
                self._clock.set(self._ticks[pcpu], now + self._tick_us - now % self._tick_us)
        elif last is not None:
            self._clock.stop(self._ticks[pcpu])
        if goes_on and chosen is not last and last is not None:
            # Xen would not tell idle pCPUs of a vCPU that makes room for one that may not use them.
            self._tell_idle(last.hard)
        return chosen, self._slice_us

    def _stolen(self, pcpu: int, priority: int, others: int) -> VCpu | None:
        """Find better work on other pCPUs."""
        machine, release = self._machine, self._release
        found = victim(
            pcpu, priority, self.queues, others, machine, release, self._stolen_from, self._choosy
        )
        if found is not None:
            here, there = machine.node_of[pcpu], machine.node_of[found.pcpu]
            self._board.tally.steals[machine.host.relative[here][there]] += 1
        return found

    def left(self, vcpu: VCpu) -> None:
        """Queue a vCPU that a tick took off its pCPU where it is to go."""
        if vcpu.moving:
            vcpu.moving = False
            target = self._pick(vcpu)
            self._board.tally.migrations += target != vcpu.pcpu
            vcpu.pcpu = target
            if vcpu.runnable and not vcpu.parked:
                self._enqueue(vcpu)
                self._tickle(vcpu)


def _is_over(vcpu: VCpu) -> bool:
    return vcpu.priority < UNDER
