"""The best contents of one host by a table over the vCPUs on its nodes.

A chain over items (groups), each of which takes one of its options or none. `after[g]` has for each
state (vCPUs taken on both nodes) the least that items from the g-th on and the contention at the
end add; `before[g]` the least by which the items before the g-th reach it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from numaplace.models.trace import Ints
from numaplace.solver.deadline import Deadline

NEVER_REACHED = 1 << 60

Choice = tuple[int, int]
"""Position of an item, and number of its option."""


@dataclass(frozen=True, slots=True)
class TableItem:
    """What a host may have once: options as (vCPUs on both nodes, weight, number).

    The weights are negative: nothing else is worth taking, since contention only grows.
    """

    options: tuple[tuple[int, int, int, int], ...]


class HostTable:
    """What a host may hold of some items; `end` is what is lost beside them, by state."""

    def __init__(self, items: Sequence[TableItem], end: Ints, until: Deadline) -> None:
        self.items = items
        self.after = np.empty((len(items) + 1, *end.shape), np.int64)
        self.after[-1] = end
        for g in range(len(items) - 1, -1, -1):
            until.check()
            later, here = self.after[g + 1], self.after[g]
            here[:] = later
            for a, b, weight, _ in items[g].options:
                room = here[: end.shape[0] - a, : end.shape[1] - b]
                np.minimum(room, later[a:, b:] + weight, out=room)

    @property
    def least(self) -> int:
        """What nothing a host holds weighs less than; at most what an empty host does."""
        return int(self.after[0, 0, 0])

    def through_each(
        self, wanted: Sequence[int], until: Deadline
    ) -> Iterator[tuple[int, tuple[Choice, ...]]]:
        """Yield, for each wanted item, the least weight of what has it, and that."""
        before = np.full_like(self.after, NEVER_REACHED)
        before[0, 0, 0] = 0
        size_a, size_b = before.shape[1:]
        for g, item in enumerate(self.items):
            until.check()
            earlier, here = before[g], before[g + 1]
            here[:] = earlier
            for a, b, weight, _ in item.options:
                room = here[a:, b:]
                np.minimum(room, earlier[: size_a - a, : size_b - b] + weight, out=room)
        for g in wanted:
            best = NEVER_REACHED, 0, 0, (0, 0, 0, 0)
            for option in self.items[g].options:
                a, b, weight, _ = option
                both = before[g, : size_a - a, : size_b - b] + self.after[g + 1, a:, b:]
                at = int(both.argmin())
                found = int(both.flat[at]) + weight
                if found < best[0]:
                    best = found, *divmod(at, size_b - b), option
            least, a, b, option = best
            if least < NEVER_REACHED // 2:
                chosen = [*self._back(before, g, a, b), (g, option[3])]
                chosen += self._on(g + 1, a + option[0], b + option[1])
                yield least, tuple(chosen)

    def best(self) -> tuple[Choice, ...]:
        """Return what weighs least."""
        return tuple(self._on(0, 0, 0))

    def _on(self, g: int, a: int, b: int) -> Iterator[Choice]:
        """Yield the choices of the items from the g-th on, from a state."""
        while True:
            # Weights grow along the chain, so the last item that is as good is the next chosen.
            column = self.after[g:, a, b]
            g += int(np.searchsorted(column, column[0], side="right")) - 1
            if g == len(self.items):
                return
            for more_a, more_b, weight, number in self.items[g].options:
                if a + more_a < self.after.shape[1] and b + more_b < self.after.shape[2]:
                    later = self.after[g + 1, a + more_a, b + more_b]
                    if later + weight == self.after[g, a, b]:
                        yield g, number
                        a, b = a + more_a, b + more_b
                        break
            g += 1

    def _back(self, before: Ints, g: int, a: int, b: int) -> Iterator[Choice]:
        """Yield the choices by which the items before the g-th reach a state, the last first."""
        while True:
            column = before[: g + 1, a, b][::-1]
            g -= int(np.searchsorted(column, column[0], side="right")) - 1
            if g == 0:
                return
            g -= 1
            for less_a, less_b, weight, number in self.items[g].options:
                if a >= less_a and b >= less_b:
                    earlier = before[g, a - less_a, b - less_b]
                    if earlier + weight == before[g + 1, a, b]:
                        yield g, number
                        a, b = a - less_a, b - less_b
                        break
