"""Virtual machines: what they ask for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from operator import attrgetter
from typing import Annotated, ClassVar

from numaplace.models.errors import InputError, check_unique
from numaplace.models.fields import Bound, Name, Size, checked
from numaplace.models.topology import HOSTS_MAX, MIB_MAX, NODES_MAX, Id, SomeMib
from numaplace.models.units import LEAST_VCPUS, MILLI, PageSize

VCPUS_MAX = 4096
CELLS_MAX = 64
REQUESTS_MAX = 256
VMS_MAX = 200_000
WEIGHT_MAX = 1_000_000.0
TIME_MAX = 1 << 40

Vcpus = Annotated[int, Bound(1, VCPUS_MAX, "vCPUs")]
Share = Annotated[float, Bound(0, 1)]
Weight = Annotated[float, Bound(0, WEIGHT_MAX, "vCPUs", LEAST_VCPUS)]
Seconds = Annotated[int, Bound(-TIME_MAX, TIME_MAX, "s")]
NodeIds = Annotated[frozenset[Id], Size(1, NODES_MAX, "node")]


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

    THING: ClassVar[str] = "guest NUMA cell"

    vcpus: Annotated[Vcpus, "vCPUs of it."]
    memory_mib: Annotated[SomeMib, "Memory of it."]

    def __post_init__(self) -> None:
        checked(self)


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A VM's wish for functions of PCI devices."""

    THING: ClassVar[str] = "device request {0.kind!r:.80}"

    kind: Annotated[Name, "Kind, vendor:product or PCI address of the devices that will do."]
    count: Annotated[int, Bound(1, 256), "Functions wanted."] = 1
    policy: Annotated[DevicePolicy, "How near they must be."] = DevicePolicy.PREFERRED
    weight: Annotated[
        Weight, "Lost per function and per unit of (r - 1), from the VM's nearest cell."
    ] = 0.1

    def __post_init__(self) -> None:
        checked(self)


@dataclass(frozen=True, slots=True)
class Vm:
    """A virtual machine."""

    THING: ClassVar[str] = "VM {0.name!r:.80}"

    name: Annotated[Name, "Unique in an instance."]
    vcpus: Annotated[Vcpus, "Number of vCPUs."]
    memory_mib: Annotated[SomeMib, "Nominal memory."]
    memory_min_mib: Annotated[
        SomeMib | None, "What it may be ballooned down to; not given: it keeps all its memory."
    ] = None
    utilisation: Annotated[Share, "Mean share of the time that a vCPU wants to run."] = 1.0
    memory_intensity: Annotated[
        Share, "Share of its run time that waits for memory when all memory is local (mu)."
    ] = 0.3
    smt_yield: Annotated[
        float | None,
        Bound(1.0, 2.0),
        "Throughput of a core with two threads busy with its vCPUs; alone is 1. Not given: the "
        "host's while they compute, and nothing lost while they wait for memory.",
    ] = None
    bandwidth_mbps: Annotated[int, Bound(0, MIB_MAX, "MB/s"), "Memory bandwidth it demands."] = 0
    cpu_policy: Annotated[
        CpuPolicy, "Whether its vCPUs share pCPUs or hold pCPUs of their own."
    ] = CpuPolicy.SHARED
    thread_policy: Annotated[
        ThreadPolicy,
        "How dedicated vCPUs use threads: any; one a core, its siblings idle; or whole cores.",
    ] = ThreadPolicy.PREFER
    page_size: Annotated[PageSize, "Pages that back its memory."] = PageSize.SMALL
    memory_mode: Annotated[
        MemoryMode,
        "Where its pages may lie: on the cell's own node; there if they fit, else anywhere; "
        "evenly on all nodes. Each within `memory_nodes` if given.",
    ] = MemoryMode.PREFERRED
    memory_nodes: Annotated[NodeIds | None, "Node ids; not given: any."] = None
    guest_numa: Annotated[
        GuestNuma, "What the guest sees: one node, its cells as planned, or `cells` as given."
    ] = GuestNuma.NONE
    max_cells: Annotated[
        int | None,
        Bound(1, CELLS_MAX),
        "Most cells of a guest without explicit ones, cut evenly. Not given: 1, or as many as "
        "an empty host needs if the VM is wider than every node.",
    ] = None
    cells: Annotated[tuple[Cell, ...], Size(0, CELLS_MAX), "For guest_numa explicit."] = ()
    guest_locality: Annotated[
        Share, "Share of accesses that a guest which sees its cells keeps within one."
    ] = 0.8
    devices: Annotated[tuple[DeviceRequest, ...], Size(0, REQUESTS_MAX), "Functions it wants."] = ()
    hard_nodes: Annotated[NodeIds | None, "Nodes its vCPUs are pinned to; not given: any."] = None
    soft_nodes: Annotated[NodeIds | None, "Node affinity: nodes its vCPUs should run on."] = None
    soft_weight: Annotated[Weight, "Lost if all its vCPUs run outside `soft_nodes`."] = 0.1
    allowed_hosts: Annotated[
        frozenset[Name] | None, Size(1, HOSTS_MAX, "host"), "Hosts that may run it; not given: any."
    ] = None
    value: Annotated[
        float | None,
        Bound(0, WEIGHT_MAX, "vCPUs", 1 / MILLI),
        "What placing it is worth; not given: its vCPUs.",
    ] = None
    required: Annotated[bool, "Whether a plan without it is no plan."] = False
    start: Annotated[Seconds | None, "It exists from then on; not given: always has."] = None
    end: Annotated[Seconds | None, "It no longer exists then; not given: always will."] = None
    block_mib: Annotated[
        SomeMib | None,
        "Granularity of placing its pages; its memory is rounded up to it. Not given: the coarsest "
        "that still divides its memory into 64 parts or more (docs/model.md, Blocks).",
    ] = None

    def __post_init__(self) -> None:
        thing = checked(self)
        self._check_memory(thing)
        self._check_cells(thing)
        check_unique(thing, "devices", [request.kind for request in self.devices])
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise InputError(thing, "end", f"{self.end} is not after start, {self.start}")

    def _check_memory(self, thing: str) -> None:
        if self.memory_min_mib is not None:
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

    def _check_cells(self, thing: str) -> None:
        if (self.guest_numa is GuestNuma.EXPLICIT) != bool(self.cells):
            reason = "must be given for, and only for, guest_numa 'explicit'"
            raise InputError(thing, "cells", reason)
        if not self.cells:
            return
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


_PERSONAL = ("name", "value", "required", "start", "end")
all_but_name = attrgetter(*(f.name for f in fields(Vm) if f.name != "name"))
"""All that a VM is but its name: VMs of which it is equal can take each other's part."""
kind_of = attrgetter(*(f.name for f in fields(Vm) if f.name not in _PERSONAL))
"""What of a VM says how it can be cut and what a place is to it: equal ones are of one kind."""


def _before(start: int | None, end: int | None) -> bool:
    return start is None or end is None or start < end
