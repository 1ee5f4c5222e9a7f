"""How a group may lie on a host: each member away or on one of its nodes, and what that loses.

Losses are counted twice, so that each end of a pair whose ends are on two hosts loses half of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from numaplace.models import rates
from numaplace.models.instance import Instance
from numaplace.models.relations import Competition, Cooperation, Scope
from numaplace.models.trace import Ints
from numaplace.solver.fleet.groups import GroupKind, HostKind

Bytes = npt.NDArray[np.int8]

TWICE = 2
AWAY = 0
"""A member that is not on the host; others count their node from 1."""


@dataclass(frozen=True, slots=True)
class Options:
    """Ways in which some of a group lie on a host, sorted by what they take.

    Parameters
    ----------
    ways
        By option and member, where it is.
    held
        By option, the members that are there as bits.
    taken
        By option and node (always two), vCPUs.
    lost
        By option, twice the micro-vCPU lost by its pairs.
    starts
        The first option of each run of those that take the same.
    """

    ways: Bytes
    held: Ints
    taken: Ints
    lost: Ints
    starts: Ints

    def best(self, worth: Ints) -> tuple[Ints, Ints]:
        """Return, of what takes the same, the option that weighs least, and its weight.

        `worth` is that of each set of members.
        """
        weights = (self.lost - worth[self.held]) * len(self.held) + np.arange(len(self.held))
        least = np.minimum.reduceat(weights, self.starts)
        weight: Ints = least // len(self.held)
        return least % len(self.held), weight


def options_of(instance: Instance, group: GroupKind, host: HostKind) -> Options | None:
    """Return the options of a kind of group on a kind of host; None if none of it fits."""
    vcpus = tuple(vm.vcpus for vm in group.members)
    ways, held, taken, starts = _ways(vcpus, host.rooms)
    if not len(ways):
        return None
    lost: Ints = np.zeros(len(ways), np.int64)
    for a, b, pair in group.pairs:
        lost += _pair_table(instance, host, pair)[ways[:, a], ways[:, b]]
    return Options(ways, held, taken, lost, starts)


@lru_cache(maxsize=4096)
def _ways(vcpus: tuple[int, ...], rooms: tuple[int, ...]) -> tuple[Bytes, Ints, Ints, Ints]:
    """Ways of members with so many vCPUs that fit, whatever they lose."""
    count, nodes = len(vcpus), len(rooms)
    digits = (nodes + 1) ** np.arange(count, dtype=np.int64)
    ways = np.arange(1, (nodes + 1) ** count, dtype=np.int64)[:, None] // digits % (nodes + 1)
    taken: Ints = np.zeros((len(ways), 2), np.int64)
    for node in range(nodes):
        taken[:, node] = (ways == node + 1) @ np.array(vcpus, np.int64)
    fits = np.flatnonzero((taken <= np.array((*rooms, 0)[:2])).all(axis=1))
    fits = fits[np.lexsort(taken[fits].T)]
    ways, taken = ways[fits], taken[fits]
    new = np.ones(len(ways), bool)
    new[1:] = (taken[1:] != taken[:-1]).any(axis=1)
    held: Ints = (ways != AWAY) @ (1 << np.arange(count, dtype=np.int64))
    return ways.astype(np.int8), held, taken, np.flatnonzero(new)


def sets_worth(members: Ints) -> Ints:
    """Return what each set of members is worth, numbered by bits."""
    worth: Ints = np.zeros(1, np.int64)
    for member in members.tolist():
        worth = np.concatenate((worth, worth + member))
    return worth


def meets_on_host(pair: Competition) -> bool:
    """Tell whether two VMs compete wherever on one host they are."""
    return pair.scope not in (Scope.NODE, Scope.LLC)


def _pair_table(instance: Instance, host: HostKind, pair: Cooperation | Competition) -> Ints:
    """Twice the loss of a pair by where both are; half of that if one is away."""
    table: Ints = np.zeros((len(host.places) + 1,) * 2, np.int64)
    for i, a in enumerate(host.places, AWAY + 1):
        for j, b in enumerate(host.places, AWAY + 1):
            if isinstance(pair, Competition):
                meet = i == j or meets_on_host(pair)
                table[i, j] = TWICE * rates.competition_price(pair) * meet
            elif pair.scope is None:
                vcpus = instance.vm(pair.first).vcpus, instance.vm(pair.second).vcpus
                table[i, j] = TWICE * rates.cooperation_rate(instance, pair, vcpus, (a, b))
    if isinstance(pair, Cooperation):
        away = rates.distance_loss(pair.weight, host.places[0].host.network_factor)
        if pair.scope is not None:  # of a label, they may meet on another host as well
            away = rates.parted_price(pair) if pair.scope == Scope.HOST else 0
        table[1:, AWAY] = table[AWAY, 1:] = away
    return table
