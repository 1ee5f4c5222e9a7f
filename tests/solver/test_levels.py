"""Distances as levels: exact where they are a tree, refused elsewhere."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from numaplace.solver.levels import levels_of


def _price_by_levels(levels: list, i: int, j: int) -> int:
    return sum(
        level.step
        for level in levels
        if not any(i in cluster and j in cluster for cluster in level.clusters)
    )


def test_two_sockets_of_two_nodes() -> None:
    """Node, socket, elsewhere: two levels whose steps add up to the prices."""
    price = {
        (i, j): 0 if i == j else 2 if i // 2 == j // 2 else 22 for i in range(4) for j in range(4)
    }
    levels = levels_of(range(4), price)
    assert levels is not None
    assert [level.step for level in levels] == [2, 20]
    assert [len(level.clusters) for level in levels] == [4, 2]


def test_ring_is_no_tree() -> None:
    """On a ring of four, nearness is not transitive."""
    price = {(i, j): min((i - j) % 4, (j - i) % 4) for i in range(4) for j in range(4)}
    assert levels_of(range(4), price) is None


def test_asymmetric_is_refused() -> None:
    """A price that depends on the direction has no levels."""
    assert levels_of(range(2), {(0, 0): 0, (1, 1): 0, (0, 1): 3, (1, 0): 4}) is None


@given(st.lists(st.integers(0, 6), min_size=9, max_size=9))
def test_levels_reproduce_prices(values: list[int]) -> None:
    """Whenever levels exist, they give back every price; else some triangle is no ultrametric."""
    price = {
        (i, j): 0 if i == j else values[3 * min(i, j) + max(i, j)]
        for i, j in product(range(3), repeat=2)
    }
    levels = levels_of(range(3), price)
    ultrametric = all(
        price[i, j] <= max(price[i, k], price[k, j]) for i, j, k in product(range(3), repeat=3)
    )
    assert (levels is not None) == ultrametric
    for i, j in price if levels is not None else ():
        assert _price_by_levels(levels, i, j) == price[i, j]
