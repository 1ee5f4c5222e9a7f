"""Distances between places as a hierarchy, where they are one.

Most hosts are trees: same node, same socket, elsewhere. The price of two VMs at two places is
then a sum over levels, ``sum_l step[l] * [not in the same cluster of level l]``, and needs one
boolean per cluster, not one per pair of nodes. Its relaxation is as tight as the full product
(transport) form: for a tree metric both equal the earth mover's distance of the VMs' places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Level:
    """Clusters of places; two places pay `step` unless one cluster holds both."""

    step: int
    clusters: tuple[frozenset[int], ...]


def levels_of(places: Sequence[int], price: dict[tuple[int, int], int]) -> list[Level] | None:
    """Split prices of pairs of places into levels.

    Parameters
    ----------
    places
        Indices of places.
    price
        Price of each ordered pair of `places`.

    Returns
    -------
    list of Level or None
        Levels from the finest, such that the price of (i, j) is the sum of the steps of levels
        whose clusters do not hold both; None if no such levels exist (asymmetric, or not an
        ultrametric).
    """
    if any(price[i, j] != price[j, i] for i in places for j in places):
        return None
    if any(price[i, i] for i in places):
        return None
    levels: list[Level] = []
    below = 0
    for value in sorted({price[i, j] for i in places for j in places} - {0}):
        clusters = _clusters(places, price, value)
        if clusters is None:
            return None
        levels.append(Level(value - below, clusters))
        below = value
    return levels


def _clusters(
    places: Sequence[int], price: dict[tuple[int, int], int], value: int
) -> tuple[frozenset[int], ...] | None:
    """Classes of places nearer than `value`; None if nearness is not transitive."""
    clusters: dict[frozenset[int], None] = {}
    for i in places:
        clusters[frozenset(j for j in places if price[i, j] < value)] = None
    if sum(len(cluster) for cluster in clusters) != len(places):
        return None
    return tuple(clusters)
