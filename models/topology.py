"""Hosts: NUMA nodes, pCPUs, memory, page pools, distances and devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, ClassVar

from numaplace.models.errors import InputError, check_int, check_unique
from numaplace.models.fields import Bound, Name, Size, checked
from numaplace.models.units import MILLI, SLIT_LOCAL, PageSize

HOSTS_MAX = 100_000
ID_MAX = 1 << 20
MIB_MAX = 1 << 40
NODES_MAX = 1024
PCPUS_MAX = 16384
DISTANCE_MAX = 1 << 16
DEVICES_MAX = 65_536
LABELS_MAX = 64

Id = Annotated[int, Bound(0, ID_MAX)]
Mib = Annotated[int, Bound(0, MIB_MAX, "MiB")]
SomeMib = Annotated[int, Bound(1, MIB_MAX, "MiB")]
Pages = Annotated[int, Bound(0, MIB_MAX, "pages")]
Distance = Annotated[float, Bound(SLIT_LOCAL, DISTANCE_MAX)]
Nanoseconds = Annotated[float, Bound(0, DISTANCE_MAX, "ns")]
Mbps = Annotated[float, Bound(0, MIB_MAX, "MB/s")]
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class PCpu:
    """A physical CPU (hardware thread) as the hypervisor numbers it."""

    THING: ClassVar[str] = "pCPU {0.id!r:.20}"

    id: Annotated[Id, "Number on its host; numbers may have gaps (offline CPUs are left out)."]
    core: Annotated[Id, "Physical core, unique on the host: two threads of one core share it."]
    socket: Annotated[Id, "Package."] = 0
    llc: Annotated[Id | None, "Last-level cache, unique on the host; unknown: one a node."] = None

    def __post_init__(self) -> None:
        checked(self)


@dataclass(frozen=True, slots=True)
class NumaNode:
    """One NUMA node; it may have no pCPUs (CXL, HBM, GPU memory) or no memory."""

    THING: ClassVar[str] = "node {0.id!r:.20}"

    id: Annotated[Id, "The operating system's number; ids of a host may have gaps."]
    pcpus: Annotated[
        tuple[PCpu, ...], Size(0, PCPUS_MAX), "Threads that are online and may be used."
    ] = ()
    memory_mib: Annotated[Mib, "Memory of VMs, before what is reserved and in huge pages."] = 0
    reserved_mib: Annotated[Mib, "Kept for the hypervisor or dom0."] = 0
    pages_2m: Annotated[Pages, "2 MiB pages set aside, part of `memory_mib`."] = 0
    pages_1g: Annotated[Pages, "1 GiB pages set aside, part of `memory_mib`."] = 0
    bandwidth_mbps: Annotated[
        int | None, Bound(1, MIB_MAX, "MB/s"), "Memory bandwidth; unknown: never a bottleneck."
    ] = None
    socket: Annotated[Id | None, "Package of a node without pCPUs; pCPUs tell theirs."] = None

    def __post_init__(self) -> None:
        thing = checked(self)
        check_unique(thing, "pcpus", [pcpu.id for pcpu in self.pcpus])
        if self.pool_mib(PageSize.SMALL) < 0:
            taken = self.memory_mib - self.pool_mib(PageSize.SMALL)
            reason = (
                f"{taken} MiB reserved or in huge pages do not fit the node's {self.memory_mib} MiB"
            )
            raise InputError(thing, "memory_mib", reason)

    def pool_mib(self, page_size: PageSize) -> int:
        """Memory in MiB that VMs with pages of this size may take on the node."""
        if page_size is PageSize.HUGE_2M:
            return self.pages_2m * PageSize.HUGE_2M.mib
        if page_size is PageSize.HUGE_1G:
            return self.pages_1g * PageSize.HUGE_1G.mib
        huge_mib = self.pages_2m * PageSize.HUGE_2M.mib + self.pages_1g * PageSize.HUGE_1G.mib
        return self.memory_mib - self.reserved_mib - huge_mib

    @property
    def threads(self) -> int:
        """Number of hardware threads (pCPUs)."""
        return len(self.pcpus)

    @property
    def cores(self) -> int:
        """Number of physical cores with at least one thread here."""
        return len({pcpu.core for pcpu in self.pcpus})

    @property
    def sockets(self) -> frozenset[int]:
        """Packages the node belongs to; empty if unknown."""
        if self.pcpus:
            return frozenset(pcpu.socket for pcpu in self.pcpus)
        return frozenset() if self.socket is None else frozenset({self.socket})


@dataclass(frozen=True, slots=True)
class Device:
    """A PCI device, or a group of equal functions of one (SR-IOV virtual functions)."""

    THING: ClassVar[str] = "device {0.address!r:.80}"

    address: Annotated[Name, "PCI address, 0000:3b:00.0; unique on the host."]
    kind: Annotated[Name, "What VMs ask for: nic, gpu, nvme, or any name of the operator's."]
    nodes: Annotated[
        frozenset[Id],
        Size(0, NODES_MAX),
        "Nodes it is local to: several if only the package is known, none if nothing is.",
    ] = frozenset()
    functions: Annotated[int, Bound(0, 65536), "How many VMs may take at the same time."] = 1
    vendor_product: Annotated[Name | None, "8086:1572; may be asked for like the kind."] = None
    pcie_root: Annotated[Name | None, "Root complex, 0000:3a, if known."] = None

    def __post_init__(self) -> None:
        checked(self)

    def answers(self, wanted: str) -> bool:
        """Tell whether a request for `wanted` (kind, vendor:product or address) means it."""
        return wanted in (self.kind, self.vendor_product, self.address)


@dataclass(frozen=True)
class Host:
    """A machine that runs VMs."""

    THING: ClassVar[str] = "host {0.name!r:.80}"

    name: Annotated[Name, "Unique in an instance."]
    nodes: Annotated[tuple[NumaNode, ...], Size(1, NODES_MAX), "In ascending order of id."]
    distances: Annotated[
        tuple[tuple[Distance, ...], ...],
        Size(0, NODES_MAX),
        "SLIT, a row a node from it to each; 10 is local, rows and columns may differ. "
        "Empty: 10 local, 20 elsewhere.",
    ] = ()
    latency_ns: Annotated[
        tuple[tuple[Nanoseconds, ...], ...],
        Size(0, NODES_MAX),
        "Measured (HMAT), 0 where unknown; where known, and local latency is known as well, "
        "it replaces the distances in every cost.",
    ] = ()
    bandwidth_mbps: Annotated[
        tuple[tuple[Mbps, ...], ...],
        Size(0, NODES_MAX),
        "Measured (HMAT), 0 where unknown; its diagonal stands for nodes that do not state theirs.",
    ] = ()
    devices: Annotated[tuple[Device, ...], Size(0, DEVICES_MAX), "PCI devices."] = ()
    vcpu_overcommit: Annotated[
        float, Bound(0.001, 1000), "Shared vCPUs allowed per pCPU that no dedicated vCPU holds."
    ] = 1.0
    smt_yield: Annotated[
        float, Bound(1.0, 2.0), "Throughput of a core with two threads busy computing; alone is 1."
    ] = 1.25
    network_factor: Annotated[
        float, Bound(1.0, 100_000), "Relative latency of other hosts, as a distance / 10."
    ] = 20.0
    labels: Annotated[
        Mapping[Name, Name],
        Size(0, LABELS_MAX, "labels"),
        "What it belongs to, by key: rack, zone, any. A relation may have a key as its scope.",
    ] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        thing = checked(self)
        ids = [node.id for node in self.nodes]
        check_unique(thing, "nodes", ids)
        if ids != sorted(ids):
            raise InputError(thing, "nodes", "must be in ascending order of id")
        pcpu_ids = [pcpu.id for node in self.nodes for pcpu in node.pcpus]
        check_int(thing, "number of pCPUs", len(pcpu_ids), 0, PCPUS_MAX)
        check_unique(thing, "pcpus", pcpu_ids)
        self._check_cores(thing)
        self._check_matrices(thing)
        check_unique(thing, "devices", [device.address for device in self.devices])
        for device in self.devices:
            for node_id in sorted(device.nodes - set(ids)):
                reason = f"node {node_id} does not exist on {thing}"
                raise InputError(f"device {device.address!r}", "nodes", reason)

    def _check_cores(self, thing: str) -> None:
        owner: dict[int, int] = {}
        cache: dict[int, int] = {}
        for node in self.nodes:
            for pcpu in node.pcpus:
                if owner.setdefault(pcpu.core, node.id) != node.id:
                    reason = f"core {pcpu.core} lies on nodes {owner[pcpu.core]} and {node.id}"
                    raise InputError(thing, "pcpus", reason)
                if pcpu.llc is not None and cache.setdefault(pcpu.core, pcpu.llc) != pcpu.llc:
                    reason = f"core {pcpu.core} is in caches {cache[pcpu.core]} and {pcpu.llc}"
                    raise InputError(thing, "llc", reason)

    def _check_matrices(self, thing: str) -> None:
        size = len(self.nodes)
        for name in ("distances", "latency_ns", "bandwidth_mbps"):
            matrix: Matrix = getattr(self, name)
            if not matrix:
                continue
            if len(matrix) != size or any(len(row) != size for row in matrix):
                reason = f"must have {size} rows of {size} numbers, one per node"
                raise InputError(thing, name, reason)
        for a, row in enumerate(self.distances):
            if row[a] != SLIT_LOCAL:
                reason = f"node {self.nodes[a].id} is {row[a]:g} from itself, must be {SLIT_LOCAL}"
                raise InputError(thing, "distances", reason)

    @cached_property
    def position(self) -> dict[int, int]:
        """Index in `nodes` of each node id."""
        return {node.id: index for index, node in enumerate(self.nodes)}

    @cached_property
    def relative(self) -> Matrix:
        """Relative distance r(i, j) >= 1 by index of `nodes`; 1 is local.

        Measured latency over the initiator's own local latency (the host's smallest local latency
        for a node without pCPUs or memory) where both are known, distance / 10 elsewhere.
        Anything faster than local counts as local.
        """
        size = len(self.nodes)
        slit = self.distances or tuple(
            tuple(SLIT_LOCAL if a == b else 2 * SLIT_LOCAL for b in range(size))
            for a in range(size)
        )
        rows = [[max(1.0, slit[a][b] / SLIT_LOCAL) for b in range(size)] for a in range(size)]
        local = [self.latency_ns[a][a] for a in range(size)] if self.latency_ns else []
        known = [value for value in local if value > 0]
        if known:
            for a in range(size):
                base = local[a] or min(known)
                for b in range(size):
                    if self.latency_ns[a][b] > 0:
                        rows[a][b] = max(1.0, self.latency_ns[a][b] / base)
        return tuple(tuple(row) for row in rows)

    def node_bandwidth_mbps(self, index: int) -> int | None:
        """Memory bandwidth of the index-th node in MB/s, None if unknown."""
        stated = self.nodes[index].bandwidth_mbps
        if stated is None and self.bandwidth_mbps and self.bandwidth_mbps[index][index] > 0:
            return round(self.bandwidth_mbps[index][index])
        return stated

    @property
    def ratio_milli(self) -> int:
        """Shared vCPUs allowed on a thousand pCPUs that no dedicated vCPU holds."""
        return round(self.vcpu_overcommit * MILLI)

    @property
    def threads(self) -> int:
        """Hardware threads of all nodes."""
        return sum(node.threads for node in self.nodes)
