"""Where to draw nodes: a grid in which near nodes are near."""

from __future__ import annotations

import math
from collections.abc import Sequence

Matrix = Sequence[Sequence[float]]
Cell = tuple[int, int]

ROUNDS = 8
WORK_MAX = 20_000_000


def arranged(distance: Matrix, columns: int) -> list[Cell]:
    """Give each item a (row, column) of a grid so that near items are near.

    Items fill the grid in reading order, or along a chain of nearest neighbours; then pairs swap
    places as long as that brings near items nearer, and the better outcome counts. If all are
    equally far the order is kept.

    Parameters
    ----------
    distance
        Square matrix, may be asymmetric.
    columns
        Columns of the grid.
    """
    size = len(distance)
    slots = [divmod(index, columns) for index in range(size)]
    near = _closeness(distance)
    away = [[math.hypot(a[0] - b[0], a[1] - b[1]) for b in slots] for a in slots]
    order = min(
        (_better(start, near, away) for start in (list(range(size)), _chain(near))),
        key=lambda order: round(_length(order, near, away), 6),
    )
    if size % columns == 0:
        order = min(_turned(order, columns))
    cells: list[Cell] = [(0, 0)] * size
    for slot, item in enumerate(order):
        cells[item] = slots[slot]
    return cells


def columns_for(count: int, item_aspect: float, wanted_aspect: float) -> int:
    """Return the number of columns that brings a grid nearest to an aspect (width over height).

    Empty slots in the last row count against a choice.
    """

    def badness(columns: int) -> float:
        rows = math.ceil(count / columns)
        aspect = columns * item_aspect / rows
        empty = (rows * columns - count) / (rows * columns)
        return abs(math.log(aspect / wanted_aspect)) + 1.5 * empty

    return min(range(1, count + 1), key=badness, default=1)


def _closeness(distance: Matrix) -> list[list[float]]:
    """Weight of each pair: high if near, by the mean of both directions."""
    size = len(distance)
    return [
        [2.0 / (distance[a][b] + distance[b][a]) if a != b else 0.0 for b in range(size)]
        for a in range(size)
    ]


def _chain(near: list[list[float]]) -> list[int]:
    left = set(range(1, len(near)))
    chain = [0] if near else []
    while left:
        last = chain[-1]
        nearest = max(sorted(left), key=lambda item: near[last][item])
        chain.append(nearest)
        left.remove(nearest)
    return chain


def _turned(order: list[int], columns: int) -> list[list[int]]:
    """The same full grid as seen in both mirrors."""
    rows = [order[start : start + columns] for start in range(0, len(order), columns)]
    mirrored = [row[::-1] for row in rows]
    views = (rows, rows[::-1], mirrored, mirrored[::-1])
    return [[item for row in view for item in row] for view in views]


def _length(order: list[int], near: list[list[float]], away: list[list[float]]) -> float:
    return sum(near[order[s]][order[t]] * away[s][t] for s in range(len(order)) for t in range(s))


def _better(start: list[int], near: list[list[float]], away: list[list[float]]) -> list[int]:
    order = start
    size = len(order)
    rounds = min(ROUNDS, WORK_MAX // size**3) if size else 0
    for _ in range(rounds):
        changed = False
        for s in range(size):
            for t in range(s):
                if _gain(order, near, away, s, t) > 1e-9:
                    order[s], order[t] = order[t], order[s]
                    changed = True
        if not changed:
            break
    return order


def _gain(
    order: list[int], near: list[list[float]], away: list[list[float]], s: int, t: int
) -> float:
    """What swapping the items of two slots saves of the sum of closeness times distance."""
    a, b = near[order[s]], near[order[t]]
    from_s, from_t = away[s], away[t]
    return sum(
        (a[item] - b[item]) * (from_s[slot] - from_t[slot])
        for slot, item in enumerate(order)
        if slot not in (s, t)
    )
