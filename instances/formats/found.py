"""What a configuration says of where a VM runs: its `Placement` by pins, cells, nodes.

The readers of VMs tell what a VM asks for, `Format.place` what its file says of where it runs:
on which nodes memory may lie, not how much on each. Several are taken as equal parts, with a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from numaplace.instances.ranges import format_ids
from numaplace.instances.reading import Reading
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, TakenDevice
from numaplace.models.topology import Host
from numaplace.models.vm import CpuPolicy, Vm

_PIN = re.compile(r"\s*([0-9]{1,9})\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class FoundCell:
    """A guest cell of a file: its vCPUs, and the nodes its memory is bound to (None: not said)."""

    vcpus: tuple[int, ...]
    size_mib: int
    nodes: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a file says of where a VM runs."""

    asked: Vm  # as its reader reads it
    target_mib: int  # memory that it has now
    pins: tuple[frozenset[int], ...] = ()  # pCPUs of each vCPU; empty if some may run anywhere
    own: tuple[int, ...] = ()  # the pCPU of each vCPU, if just one, and no two the same; else empty
    cells: tuple[FoundCell, ...] = ()  # guest cells
    nodes: frozenset[int] | None = None  # of all memory; None: not said

    @property
    def bound(self) -> bool:
        """Whether something says on which nodes its memory lies."""
        return bool(self.nodes) or (bool(self.cells) and all(cell.nodes for cell in self.cells))


def own_pcpus(texts: Sequence[str], vcpus: int) -> tuple[int, ...]:
    """Return the pCPU of each vCPU, if the texts say just one for each; else none.

    A pin is one pCPU (``3``); a set may have a single one, too, and then it is a range (``3-3``):
    so `PlacedVm.pins` tells dedicated vCPUs from shared ones that have one pCPU left.
    """
    pins = [int(match[1]) for text in texts if (match := _PIN.fullmatch(text))]
    return tuple(pins) if len(pins) == len(texts) == len(set(pins)) == vcpus else ()


def placement_of(instance: Instance, vm: Vm, host: Host, found: Found) -> Reading[Placement]:
    """Return where a file puts `vm`, on `host`.

    `InputError` if it does not keep each cell on one node.
    """
    if not found.pins:
        reason = "are missing for some vCPUs: nothing says where it runs"
        raise InputError(f"VM {vm.name!r:.80}", "pins", reason)
    asked = found.asked
    homes = _homes(vm, host, found.pins)
    notes: list[str] = []
    cells = found.cells or _cells_by_home(homes, asked.memory_mib, found.nodes)
    if found.target_mib < asked.memory_mib and len(cells) > 1:
        reason = "which cells ballooning takes memory from is not told; all in proportion"
        notes.append(f"VM {vm.name!r}: {reason}")
    sizes = _sizes(cells, instance.form(vm.name).shared_mib, asked.memory_mib - found.target_mib)
    placed: list[PlacedCell] = []
    for index, (cell, (size_mib, own_mib)) in enumerate(zip(cells, sizes, strict=True)):
        used = {homes[vcpu] for vcpu in cell.vcpus}
        if len(used) > 1:
            reason = f"guest cell {index} runs on nodes {format_ids(used)}, must be one"
            raise InputError(f"VM {vm.name!r:.80}", "pins", reason)
        on = sorted(cell.nodes or used)
        if missing := set(on) - host.position.keys():
            reason = f"its memory is bound to node {format_ids(missing)}, which the host lacks"
            raise InputError(f"VM {vm.name!r:.80}", "nodes", reason)
        if len(on) > 1:
            notes.append(
                f"VM {vm.name!r}: how much memory lies on each of nodes {format_ids(on)} is not "
                "told; equal parts are taken"
            )
        memory = tuple((node, _part(own_mib, i, len(on))) for i, node in enumerate(on))
        pins = [found.pins[vcpu] for vcpu in cell.vcpus]
        own: tuple[int, ...] = ()
        sets: tuple[frozenset[int], ...] = ()
        if vm.cpu_policy is CpuPolicy.SHARED:
            sets = tuple(pins)
        elif all(len(pin) == 1 for pin in pins):
            own = tuple(pcpu for pin in pins for pcpu in pin)
        placed.append(PlacedCell(used.pop(), len(cell.vcpus), memory, own, size_mib, sets))
    return Reading(Placement(host.name, tuple(placed), _devices(vm, host, asked)), tuple(notes))


def _sizes(
    cells: Sequence[FoundCell], shared_mib: int, taken_mib: int
) -> Iterator[tuple[int, int]]:
    """Own memory of each cell in MiB, before and after ballooning, which takes in proportion."""
    whole_mib = sum(cell.size_mib for cell in cells)
    before_mib = 0
    for index, cell in enumerate(cells):
        size_mib = cell.size_mib - _part(shared_mib, index, len(cells))
        # Rounded over all cells together, so that the parts add up.
        after_mib = before_mib + cell.size_mib
        gone_mib = taken_mib * after_mib // whole_mib - taken_mib * before_mib // whole_mib
        yield size_mib, size_mib - gone_mib
        before_mib = after_mib


def _homes(vm: Vm, host: Host, pins: Sequence[frozenset[int]]) -> list[int]:
    """The node each vCPU is kept on."""
    owner = {pcpu.id: node.id for node in host.nodes for pcpu in node.pcpus}
    homes: list[int] = []
    for vcpu, pcpus in enumerate(pins):
        nodes = {owner[pcpu] for pcpu in pcpus if pcpu in owner}
        if len(nodes) != 1:
            reason = f"vCPU {vcpu} is kept on nodes {format_ids(nodes) or 'none'}, must be one"
            raise InputError(f"VM {vm.name!r:.80}", "pins", reason)
        homes.append(nodes.pop())
    return homes


def _part(whole: int, index: int, parts: int) -> int:
    return whole * (index + 1) // parts - whole * index // parts


def _cells_by_home(
    homes: Sequence[int], memory_mib: int, nodes: frozenset[int] | None
) -> tuple[FoundCell, ...]:
    """Cells of a guest without any: vCPUs one after the other on one node, memory in proportion."""
    groups = [
        tuple(vcpu for vcpu, _ in group)
        for _, group in groupby(enumerate(homes), key=lambda item: item[1])
    ]
    cells: list[FoundCell] = []
    for index, vcpus in enumerate(groups):
        apart = len(groups) > 1 and nodes == frozenset(homes)
        local = frozenset({homes[vcpus[0]]}) if apart else nodes
        cells.append(FoundCell(vcpus, _part(memory_mib, index, len(groups)), local))
    return tuple(cells)


def _devices(vm: Vm, host: Host, asked: Vm) -> tuple[TakenDevice, ...]:
    taken: list[TakenDevice] = []
    for wanted in asked.devices:
        device = next((d for d in host.devices if d.address == wanted.kind), None)
        request = next((r for r in vm.devices if device and device.answers(r.kind)), None)
        if device is not None and request is not None:
            taken.append(TakenDevice(request.kind, device.address))
    return tuple(taken)
