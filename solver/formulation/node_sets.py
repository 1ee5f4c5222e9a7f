"""Sets of VMs that fit a node, and what they cost: the columns of a set-partitioning problem.

A plan is at most one set a node, so the least total cost of a partition into sets is a bound on
the loss of the finest tier of `bounds`; its linear relaxation, over all sets that
fit, is a strong one. The same holds for the clusters of a coarser tier. `certified_bound` turns
any multipliers into a bound by integer arithmetic alone, so that no solver's rounding matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from numaplace.models.rates import Contention
from numaplace.solver.formulation.bounds import Crowds, Relaxation

COLUMNS_MAX = 600_000
"""Sets of VMs that may be listed; each takes about 100 bytes."""

BEAM_WIDTH = 100
"""Sets kept of each number of vCPUs when promising ones are searched."""

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SetColumns:
    """Every set of items that fits a node, and twice its least loss (halves stay integers).

    By size of set: rows of item indices, and twice the loss of each row, where a cut pair is half
    the loss of either side. A plan has `num_nodes` sets at most, and each item in one of them.
    """

    members: tuple[Ints, ...]
    costs: tuple[Ints, ...]
    num_nodes: int
    num_items: int

    @cached_property
    def count(self) -> int:
        """Sets of all sizes."""
        return sum(len(rows) for rows in self.members)

    def reduced(self, multipliers: Ints) -> list[Ints]:
        """Return twice the loss of each set less the multipliers of its items."""
        return [
            cost - multipliers[rows].sum(axis=1)
            for rows, cost in zip(self.members, self.costs, strict=True)
        ]


def certified_bound(columns: SetColumns, multipliers: Ints) -> int:
    """Return a lower bound in micro-vCPU on the loss of the finest tier.

    Valid for any integer `multipliers` (one an item, twice micro-vCPU): each set costs at least
    their sum over its items plus the least reduced cost, and a plan has all items in at most
    `num_nodes` sets.
    """
    least = min((int(part.min()) for part in columns.reduced(multipliers)), default=0)
    doubled = int(multipliers.sum()) + columns.num_nodes * min(0, least)
    return max(0, -(-doubled // 2))


def list_columns(data: SetCosts, limit: int = COLUMNS_MAX) -> SetColumns | None:
    """List the sets that fit a node; None if there are more than `limit`."""
    rows = np.arange(data.num_items, dtype=np.int64)[:, None]
    rows = rows[data.fits(rows)]
    pair_costs = data.alone[rows[:, 0]]
    members: list[Ints] = []
    costs: list[Ints] = []
    total = 0
    while len(rows):
        total += len(rows)
        if total > limit:
            return None
        members.append(rows)
        costs.append(pair_costs + data.node_costs(rows))
        rows, pair_costs = data.longer(rows, pair_costs, limit - total)
    return SetColumns(tuple(members), tuple(costs), data.num_nodes, data.num_items)


def _lines(curve: Contention, crowds: Crowds) -> tuple[Ints, Ints]:
    """What each item adds to each line of a node's contention, and what the lines start below."""
    prices = curve.bends(s for _, s in crowds)
    adds = [[milli * curve.weight(price, s) for milli, s in crowds] for price in prices]
    return np.array(adds, np.int64), np.array([curve.offset(p) for p in prices], np.int64)


class SetCosts:
    """Items and pairs on one tier of a relaxation as arrays, costs doubled.

    What happens inside a node (competition, memory, CPU contention) counts on the finest tier. A
    relaxation must have at least one item; `level` is the index of the tier.
    """

    def __init__(self, relaxation: Relaxation, level: int = 0) -> None:
        items, tier = relaxation.items, relaxation.tiers[level]
        size = len(items)
        rooms = [room for room in tier.vcpus if room > 0]
        self.inside_node = level == 0
        self.room = max(rooms, default=0)
        self.num_nodes = len(rooms)
        self.num_items = size
        self.pool_mib = relaxation.memory_mib
        self.lines = [_lines(*kind) for kind in relaxation.contentions]
        self.vcpus = np.array([item.vcpus for item in items], dtype=np.int64)
        self.memory = np.array([item.memory_mib for item in items], dtype=np.int64)
        self.strict = np.array([item.memory_mib * item.strict for item in items], dtype=np.int64)
        # A strict VM cannot spill, so the cheapest VM that can pays for what does not fit.
        self.rate = np.array([np.inf if i.strict else i.remote_rate for i in items])
        self.alone = np.zeros(size, dtype=np.int64)
        self.joint = np.zeros((size, size), dtype=np.int64)
        for (a, b), step in zip(relaxation.pairs, tier.steps, strict=True):
            self.alone[[a, b]] += step
            self._add(a, b, -2 * step)
        for a, b, price in relaxation.rivals if self.inside_node else ():
            self._add(a, b, 2 * price)

    def _add(self, a: int, b: int, doubled: int) -> None:
        self.joint[a, b] += doubled
        self.joint[b, a] += doubled

    def fits(self, rows: Ints) -> npt.NDArray[np.bool_]:
        """Tell which sets fit."""
        fits: Bools = self.vcpus[rows].sum(axis=1) <= self.room
        if self.inside_node:
            fits &= self.strict[rows].sum(axis=1) <= self.pool_mib
        return fits

    def node_costs(self, rows: Ints) -> Ints:
        """Return twice the loss by memory that does not fit and by CPU contention."""
        if not self.inside_node:
            return np.zeros(len(rows), dtype=np.int64)
        excess = np.maximum(0, self.memory[rows].sum(axis=1) - self.pool_mib)
        cheapest = self.rate[rows].min(axis=1)
        spilled = np.floor(2 * excess * np.where(np.isfinite(cheapest), cheapest, 0.0))
        values = [
            (adds[:, rows].sum(axis=2) - offsets[:, None]).max(axis=0)
            for adds, offsets in self.lines
        ]
        costs: Ints = spilled.astype(np.int64) + 2 * np.maximum(0, np.min(values, axis=0))
        return costs

    def pairs_cost(self, items: Ints) -> int:
        """Return twice the loss of a set by its pairs."""
        inside = self.joint[np.ix_(items, items)]
        return int(self.alone[items].sum() + inside.sum() // 2)

    def longer(self, rows: Ints, pair_costs: Ints, limit: int) -> tuple[Ints, Ints]:
        """Return the sets of one more item that fit, a few more than `limit` at most."""
        found: list[Ints] = []
        costs: list[Ints] = []
        count = 0
        used = self.vcpus[rows].sum(axis=1)
        for item in range(len(self.vcpus)):
            able = np.nonzero((rows[:, -1] < item) & (used + self.vcpus[item] <= self.room))[0]
            more = np.hstack([rows[able], np.full((len(able), 1), item, dtype=np.int64)])
            kept = self.fits(more)
            gain = self.alone[item] + self.joint[item][rows[able]].sum(axis=1)
            found.append(more[kept])
            costs.append((pair_costs[able] + gain)[kept])
            count += int(kept.sum())
            if count > limit:
                break
        return np.vstack(found), np.concatenate(costs)


def promising_sets(
    data: SetCosts, multipliers: Ints, width: int = BEAM_WIDTH
) -> list[tuple[Bools, Ints]]:
    """Search sets whose pairs cost little less the multipliers of their items.

    A knapsack recursion over the vCPUs used, which keeps the best `width` sets of each number.
    Memory and CPU contention do not count here.

    Returns
    -------
    list of (Bools, Ints)
        By vCPUs used: a row of items each set, and its reduced cost, doubled.
    """
    alone = data.alone - multipliers
    # Sums of random numbers tell sets apart, whatever the order they were filled in.
    keys = np.random.default_rng(0).integers(0, 2**62, data.num_items)
    waiting: dict[int, list[tuple[Bools, Ints, Ints]]] = {0: [_empty_set(data.num_items)]}
    found: list[tuple[Bools, Ints]] = []
    for used in range(data.room + 1):
        if used not in waiting:
            continue
        sets, reduced, hashes = _best_distinct(waiting.pop(used), width)
        if used:
            found.append((sets, reduced))
        gains = reduced[:, None] + alone[None] + sets.astype(np.int64) @ data.joint
        for size in np.unique(data.vcpus):
            if used + size > data.room:
                break
            rows, items = np.nonzero(~sets & (data.vcpus == size)[None])
            if len(rows):
                values = gains[rows, items]
                best = _lowest(values, 3 * width)
                rows, items, values = rows[best], items[best], values[best]
                more = sets[rows]
                more[np.arange(len(rows)), items] = True
                entry = (more, values, hashes[rows] ^ keys[items])
                waiting.setdefault(used + int(size), []).append(entry)
    return found


def _empty_set(num_items: int) -> tuple[Bools, Ints, Ints]:
    zero = np.zeros(1, dtype=np.int64)
    return np.zeros((1, num_items), dtype=np.bool_), zero, zero


def _best_distinct(parts: list[tuple[Bools, Ints, Ints]], width: int) -> tuple[Bools, Ints, Ints]:
    sets, reduced, hashes = (np.concatenate(column) for column in zip(*parts, strict=True))
    _, first = np.unique(hashes, return_index=True)
    best = first[_lowest(reduced[first], width)]
    return sets[best], reduced[best], hashes[best]


def _lowest(values: Ints, count: int) -> Ints:
    """Return the indices of the `count` lowest values, in no order."""
    if len(values) <= count:
        return np.arange(len(values))
    lowest: Ints = np.argpartition(values, count)[:count]
    return lowest
