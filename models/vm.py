"""Virtual machines: what they ask for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from numaplace.models.errors import (
    InputError,
    check_choice,
    check_counted,
    check_int,
    check_name,
    check_real,
    check_set,
    check_unique,
)
from numaplace.models.topology import ID_MAX, MIB_MAX
from numaplace.models.units import LEAST_VCPUS, MILLI, PageSize

VCPUS_MAX = 4096
CELLS_MAX = 64
VALUE_LEAST = 0.001
WEIGHT_MAX = 1_000_000.0
TIME_MAX = 1 << 40


class CpuPolicy(StrEnum):
    """Whether vCPUs share pCPUs with other VMs or hold pCPUs of their own."""

    SHARED = "shared"
    DEDICATED = "dedicated"


class ThreadPolicy(StrEnum):
    """How dedicated vCPUs use hardware threads (the words are OpenStack Nova's).

    ``prefer``: any free threads. ``isolate``: one vCPU a core, its siblings stay idle.
    ``require``: whole cores with all their threads, so the host must have SMT.
    """

    PREFER = "prefer"
    ISOLATE = "isolate"
    REQUIRE = "require"


class MemoryMode(StrEnum):
    """Where pages may lie.

    ``strict``: on the cell's own node (or within `Vm.memory_nodes`). ``preferred``: there if they
    fit, else anywhere on the host (or within `Vm.memory_nodes`), at the price of the distance.
    ``interleave``: evenly over all nodes with memory (or over `Vm.memory_nodes`).
    """

    STRICT = "strict"
    PREFERRED = "preferred"
    INTERLEAVE = "interleave"


class GuestNuma(StrEnum):
    """What the guest is told of its topology.

    ``none``: nothing, it sees one node even if its cells lie on several. ``automatic``: it sees
    its cells, their number is the solver's choice. ``explicit``: it sees the given cells.
    """

    NONE = "none"
    AUTOMATIC = "automatic"
    EXPLICIT = "explicit"


class DevicePolicy(StrEnum):
    """How near a device must be: on a cell's node, on a cell's socket, or just near at a price."""

    REQUIRED = "required"
    SOCKET = "socket"
    PREFERRED = "preferred"


@dataclass(frozen=True, slots=True)
class Cell:
    """A share of a VM that goes to one node: some of its vCPUs and memory."""

    vcpus: int
    memory_mib: int

    def __post_init__(self) -> None:
        check_int("guest NUMA cell", "vcpus", self.vcpus, 1, VCPUS_MAX)
        check_int("guest NUMA cell", "memory_mib", self.memory_mib, 1, MIB_MAX)


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A VM's wish for functions of PCI devices.

    Parameters
    ----------
    kind
        Kind, vendor:product or PCI address of the devices that will do.
    count
        Functions wanted.
    policy
        How near they must be.
    weight
        vCPUs lost per function and per unit of (r - 1), from the VM's nearest cell.
    """

    kind: str
    count: int = 1
    policy: DevicePolicy = DevicePolicy.PREFERRED
    weight: float = 0.1

    def __post_init__(self) -> None:
        thing = f"device request {self.kind!r:.80}"
        check_name(thing, "kind", self.kind)
        check_int(thing, "count", self.count, 1, 256)
        check_choice(thing, "policy", self.policy, DevicePolicy)
        check_counted(thing, "weight", self.weight, WEIGHT_MAX, LEAST_VCPUS)


@dataclass(frozen=True, slots=True)
class Vm:
    """A virtual machine.

    Parameters
    ----------
    name
        Unique in an instance.
    vcpus
        Number of vCPUs.
    memory_mib
        Nominal memory.
    memory_min_mib
        What it may be ballooned down to; None: it keeps all its memory.
    utilisation
        Mean share of the time that a vCPU wants to run, 0 to 1.
    memory_intensity
        mu: share of its run time that waits for memory when all memory is local, 0 to 1.
    bandwidth_mbps
        Memory bandwidth it demands, MB/s.
    cpu_policy, thread_policy
        Shared or dedicated pCPUs; `thread_policy` matters for dedicated ones.
    page_size
        Pages that back its memory.
    memory_mode, memory_nodes
        Where its pages may lie; `memory_nodes` are node ids (libvirt's numatune nodeset).
    guest_numa, max_cells, cells, guest_locality
        Guest topology. `cells` for ``explicit`` only. `max_cells` bounds the number of cells of
        other guests, whose vCPUs and memory are split evenly; None: 1, or as many as an empty
        host needs if the VM is wider than every node. `guest_locality` is the share of accesses a
        guest that sees its cells keeps within one.
    devices
        Functions it wants.
    hard_nodes
        Node ids its vCPUs are pinned to (hard affinity); None: any.
    soft_nodes, soft_weight
        Node affinity: `soft_weight` vCPUs are lost if all vCPUs run outside `soft_nodes`.
    allowed_hosts
        Names of hosts that may run it; None: any.
    value
        What placing it is worth; None: its vCPUs.
    required
        Whether a plan without it is no plan.
    start, end
        It exists in ``[start, end)`` (seconds); None: always on that side.
    block_mib
        Granularity in which its pages are placed, its memory rounded up to it; None: the coarsest
        that still divides its memory into at least 64 parts (fewer if that would be more than
        1024), or if there is none, one that it need be rounded up little for.
    """

    name: str
    vcpus: int
    memory_mib: int
    memory_min_mib: int | None = None
    utilisation: float = 1.0
    memory_intensity: float = 0.3
    bandwidth_mbps: int = 0
    cpu_policy: CpuPolicy = CpuPolicy.SHARED
    thread_policy: ThreadPolicy = ThreadPolicy.PREFER
    page_size: PageSize = PageSize.SMALL
    memory_mode: MemoryMode = MemoryMode.PREFERRED
    memory_nodes: frozenset[int] | None = None
    guest_numa: GuestNuma = GuestNuma.NONE
    max_cells: int | None = None
    cells: tuple[Cell, ...] = ()
    guest_locality: float = 0.8
    devices: tuple[DeviceRequest, ...] = ()
    hard_nodes: frozenset[int] | None = None
    soft_nodes: frozenset[int] | None = None
    soft_weight: float = 0.1
    allowed_hosts: frozenset[str] | None = None
    value: float | None = None
    required: bool = False
    start: int | None = None
    end: int | None = None
    block_mib: int | None = None

    def __post_init__(self) -> None:
        thing = f"VM {self.name!r:.80}"
        check_name(thing, "name", self.name)
        check_int(thing, "vcpus", self.vcpus, 1, VCPUS_MAX)
        check_int(thing, "memory_mib", self.memory_mib, 1, MIB_MAX)
        check_real(thing, "utilisation", self.utilisation, 0, 1)
        check_real(thing, "memory_intensity", self.memory_intensity, 0, 1)
        check_int(thing, "bandwidth_mbps", self.bandwidth_mbps, 0, MIB_MAX)
        check_real(thing, "guest_locality", self.guest_locality, 0, 1)
        check_counted(thing, "soft_weight", self.soft_weight, WEIGHT_MAX, LEAST_VCPUS)
        if self.value is not None:
            check_counted(thing, "value", self.value, WEIGHT_MAX, 1 / MILLI)
            if 0 < self.value < VALUE_LEAST:
                raise InputError(thing, "value", f"{self.value} is below {VALUE_LEAST}, use 0")
        check_choice(thing, "cpu_policy", self.cpu_policy, CpuPolicy)
        check_choice(thing, "thread_policy", self.thread_policy, ThreadPolicy)
        check_choice(thing, "page_size", self.page_size, PageSize)
        check_choice(thing, "memory_mode", self.memory_mode, MemoryMode)
        check_choice(thing, "guest_numa", self.guest_numa, GuestNuma)
        self._check_memory(thing)
        self._check_cells(thing)
        self._check_sets(thing)
        self._check_times(thing)

    def _check_memory(self, thing: str) -> None:
        if self.memory_min_mib is not None:
            check_int(thing, "memory_min_mib", self.memory_min_mib, 1, MIB_MAX)
            if self.memory_min_mib > self.memory_mib:
                reason = f"{self.memory_min_mib} is above memory_mib, {self.memory_mib}"
                raise InputError(thing, "memory_min_mib", reason)
            if self.memory_mode is MemoryMode.INTERLEAVE and self.balloon_mib:
                reason = "an interleaved VM cannot be ballooned evenly: leave it out"
                raise InputError(thing, "memory_min_mib", reason)
        parts = {"memory_mib": self.memory_mib, "memory_min_mib": self.memory_least_mib}
        for name, mib in parts.items():
            if mib % self.page_size.mib:
                reason = f"{mib} MiB are not whole pages of {self.page_size}"
                raise InputError(thing, name, reason)
        if self.block_mib is not None:
            check_int(thing, "block_mib", self.block_mib, 1, MIB_MAX)

    def _check_cells(self, thing: str) -> None:
        if self.max_cells is not None:
            check_int(thing, "max_cells", self.max_cells, 1, CELLS_MAX)
        if (self.guest_numa is GuestNuma.EXPLICIT) != bool(self.cells):
            reason = "must be given for, and only for, guest_numa 'explicit'"
            raise InputError(thing, "cells", reason)
        if not self.cells:
            return
        check_int(thing, "number of cells", len(self.cells), 1, CELLS_MAX)
        if self.max_cells is not None:
            raise InputError(thing, "max_cells", "does not go with explicit cells")
        totals = (
            ("vcpus", sum(cell.vcpus for cell in self.cells), self.vcpus),
            ("memory_mib", sum(cell.memory_mib for cell in self.cells), self.memory_mib),
        )
        for name, total, whole in totals:
            if total != whole:
                reason = f"the cells' {name} add up to {total}, the VM has {whole}"
                raise InputError(thing, "cells", reason)
        for cell in self.cells:
            if cell.memory_mib % self.page_size.mib:
                reason = f"{cell.memory_mib} MiB are not whole pages of {self.page_size}"
                raise InputError(thing, "cells", reason)

    def _check_sets(self, thing: str) -> None:
        for name in ("memory_nodes", "hard_nodes", "soft_nodes"):
            nodes: frozenset[int] | None = getattr(self, name)
            if nodes is None:
                continue
            check_set(thing, name, nodes)
            if not nodes:
                raise InputError(thing, name, "is empty: leave it out to allow every node")
            for node in nodes:
                check_int(thing, name, node, 0, ID_MAX)
        if self.allowed_hosts is not None:
            check_set(thing, "allowed_hosts", self.allowed_hosts)
            if not self.allowed_hosts:
                reason = "is empty: leave it out to allow every host"
                raise InputError(thing, "allowed_hosts", reason)
        check_unique(thing, "devices", [request.kind for request in self.devices])

    def _check_times(self, thing: str) -> None:
        for name in ("start", "end"):
            if getattr(self, name) is not None:
                check_int(thing, name, getattr(self, name), -TIME_MAX, TIME_MAX)
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise InputError(thing, "end", f"{self.end} is not after start, {self.start}")

    @property
    def memory_least_mib(self) -> int:
        """Memory it keeps at least."""
        return self.memory_mib if self.memory_min_mib is None else self.memory_min_mib

    @property
    def balloon_mib(self) -> int:
        """Memory that ballooning may take away at most."""
        return self.memory_mib - self.memory_least_mib

    @property
    def sees_cells(self) -> bool:
        """Whether the guest knows its own topology."""
        return self.guest_numa is not GuestNuma.NONE

    @property
    def locality(self) -> float:
        """Share of accesses that stay within a cell by the guest's own doing."""
        return self.guest_locality if self.sees_cells else 0.0

    def overlaps(self, other: Vm) -> bool:
        """Tell whether both VMs exist at some instant."""
        return _before(self.start, other.end) and _before(other.start, self.end)


def _before(start: int | None, end: int | None) -> bool:
    return start is None or end is None or start < end
