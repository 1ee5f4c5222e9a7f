"""Caps under credit2: what all vCPUs of a domain may run in 10 ms, out of which each draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from numaplace.solver.simulator.guest import VCpu
from numaplace.solver.simulator.scheduler import Board

PERIOD_US, QUOTA_MIN_US = 10_000, 500


@dataclass(slots=True)
class _DomainBudget:
    """Of one domain: microseconds a period, those left, what is drawn at once; who has to wait."""

    total: int
    left: int
    quota: int
    parked: list[VCpu] = field(default_factory=list)


class Budgets:
    """Budgets of capped domains; vCPUs of others have no end of it.

    Parameters
    ----------
    board
        Who runs where.
    park, unpark
        Told of a vCPU that is out of budget, and of one that wants to run and may again.
    """

    def __init__(
        self, board: Board, park: Callable[[VCpu], None], unpark: Callable[[VCpu], None]
    ) -> None:
        self._board, self._clock = board, board.clock
        self._park, self._unpark = park, unpark
        self._of: dict[str, _DomainBudget] = {}
        self._drawn: dict[int, int] = {}
        for domain in board.domains:
            if domain.cap:
                total = domain.cap * PERIOD_US // 100
                quota = max(total // len(domain.vcpus), QUOTA_MIN_US)
                self._of[domain.name] = _DomainBudget(total, total, quota)
                self._drawn.update((vcpu.index, 0) for vcpu in domain.vcpus)
        if self._of:
            self._timer = self._clock.timer(self._replenish, None)
            self._clock.set(self._timer, PERIOD_US)

    def spend(self, vcpu: VCpu, ran_us: int) -> None:
        """Take off what a vCPU has run."""
        if vcpu.index in self._drawn:
            self._drawn[vcpu.index] -= ran_us

    def is_spent(self, vcpu: VCpu) -> bool:
        """Tell whether a vCPU has run what it had drawn."""
        return self._drawn.get(vcpu.index, 1) <= 0

    def limit(self, vcpu: VCpu, span_us: int) -> int:
        """Return a time, but no more than what a vCPU has drawn."""
        return min(span_us, self._drawn.get(vcpu.index, span_us))

    def draw(self, vcpu: VCpu) -> bool:
        """Let a vCPU that is to run have budget; it is parked if there is none."""
        if not self.is_spent(vcpu):
            return True
        budget = self._of[vcpu.domain.name]
        budget.left += self._drawn[vcpu.index]
        self._drawn[vcpu.index] = max(0, min(budget.quota, budget.left))
        budget.left -= self._drawn[vcpu.index]
        if self._drawn[vcpu.index]:
            return True
        self._park(vcpu)
        vcpu.parked = True
        budget.parked.append(vcpu)
        return False

    def give_back(self, vcpu: VCpu) -> None:
        """Take back what a vCPU that stops has not used: others may have it."""
        if not self.is_spent(vcpu) and vcpu.index in self._drawn:
            budget = self._of[vcpu.domain.name]
            budget.left += self._drawn[vcpu.index]
            self._drawn[vcpu.index] = 0
            self._free(budget)

    def _replenish(self, _: None) -> None:
        for budget in self._of.values():
            budget.left = min(budget.left + budget.total, budget.total)
            self._free(budget)
        self._clock.set(self._timer, self._clock.now + PERIOD_US)

    def _free(self, budget: _DomainBudget) -> None:
        if budget.left > 0:
            freed, budget.parked = budget.parked, []
            for vcpu in freed:
                vcpu.parked = False
                if vcpu.runnable and not vcpu.running:
                    self._unpark(vcpu)
                    self._board.settle()  # before the next one wakes
