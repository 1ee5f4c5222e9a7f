"""A host as its scheduler sees it: pCPUs by index, and sets of them as bit masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from numaplace.models.errors import InputError
from numaplace.models.topology import Host


@dataclass(frozen=True)
class Machine:
    """One host; pCPUs are numbered from 0 in ascending order of id, whatever gaps the ids have.

    Parameters
    ----------
    host
        The host.
    """

    host: Host

    def __post_init__(self) -> None:
        if not self.host.threads:
            raise InputError(f"host {self.host.name!r:.80}", "pcpus", "are none: nothing can run")

    @cached_property
    def _pcpus(self) -> list[tuple[int, int, int, int, int]]:
        """For each pCPU: its id, the position of its node, its core, socket and cache."""
        return sorted(
            (p.id, position, p.core, p.socket, -1 - position if p.llc is None else p.llc)
            for position, node in enumerate(self.host.nodes)
            for p in node.pcpus
        )

    @cached_property
    def size(self) -> int:
        """Number of pCPUs."""
        return len(self._pcpus)

    @cached_property
    def everywhere(self) -> int:
        """All pCPUs."""
        return (1 << self.size) - 1

    @cached_property
    def pcpu_id(self) -> tuple[int, ...]:
        """Id of each pCPU on the host."""
        return tuple(row[0] for row in self._pcpus)

    @cached_property
    def index_of(self) -> dict[int, int]:
        """Number of each pCPU by its id."""
        return {pcpu: index for index, pcpu in enumerate(self.pcpu_id)}

    @cached_property
    def node_of(self) -> tuple[int, ...]:
        """Position of each pCPU's node in `Host.nodes`."""
        return tuple(row[1] for row in self._pcpus)

    @cached_property
    def cache_of(self) -> tuple[int, ...]:
        """Last-level cache of each pCPU; a node of unknown caches counts as one."""
        return tuple(row[4] for row in self._pcpus)

    @cached_property
    def node_mask(self) -> tuple[int, ...]:
        """PCPUs of each node."""
        masks = [0] * len(self.host.nodes)
        for index, node in enumerate(self.node_of):
            masks[node] |= 1 << index
        return tuple(masks)

    @cached_property
    def core_mask(self) -> tuple[int, ...]:
        """PCPUs of each pCPU's core, itself included."""
        return self._alike(2)

    @cached_property
    def socket_mask(self) -> tuple[int, ...]:
        """PCPUs of each pCPU's socket, itself included."""
        return self._alike(3)

    def _alike(self, column: int) -> tuple[int, ...]:
        masks: dict[int, int] = {}
        for index, row in enumerate(self._pcpus):
            masks[row[column]] = masks.get(row[column], 0) | 1 << index
        return tuple(masks[row[column]] for row in self._pcpus)

    def mask_of_nodes(self, nodes: frozenset[int]) -> int:
        """PCPUs of the nodes with these ids."""
        position = self.host.position
        mask = 0
        for node in nodes:
            mask |= self.node_mask[position[node]]
        return mask


def next_in(mask: int, after: int) -> int:
    """Return the number in a set that follows `after`, from the beginning again past the last.

    `mask` is not empty; `after` itself is the last to be found.
    """
    above = mask >> (after + 1)
    if above:
        return after + (above & -above).bit_length()
    return (mask & -mask).bit_length() - 1


def cyclic(mask: int, after: int) -> Iterator[int]:
    """Numbers in a set, ascending from the one behind `after` around."""
    above = mask >> (after + 1) << (after + 1)
    for part in (above, mask ^ above):
        while part:
            low = part & -part
            yield low.bit_length() - 1
            part ^= low


def members(mask: int) -> list[int]:
    """Numbers in a set, ascending."""
    return list(cyclic(mask, -1))
