"""What every set of VMs that can be placed obeys at each instant, whatever places it gets.

A row weighs sizes by any function; all places together hold no more than the sum of what each
could hold at most, which a knapsack program works out. Step functions count what rounding wastes:
of VMs above half a node, a node holds one. Patterns are stronger: the multisets of
sizes one node can hold, listed; then VMs at an instant need as many nodes as patterns are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, zip_longest

import numpy as np

from numaplace.models.trace import Ints
from numaplace.solver.offline.data import OfflineProblem

STEPS = range(1, 12)
EDGES = 12
KNAPSACK_MAX = 200_000  # Room of a node, in units, up to which knapsacks are solved exactly
TERMS_MAX = 500_000  # Terms of all rows; what counts plain sizes comes first
PATTERNS_MAX = 400

Pattern = tuple[int, ...]


def capacity_rows(problem: OfflineProblem) -> Iterator[tuple[Ints, Ints, int]]:
    """Yield rows: kinds, their weights, and what these add up to at most."""
    known: set[tuple[object, ...]] = set()
    terms = 0
    both = zip_longest(_weighings(problem, 0), _weighings(problem, 1))
    for weights, most in filter(None, chain.from_iterable(both)):
        load = problem.load(weights * problem.kinds.count)
        for instant in np.flatnonzero(load > most).tolist():
            kinds = problem.kinds.at(instant)
            kinds = kinds[weights[kinds] > 0]
            unit = int(np.gcd.reduce(weights[kinds]))
            row = kinds, weights[kinds] // unit, most // unit
            key = (row[0].tobytes(), row[1].tobytes(), row[2])
            if key not in known:
                terms += len(kinds)
                if terms > TERMS_MAX:
                    return
                known.add(key)
                yield row


def _weighings(problem: OfflineProblem, resource: int) -> Iterator[tuple[Ints, int]]:
    """Yield the weight of each kind, and what all places together hold at most."""
    parts = problem.kinds.size[:, 2 * resource : 2 * resource + 2]
    sizes = np.unique(parts[parts > 0])
    room = problem.room[:, resource]
    if not len(sizes) or not room.max():
        return
    largest = int(room.max())
    if largest > KNAPSACK_MAX:
        yield parts.sum(axis=1), int(room.sum())
        return
    for function in _functions(sizes, largest):
        weights = function(sizes)
        table = np.zeros(int(sizes.max()) + 1, np.int64)
        table[sizes] = weights
        most = int(_knapsack(sizes, weights, largest)[room].sum())
        yield table[parts].sum(axis=1), most


def _functions(sizes: Ints, room: int) -> Iterator[Callable[[Ints], Ints]]:
    yield lambda size: size
    for step in STEPS:
        # The k-th share of a node; what is an exact share of it keeps its own weight.
        yield lambda size, k=step: np.where(  # type: ignore[misc]
            (k + 1) * size % room == 0, k * size, (k + 1) * size // room * room
        )
    halves = sizes[2 * sizes <= room]
    for edge in halves[:: max(1, len(halves) // EDGES)].tolist():
        # What is left beside a large VM is too small for those of `edge` and more.
        yield lambda size, e=edge: np.where(  # type: ignore[misc]
            size > room - e, room, np.where(size >= e, size, 0)
        )
        yield lambda size, e=edge: np.where(  # type: ignore[misc]
            2 * size > room,
            2 * (room // e) - 2 * ((room - size) // e),
            np.where(2 * size == room, room // e, 2 * (size // e)),
        )


def _knapsack(sizes: Ints, weights: Ints, room: int) -> Ints:
    """Return the greatest weight of VMs, any number of each size, for each room."""
    best = np.zeros(room + 1, np.int64)
    for size, weight in zip(sizes.tolist(), weights.tolist(), strict=True):
        for low in range(size, room + 1, size):
            here = best[low : low + size]
            np.maximum(here, best[low - size : low - size + len(here)] + weight, out=here)
    return best


def node_parts(problem: OfflineProblem, kinds: Ints) -> tuple[list[tuple[int, int]], Ints]:
    """Return the sizes (vCPUs, memory) that nodes are given, and how many of each a kind needs."""
    found: dict[tuple[int, int], int] = {}
    needs = []
    for kind in kinds.tolist():
        size = problem.kinds.size[kind].tolist()
        for cell in range(int(problem.kinds.cells[kind])):
            needs.append((kind, found.setdefault((size[cell], size[2 + cell]), len(found))))
    table = np.zeros((len(problem.kinds), len(found)), np.int64)
    for kind, part in needs:
        table[kind, part] += 1
    return list(found), table


def patterns(
    parts: list[tuple[int, int]], available: list[int], cpu: int, memory: int
) -> list[Pattern] | None:
    """List the maximal multisets of parts a node can hold; None if there are too many.

    Parts are sizes (vCPUs, memory), of which so many are available; `cpu` and `memory` the node's
    room.
    """
    order = sorted(range(len(parts)), key=lambda k: parts[k], reverse=True)
    found: list[Pattern] = []
    chosen = [0] * len(parts)

    def extend(depth: int, cpu_left: int, memory_left: int) -> bool:
        if depth == len(order):
            if not any(
                size[0] <= cpu_left and size[1] <= memory_left and chosen[k] < available[k]
                for k, size in enumerate(parts)
            ):
                found.append(tuple(chosen))
            return len(found) <= PATTERNS_MAX
        part = order[depth]
        vcpus, mib = parts[part]
        most = min(available[part], cpu_left // vcpus, memory_left // mib)
        for number in range(most, -1, -1):
            chosen[part] = number
            if not extend(depth + 1, cpu_left - number * vcpus, memory_left - number * mib):
                return False
        return True

    return found if extend(0, cpu, memory) else None
