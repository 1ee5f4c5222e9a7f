"""Schedules without a search: VMs one after the other, each where the least is left over."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np

from numaplace.models.schedule import REJECTED
from numaplace.models.trace import Ints
from numaplace.solver.offline.data import Kinds, OfflineProblem

CELLS_MAX = 10_000_000  # Places times instants up to which the board of what is free is drawn


def greedy_schedule(problem: OfflineProblem, deadline: float) -> Ints:
    """Return the better of two schedules: by worth, and by worth for what a VM takes."""
    kinds = problem.kinds
    if not len(kinds) or len(problem.room) * problem.instants > CELLS_MAX:
        return np.full(len(problem.trace), REJECTED)
    room = np.maximum(1, problem.room.sum(axis=0))
    share = kinds.size[:, :2].sum(axis=1) / room[0] + kinds.size[:, 2:].sum(axis=1) / room[1]
    area = share * (kinds.last - kinds.first + 1)
    found = []
    for key in (kinds.weight / area, kinds.weight.astype(np.float64)):
        board = FreeOverTime(problem)
        board.fill(np.lexsort((-share, -key)).tolist(), deadline)
        found.append((board.worth, board.slots))
    return max(found, key=lambda pair: pair[0])[1]


def filled(problem: OfflineProblem, slots: Ints, deadline: float) -> Ints:
    """Return a schedule with what else fits put in, the worthiest first."""
    if len(problem.room) * problem.instants > CELLS_MAX:
        return slots
    board = FreeOverTime(problem, slots)
    board.fill(np.argsort(-problem.kinds.weight, kind="stable").tolist(), deadline)
    return board.slots


def in_order(problem: OfflineProblem, deadline: float) -> Ints:
    """Return the schedule of placing VMs in order of arrival up to the first that fits nowhere."""
    slots: Ints = np.full(len(problem.trace), REJECTED)
    if len(problem.room) * problem.instants > CELLS_MAX:
        return slots
    board = FreeOverTime(problem)
    kind_of = {vm: kind for kind, vms in enumerate(problem.kinds.members) for vm in vms}
    for vm in range(len(problem.trace)):
        if vm not in kind_of or time.monotonic() > deadline or not board.place(kind_of[vm], vm):
            break
    return board.slots


class FreeOverTime:
    """What is free on every place at every instant."""

    def __init__(self, problem: OfflineProblem, slots: Ints | None = None) -> None:
        self.problem = problem
        self.free = np.repeat(problem.room[:, :, None], problem.instants, axis=2)
        self.slots: Ints = np.full(len(problem.trace), REJECTED)
        self.worth = 0
        self._homes: dict[tuple[int, ...], Ints] = {}
        if slots is not None:
            for kind, vms in enumerate(problem.kinds.members):
                for vm in vms:
                    if slots[vm] != REJECTED:
                        self._take(kind, vm, int(slots[vm]))

    def fill(self, order: Iterable[int], deadline: float) -> None:
        """Place VMs that are not placed yet, kind after kind."""
        for kind in order:
            for vm in self.problem.kinds.members[kind]:
                if time.monotonic() > deadline:
                    return
                if self.slots[vm] == REJECTED and not self.place(kind, vm):
                    break

    def place(self, kind: int, vm: int) -> bool:
        """Place a VM where the least is left over; False if it fits nowhere."""
        kinds, fleet = self.problem.kinds, self.problem.fleet
        size = kinds.size[kind]
        homes = self._homes_of(kinds, kind)
        free = self.free[:, :, kinds.first[kind] : kinds.last[kind] + 1].min(axis=2)
        left = free[fleet.first[homes]] - size[[0, 2]]
        if kinds.cells[kind] == 2:
            left = np.minimum(left, free[fleet.second[homes]] - size[[1, 3]])
        fits = np.flatnonzero(left.min(axis=1) >= 0)
        if not len(fits):
            return False
        waste = (left[fits] / np.maximum(1, self.problem.room.max(axis=0))).sum(axis=1)
        self._take(kind, vm, int(homes[fits[np.argmin(waste)]]))
        return True

    def _homes_of(self, kinds: Kinds, kind: int) -> Ints:
        key = (*kinds.size[kind].tolist(), int(kinds.cells[kind]))
        if key not in self._homes:
            self._homes[key] = self.problem.slots_for(kinds.size[kind], key[-1])
        return self._homes[key]

    def _take(self, kind: int, vm: int, slot: int) -> None:
        kinds, fleet = self.problem.kinds, self.problem.fleet
        span = slice(kinds.first[kind], kinds.last[kind] + 1)
        size = kinds.size[kind]
        self.free[fleet.first[slot], :, span] -= size[[0, 2]][:, None]
        if kinds.cells[kind] == 2:
            self.free[fleet.second[slot], :, span] -= size[[1, 3]][:, None]
        self.slots[vm] = slot
        self.worth += int(kinds.weight[kind])
