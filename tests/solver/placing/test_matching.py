"""Fits of cells on nodes agree with brute force, and are decided fast."""

import random
import time
from itertools import permutations

import pytest

from numaplace.solver.placing.matching import FORBIDDEN, assign, first_match, match


def _problem(rng: random.Random) -> tuple[list[list[float]], list[int], list[int]]:
    rows, columns = rng.randint(1, 3), rng.randint(1, 5)
    costs = [
        [rng.choice([FORBIDDEN, float(rng.randint(-5, 20))]) for _ in range(columns)]
        for _ in range(rows)
    ]
    return costs, [rng.randint(0, 2) for _ in costs], [rng.randint(1, 2) for _ in range(columns)]


def _cheapest(costs: list[list[float]], demands: list[int], capacities: list[int]) -> float | None:
    """Least cost over all ways, one by one."""
    rows = [row for row, demand in enumerate(demands) for _ in range(demand)]
    columns = [column for column, units in enumerate(capacities) for _ in range(units)]
    totals = [
        sum(costs[row][column] for row, column in zip(rows, chosen, strict=True))
        for chosen in permutations(columns, len(rows))
    ]
    return min((total for total in totals if total < FORBIDDEN), default=None)


def _mask(row: list[float]) -> int:
    return sum(1 << column for column, cost in enumerate(row) if cost < FORBIDDEN)


def test_assign_is_the_cheapest_way() -> None:
    """Costs of either sign, forbidden pairs, and capacities: as good as trying everything."""
    for seed in range(400):
        costs, demands, capacities = _problem(random.Random(seed))
        found = assign(costs, demands, capacities)
        best = _cheapest(costs, demands, capacities)
        if found is None:
            assert best is None
            continue
        total = sum(
            costs[row][c] * units for row, taken in enumerate(found) for c, units in taken.items()
        )
        assert total == best
        assert [sum(units.values()) for units in found] == demands
        for column, units in enumerate(capacities):
            assert sum(row.get(column, 0) for row in found) <= units


def test_match_fits_whenever_a_fit_exists() -> None:
    """A fit is found if and only if brute force finds one, and it is a fit."""
    for seed in range(400):
        costs, demands, _ = _problem(random.Random(seed))
        options = [_mask(row) for row in costs]
        found = match(options, demands)
        assert (found is None) == (_cheapest(costs, demands, [1] * len(costs[0])) is None)
        if found is not None:
            assert [len(nodes) for nodes in found] == demands
            assert all(
                options[row] >> node & 1 for row, nodes in enumerate(found) for node in nodes
            )
            used = [node for nodes in found for node in nodes]
            assert len(set(used)) == len(used)


def test_first_match_is_the_first_permutation() -> None:
    """The fit is the one that trying permutations in order would stop at."""
    for seed in range(200):
        costs, _, _ = _problem(random.Random(seed))
        options = [_mask(row) for row in costs]
        fits = [
            list(order)
            for order in permutations(range(len(costs[0])), len(options))
            if all(mask >> node & 1 for mask, node in zip(options, order, strict=True))
        ]
        assert first_match(options) == (fits[0] if fits else None)


@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize("cells, nodes", [(8, 16), (8, 24), (12, 36), (16, 64)])
def test_a_fit_is_decided_within_a_millisecond(cells: int, nodes: int, fits: bool) -> None:
    """Cells of different sizes on many nodes, also when one node too few is large enough."""
    rng = random.Random(cells * nodes)
    sizes = [rng.randint(4, 16) for _ in range(cells)]
    free = [*sizes, *[3] * (nodes - cells)]
    if not fits:
        free[sizes.index(max(sizes))] = max(sizes) - 1
    rng.shuffle(free)
    options = [sum(1 << n for n, room in enumerate(free) if room >= size) for size in sizes]
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        found = match(options, [1] * cells)
        seconds.append(time.perf_counter() - began)
        assert (found is not None) == fits
    assert min(seconds) < 1e-3
