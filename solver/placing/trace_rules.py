"""Scoring rules of the online scheduler: pure functions of an offer; the least score wins.

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
from numaplace.solver.placing.offer import DIGITS, Offer

Score = Reals | Ints
Rule = Callable[[Offer], Score | tuple[Score, ...]]

LIFE_STEPS = 4
"""Steps in which the part of a life counts that keeps a host busy longer."""


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
    return offer.host, offer.total(offer.state.runnable), -offer.left_mib


def xen_4_2(offer: Offer) -> tuple[Score, ...]:
    """Automatic placement of Xen 4.2: as today, but a vCPU counts once on a set of nodes.

    On hosts of two nodes there is one set of two, and both releases choose alike.
    """
    load = offer.total(offer.state.runnable)
    if offer.cut:
        load = load - offer.state.spanning[offer.slots - offer.state.fleet.num_places]
    return offer.host, load, -offer.left_mib


def nova(offer: Offer) -> tuple[Score, ...]:
    """OpenStack Nova: emptiest host by its CPU and RAM weighers, then its emptiest cells (spread).

    Weights are normalised over the hosts that fit. Cells go by vCPUs in use, then by free memory.
    See `numaplace.solver.placing.nova`.
    """
    state, fleet = offer.state, offer.state.fleet
    weight: Reals = np.zeros(len(offer))
    for free in (state.host_free_cpu[offer.host], state.host_free_mib[offer.host]):
        weight += (free - free.min()) / max(1, int(free.max() - free.min()))
    used = fleet.cpu_capacity - state.free_cpu
    first, second = used[offer.first], used[offer.second]
    keys = np.minimum(first, second), np.maximum(first, second), -offer.left_mib
    return (-np.round(weight, DIGITS), offer.host, *keys)


def greedy(offer: Offer) -> tuple[Score, ...]:
    """Least loss added (node affinity, contention, distance of cells), then the tightest slot."""
    return offer.loss, offer.left


def greedy_room(offer: Offer) -> tuple[Score, ...]:
    """Least loss added, then what leaves most room for the VMs that usually come."""
    return offer.loss, offer.room_lost, offer.left


def greedy_life(offer: Offer) -> tuple[Score, ...]:
    """As `greedy_room`; among equals, where the VM does not outlive the others on its host.

    After Barbalho and others, Virtual Machine Allocation with Lifetime Predictions (MLSys 2023),
    where hosts that empty together keep large holes coming. Without predictions as `greedy_room`.
    """
    return offer.loss, offer.room_lost, np.ceil(offer.extends * LIFE_STEPS), offer.left


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        first_fit,
        best_fit,
        balance_fit,
        xen_4_2,
        xen,
        nova,
        greedy,
        greedy_room,
        greedy_life,
    )
}
"""Rules by name; more may be added."""

OURS = ("greedy", "greedy_room", "greedy_life")
BASELINES = tuple(name for name in RULES if name not in OURS)


def choose(offer: Offer, rule: Rule) -> int:
    """Return the slot that a rule takes of an offer that is not empty."""
    scores = rule(offer)
    if not isinstance(scores, tuple):
        return int(offer.slots[scores.argmin()])
    best: Ints | None = None
    for score in scores:
        left = score if best is None else score[best]
        equal = (left == left.min()).nonzero()[0]
        best = equal if best is None else best[equal]
        if len(best) == 1:
            break
    assert best is not None
    return int(offer.slots[best[0]])


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
