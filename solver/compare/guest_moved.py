"""A guest on another host than the one it booted on: what its old topology costs there.

A guest keeps the topology it was told at boot. After a live migration its cells are mapped to the
nodes of the other host as well as they can be: several cells on one node, or a cell split over
nodes, which the guest does not know of. The terms are those of `models.cost` for pages at home,
with cells told and parts placed told apart: vCPUs find a share g of their accesses in their told
cell, wherever its parts are, and the rest spread over all memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numaplace.models.forms import node_takes
from numaplace.models.instance import Instance
from numaplace.models.rates import access_loss, by_crowding, contention, crowd
from numaplace.models.topology import Host
from numaplace.models.vm import Cell, Vm
from numaplace.solver.compare.guest_numa import GuestAnswer, even_cells

PARTS_MAX = 8
STEPS_MAX = 200_000


@dataclass(frozen=True, slots=True)
class GuestPart:
    """A piece of a told cell that goes to one node; `cell` is the index of that cell."""

    cell: int
    vcpus: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Mapped:
    """Where the parts of a guest's cells go on a host of their own, and what that loses."""

    parts: tuple[GuestPart, ...]
    nodes: tuple[int, ...]  # the id of each part's node
    loss_micro: int  # by remote accesses and CPU contention
    proven: bool  # the search was exhaustive


def best_mapping(host: Host, vm: Vm, told: Sequence[Cell]) -> Mapped | None:
    """Return the best mapping of the cells that a guest was told to the nodes of an empty host.

    It is the best over all numbers of equal parts that the cells may be split into, None if the
    host is too small. A guest that was told nothing has one cell. What matters of the VM are its
    sizes, utilisation, memory intensity and locality.
    """
    most = max(1, min(PARTS_MAX, len(host.nodes)) // len(told))
    best: Mapped | None = None
    for pieces in range(1, most + 1):
        if all(cell.vcpus >= pieces for cell in told):
            found = _GuestSearch(host, vm, told, _split(told, pieces)).run()
            # More parts must gain more than what the rounding of their pairs may feign.
            if found and (
                best is None or found.loss_micro < best.loss_micro - len(found.parts) ** 2
            ):
                best = found
    return best


def _split(told: Sequence[Cell], pieces: int) -> tuple[GuestPart, ...]:
    parts: list[GuestPart] = []
    for index, cell in enumerate(told):
        vcpus, more_vcpus = divmod(cell.vcpus, pieces)
        mib, more_mib = divmod(cell.memory_mib, pieces)
        for at in range(pieces):
            parts.append(GuestPart(index, vcpus + (at < more_vcpus), mib + (at < more_mib)))
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What each topology of a guest loses on another host, alone there.

    For each choice of the answer, in its order, there is the best mapping of what the guest was
    told; None if the host is too small. `right` is the best of any topology told at boot on it.
    """

    host: Host
    mapped: tuple[Mapped | None, ...]
    right: Mapped | None

    def wrong_micro(self, index: int) -> int | None:
        """Cost of having been told the topology of a choice: its loss beyond the right one's."""
        mapped = self.mapped[index]
        if mapped is None or self.right is None:
            return None
        return mapped.loss_micro - self.right.loss_micro


def what_if(host: Host, answer: GuestAnswer) -> WhatIf:
    """Work out what a live migration to `host` makes of each choice."""
    vm = answer.vm
    mapped = tuple(
        best_mapping(host, vm, choice.cells if choice.told else even_cells(vm, 1))
        for choice in answer.choices
    )
    most = min(PARTS_MAX, len(host.nodes), vm.vcpus, vm.memory_mib // vm.page_size.mib)
    fresh = [best_mapping(host, vm, even_cells(vm, count)) for count in range(1, most + 1)]
    known = [found for found in (*mapped, *fresh) if found is not None]
    return WhatIf(host, mapped, min(known, key=lambda found: found.loss_micro, default=None))


class _GuestSearch:
    """Depth-first search for the nodes of the parts; no term falls when a part is added."""

    def __init__(
        self, host: Host, vm: Vm, told: Sequence[Cell], parts: tuple[GuestPart, ...]
    ) -> None:
        self.host, self.vm, self.parts = host, vm, parts
        self.busy = [part.vcpus * vm.utilisation for part in parts]
        self.shares = [[_share(vm, told, a, b) for b in parts] for a in parts]
        places = Instance((host,), ()).places
        self.places = places
        self.vcpus, self.mib = [0] * len(places), [0] * len(places)
        self.at: list[int] = []
        self.best: tuple[int, ...] | None = None
        self.loss: int | None = None
        self.steps = 0

    def run(self) -> Mapped | None:
        """Search; None if the parts do not fit."""
        self._extend(0)
        if self.best is None or self.loss is None:
            return None
        nodes = tuple(self.host.nodes[at].id for at in self.best)
        return Mapped(self.parts, nodes, self.loss, self.steps <= STEPS_MAX)

    def _extend(self, remote: int) -> None:
        self.steps += 1
        if self.best is not None and self.steps > STEPS_MAX:
            return
        loss = remote + self._contended()
        if self.loss is not None and loss >= self.loss:
            return
        depth = len(self.at)
        if depth == len(self.parts):
            self.best, self.loss = tuple(self.at), loss
            return
        part = self.parts[depth]
        # Equal parts of one cell are interchangeable: their nodes ascend.
        first = self.at[-1] if depth and part == self.parts[depth - 1] else 0
        for node in range(first, len(self.vcpus)):
            if self._fits(node, part):
                self._put(node, part, 1)
                self._extend(remote + self._added(depth, node))
                self._put(node, part, -1)

    def _fits(self, node: int, part: GuestPart) -> bool:
        place = self.host.nodes[node]
        vcpus, mib = self.vcpus[node] + part.vcpus, self.mib[node] + part.memory_mib
        return node_takes(self.vm, vcpus, place, self.host) and mib <= place.pool_mib(
            self.vm.page_size
        )

    def _put(self, node: int, part: GuestPart, sign: int) -> None:
        self.vcpus[node] += sign * part.vcpus
        self.mib[node] += sign * part.memory_mib
        if sign > 0:
            self.at.append(node)
        else:
            self.at.pop()

    def _added(self, depth: int, node: int) -> int:
        """Loss of the part put last with those before it, both directions."""
        mu, r, loss = self.vm.memory_intensity, self.host.relative, 0
        for other, at in enumerate(self.at[:depth]):
            loss += access_loss(self.busy[depth], self.shares[depth][other], mu, r[node][at])
            loss += access_loss(self.busy[other], self.shares[other][depth], mu, r[at][node])
        return loss

    def _contended(self) -> int:
        return sum(
            contention(place).loss(by_crowding([crowd(self.vm, vcpus, place)]))
            for place, vcpus in zip(self.places, self.vcpus, strict=True)
            if vcpus
        )


def _share(vm: Vm, told: Sequence[Cell], a: GuestPart, b: GuestPart) -> float:
    """Share of the accesses of the vCPUs of `a` to the pages of `b`."""
    locality = vm.guest_locality if len(told) > 1 else 0.0
    share = (1.0 - locality) * b.memory_mib / vm.memory_mib
    if a.cell == b.cell:
        share += locality * b.memory_mib / told[a.cell].memory_mib
    return share
