"""The credit2 scheduler, Xen's default since 4.12: queues of a socket, credit in time, no ticks.

After the description of ``xen/common/sched/credit2.c``. Soft affinity counts within a queue (who is
told, who makes room); balancing between queues looks at hard affinity only.
"""

from __future__ import annotations

from itertools import product

from numaplace.solver.simulator.budgets import Budgets
from numaplace.solver.simulator.guest import VCpu
from numaplace.solver.simulator.machine import cyclic, next_in
from numaplace.solver.simulator.runqueue import Average, Runqueue, runqueues
from numaplace.solver.simulator.scheduler import Board

CREDIT_US = 10_000
"""Credit that is handed out at a reset: time that a vCPU of the greatest weight may run; also the
deepest debt, and the longest time until somebody looks again."""
SPAN_MIN_US = CARRY_US = RESIST_US = 500
"""Shortest time to run; credit kept over a reset; and by how much a vCPU of another pCPU must have
more credit to be taken."""
COMPENSATION_US = TOLERANCE_US = 50
"""Credit for one that is taken from another pCPU; and how much too early one may be preempted."""
TOLERATED, TOLERATED_FULL = 1.0, 0.125
"""Differences of load in vCPUs that are left as they are, and if there is more load than pCPUs."""


class Credit2:
    """Decisions of the credit2 scheduler.

    Parameters
    ----------
    board
        Who runs where.

    Attributes
    ----------
    runqueues
        Queues that pCPUs share.
    """

    def __init__(self, board: Board) -> None:
        self._board, self._clock = board, board.clock
        machine = board.scenario.machine
        self._ratelimit_us = board.scenario.hypervisor.ratelimit_us
        self.runqueues = runqueues(machine)
        self._of = [
            next(q for q in self.runqueues if q.pcpus >> p & 1) for p in range(machine.size)
        ]
        self._distance = [
            [machine.host.relative[a][b] for b in machine.node_of] for a in machine.node_of
        ]
        vcpus = [vcpu for domain in board.domains for vcpu in domain.vcpus]
        self._load = [Average(0.5) for _ in vcpus]
        self._told = [-1] * len(vcpus)
        self._target: list[Runqueue | None] = [None] * len(vcpus)
        self._budgets = Budgets(board, self._park, self.wake)
        for vcpu in vcpus:
            vcpu.credit = CREDIT_US

    # ---- which queue ----------------------------------------------------------------------------

    def pick(self, vcpu: VCpu) -> int:
        """Choose a pCPU for a vCPU that comes into being, by the load of queues."""
        best: list[Runqueue | None] = [None, None]
        for queue in self.runqueues:
            for at, mask in enumerate((vcpu.soft if vcpu.soft != vcpu.hard else 0, vcpu.hard)):
                least = best[at]
                if mask & queue.pcpus and (
                    least is None or queue.balanced.mean < least.balanced.mean
                ):
                    best[at] = queue
        preferred, allowed = best
        assert allowed is not None
        mask = vcpu.soft & preferred.pcpus if preferred else vcpu.hard & allowed.pcpus
        allowed.last = next_in(mask, allowed.last)
        return allowed.last

    def join(self, vcpu: VCpu) -> None:
        """Let a vCPU belong to the queue of its pCPU."""
        queue = self._of[vcpu.pcpu]
        queue.all.append(vcpu)
        queue.weigh()
        queue.balanced.mean += self._load[vcpu.index].mean

    def _move(self, vcpu: VCpu, target: Runqueue) -> None:
        """Let a vCPU that does not run belong to another queue."""
        queue, now = self._of[vcpu.pcpu], self._clock.now
        waits = vcpu in queue.waiting
        if waits:
            queue.waiting.remove(vcpu)
            queue.change(-1, now)
        queue.all.remove(vcpu)
        queue.weigh()
        queue.balanced.mean = max(0.0, queue.balanced.mean - self._load[vcpu.index].mean)
        vcpu.pcpu = target.last = next_in(vcpu.hard & target.pcpus, target.last)
        self._board.tally.migrations += 1
        self.join(vcpu)
        if waits:
            target.change(1, now)
            self._queue(vcpu)

    def _balance(self, own: Runqueue, chosen: VCpu) -> None:
        """Let the pair of vCPUs change queues that evens out the greatest difference of load."""
        now = self._clock.now
        others = [queue for queue in self.runqueues if queue is not own]
        for queue in (own, *others):
            queue.change(0, now)
        if not others:
            return
        other = max(others, key=lambda q: abs(own.balanced.mean - q.balanced.mean))
        least = abs(own.balanced.mean - other.balanced.mean)
        # What counts as full is read off the queue looked at last, whichever that is.
        last = others[-1]
        most = max(own.pcpus.bit_count(), last.pcpus.bit_count())
        full = max(own.balanced.mean, last.balanced.mean) >= most
        if least < (TOLERATED_FULL if full else TOLERATED):
            return
        sides: list[list[VCpu | None]] = []
        for queue, to in ((own, other), (other, own)):
            movable = [v for v in queue.all if v.hard & to.pcpus and not v.moving]
            for vcpu in movable:
                self._load[vcpu.index].update(vcpu.runnable and not vcpu.parked, now)
            sides.append([*movable, None])
        best: tuple[VCpu | None, VCpu | None] = (None, None)
        gap = own.balanced.mean - other.balanced.mean
        for pushed, pulled in product(*sides):
            shift = self._weight_of(pulled) - self._weight_of(pushed)
            if abs(gap + 2 * shift) < least:
                least, best = abs(gap + 2 * shift), (pushed, pulled)
        for mover, target in zip(best, (other, own), strict=True):
            if mover is None:
                continue
            if mover.running or mover.leaving or mover is chosen:
                self._target[mover.index], mover.moving = target, True
                self._board.tell(mover.pcpu)
            else:
                self._move(mover, target)

    def _weight_of(self, vcpu: VCpu | None) -> float:
        return self._load[vcpu.index].mean if vcpu else 0.0

    # ---- wake-ups -------------------------------------------------------------------------------

    def wake(self, vcpu: VCpu) -> None:
        """Let a vCPU that wants to run wait in its queue, whatever its affinity has become."""
        if not (vcpu.parked or vcpu.leaving):
            self._change(vcpu, 1)
            self._queue(vcpu)

    def _change(self, vcpu: VCpu, by: int) -> None:
        now = self._clock.now
        self._of[vcpu.pcpu].change(by, now)
        self._load[vcpu.index].update(float(by < 0), now)

    def _park(self, vcpu: VCpu) -> None:
        queue = self._of[vcpu.pcpu]
        if vcpu in queue.waiting:
            queue.waiting.remove(vcpu)
            self._change(vcpu, -1)

    def _queue(self, vcpu: VCpu) -> None:
        """Let a vCPU wait, and tell the pCPU of its queue that should take it, if one should."""
        board, queue = self._board, self._of[vcpu.pcpu]
        queue.insert(vcpu)
        idle, pcpu = board.idle & queue.pcpus, vcpu.pcpu
        for mask in dict.fromkeys((vcpu.soft, vcpu.hard)) if idle else ():
            if idle & mask:
                among = queue.idle_cores(idle) & mask or idle & mask
                self._tell(vcpu, pcpu if among >> pcpu & 1 else next_in(among, pcpu))
                return
        busy = board.busy & ~board.told & queue.pcpus & vcpu.hard
        best, score = -1, 0
        if busy >> pcpu & 1:
            busy ^= 1 << pcpu
            score = max(0, self._score(vcpu, pcpu))
            best = pcpu if score else -1
            if score and vcpu.soft >> pcpu & 1:
                busy = 0
        for other in cyclic(busy, -1):
            found = self._score(vcpu, other)
            if found > score:
                best, score = other, found
        if best >= 0:
            self._tell(vcpu, best)

    def _tell(self, vcpu: VCpu, pcpu: int) -> None:
        self._told[vcpu.index] = pcpu
        self._board.call(pcpu)

    def _score(self, new: VCpu, pcpu: int) -> int:
        """How much rather a vCPU should run on a busy pCPU than who does; not positive: not."""
        current, now = self._board.current[pcpu], self._clock.now
        if current is None or now - current.started_us <= self._ratelimit_us - TOLERANCE_US:
            return -1
        self._burn(current)
        score = new.credit - current.credit - (RESIST_US if pcpu != new.pcpu else 0)
        if score > 0 and new.soft >> pcpu & 1:
            score += CREDIT_US
        if score > 0 and not current.soft >> pcpu & 1:
            score += CREDIT_US
        return score

    # ---- credit ---------------------------------------------------------------------------------

    def _burn(self, vcpu: VCpu) -> None:
        """Take the credit for the time a vCPU has run: the lighter it is, the more."""
        ran = self._clock.now - vcpu.burnt_us
        burnt = ran * self._of[vcpu.pcpu].heaviest // vcpu.domain.weight
        vcpu.credit = max(-CREDIT_US, vcpu.credit - burnt)
        vcpu.burnt_us = self._clock.now
        self._budgets.spend(vcpu, ran)

    def _reset(self, queue: Runqueue, chosen: VCpu) -> None:
        more = CREDIT_US if chosen.credit > -CREDIT_US else 2 * CREDIT_US
        for vcpu in queue.all:
            if vcpu.running and vcpu is not chosen:
                self._burn(vcpu)
                if self._budgets.is_spent(vcpu):
                    self._board.tell(vcpu.pcpu)
            vcpu.credit = min(vcpu.credit + more, CREDIT_US + CARRY_US)

    # ---- the decision ---------------------------------------------------------------------------

    def choose(self, pcpu: int, last: VCpu | None) -> tuple[VCpu | None, int]:
        """Return who runs on a pCPU now, taken off its queue, and for how many microseconds."""
        queue = self._of[pcpu]
        if last is not None:
            self._burn(last)
            if last.runnable and self._budgets.is_spent(last):
                self._budgets.draw(last)
        chosen = self._candidate(queue, pcpu, last)
        if chosen is None:
            queue.change(0, self._clock.now)
            return None, 0
        if chosen is not last:
            queue.waiting.remove(chosen)
        if max(chosen.credit, queue.waiting[0].credit if queue.waiting else chosen.credit) <= 0:
            self._reset(queue, chosen)
            self._balance(queue, chosen)
        self._told[chosen.index] = -1
        if chosen.pcpu != pcpu:
            chosen.credit += COMPENSATION_US
            self._board.tally.steals[self._distance[pcpu][chosen.pcpu]] += 1
        return chosen, self._span_us(queue, chosen, last)

    def _candidate(self, queue: Runqueue, pcpu: int, last: VCpu | None) -> VCpu | None:
        """Find who should run: who does, or the first waiting one with more credit."""
        best, told = None, self._board.told
        if last is not None and last.runnable and not (last.parked or last.moving):
            if self._clock.now - last.started_us < self._ratelimit_us:
                return last
            at_home = last.soft >> pcpu & 1
            best = last if at_home or not self._board.idle & queue.pcpus & last.soft else None
        for vcpu in list(queue.waiting):
            at = self._told[vcpu.index]
            if not vcpu.hard >> pcpu & 1 or (at not in (-1, pcpu) and told >> at & 1):
                continue
            if best is not None and vcpu.credit <= best.credit + (
                RESIST_US - 1 if vcpu.pcpu != pcpu else 0
            ):
                if vcpu.pcpu == pcpu:
                    break
                continue
            if self._budgets.draw(vcpu):  # Xen looks no further if there is none, and may idle
                return vcpu
        return best

    def _span_us(self, queue: Runqueue, chosen: VCpu, last: VCpu | None) -> int:
        """How long a vCPU may run: until its credit is that of the next, or used up."""
        ran = self._clock.now - chosen.started_us if chosen is last else 0
        least = max(SPAN_MIN_US, self._ratelimit_us - ran)
        ahead = queue.waiting[0].credit if queue.waiting else 0
        span = (chosen.credit - max(ahead, 0)) * chosen.domain.weight // queue.heaviest
        return max(least, min(self._budgets.limit(chosen, span), CREDIT_US))

    def left(self, vcpu: VCpu) -> None:
        """Look after a vCPU that has left its pCPU: it waits, moves to another queue, or sleeps."""
        self._budgets.give_back(vcpu)
        target, self._target[vcpu.index] = self._target[vcpu.index], None
        wants = vcpu.runnable and not vcpu.parked
        if target is None and wants:
            self._queue(vcpu)
            return
        self._change(vcpu, -1)
        if target is not None:
            vcpu.moving = False
            self._move(vcpu, target)
            if wants:
                self.wake(vcpu)
