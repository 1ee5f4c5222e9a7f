"""Cells onto nodes: does it fit, which fit comes first, which fit is cheapest.

Whether k cells of different sizes fit on n nodes, one cell a node, is a bipartite matching; the
cheapest fit is an assignment. Both are polynomial: nothing here enumerates subsets or
permutations. Cells that may go to the same nodes are one row with a demand.

References
----------
H. W. Kuhn, "The Hungarian method for the assignment problem", Naval Research Logistics Quarterly
2 (1955). J. E. Hopcroft and R. M. Karp, "An n^5/2 algorithm for maximum matchings in bipartite
graphs", SIAM J. Computing 2 (1973). N. Tomizawa, "On some techniques useful for solution of
transportation network problems", Networks 1 (1971): shortest augmenting paths with potentials.
R. Jonker and A. Volgenant, "A shortest augmenting path algorithm for dense and sparse linear
assignment problems", Computing 38 (1987).
"""

from __future__ import annotations

from collections.abc import Sequence

FORBIDDEN = float("inf")  # Cost of a pair that must not be


def match(options: Sequence[int], demands: Sequence[int]) -> list[list[int]] | None:
    """Give each row as many nodes of its own as it demands; None if they do not fit.

    `options` has a bit mask per row of the nodes that will do; the answer lists nodes per row,
    ascending. Augmenting paths search rows and bit masks breadth first, O(rows + nodes) each.
    """
    owner: dict[int, int] = {}
    used = 0
    for row in sorted(range(len(options)), key=lambda r: options[r].bit_count()):
        for _ in range(demands[row]):
            spare = options[row] & ~used
            node = _lowest(spare) if spare else _augment(options, owner, used, row)
            if node is None:
                return None
            if spare:
                owner[node] = row
            used |= 1 << node
    given: list[list[int]] = [[] for _ in options]
    for node in sorted(owner):
        given[owner[node]].append(node)
    return given


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _augment(options: Sequence[int], owner: dict[int, int], used: int, root: int) -> int | None:
    """Free a node for `root` by moving other rows along a path; return the node newly used."""
    through: dict[int, int] = {root: -1}  # the node whose owner the row is
    reached_from: dict[int, int] = {}
    queue = [root]
    visited = 0
    for row in queue:
        reach = options[row] & ~visited
        visited |= reach
        spare = reach & ~used
        if spare:
            last = node = _lowest(spare)
            while row != root:
                owner[node] = row
                node = through[row]
                row = reached_from[node]
            owner[node] = root
            return last
        while reach:
            node = _lowest(reach)
            reach &= reach - 1
            if owner[node] not in through:
                through[owner[node]] = node
                reached_from[node] = row
                queue.append(owner[node])
    return None


def first_match(options: Sequence[int]) -> list[int] | None:
    """Return the fit that comes first in lexicographic order, one node for each row.

    The answer is the one that trying all permutations of the nodes in order would stop at.
    """
    if match(options, [1] * len(options)) is None:
        return None
    chosen: list[int] = []
    taken = 0
    for row in range(len(options)):
        left = options[row] & ~taken
        while left:
            node = _lowest(left)
            left &= left - 1
            rest = [mask & ~(taken | 1 << node) for mask in options[row + 1 :]]
            if match(rest, [1] * len(rest)) is not None:
                chosen.append(node)
                taken |= 1 << node
                break
    return chosen


def assign(
    costs: Sequence[Sequence[float]],
    demands: Sequence[int],
    capacities: Sequence[int] | None = None,
) -> list[dict[int, int]] | None:
    """Return the cheapest way to give each row what it demands of the columns, or None.

    Costs are per unit by row and column, `FORBIDDEN` where it must not be; `capacities` are the
    units each column has, one each if None. The answer is units by column, per row.
    """
    flow = _Flow(costs, capacities)
    for row, demand in enumerate(demands):
        for _ in range(demand):
            if not flow.augment(row):
                return None
    return flow.taken


class _Flow:
    """Successive shortest paths with potentials; equal units of a row share one search."""

    def __init__(self, costs: Sequence[Sequence[float]], capacities: Sequence[int] | None) -> None:
        columns = len(costs[0]) if costs else 0
        self.costs = costs
        self.spare = [1] * columns if capacities is None else list(capacities)
        self.taken: list[dict[int, int]] = [{} for _ in costs]
        self._holders: list[set[int]] = [set() for _ in range(columns)]
        self._row_price = [min((c for c in row if c != FORBIDDEN), default=0.0) for row in costs]
        self._column_price = [0.0] * columns

    def augment(self, root: int) -> bool:
        """Take one unit more for row `root` at the least extra cost."""
        entry: dict[int, int] = {root: -1}  # column through which a row was reached
        row_distance = {root: 0.0}
        distance = [FORBIDDEN] * len(self.spare)
        via = [-1] * len(self.spare)
        alive = set(range(len(self.spare)))  # columns that may lead on
        done: set[int] = set()
        self._reach(root, 0.0, distance, via, done, alive, entry)
        while alive:
            column = min(alive, key=distance.__getitem__)
            length = distance[column]
            if length == FORBIDDEN:
                return False
            if self.spare[column]:
                for row, reached in row_distance.items():
                    self._row_price[row] += length - reached
                for passed, reached in enumerate(distance):
                    if reached < length:
                        self._column_price[passed] -= length - reached
                self._shift(column, via, entry)
                return True
            alive.discard(column)
            done.add(column)
            for row in self._holders[column] - entry.keys():
                entry[row] = column
                row_distance[row] = length
                self._reach(row, length, distance, via, done, alive, entry)
        return False

    def _reach(
        self,
        row: int,
        base: float,
        distance: list[float],
        via: list[int],
        done: set[int],
        alive: set[int],
        entry: dict[int, int],
    ) -> None:
        offset = base - self._row_price[row]
        prices = self._column_price
        for column, cost in enumerate(self.costs[row]):
            length = offset + cost - prices[column]
            if length < distance[column] and column not in done:
                distance[column] = length
                via[column] = row
        for column in self.taken[row]:  # full, and all its holders reached: leads nowhere new
            if not self.spare[column] and self._holders[column] <= entry.keys():
                alive.discard(column)

    def _shift(self, column: int, via: list[int], entry: dict[int, int]) -> None:
        self.spare[column] -= 1
        while column >= 0:
            row = via[column]
            self.taken[row][column] = self.taken[row].get(column, 0) + 1
            self._holders[column].add(row)
            column = entry[row]
            if column >= 0:
                self.taken[row][column] -= 1
                if not self.taken[row][column]:
                    del self.taken[row][column]
                    self._holders[column].discard(row)
