"""Scoring rules, for plans and traces: pure functions of an offer; the least score wins.

A rule returns one array, or several, each of which decides among what those before it leave equal;
what is equal to the last goes to the first slot. To add one, write such a function and name it:

    >>> def worst_fit(offer):
    ...     return -offer.left
    >>> RULES["worst_fit"] = worst_fit
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numaplace.models.errors import InputError
from numaplace.models.trace import Ints, Reals
from numaplace.solver.placing.offer import Offer

Score = Reals | Ints
Rule = Callable[[Offer], Score | tuple[Score, ...]]

LIFE_STEPS = 4  # Steps in which the part of a life counts that keeps a host busy longer


def first_fit(offer: Offer) -> Score:
    """First slot that fits, in order of host and node."""
    return offer.slots


def best_fit(offer: Offer) -> Score:
    """Slot with the least room left: share of vCPUs plus share of memory."""
    return offer.left


def balance_fit(offer: Offer) -> tuple[Score, ...]:
    """Slot that leaves the nodes of its host most alike, so that VMs on two nodes find room there.

    Least variance of free vCPUs over the host's nodes; among equals the fullest host.
    """
    return offer.unevenness, offer.host_left


def xen(offer: Offer) -> tuple[Score, ...]:
    """Automatic placement of Xen today (libxl): fewest vCPUs that may run there, then most memory.

    VCPUs that may run on both nodes of a pair count on each. Xen knows one host; of several the
    first is taken. Unlike libxl this looks only at nodes with vCPUs left: nodes are full at their
    capacity here. See `numaplace.solver.placing.xen`.
    """
    return offer.host, offer.runnable, -offer.left_mib


def xen_4_2(offer: Offer) -> tuple[Score, ...]:
    """Automatic placement of Xen 4.2: as today, but a vCPU counts once on a set of nodes.

    On hosts of two nodes there is one set of two, and both releases choose alike.
    """
    return offer.host, offer.runnable_once, -offer.left_mib


def nova(offer: Offer) -> tuple[Score, ...]:
    """OpenStack Nova: emptiest host by its CPU and RAM weighers, then its emptiest cells (spread).

    Weights are normalised over the hosts offered. Cells go by their devices, then by vCPUs in use,
    then by free memory. See `numaplace.solver.placing.nova`.
    """
    return -offer.emptiness, offer.host, offer.misplaced, *offer.busy, -offer.left_mib


def greedy(offer: Offer) -> tuple[Score, ...]:
    """Least loss added (node affinity, contention, distance of cells), then the tightest slot.

    A VM whose partners are still to come takes the roomiest instead, so that they find room nearby.
    """
    return offer.loss, -offer.left if offer.expecting else offer.left


def greedy_room(offer: Offer) -> tuple[Score, ...]:
    """Least loss added, then what leaves most room for the VMs that usually come."""
    return offer.loss, offer.room_lost, offer.left


def greedy_life(offer: Offer) -> tuple[Score, ...]:
    """As `greedy_room`; among equals, where the VM does not outlive the others on its host.

    After Barbalho and others, Virtual Machine Allocation with Lifetime Predictions (MLSys 2023),
    where hosts that empty together keep large holes coming. Without predictions as `greedy_room`.
    """
    return offer.loss, offer.room_lost, np.ceil(offer.extends * LIFE_STEPS), offer.left


# Rules by name; more may be added.
_OURS = (greedy, greedy_room, greedy_life)
_ALL: tuple[Rule, ...] = (first_fit, best_fit, balance_fit, xen_4_2, xen, nova, *_OURS)
RULES: dict[str, Rule] = {rule.__name__: rule for rule in _ALL}
OURS = tuple(rule.__name__ for rule in _OURS)
# Rules by which plans compare choices by their exact loss, of which an offer has but a bound.
LOSS_FIRST: frozenset[Rule] = frozenset(_OURS)
# Rules that judge a place by itself and the loss there.
LOCAL: frozenset[Rule] = frozenset({first_fit, best_fit, greedy})
BASELINES = tuple(name for name in RULES if name not in OURS)


def choose(offer: Offer, rule: Rule) -> int:
    """Return the slot that a rule takes of an offer that is not empty."""
    return int(offer.slots[least(rule(offer))])


def least(scores: Score | tuple[Score, ...]) -> int:
    """Return the index of the least of some scores, of several by the one before the others."""
    if not isinstance(scores, tuple):
        return int(scores.argmin())
    best: Ints | None = None
    for score in scores:
        left = score if best is None else score[best]
        equal = (left == left[left.argmin()]).nonzero()[0]
        best = equal if best is None else best[equal]
        if len(best) == 1:
            break
    assert best is not None
    return int(best[0])


def ascending(scores: Score | tuple[Score, ...]) -> Ints:
    """Indices of scores, the least first."""
    return np.lexsort(scores[::-1] if isinstance(scores, tuple) else (scores,))


def prices(offer: Offer, rule: Rule) -> Score:
    """Return one number a choice, for sums over the cells of a VM; less is better.

    Losses are sums already, what decides among equals counts less than a micro-vCPU; of other
    scores that are several the rank counts.
    """
    if rule in LOSS_FIRST:
        return offer.loss + beside_loss(offer, rule)
    scores = rule(offer)
    if not isinstance(scores, tuple):
        return scores
    ranks: Ints = np.empty(len(offer), np.int64)
    ranks[ascending(scores)] = np.arange(len(offer))
    return ranks


def beside_loss(offer: Offer, rule: Rule) -> Score:
    """Return what decides by a rule among equal losses: less than a micro-vCPU.

    Room left is 2 at most where the VM fits, what plans do not know is 0.
    """
    scores = rule(offer)
    assert isinstance(scores, tuple)
    return sum((score / 4**k for k, score in enumerate(scores[1:], 1)), np.zeros(len(offer)))


def rule_names(text: str) -> list[str]:
    """Return the names in a list with commas, or all; `InputError` for one that is no rule."""
    if text.strip() == "all":
        return list(RULES)
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names or [text]:
        if name not in RULES:
            reason = f"{name!r:.60} is unknown, choose among {', '.join(RULES)}"
            raise InputError("policy", "", reason)
    return list(dict.fromkeys(names))
