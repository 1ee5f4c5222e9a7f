"""What the offline optimum is made of: kinds of VMs, instants that matter, rooms of places.

VMs of one *kind* have the same size, cut and worth and meet the same others, so a kind is a
number of VMs. Capacity must hold only where a maximal set of VMs exists at once: at the *instants*
(maximal cliques of the interval graph), numbered in order of time; each kind lives at a range of
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from numaplace.models.fleet import Fleet
from numaplace.models.schedule import REJECTED
from numaplace.models.trace import Bools, Ints, Trace


@dataclass(frozen=True, eq=False)
class Kinds:
    """Kinds of VMs as arrays.

    `size` has one row a kind: vCPUs on the first and second place, memory on the first and second
    place, in units that divide all of them. A kind lives at the instants `first` to `last`;
    `weight` is what one of its `members` is worth.
    """

    size: Ints
    cells: Ints
    first: Ints
    last: Ints
    weight: Ints
    members: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.cells)

    @cached_property
    def count(self) -> Ints:
        """VMs of each kind."""
        return np.array([len(vms) for vms in self.members], np.int64)

    def at(self, instant: int) -> Ints:
        """Kinds that live at an instant."""
        return np.flatnonzero((self.first <= instant) & (instant <= self.last))

    def chosen(self, counts: Ints, low: int, high: int) -> Kinds:
        """Return `counts` VMs of each kind, as they are seen between two instants (inclusive)."""
        seen = np.flatnonzero((counts > 0) & (self.first <= high) & (self.last >= low))
        rows = np.column_stack(
            [
                self.size[seen],
                self.cells[seen],
                np.maximum(self.first[seen], low),
                np.minimum(self.last[seen], high),
                self.weight[seen],
            ]
        )
        vms = [self.members[k][: counts[k]] for k in seen.tolist()]
        return _merged(rows, vms)


@dataclass(frozen=True, eq=False)
class OfflineProblem:
    """A trace on a fleet, as an optimum over time needs it.

    `kinds` are the VMs that fit somewhere in the empty fleet; `room` has one row a place, vCPUs and
    memory in the units of `Kinds.size`.
    """

    trace: Trace
    fleet: Fleet
    kinds: Kinds
    room: Ints
    instants: int

    @cached_property
    def rooms(self) -> list[tuple[int, int, int]]:
        """Places of a kind: vCPUs, memory, number of such places."""
        rows, counts = np.unique(self.room, axis=0, return_counts=True)
        return [(int(row[0]), int(row[1]), int(n)) for row, n in zip(rows, counts, strict=True)]

    def slots_for(self, size: Ints, cells: int) -> Ints:
        """Slots that hold a VM of this size in an empty fleet."""
        return _slots_for(self.fleet, self.room, size, cells)

    def load(self, amounts: Ints) -> Ints:
        """Sum of amounts (one a kind) at each instant."""
        change = np.zeros(self.instants + 1, np.int64)
        np.add.at(change, self.kinds.first, amounts)
        np.add.at(change, self.kinds.last + 1, -amounts)
        return np.cumsum(change)[:-1]


def make_problem(trace: Trace, fleet: Fleet, weight: Ints) -> OfflineProblem:
    """Return the problem of choosing VMs of most weight among those that fit somewhere."""
    sizes = np.column_stack([*trace.vcpu_parts, *trace.memory_parts_mib])
    room = np.column_stack([fleet.cpu_capacity, fleet.memory_mib])
    fits = possible(trace, fleet)
    some = np.flatnonzero(fits)
    units = np.array([_unit(sizes[some][:, :2]), _unit(sizes[some][:, 2:])], np.int64)
    first, last, instants = _instants(trace.start_ms[some], trace.end_ms[some])
    rows = np.column_stack(
        [sizes[some] // np.repeat(units, 2), trace.cells[some], first, last, weight[some]]
    )
    kinds = _merged(rows, [(vm,) for vm in some.tolist()])
    return OfflineProblem(trace, fleet, kinds, room // units, instants)


def possible(trace: Trace, fleet: Fleet) -> Bools:
    """Tell of each VM whether some slot of the empty fleet holds it."""
    room = np.column_stack([fleet.cpu_capacity, fleet.memory_mib])
    sizes = np.column_stack([*trace.vcpu_parts, *trace.memory_parts_mib, trace.cells])
    found, index = np.unique(sizes, axis=0, return_inverse=True)
    fits = [len(_slots_for(fleet, room, row[:4], int(row[4]))) > 0 for row in found]
    return np.array(fits, np.bool_)[index.reshape(-1)]


def unscaled(weight: Ints) -> tuple[Ints, int]:
    """Return weights without their greatest common divisor, and that."""
    unit = _unit(weight)
    return weight // unit, unit


def assigned(problem: OfflineProblem, kinds: Kinds, places: Iterator[tuple[int, int, int]]) -> Ints:
    """Return slots of all VMs, given triples (kind, slot, number of VMs of it there)."""
    slots: Ints = np.full(len(problem.trace), REJECTED)
    given = [0] * len(kinds)
    for kind, slot, number in places:
        low = given[kind]
        slots[list(kinds.members[kind][low : low + number])] = slot
        given[kind] = low + number
    return slots


def _slots_for(fleet: Fleet, room: Ints, size: Ints, cells: int) -> Ints:
    span = fleet.slots(cells)
    one = room[fleet.first[span]]
    fits = (one[:, 0] >= size[0]) & (one[:, 1] >= size[2])
    if cells == 2:
        two = room[fleet.second[span]]
        fits &= (two[:, 0] >= size[1]) & (two[:, 1] >= size[3])
    slots: Ints = np.flatnonzero(fits) + span.start
    return slots


def _unit(amounts: Ints) -> int:
    return max(1, int(np.gcd.reduce(amounts.ravel()))) if amounts.size else 1


def _instants(start: Ints, end: Ints) -> tuple[Ints, Ints, int]:
    """Return first and last instant of each VM, and how many instants there are."""
    size = len(start)
    times = np.concatenate([end, start])
    starts = np.repeat([False, True], size)
    # At equal times what ends makes room for what starts.
    order = np.lexsort((starts, times))
    first, last = np.zeros(size, np.int64), np.zeros(size, np.int64)
    instants, grown = 0, False
    for event in order.tolist():
        if event >= size:
            first[event - size] = instants
            grown = True
            continue
        if grown:
            instants, grown = instants + 1, False
        last[event] = instants - 1
    return first, last, instants


def _merged(rows: Ints, vms: list[tuple[int, ...]]) -> Kinds:
    """Return kinds of the rows (size, cells, first, last, weight), equal ones put together."""
    found, index = np.unique(rows.reshape(-1, 8), axis=0, return_inverse=True)
    members: list[list[int]] = [[] for _ in found]
    for kind, some in zip(index.reshape(-1).tolist(), vms, strict=True):
        members[kind].extend(some)
    size, cells, first, last, weight = np.split(found, [4, 5, 6, 7], axis=1)
    of = tuple(tuple(sorted(some)) for some in members)
    return Kinds(size, cells.ravel(), first.ravel(), last.ravel(), weight.ravel(), of)
