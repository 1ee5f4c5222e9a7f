"""Which place is best for a cell: scoring rules, pure functions over arrays of places.

A rule turns `Scores` into one number per place; the least wins. Places that must not be are
excluded by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from numaplace.solver.placing.board import Bools, Ints, Reals


@dataclass(frozen=True, slots=True)
class Scores:
    """What is known of every place for one cell.

    Parameters
    ----------
    fits
        Whether the cell may go there, as far as can be told for each place alone.
    loss
        Loss in micro-vCPU that it would add, never more than the true one.
    left
        Room left afterwards: share of the CPUs plus share of the memory.
    expecting
        Whether VMs that the cell's VM cooperates with are still to come.
    """

    fits: Bools
    loss: Ints
    left: Reals
    expecting: bool = False


def least_marginal_loss(scores: Scores) -> Reals:
    """Least loss added.

    Among equals, the place with most room for a VM whose partners are still to come, so that they
    find room nearby; the tightest place for others, so that large VMs find room somewhere.
    """
    room = np.clip(scores.left, 0.0, 2.0) / 4
    key: Reals = scores.loss - room if scores.expecting else scores.loss + room
    return key


def best_fit(scores: Scores) -> Reals:
    """Tightest place."""
    return scores.left


def first_fit(scores: Scores) -> Reals:
    """First place in order of host and node."""
    return np.arange(len(scores.left), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class PlacementRule:
    """A scoring rule; `by_loss` if candidates are compared by their exact loss afterwards."""

    score: Callable[[Scores], Reals]
    by_loss: bool


LEAST_LOSS = PlacementRule(least_marginal_loss, by_loss=True)
BEST_FIT = PlacementRule(best_fit, by_loss=False)
FIRST_FIT = PlacementRule(first_fit, by_loss=False)
