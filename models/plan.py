"""A plan: where every placed VM runs, where its memory lies, which devices it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, ClassVar

from numaplace.models.errors import check_int, check_unique
from numaplace.models.fields import Bound, Name, Size, checked
from numaplace.models.topology import DEVICES_MAX, ID_MAX, MIB_MAX, NODES_MAX, PCPUS_MAX, Id, Mib
from numaplace.models.vm import VCPUS_MAX, VMS_MAX, Vcpus

PLACED_CELLS_MAX = 4096


@dataclass(frozen=True, slots=True)
class PlacedCell:
    """One cell of a placed VM."""

    THING: ClassVar[str] = "placed cell"

    node: Annotated[Id, "Id of the node its vCPUs run on (the cell's home)."]
    vcpus: Annotated[Vcpus, "vCPUs of the VM that run there."]
    memory_mib: Annotated[
        tuple[tuple[int, int], ...],
        "Own pages by node id, in ascending order of it. Those of a sharing group are not "
        "among them, those taken by ballooning are missing.",
    ] = ()
    pcpus: Annotated[
        tuple[Id, ...], Size(0, PCPUS_MAX), "Held by the vCPUs of a dedicated VM; shared: none."
    ] = ()
    size_mib: Annotated[
        Mib | None, "Own memory before ballooning; not given: the sum of `memory_mib`."
    ] = None
    vcpu_sets: Annotated[
        tuple[frozenset[Id], ...],
        Size(0, VCPUS_MAX),
        "For each vCPU of a shared VM the pCPUs it is kept on by hand; none: those of its node. "
        "No rule and no price looks at them, nor does a comparison of cells.",
    ] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        thing = checked(self)
        for node, mib in self.memory_mib:
            check_int(thing, "memory node", node, 0, ID_MAX)
            check_int(thing, "memory_mib", mib, 0, MIB_MAX)
        check_unique(thing, "memory node", [node for node, _ in self.memory_mib])
        if self.size_mib is not None:
            check_int(thing, "size_mib", self.size_mib, self.total_mib, MIB_MAX)
        if self.vcpu_sets:
            check_int(thing, "number of vcpu_sets", len(self.vcpu_sets), *(self.vcpus,) * 2)

    @property
    def nominal_mib(self) -> int:
        """Own memory of the cell before ballooning."""
        return self.total_mib if self.size_mib is None else self.size_mib

    @property
    def total_mib(self) -> int:
        """Own memory of the cell on all nodes."""
        return sum(mib for _, mib in self.memory_mib)


@dataclass(frozen=True, slots=True)
class TakenDevice:
    """Functions of one device that a VM takes to answer one of its requests."""

    THING: ClassVar[str] = "taken device"

    request: Annotated[Name, "Kind that the VM asked for."]
    address: Annotated[Name, "PCI address of the device."]
    functions: Annotated[int, Bound(1, 256), "How many it takes."] = 1

    def __post_init__(self) -> None:
        checked(self)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one VM is."""

    THING: ClassVar[str] = "placement"

    host: Annotated[Name, "Name of the host."]
    cells: Annotated[tuple[PlacedCell, ...], Size(1, PLACED_CELLS_MAX), "Its cells."]
    devices: Annotated[tuple[TakenDevice, ...], Size(0, DEVICES_MAX), "What it holds."] = ()

    def __post_init__(self) -> None:
        checked(self)

    @property
    def nodes(self) -> frozenset[int]:
        """Ids of the nodes its vCPUs run on."""
        return frozenset(cell.node for cell in self.cells)

    def memory_by_node(self) -> dict[int, int]:
        """Own memory in MiB by node id, all cells together."""
        total: dict[int, int] = {}
        for cell in self.cells:
            for node, mib in cell.memory_mib:
                total[node] = total.get(node, 0) + mib
        return total

    def vcpus_by_node(self) -> dict[int, int]:
        """VCPUs by node id, all cells together."""
        total: dict[int, int] = {}
        for cell in self.cells:
            total[cell.node] = total.get(cell.node, 0) + cell.vcpus
        return total

    def copied_mib(self, before: Placement) -> int:
        """Memory it had at `before` and has elsewhere now: all that it keeps on another host."""
        old, now = before.memory_by_node(), self.memory_by_node()
        if before.host != self.host:
            return min(sum(old.values()), sum(now.values()))
        return gone_elsewhere(old, now)


def gone_elsewhere(before: Mapping[int, int], now: Mapping[int, int]) -> int:
    """How much of an amount by node changed its node.

    The less of what nodes gave up and what nodes got: the rest has grown or shrunk in place.
    """
    gave = sum(max(0, amount - now.get(node, 0)) for node, amount in before.items())
    got = sum(max(0, amount - before.get(node, 0)) for node, amount in now.items())
    return min(gave, got)


@dataclass(frozen=True, slots=True)
class SharedCopy:
    """Nodes of a host that hold a copy of a sharing group's common pages."""

    THING: ClassVar[str] = "copies of {0.group!r:.80}"

    group: Annotated[Name, "Name of the sharing group."]
    host: Annotated[Name, "Name of the host."]
    nodes: Annotated[tuple[Id, ...], Size(0, NODES_MAX), "Ids of its nodes that hold one."]

    def __post_init__(self) -> None:
        check_unique(checked(self), "nodes", self.nodes)


def _frozen() -> Mapping[str, Placement]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Plan:
    """Placements by VM name (a VM that is not there is not placed) and copies of shared pages."""

    THING: ClassVar[str] = "plan"

    placements: Annotated[
        Mapping[Name, Placement], Size(0, VMS_MAX, "VM"), "By VM name; others are not placed."
    ] = field(default_factory=_frozen)
    copies: Annotated[tuple[SharedCopy, ...], Size(0, VMS_MAX), "Copies of shared pages."] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "placements", MappingProxyType(dict(self.placements)))

    def __contains__(self, vm: object) -> bool:
        return vm in self.placements

    def __len__(self) -> int:
        return len(self.placements)

    def __reduce__(self) -> tuple[type[Plan], tuple[object, ...]]:
        return (Plan, (dict(self.placements), self.copies))
