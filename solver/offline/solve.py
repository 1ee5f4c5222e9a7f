"""The offline optimum over time: the best schedule when every VM is known beforehand.

Each VM gets one slot from its start to its end, or is rejected; capacity holds at every instant;
nothing migrates. It is the yardstick of the online scheduler. Back ends are imported when they are
asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import cast

import numpy as np

from numaplace.models.errors import InputError
from numaplace.models.fleet import Fleet
from numaplace.models.result import SolveStatus, gap_of
from numaplace.models.schedule import REJECTED, Goal, faults, worth
from numaplace.models.trace import Ints, Trace
from numaplace.solver.offline.cores import Packer
from numaplace.solver.offline.data import OfflineProblem, make_problem, possible, unscaled
from numaplace.solver.offline.greedy import in_order
from numaplace.solver.offline.master import OfflineRun, ProgramRunner
from numaplace.solver.offline.rows import capacity_rows
from numaplace.solver.offline.search import OptimumSearch

OFFLINE_SOLVERS = ("cpsat", "milp")

# Told objective, bound and seconds whenever one of the first two is better than before.
OnProgress = Callable[[int, int, float], None]


@dataclass(frozen=True, slots=True)
class OfflineResult:
    """Outcome of one solve: ``optimal`` if `bound` and `objective` are the same, else ``feasible``.

    `objective` is what `slots` reach, `bound` what no schedule exceeds; whole numbers in the units
    of `Goal`. `slots` holds a slot, or `REJECTED`, for each VM; `stats` are for experts.
    """

    goal: Goal
    status: SolveStatus
    objective: int
    bound: int
    slots: Ints
    runtime_s: float
    stats: Mapping[str, float] = field(default_factory=dict)

    @property
    def gap(self) -> float | None:
        """Distance to the bound as a share of it."""
        return gap_of(self.objective, self.bound)


def solve_offline(
    trace: Trace,
    fleet: Fleet,
    goal: Goal,
    *,
    time_limit_s: float = 60.0,
    workers: int = 1,
    seed: int = 0,
    hint: Ints | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: OnProgress | None = None,
    solver: str = "cpsat",
) -> OfflineResult:
    """Find the best schedule of a trace and prove it, as far as the time limit allows.

    Parameters
    ----------
    trace, fleet, goal
        The VMs, whose ends are all known, where they go, and what is maximised.
    time_limit_s, workers, seed, solver
        Wall-clock seconds, threads, the seed of everything random, and one of `OFFLINE_SOLVERS`.
    hint
        A valid schedule to start from; the result is never worse.
    should_stop
        Asked often; once it answers True the best schedule so far is handed over.
    on_progress
        Told objective and bound as they get better; maybe from another thread.

    Raises
    ------
    InputError
        If there is no solver of that name, or the hint breaks a rule.
    """
    if solver not in OFFLINE_SOLVERS:
        choice = ", ".join(OFFLINE_SOLVERS)
        raise InputError("solver", "", f"{solver!r} is unknown, choose one of {choice}")
    if hint is not None and (broken := next(faults(trace, fleet, hint), None)) is not None:
        raise InputError("parameters", "hint", f"is no valid schedule: {broken}")
    began = time.monotonic()
    best = _Best(trace, fleet, goal, on_progress, began)
    best.offer(np.full(len(trace), REJECTED) if hint is None else hint, best.bound)
    run = OfflineRun(began + time_limit_s, workers, seed, should_stop or bool)
    stats: dict[str, float] = {}
    if time_limit_s > 0 and best.objective < best.bound:
        module = import_module(f"numaplace.solver.{solver}.offline")
        engine = cast(ProgramRunner, module.run_program)
        if goal is Goal.PREFIX:
            search = PrefixSearch(trace, fleet, engine, run, best.offer)
            search.solve(best.objective, best.bound)
            stats = search.stats
        else:
            stats = _solve_weight(best, engine, run)
    return best.result(stats)


class _Best:
    """The best schedule and bound so far, in the units of the goal."""

    def __init__(
        self, trace: Trace, fleet: Fleet, goal: Goal, tell: OnProgress | None, began: float
    ) -> None:
        self.trace, self.fleet, self.goal = trace, fleet, goal
        self._tell, self._began = tell, began
        self.slots: Ints = np.full(len(trace), REJECTED)
        self.objective = 0
        self.bound = worth(trace, np.where(possible(trace, fleet), 0, REJECTED), goal)

    def offer(self, slots: Ints, bound: int) -> None:
        """Keep a schedule if it is better, and a bound if it is lower."""
        broken = next(faults(self.trace, self.fleet, slots), None)
        if broken is not None:
            raise RuntimeError(f"a solver handed over a schedule that breaks a rule: {broken}")
        objective = worth(self.trace, slots, self.goal)
        better = objective > self.objective
        if better:
            self.slots, self.objective = slots, objective
        if bound < self.bound or better:
            self.bound = min(bound, self.bound)
            if self._tell is not None:
                self._tell(self.objective, self.bound, time.monotonic() - self._began)

    def result(self, stats: dict[str, float]) -> OfflineResult:
        """Return what is known."""
        return OfflineResult(
            self.goal,
            SolveStatus.OPTIMAL if self.objective == self.bound else SolveStatus.FEASIBLE,
            self.objective,
            self.bound,
            self.slots,
            time.monotonic() - self._began,
            stats,
        )


def _solve_weight(best: _Best, engine: ProgramRunner, run: OfflineRun) -> dict[str, float]:
    """Maximise worth or number of VMs."""
    trace = best.trace
    value = trace.vcpu_ms if best.goal is Goal.VALUE else np.ones(len(trace), np.int64)
    weight, unit = unscaled(value)
    problem = make_problem(trace, best.fleet, weight)
    search = OptimumSearch(
        problem, engine, run, best.slots, lambda slots, bound: best.offer(slots, bound * unit)
    )
    search.solve()
    return search.stats


SHARE = 0.5  # Share of the time left for one question


class PrefixSearch:
    """Finds how many of the first VMs can all be placed; `stats` are numbers for experts."""

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
