"""Hosts: NUMA nodes, pCPUs, memory, page pools, distances and devices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from numaplace.models.errors import (
    InputError,
    check_int,
    check_name,
    check_real,
    check_set,
    check_unique,
)
from numaplace.models.units import SLIT_LOCAL, PageSize

ID_MAX = 1 << 20
MIB_MAX = 1 << 40
NODES_MAX = 1024
PCPUS_MAX = 16384
DISTANCE_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class PCpu:
    """A physical CPU (hardware thread) as the hypervisor numbers it.

    Parameters
    ----------
    id
        Number of the thread on its host; numbers may have gaps (offline CPUs are left out).
    core, socket
        Physical core and package. `core` is unique on the host (two threads of one core share
        it), whatever the source's numbering.
    llc
        Last-level cache domain, unique on the host; None if unknown, then the node is taken
        as one domain.
    """

    id: int
    core: int
    socket: int = 0
    llc: int | None = None

    def __post_init__(self) -> None:
        thing = f"pCPU {self.id!r:.20}"
        check_int(thing, "id", self.id, 0, ID_MAX)
        check_int(thing, "core", self.core, 0, ID_MAX)
        check_int(thing, "socket", self.socket, 0, ID_MAX)
        if self.llc is not None:
            check_int(thing, "llc", self.llc, 0, ID_MAX)


@dataclass(frozen=True, slots=True)
class NumaNode:
    """One NUMA node; it may have no pCPUs (CXL, HBM, GPU memory) or no memory.

    Parameters
    ----------
    id
        The operating system's number; ids of a host may have gaps.
    pcpus
        Hardware threads that are online and may be used.
    memory_mib
        Memory that VMs may take, all page sizes together and before `reserved_mib`.
    reserved_mib
        Memory kept for the hypervisor or dom0.
    pages_2m, pages_1g
        Huge pages set aside on the node; their memory is part of `memory_mib`.
    bandwidth_mbps
        Memory bandwidth in MB/s, None if unknown (then it is never a bottleneck).
    socket
        Package of a node without pCPUs, None if unknown or if pCPUs tell it.
    """

    id: int
    pcpus: tuple[PCpu, ...] = ()
    memory_mib: int = 0
    reserved_mib: int = 0
    pages_2m: int = 0
    pages_1g: int = 0
    bandwidth_mbps: int | None = None
    socket: int | None = None

    def __post_init__(self) -> None:
        thing = f"node {self.id!r:.20}"
        check_int(thing, "id", self.id, 0, ID_MAX)
        check_int(thing, "memory_mib", self.memory_mib, 0, MIB_MAX)
        check_int(thing, "reserved_mib", self.reserved_mib, 0, MIB_MAX)
        check_int(thing, "pages_2m", self.pages_2m, 0, MIB_MAX)
        check_int(thing, "pages_1g", self.pages_1g, 0, MIB_MAX)
        if self.bandwidth_mbps is not None:
            check_int(thing, "bandwidth_mbps", self.bandwidth_mbps, 1, MIB_MAX)
        if self.socket is not None:
            check_int(thing, "socket", self.socket, 0, ID_MAX)
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
    """A PCI device, or a group of equal functions of one (SR-IOV virtual functions).

    Parameters
    ----------
    address
        PCI address, ``0000:3b:00.0``; unique on the host.
    kind
        What VMs ask for: ``nic``, ``gpu``, ``nvme``, or any name of the operator's.
    nodes
        Nodes it is local to: one as a rule, several if only the package is known, none if
        the firmware does not tell (Linux's ``numa_node`` of -1).
    functions
        How many functions VMs may take at the same time.
    vendor_product
        ``8086:1572``; may be asked for in place of the kind.
    pcie_root
        Root complex, ``0000:3a``, if known.
    """

    address: str
    kind: str
    nodes: frozenset[int] = frozenset()
    functions: int = 1
    vendor_product: str | None = None
    pcie_root: str | None = None

    def __post_init__(self) -> None:
        thing = f"device {self.address!r:.80}"
        check_name(thing, "address", self.address)
        check_name(thing, "kind", self.kind)
        check_int(thing, "functions", self.functions, 0, 65536)
        check_set(thing, "nodes", self.nodes)
        for node in self.nodes:
            check_int(thing, "nodes", node, 0, ID_MAX)
        if self.vendor_product is not None:
            check_name(thing, "vendor_product", self.vendor_product)
        if self.pcie_root is not None:
            check_name(thing, "pcie_root", self.pcie_root)

    def answers(self, wanted: str) -> bool:
        """Tell whether a request for `wanted` (kind, vendor:product or address) means it."""
        return wanted in (self.kind, self.vendor_product, self.address)


Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Host:
    """A machine that runs VMs.

    Parameters
    ----------
    name
        Unique in an instance.
    nodes
        In ascending order of id.
    distances
        SLIT, ``distances[a][b]`` from the a-th node of `nodes` to the b-th; 10 is local. It may be
        asymmetric. Empty: 10 local, 20 elsewhere.
    latency_ns
        Measured latency (HMAT) with the same indices, 0 where unknown; where known, and local
        latency is known as well, it replaces the SLIT in every cost.
    bandwidth_mbps
        Measured bandwidth (HMAT) with the same indices, 0 where unknown; its diagonal is the
        bandwidth of a node that does not state one.
    devices
        PCI devices.
    vcpu_overcommit
        Shared vCPUs allowed per pCPU that no dedicated vCPU holds.
    smt_yield
        Throughput of a core with both threads busy; alone = 1.
    network_factor
        Relative latency of other hosts, as a distance / 10.
    """

    name: str
    nodes: tuple[NumaNode, ...]
    distances: Matrix = ()
    latency_ns: Matrix = ()
    bandwidth_mbps: Matrix = ()
    devices: tuple[Device, ...] = ()
    vcpu_overcommit: float = 1.0
    smt_yield: float = 1.25
    network_factor: float = 20.0

    def __post_init__(self) -> None:
        thing = f"host {self.name!r:.80}"
        check_name(thing, "name", self.name)
        check_int(thing, "number of nodes", len(self.nodes), 1, NODES_MAX)
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
        check_real(thing, "vcpu_overcommit", self.vcpu_overcommit, 0.001, 1000)
        check_real(thing, "smt_yield", self.smt_yield, 1.0, 2.0)
        check_real(thing, "network_factor", self.network_factor, 1.0, 100000)

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
        low = {"distances": SLIT_LOCAL, "latency_ns": 0, "bandwidth_mbps": 0}
        for name, least in low.items():
            matrix: Matrix = getattr(self, name)
            if not matrix:
                continue
            if len(matrix) != size or any(len(row) != size for row in matrix):
                reason = f"must have {size} rows of {size} numbers, one per node"
                raise InputError(thing, name, reason)
            top = DISTANCE_MAX if name != "bandwidth_mbps" else MIB_MAX
            for row in matrix:
                for value in row:
                    check_real(thing, name, value, least, top)
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
    def threads(self) -> int:
        """Hardware threads of all nodes."""
        return sum(node.threads for node in self.nodes)
