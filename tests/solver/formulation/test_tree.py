"""Distances as a tree: exact where they are one, below them with the right rest elsewhere."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from numaplace.solver.formulation.tree import DistanceTree, tree_below


def _floor(tree: DistanceTree, price: dict[tuple[int, int], int], i: int, j: int) -> int:
    """Price of a pair by the levels that part it."""
    steps = tree.steps(lambda a, b: price[a, b])
    return sum(
        step
        for step, level in zip(steps, tree.levels, strict=True)
        if not any(i in cluster and j in cluster for cluster in level.clusters)
    )


def test_two_sockets_of_two_nodes() -> None:
    """Node, socket, elsewhere: two levels."""
    r = {
        (i, j): 1.0 if i == j else 1.2 if i // 2 == j // 2 else 3.2
        for i in range(4)
        for j in range(4)
    }
    tree = tree_below(range(4), lambda i, j: r[i, j])
    assert tree.exact
    assert [len(level.clusters) for level in tree.levels] == [4, 2]
    assert tree.steps(lambda i, j: round(100 * (r[i, j] - 1))) == [20, 200]
    assert tree.rest(lambda i, j: round(100 * (r[i, j] - 1))) == {}


def test_ring_leaves_a_rest() -> None:
    """On a ring of four the tree knows one hop; opposite nodes are one hop more."""
    hops = {(i, j): min((i - j) % 4, (j - i) % 4) for i in range(4) for j in range(4)}
    tree = tree_below(range(4), lambda i, j: 1.0 + hops[i, j])
    assert not tree.exact
    assert tree.rest(lambda i, j: hops[i, j]) == {(0, 2): 1, (2, 0): 1, (1, 3): 1, (3, 1): 1}


def test_one_slow_direction_leaves_a_rest() -> None:
    """The tree takes the faster direction, even if that is local speed."""
    r = {(0, 0): 1.0, (1, 1): 1.0, (0, 1): 1.0, (1, 0): 2.0}
    tree = tree_below(range(2), lambda i, j: r[i, j])
    assert tree.levels == ()
    assert tree.rest(lambda i, j: round(r[i, j] - 1)) == {(1, 0): 1}


@given(st.lists(st.integers(0, 4), min_size=25, max_size=25))
def test_levels_and_rest_are_the_price(values: list[int]) -> None:
    """Levels plus rest give every price back; without a rest exactly if the tree is exact."""
    price = {(i, j): 0 if i == j else values[5 * i + j] for i, j in product(range(5), repeat=2)}
    tree = tree_below(range(5), lambda i, j: 1.0 + price[i, j])
    rest = tree.rest(lambda i, j: price[i, j])
    for pair in price:
        assert _floor(tree, price, *pair) + rest.get(pair, 0) == price[pair]
    assert tree.exact == (rest == {})
