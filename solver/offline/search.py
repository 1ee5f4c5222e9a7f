"""The offline optimum by decomposition: choose VMs, try to place them, learn why that fails.

A master program chooses the worthiest VMs that obey what is known to be necessary; its bound is a
bound of the optimum. If the chosen VMs can be placed they are the optimum. If not, the master is
told why: how many nodes they need at an instant, or that some few of them never fit
together. What is left open after that is left to one program of everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from numaplace.models.result import SolveStatus
from numaplace.models.schedule import REJECTED
from numaplace.models.trace import Ints
from numaplace.solver.offline.cores import Packer
from numaplace.solver.offline.data import OfflineProblem, assigned
from numaplace.solver.offline.greedy import filled, greedy_schedule
from numaplace.solver.offline.master import (
    Answer,
    Master,
    OfflineRun,
    Places,
    ProgramRunner,
    too_large,
)

PACK_S = 5.0
# Share of the time left for a second attempt to place VMs, if nothing shows that it is vain.
PACK_SHARE = 0.5
REPAIR_S = 2.0
CORES = 8  # Windows with trouble that are looked into before the master is asked again
# Every so many rounds what the master chose is placed as far as possible, come what may.
REPAIR_ROUNDS = 4
NEAR_WIDTH = 8  # Instants of windows that are looked at before anything is placed
ROUNDS_SHARE = 0.7  # Share of the time after which the program of everything takes over
MASTER_SHARE = 0.5  # Share of the time left that one run of the master may take
# Told a schedule and the bound of the weight, whenever either is better than before.
Report = Callable[[Ints, int], None]


class OptimumSearch:
    """Finds the schedule of the greatest weight, from a schedule to start from.

    `slots`, `best` and `bound` are the best schedule, its weight, and what no schedule exceeds;
    `stats` are numbers for experts.
    """

    def __init__(
        self,
        problem: OfflineProblem,
        engine: ProgramRunner,
        run: OfflineRun,
        slots: Ints,
        report: Report,
    ) -> None:
        self.problem, self.engine, self.run = problem, engine, run
        self.report = report
        self.slots, self.best = slots, self._weigh(slots)
        self.bound = int((problem.kinds.weight * problem.kinds.count).sum())
        self.stats = {"rounds": 0.0, "pattern_instants": 0.0, "cores": 0.0}
        self._trouble: list[tuple[int, int]] = []
        self._began = time.monotonic()

    def solve(self) -> None:
        """Search until the optimum is proven or time is up."""
        self._offer(greedy_schedule(self.problem, self.run.deadline))
        if self.done():
            return
        self.master = Master(self.problem)
        self.packer = Packer(self.problem, self.engine, self.run)
        rounds_end = self._began + ROUNDS_SHARE * (self.run.deadline - self._began)
        while not self.done() and time.monotonic() < rounds_end:
            if not self._round():
                break
        if not self.done():
            self._everything()

    def done(self) -> bool:
        """Whether there is nothing left to find, or no time."""
        return self.best == self.bound or self.run.over

    def _weigh(self, slots: Ints) -> int:
        kinds = self.problem.kinds
        return sum(
            int(weight) * int((slots[list(vms)] != REJECTED).sum())
            for weight, vms in zip(kinds.weight, kinds.members, strict=True)
        )

    def _offer(self, slots: Ints) -> None:
        worth = self._weigh(slots)
        if worth > self.best:
            self.slots, self.best = slots, worth
            self.report(slots, self.bound)

    def _lower(self, bound: int | None) -> None:
        # A bound below what is reached can only be an error of floating point.
        if bound is not None and self.best <= bound < self.bound:
            self.bound = bound
            self.report(self.slots, self.bound)

    def _round(self) -> bool:
        """Ask the master once and learn from its answer; False if nothing was learnt."""
        self.stats["rounds"] += 1
        answer = self._ask_master()
        if answer.values is None or self.done():
            return False
        counts = answer.values[: len(self.problem.kinds)]
        # Trouble is mostly where it was before, and soon found there.
        if self.stats["rounds"] % REPAIR_ROUNDS and self._learn_cores(
            counts, self._trouble, NEAR_WIDTH
        ):
            return True
        slots = self.packer.pack(counts, PACK_S)
        if isinstance(slots, np.ndarray):
            self._offer(slots)
            return False
        full = self.packer.overfull(counts, self.packer.busy(counts))
        fresh = [instant for instant in full if self.master.add_patterns(instant)]
        self.stats["pattern_instants"] += len(fresh)
        if fresh:
            return True
        if self._learn_cores(counts, self._repair(counts), self.problem.instants):
            return True
        if slots is None:
            slots = self.packer.pack(counts, PACK_SHARE * self.run.seconds_left)
            if isinstance(slots, np.ndarray):
                self._offer(slots)
        return False

    def _ask_master(self) -> Answer:
        start = self._start_of(self.slots, len(self.master.program.upper), {})
        deadline = time.monotonic() + MASTER_SHARE * self.run.seconds_left
        run = replace(self.run, start=start, on_bound=self._lower, deadline=deadline)
        answer = self.engine(self.master.program, run)
        if answer.status is SolveStatus.INFEASIBLE:
            raise RuntimeError("the relaxation has no solution, which cannot be")
        self._lower(answer.bound)
        return answer

    def _start_of(self, slots: Ints, variables: int, more: dict[int, int]) -> Ints:
        """Return values of the VMs taken; -1 where nothing is known."""
        start = np.full(variables, -1, np.int64)
        for kind, vms in enumerate(self.problem.kinds.members):
            start[kind] = (slots[list(vms)] != REJECTED).sum()
        for variable, value in more.items():
            start[variable] = value
        return start

    def _repair(self, counts: Ints) -> list[tuple[int, int]]:
        """Place as many of the chosen VMs as possible; return lives of those left out."""
        kinds = self.problem.kinds.chosen(counts, 0, self.problem.instants)
        everything = [(0, self.problem.instants - 1)]
        if too_large(self.problem, kinds, REPAIR_S):
            return everything
        program = Master(replace(self.problem, kinds=kinds)).program
        places = Places(self.problem, kinds, program)
        deadline = min(self.run.deadline, time.monotonic() + REPAIR_S)
        answer = self.engine(program, replace(self.run, deadline=deadline, start=None))
        if answer.values is None:
            return everything
        slots = assigned(self.problem, kinds, iter(places.given(answer.values)))
        self._offer(filled(self.problem, slots, self.run.deadline))
        return [
            (int(kinds.first[k]), int(kinds.last[k]))
            for k in np.flatnonzero(answer.values[: len(kinds)] < kinds.count)
        ] or everything

    def _learn_cores(self, counts: Ints, spans: list[tuple[int, int]], width: int) -> bool:
        """Forbid what does not fit together in windows that meet a span; False if all do."""
        learnt = 0
        for core in self.packer.cores(counts, spans, width, CORES):
            self.master.forbid(core.kinds, core.low, core.high)
            self._trouble = [(core.low, core.high), *self._trouble][:CORES]
            learnt += 1
        self.stats["cores"] += learnt
        return learnt > 0

    def _everything(self) -> None:
        """Solve one program of everything, with all that was learnt."""
        kinds = self.problem.kinds
        if too_large(self.problem, kinds, self.run.seconds_left):
            return
        program = self.master.program.copy()
        places = Places(self.problem, kinds, program)
        program.at_most(program.objective, self.bound)
        start = self._start_of(self.slots, len(program.upper), places.start(self.slots))
        answer = self.engine(program, replace(self.run, start=start, on_bound=self._lower))
        self._lower(answer.bound)
        if answer.values is not None:
            self._offer(assigned(self.problem, kinds, iter(places.given(answer.values))))
