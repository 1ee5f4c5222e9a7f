"""The largest number of first VMs that can all be placed, by asking for one number after another.

What can be placed can be placed without its last VM, so every answer moves one of two ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from numaplace.models.fleet import Fleet
from numaplace.models.schedule import REJECTED, Goal, worth
from numaplace.models.trace import Ints, Trace
from numaplace.solver.offline.cores import Packer
from numaplace.solver.offline.data import OfflineProblem, make_problem
from numaplace.solver.offline.greedy import in_order
from numaplace.solver.offline.program import OfflineRun, ProgramRunner
from numaplace.solver.offline.rows import capacity_rows

SHARE = 0.5  # Share of the time left for one question


class PrefixSearch:
    """Finds how many of the first VMs can all be placed.

    Parameters
    ----------
    trace, fleet
        The VMs and where they go.
    engine, run
        What solves programs; deadline, workers, seed.
    report
        Told a schedule and the bound whenever either is better than before.

    Attributes
    ----------
    stats
        Numbers for experts.
    """

    def __init__(
        self,
        trace: Trace,
        fleet: Fleet,
        engine: ProgramRunner,
        run: OfflineRun,
        report: Callable[[Ints, int], None],
    ) -> None:
        self.trace, self.fleet = trace, fleet
        self.engine, self.run, self.report = engine, run, report
        self.slots: Ints = np.full(len(trace), REJECTED)
        self.stats = {"questions": 0.0, "unanswered": 0.0}

    def solve(self, low: int, high: int) -> None:
        """Search between a number that can be placed and one that cannot be exceeded."""
        low = max(low, self._found(in_order(self._first(high), self.run.deadline), high))
        high = self._within_capacity(low, high)
        doubts: set[int] = set()
        quick = True
        while low < high and not self.run.over:
            doubts = {number for number in doubts if low < number <= high}
            top = min(doubts, default=high + 1) - 1
            last_try = top == low
            # Bounds are nearly reached more often than not: begin there.
            number = low + 1 if last_try else top if quick else (low + top + 1) // 2
            placed = self._ask(number, 1.0 if last_try else SHARE)
            if isinstance(placed, np.ndarray):
                low = max(low, self._found(placed, high))
            elif placed is False:
                high = number - 1
                quick = not quick
                self.report(self.slots, high)
            elif last_try:
                break
            else:
                doubts.add(number)
                quick = False

    def _first(self, number: int) -> OfflineProblem:
        part = self.trace.part(slice(0, number))
        return make_problem(part, self.fleet, np.zeros(number, np.int64))

    def _found(self, slots: Ints, high: int) -> int:
        """Report slots of the first VMs and return how many have one."""
        full: Ints = np.full(len(self.trace), REJECTED)
        full[: len(slots)] = slots
        self.slots = full
        self.report(full, high)
        return worth(self.trace, full, Goal.PREFIX)

    def _within_capacity(self, low: int, high: int) -> int:
        """Return the largest number that obeys the rows of capacity."""
        while low < high and not self.run.over:
            number = (low + high + 1) // 2
            # A row is there only if all VMs together break it.
            if next(capacity_rows(self._first(number)), None) is None:
                low = number
            else:
                high = number - 1
                self.report(self.slots, high)
        return high

    def _ask(self, number: int, share: float) -> Ints | bool | None:
        """Return slots of the first VMs, False if they cannot all be placed, None if not known."""
        self.stats["questions"] += 1
        problem = self._first(number)
        deadline = time.monotonic() + share * self.run.seconds_left
        packer = Packer(problem, self.engine, replace(self.run, deadline=deadline))
        counts = problem.kinds.count
        # The last VM arrives at the last instant: if it is one too many, that shows there first.
        if packer.overfull(counts, np.array([problem.instants - 1])):
            return False
        return packer.pack(counts, self.run.seconds_left)
