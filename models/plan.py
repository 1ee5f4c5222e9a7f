"""A plan: where every placed VM runs, where its memory lies, which devices it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from numaplace.models.errors import check_int, check_name, check_unique
from numaplace.models.topology import ID_MAX, MIB_MAX
from numaplace.models.vm import VCPUS_MAX


@dataclass(frozen=True, slots=True)
class PlacedCell:
    """One cell of a placed VM.

    Parameters
    ----------
    node
        Id of the node its vCPUs run on (the cell's home).
    vcpus
        vCPUs of the VM that run there.
    memory_mib
        Pairs (node id, MiB): where the cell's own pages lie, in ascending order of node id. Pages
        of a sharing group are not among them, pages taken by ballooning are missing from them.
    pcpus
        pCPU ids held by the vCPUs of a dedicated VM, empty for a shared one.
    size_mib
        Own memory of the cell before ballooning; None: the sum of `memory_mib`.
    vcpu_sets
        For each vCPU of a shared VM the pCPU ids it is kept on by hand; empty: not told, those of
        its node. No rule and no price looks at them, nor does a comparison of cells.
    """

    node: int
    vcpus: int
    memory_mib: tuple[tuple[int, int], ...] = ()
    pcpus: tuple[int, ...] = ()
    size_mib: int | None = None
    vcpu_sets: tuple[frozenset[int], ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        check_int("placed cell", "node", self.node, 0, ID_MAX)
        check_int("placed cell", "vcpus", self.vcpus, 1, VCPUS_MAX)
        for node, mib in self.memory_mib:
            check_int("placed cell", "memory node", node, 0, ID_MAX)
            check_int("placed cell", "memory_mib", mib, 0, MIB_MAX)
        for pcpu in self.pcpus:
            check_int("placed cell", "pcpus", pcpu, 0, ID_MAX)
        check_unique("placed cell", "memory node", [node for node, _ in self.memory_mib])
        if self.size_mib is not None:
            check_int("placed cell", "size_mib", self.size_mib, self.total_mib, MIB_MAX)
        if self.vcpu_sets:
            check_int("placed cell", "number of vcpu_sets", len(self.vcpu_sets), *(self.vcpus,) * 2)
            for pcpu in frozenset[int]().union(*self.vcpu_sets):
                check_int("placed cell", "vcpu_sets", pcpu, 0, ID_MAX)

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

    request: str
    address: str
    functions: int = 1

    def __post_init__(self) -> None:
        check_name("taken device", "request", self.request)
        check_name("taken device", "address", self.address)
        check_int("taken device", "functions", self.functions, 1, 256)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one VM is."""

    host: str
    cells: tuple[PlacedCell, ...]
    devices: tuple[TakenDevice, ...] = ()

    def __post_init__(self) -> None:
        check_name("placement", "host", self.host)
        check_int("placement", "number of cells", len(self.cells), 1, 4096)

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

    group: str
    host: str
    nodes: tuple[int, ...]


def _frozen() -> Mapping[str, Placement]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Plan:
    """Placements by VM name (a VM that is not there is not placed) and copies of shared pages."""

    placements: Mapping[str, Placement] = field(default_factory=_frozen)
    copies: tuple[SharedCopy, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "placements", MappingProxyType(dict(self.placements)))

    def __contains__(self, vm: object) -> bool:
        return vm in self.placements

    def __len__(self) -> int:
        return len(self.placements)

    def __reduce__(self) -> tuple[type[Plan], tuple[object, ...]]:
        return (Plan, (dict(self.placements), self.copies))
