"""Distances between places as a tree: the largest hierarchy below them.

Most hosts are trees: same node, same socket, elsewhere. Whatever depends on the distance of two
things is then a sum over levels, ``sum_l step[l] * [no cluster of level l holds both]``, and needs
one variable per cluster, not one per pair of nodes. Its relaxation is as tight as the transport
form with all pairs: for a tree metric both equal the earth mover's distance. Where distances are no
tree (rings, meshes, asymmetric links) the tree takes the part it can and leaves a rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from numaplace.models.instance import Instance
from numaplace.solver.deadline import NEVER, Deadline


@dataclass(frozen=True, slots=True)
class Level:
    """Clusters of places; places of different clusters are at least as far apart as `pair`."""

    pair: tuple[int, int]
    clusters: tuple[frozenset[int], ...]


@dataclass(frozen=True, slots=True)
class DistanceTree:
    """Levels from the finest, whose clusters are single places (or places at no distance).

    `exact` tells that every distance, in both directions, is the one of the highest level that
    parts the two places.
    """

    places: tuple[int, ...]
    levels: tuple[Level, ...]
    exact: bool

    def steps(self, price: Callable[[int, int], int]) -> list[int]:
        """Price of each level beyond the one below it, for a price that grows with distance."""
        prices = [price(*level.pair) for level in self.levels]
        return [high - low for high, low in zip(prices, [0, *prices], strict=False)]

    def rest(self, price: Callable[[int, int], int]) -> dict[tuple[int, int], int]:
        """What the price of each ordered pair of places is above its levels', where it is."""
        if self.exact:
            return {}
        below = {(i, j): 0 for i in self.places for j in self.places if i != j}
        for level in self.levels:
            at_level = price(*level.pair)
            for cluster in level.clusters:
                for i in cluster:
                    below.update({(i, j): at_level for j in self.places if j not in cluster})
        more = {pair: price(*pair) - floor for pair, floor in below.items()}
        return {pair: amount for pair, amount in more.items() if amount > 0}


def tree_below(
    places: Sequence[int], distance: Callable[[int, int], float], until: Deadline = NEVER
) -> DistanceTree:
    """Return the largest hierarchy below distances (single linkage), by Kruskal's algorithm.

    `distance` is that of an ordered pair of indices of places; places at distance 1 or less are
    never parted.
    """
    legs = sorted(
        min((distance(i, j), i, j), (distance(j, i), j, i))
        for a, i in enumerate(until.each(places))
        for j in places[a + 1 :]
    )
    cluster = {place: frozenset({place}) for place in places}
    before = dict(cluster)
    levels: list[Level] = []
    reached = 1.0
    exact = True
    for length, i, j in until.each(legs):
        if cluster[i] is not cluster[j]:
            if length > reached:
                before = dict(cluster)
                distinct = {min(members): members for members in cluster.values()}
                levels.append(Level((i, j), tuple(distinct[first] for first in sorted(distinct))))
                reached = length
            merged = cluster[i] | cluster[j]
            for place in merged:
                cluster[place] = merged
        longest = max(distance(i, j), distance(j, i))
        parted_here = before[i] is not before[j] and length == longest == reached
        exact = exact and (longest <= 1.0 or parted_here)
    return DistanceTree(tuple(places), tuple(levels), exact)


def talk_tree(instance: Instance, until: Deadline = NEVER) -> DistanceTree:
    """Return the tree of `talk_distance` between all places that run vCPUs."""
    places = [place.index for place in instance.places if place.node.threads]
    return tree_below(places, lambda i, j: talk_distance(instance, i, j), until)


def talk_distance(instance: Instance, i: int, j: int) -> float:
    """Relative distance of two places for VMs that talk: the mean of both directions."""
    a, b = instance.places[i], instance.places[j]
    return (instance.r(a, b) + instance.r(b, a)) / 2
