"""A fleet: many hosts of a few shapes, as arrays over places.

A *place* is a node of a host, numbered over all hosts. A *slot* is what a VM of a trace can
be given: a place (numbers below `Fleet.num_places`), or two places of one host (those from there).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np

from numaplace.models.errors import InputError, check_int
from numaplace.models.topology import HOSTS_MAX, Host
from numaplace.models.trace import Bools, Ints, Reals, Trace
from numaplace.models.units import MILLI, PageSize

PLACES_MAX = 1_000_000
PAIRS_MAX = 4_000_000


@dataclass(frozen=True)
class Fleet:
    """Hosts, those of one shape next to each other: pairs (host, how many of it).

    The host's name is the beginning of its copies' names.
    """

    shapes: tuple[tuple[Host, int], ...]

    def __post_init__(self) -> None:
        for host, count in self.shapes:
            check_int(f"host {host.name!r:.80}", "count", count, 1, HOSTS_MAX)
        check_int("fleet", "number of hosts", self.num_hosts, 1, HOSTS_MAX)
        sizes = [(len(host.nodes), count) for host, count in self.shapes]
        places = sum(nodes * count for nodes, count in sizes)
        check_int("fleet", "number of nodes", places, 1, PLACES_MAX)
        pairs = sum(nodes * (nodes - 1) // 2 * count for nodes, count in sizes)
        check_int("fleet", "number of pairs of nodes", pairs, 0, PAIRS_MAX)
        if not self.cpu_capacity.any():
            raise InputError("fleet", "nodes", "have no pCPUs")

    @property
    def num_hosts(self) -> int:
        """Hosts of all shapes."""
        return sum(count for _, count in self.shapes)

    @property
    def num_places(self) -> int:
        """Nodes of all hosts."""
        return len(self.place_host)

    @property
    def num_slots(self) -> int:
        """Places, and pairs of places of one host."""
        return len(self.first)

    @cached_property
    def host_shape(self) -> Ints:
        """Index in `shapes` of each host."""
        return np.repeat(np.arange(len(self.shapes)), [count for _, count in self.shapes])

    @cached_property
    def host_start(self) -> Ints:
        """First place of each host, and after the last host the number of places."""
        sizes = np.array([len(host.nodes) for host, _ in self.shapes])[self.host_shape]
        return np.concatenate([[0], np.cumsum(sizes)])

    @cached_property
    def place_host(self) -> Ints:
        """Host of each place."""
        return np.repeat(np.arange(self.num_hosts), np.diff(self.host_start))

    @cached_property
    def position(self) -> Ints:
        """Index of each place within its host."""
        return np.arange(len(self.place_host)) - self.host_start[self.place_host]

    def _by_place(self, rows: Sequence[Sequence[int]]) -> Ints:
        parts = [np.tile(row, count) for row, (_, count) in zip(rows, self.shapes, strict=True)]
        return np.concatenate(parts).astype(np.int64)

    @cached_property
    def node_id(self) -> Ints:
        """Id of each place's node on its host."""
        return self._by_place([[node.id for node in host.nodes] for host, _ in self.shapes])

    @cached_property
    def cpu_capacity(self) -> Ints:
        """VCPUs each place takes: pCPUs times the host's overcommit ratio, rounded down."""
        return self._by_place(
            [
                [host.ratio_milli * node.threads // MILLI for node in host.nodes]
                for host, _ in self.shapes
            ]
        )

    @cached_property
    def memory_mib(self) -> Ints:
        """Memory in small pages that VMs may take on each place."""
        return self._by_place(
            [[node.pool_mib(PageSize.SMALL) for node in host.nodes] for host, _ in self.shapes]
        )

    @cached_property
    def _pairs(self) -> tuple[Ints, Ints]:
        firsts, seconds = [], []
        for shape, (host, _) in enumerate(self.shapes):
            two = np.array(list(combinations(range(len(host.nodes)), 2)), np.int64).reshape(-1, 2)
            starts = self.host_start[:-1][self.host_shape == shape]
            firsts.append((starts[:, None] + two[:, 0]).ravel())
            seconds.append((starts[:, None] + two[:, 1]).ravel())
        return np.concatenate(firsts), np.concatenate(seconds)

    @cached_property
    def first(self) -> Ints:
        """First (or only) place of each slot."""
        return np.concatenate([np.arange(self.num_places), self._pairs[0]])

    @cached_property
    def second(self) -> Ints:
        """Second place of each slot, the first one again if it has only one."""
        return np.concatenate([np.arange(self.num_places), self._pairs[1]])

    @cached_property
    def pair_distance(self) -> tuple[Reals, Reals]:
        """Relative distance of the places of each pair (slots from `num_places` on), both ways."""
        there, back = [], []
        for host, count in self.shapes:
            two = list(combinations(range(len(host.nodes)), 2))
            there.append(np.tile([host.relative[a][b] for a, b in two], count))
            back.append(np.tile([host.relative[b][a] for a, b in two], count))
        return np.concatenate(there), np.concatenate(back)

    def slots(self, cells: int) -> slice:
        """Slots of a VM of one or two cells."""
        if cells == 1:
            return slice(0, self.num_places)
        return slice(self.num_places, self.num_slots)

    def host_of(self, slot: int) -> int:
        """Host of a slot."""
        return int(self.place_host[self.first[slot]])

    def host_name(self, host: int) -> str:
        """Name of a host: that of its shape, numbered if the shape has several."""
        shape = int(self.host_shape[host])
        known, count = self.shapes[shape]
        number = host - int(np.argmax(self.host_shape == shape))
        return known.name if count == 1 else f"{known.name}-{number + 1}"

    def hosts(self) -> tuple[Host, ...]:
        """Every host by itself, under its own name."""
        return tuple(
            replace(self.shapes[int(shape)][0], name=self.host_name(host))
            for host, shape in enumerate(self.host_shape)
        )

    def __str__(self) -> str:
        return ", ".join(f"{count} x {host.name}" for host, count in self.shapes)


def split_to_fit(trace: Trace, fleet: Fleet) -> Trace:
    """Cut the VMs that fit no empty node over two nodes, and no others."""
    fits: Bools = np.zeros(len(trace), np.bool_)
    for vcpus, mib in set(zip(fleet.cpu_capacity.tolist(), fleet.memory_mib.tolist(), strict=True)):
        fits |= (trace.vcpus <= vcpus) & (trace.memory_mib <= mib)
    can_split = (trace.vcpus > 1) & (trace.memory_mib > 1)
    return replace(trace, cells=np.where(~fits & can_split, 2, 1))
