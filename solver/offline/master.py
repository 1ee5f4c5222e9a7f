"""Programs of the offline optimum: which VMs to take, and where to put those that are taken."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from numaplace.models.result import SolveStatus
from numaplace.models.trace import Ints
from numaplace.solver.formulation.program import Program, Terms
from numaplace.solver.offline.data import Kinds, OfflineProblem
from numaplace.solver.offline.rows import capacity_rows, node_parts, patterns


@dataclass(frozen=True, slots=True)
class OfflineRun:
    """How one program is to be run.

    `deadline` is a value of `time.monotonic`; `stopped` is asked often, True ends the run; `start`
    are values to start from; `on_bound` is told every new upper bound.
    """

    deadline: float
    workers: int = 1
    seed: int = 0
    stopped: Callable[[], bool] = bool
    start: Ints | None = None
    on_bound: Callable[[int], None] | None = None

    @property
    def seconds_left(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.deadline - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether time is up or the caller asks for an end."""
        return self.seconds_left <= 0 or self.stopped()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a back end answers: `values` proven best if ``optimal``, none if ``infeasible``.

    `bound` is what no solution exceeds, None if nothing is known.
    """

    status: SolveStatus
    values: Ints | None = None
    bound: int | None = None


class ProgramRunner(Protocol):
    """A back end: solves one program."""

    def __call__(self, program: Program, run: OfflineRun) -> Answer:
        """Solve `program`."""
        ...


TERMS_MAX = 4_000_000
# Terms in rows of places that are written and handed to a back end in a second, roughly.
TERMS_PER_S = 700_000


class Master:
    """Which VMs to take: a relaxation that knows instants but not where a VM is kept.

    Variables ``0 .. len(kinds) - 1`` are the VMs taken of each kind.
    """

    def __init__(self, problem: OfflineProblem) -> None:
        self.problem = problem
        self.program = Program()
        kinds = problem.kinds
        for count in kinds.count.tolist():
            self.program.variable(count)
        self.program.objective = [(k, w) for k, w in enumerate(kinds.weight.tolist()) if w]
        for some, weights, most in capacity_rows(problem):
            self.program.at_most(zip(some.tolist(), weights.tolist(), strict=True), most)
        self.with_patterns: set[int] = set()

    def add_patterns(self, instant: int) -> bool:
        """Count the nodes that VMs need at an instant by patterns; False if that is known."""
        if instant in self.with_patterns:
            return False
        self.with_patterns.add(instant)
        problem, program = self.problem, self.program
        kinds = problem.kinds.at(instant)
        parts, needs = node_parts(problem, kinds)
        parts, needs, lists = _listed(problem, kinds, parts, needs)
        held: dict[int, Terms] = defaultdict(list)
        for (_, _, number), found in zip(problem.rooms, lists, strict=True):
            used = [program.variable(number) for _ in found]
            program.equal([(z, 1) for z in used], number)
            for z, pattern in zip(used, found, strict=True):
                for part, times in enumerate(pattern):
                    if times:
                        held[part].append((z, -times))
        for part in range(len(parts)):
            some = kinds[needs[kinds, part] > 0].tolist()
            program.at_most([*((k, int(needs[k, part])) for k in some), *held[part]], 0)
        return bool(parts)

    def forbid(self, core: Kinds, low: int, high: int) -> None:
        """Forbid VMs that cannot be placed together between two instants.

        And all that are like them or worse: each VM of the core may stand for any of the
        same cut that is at least as large and lives there at least as long.
        """
        kinds, program = self.problem.kinds, self.program
        first, last = np.maximum(kinds.first, low), np.minimum(kinds.last, high)
        free = kinds.first <= high
        free &= kinds.last >= low
        broken = []
        # A VM may stand for one kind of the core only. The largest kinds that live longest come
        # first, so that every VM of the core stands for its own kind.
        for k in np.lexsort((core.first - core.last, -core.size.sum(axis=1))).tolist():
            worse = free & (kinds.cells == core.cells[k]) & (kinds.size >= core.size[k]).all(axis=1)
            worse &= (first <= core.first[k]) & (last >= core.last[k])
            free &= ~worse
            group = np.flatnonzero(worse).tolist()
            total, allowed = int(kinds.count[worse].sum()), int(core.count[k]) - 1
            fewer = program.variable(1)
            program.at_most([*((g, 1) for g in group), (fewer, total - allowed)], total)
            broken.append((fewer, 1))
        program.at_least(broken, 1)


def _listed(
    problem: OfflineProblem, kinds: Ints, parts: list[tuple[int, int]], needs: Ints
) -> tuple[list[tuple[int, int]], Ints, list[list[tuple[int, ...]]]]:
    """List patterns for each kind of place; the smallest sizes are left out if it is too long."""
    counts = problem.kinds.count
    largest = np.maximum(1, problem.room.max(axis=0))
    order = sorted(range(len(parts)), key=lambda k: -max(np.array(parts[k]) / largest))
    for keep in range(len(parts), 0, -1):
        some = order[:keep]
        sizes = [parts[k] for k in some]
        available = (counts[kinds, None] * needs[kinds][:, some]).sum(axis=0).tolist()
        lists = [patterns(sizes, available, cpu, memory) for cpu, memory, _ in problem.rooms]
        if all(found is not None for found in lists):
            return sizes, needs[:, some], [found for found in lists if found is not None]
    return [], needs[:, :0], [[()] for _ in problem.rooms]


class Places:
    """Where VMs go: variables (kind, slot), and the rows of each place at each instant."""

    def __init__(
        self, problem: OfflineProblem, kinds: Kinds, program: Program | None = None
    ) -> None:
        """Add places to a program whose variable k is the number of VMs of kind k that are taken.

        Without a program, to one in which all are.
        """
        self.problem, self.kinds = problem, kinds
        self.program = program or Program()
        self.variables: list[tuple[int, int, int]] = []
        homes: dict[tuple[int, ...], list[int]] = {}
        for kind, count in enumerate(kinds.count.tolist()):
            key = (*kinds.size[kind].tolist(), int(kinds.cells[kind]))
            if key not in homes:
                homes[key] = problem.slots_for(kinds.size[kind], key[-1]).tolist()
            here = [(self.program.variable(count), slot) for slot in homes[key]]
            self.variables += [(variable, kind, slot) for variable, slot in here]
            terms = [(variable, 1) for variable, _ in here]
            if program is None:
                self.program.equal(terms, count)
            else:
                self.program.equal([*terms, (kind, -1)], 0)
        self._capacities()

    def _capacities(self) -> None:
        """Add the rows of every place and instant that could be overfull."""
        problem, kinds = self.problem, self.kinds
        uses: list[list[tuple[int, int, int, int]]] = [[] for _ in problem.room]
        for variable, kind, slot in self.variables:
            size = kinds.size[kind].tolist()
            uses[problem.fleet.first[slot]].append((variable, kind, size[0], size[2]))
            if kinds.cells[kind] == 2:
                uses[problem.fleet.second[slot]].append((variable, kind, size[1], size[3]))
        upper = self.program.upper
        instants = np.array(_maximal(kinds))
        low = np.searchsorted(instants, kinds.first).tolist()
        high = np.searchsorted(instants, kinds.last, "right").tolist()
        for place_index, users in enumerate(uses):
            at: list[list[tuple[int, int, int, int]]] = [[] for _ in instants]
            for use in users:
                for instant in range(low[use[1]], high[use[1]]):
                    at[instant].append(use)
            for here in at:
                for resource in range(2):
                    terms = [(use[0], use[2 + resource]) for use in here]
                    room = int(problem.room[place_index, resource])
                    if sum(upper[variable] * amount for variable, amount in terms) > room:
                        self.program.at_most(terms, room)

    def given(self, values: Ints) -> list[tuple[int, int, int]]:
        """Return triples (kind, slot, number of VMs) of a solution."""
        return [
            (kind, slot, int(values[variable]))
            for variable, kind, slot in self.variables
            if values[variable]
        ]

    def start(self, slots: Ints) -> dict[int, int]:
        """Return values of the variables (kind, slot) that mean a schedule."""
        counts: dict[tuple[int, int], int] = defaultdict(int)
        for kind, vms in enumerate(self.kinds.members):
            for vm in vms:
                counts[kind, int(slots[vm])] += 1
        return {variable: counts.get((kind, slot), 0) for variable, kind, slot in self.variables}


def _maximal(kinds: Kinds) -> list[int]:
    """Return instants that suffice: the last ones before something starts after an end."""
    instants: list[int] = []
    for instant in sorted(set(kinds.first.tolist())):
        # Whoever lives at a start lives until the first end after it; so the latest start counts.
        while instants and not ((kinds.last >= instants[-1]) & (kinds.last < instant)).any():
            instants.pop()
        instants.append(instant)
    return instants


def too_large(problem: OfflineProblem, kinds: Kinds, seconds: float) -> bool:
    """Tell whether writing down where VMs go would take longer than there is time."""
    places = len(problem.room)
    slots = np.where(kinds.cells == 2, problem.fleet.num_slots - places, places)
    lives = kinds.last - kinds.first + 1
    return int((slots * lives * kinds.cells * 2).sum()) > min(TERMS_MAX, TERMS_PER_S * seconds)
