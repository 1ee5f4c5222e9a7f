"""Whether VMs can be placed together, and which few of those that cannot are to blame."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from numaplace.models.result import SolveStatus
from numaplace.models.trace import Ints
from numaplace.solver.offline.data import Kinds, OfflineProblem, assigned
from numaplace.solver.offline.master import OfflineRun, Places, ProgramRunner, too_large

WINDOW_S = 1.0  # Seconds for the question whether VMs fit together in a window of time
BUSY = 0.7  # Windows in which no more of the fleet is asked for are not looked at


@dataclass(frozen=True, slots=True)
class Core:
    """VMs that cannot be placed together, as they are seen between two instants."""

    kinds: Kinds
    low: int
    high: int


class Packer:
    """Answers whether VMs can be placed together, and remembers the answers."""

    def __init__(self, problem: OfflineProblem, engine: ProgramRunner, run: OfflineRun) -> None:
        self.problem, self.engine, self.run = problem, engine, run
        self._known: dict[tuple[bytes, ...], bool | None] = {}

    def pack(self, counts: Ints, seconds: float) -> Ints | bool | None:
        """Return slots for `counts` VMs of each kind, False if there are none, None: not known."""
        kinds = self.problem.kinds.chosen(counts, 0, self.problem.instants)
        return self._packed(kinds, seconds)

    def _packed(self, kinds: Kinds, seconds: float) -> Ints | bool | None:
        if too_large(self.problem, kinds, min(seconds, self.run.seconds_left)):
            return None
        places = Places(self.problem, kinds)
        deadline = min(self.run.deadline, time.monotonic() + seconds)
        answer = self.engine(
            places.program, replace(self.run, deadline=deadline, start=None, on_bound=None)
        )
        if answer.values is not None:
            return assigned(self.problem, kinds, iter(places.given(answer.values)))
        return False if answer.status is SolveStatus.INFEASIBLE else None

    def fits(self, kinds: Kinds) -> bool | None:
        """Tell whether VMs can be placed together; None if that is not known in time."""
        columns = (kinds.size, kinds.cells, kinds.first, kinds.last, kinds.count)
        key = tuple(column.tobytes() for column in columns)
        if key not in self._known:
            packed = self._packed(kinds, WINDOW_S)
            self._known[key] = True if isinstance(packed, np.ndarray) else packed
        return self._known[key]

    def seen(self, counts: Ints, low: int, high: int) -> Kinds:
        """Return `counts` VMs of each kind as they are seen between two instants."""
        kinds = self.problem.kinds.chosen(counts, low, high)
        # What a VM is worth does not matter here, so it must not tell kinds apart.
        flat = replace(kinds, weight=np.zeros_like(kinds.weight))
        return flat.chosen(flat.count, low, high)

    def busy(self, counts: Ints) -> Ints:
        """Return the instants at which the fleet is nearly full."""
        size, room = self.problem.kinds.size, self.problem.room.sum(axis=0)
        full = np.zeros(self.problem.instants, np.bool_)
        for resource in range(2):
            amount = size[:, 2 * resource : 2 * resource + 2].sum(axis=1) * counts
            full |= self.problem.load(amount) > BUSY * room[resource]
        return np.flatnonzero(full)

    def overfull(self, counts: Ints, instants: Ints) -> list[int]:
        """Return instants at which VMs cannot be placed even by themselves."""
        return [
            instant
            for instant in instants.tolist()
            if not self.run.over and self.fits(self.seen(counts, instant, instant)) is False
        ]

    def cores(
        self, counts: Ints, spans: list[tuple[int, int]], widest: int, most: int
    ) -> Iterator[Core]:
        """Yield VMs that cannot be placed together, from the shortest windows that show any.

        Of `counts` VMs of each kind, in windows of up to `widest` instants that meet one of `spans`
        (lives of VMs that could not be placed); `most` windows with trouble end the search.
        """
        width, found = 1, 0
        while not found:
            if not spans:
                return
            step = max(1, width // 2)
            for low in range(0, max(1, self.problem.instants - width + step), step):
                high = min(low + width, self.problem.instants) - 1
                if not any(low <= last and first <= high for first, last in spans):
                    continue
                if self.run.over or found >= most:
                    return
                if self.fits(self.seen(counts, low, high)) is False:
                    found += 1
                    yield self._core(counts, low, high)
            if width >= min(widest, self.problem.instants):
                return
            width *= 2

    def _core(self, counts: Ints, low: int, high: int) -> Core:
        """Leave out instants and VMs without which it still does not fit."""
        low, high = self._shorter(counts, low, high)
        kinds = self.seen(counts, low, high)
        numbers = kinds.count.copy()
        for k in np.argsort(kinds.size.sum(axis=1), kind="stable").tolist():
            # The least number of VMs of this kind that still does not fit, by halving.
            enough, least = int(numbers[k]), 0
            while least < enough and not self.run.over:
                numbers[k] = (least + enough) // 2
                if self.fits(kinds.chosen(numbers, low, high)) is False:
                    enough = int(numbers[k])
                else:
                    least = int(numbers[k]) + 1
            numbers[k] = enough
        return Core(kinds.chosen(numbers, low, high), low, high)

    def _shorter(self, counts: Ints, low: int, high: int) -> tuple[int, int]:
        while low < high and self.fits(self.seen(counts, low, high - 1)) is False:
            high -= 1
        while low < high and self.fits(self.seen(counts, low + 1, high)) is False:
            low += 1
        return low, high
