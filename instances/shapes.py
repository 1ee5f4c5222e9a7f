"""Hosts as counts: sockets, nodes, cores, memory, and how far apart they are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isqrt

from numaplace.models.errors import InputError, check_int
from numaplace.models.topology import (
    DISTANCE_MAX,
    MIB_MAX,
    NODES_MAX,
    PCPUS_MAX,
    Device,
    Host,
    NumaNode,
    PCpu,
)
from numaplace.models.units import SLIT_LOCAL


class Fabric(StrEnum):
    """How sockets are wired: each to each, in a ring, or in a grid."""

    FULL = "full"
    RING = "ring"
    MESH = "mesh"


@dataclass(frozen=True, slots=True)
class HostShape:
    """The shape of a host whose sockets are all equal.

    Parameters
    ----------
    sockets, nodes_per_socket, cores_per_node, threads_per_core
        Its pCPUs.
    node_mib, reserved_mib
        Memory of each node, and the part of it kept for the hypervisor.
    near, far, hop
        Distances (10 = local): to another node of the socket, to the next socket, and what each
        further socket on the way adds.
    fabric
        How the sockets are wired.
    memory_only_nodes, memory_only_mib, memory_only_distance
        Nodes without pCPUs (CXL), one after the other on sockets 0, 1...; their distance to the
        nodes of their socket; to others, half of `far` is added.
    nics, gpus
        Devices, spread evenly over the nodes with pCPUs; a NIC has `nic_functions` functions.
    cores_per_llc
        Cores that share a last-level cache; None: unknown.
    bandwidth_mbps
        Memory bandwidth of a node in MB/s; None: unknown.
    vcpu_overcommit, smt_yield
        As in `Host`.
    """

    sockets: int = 2
    nodes_per_socket: int = 1
    cores_per_node: int = 8
    threads_per_core: int = 1
    node_mib: int = 32768
    reserved_mib: int = 0
    near: int = 12
    far: int = 21
    hop: int = 10
    fabric: Fabric = Fabric.FULL
    memory_only_nodes: int = 0
    memory_only_mib: int = 65536
    memory_only_distance: int = 17
    nics: int = 0
    nic_functions: int = 8
    gpus: int = 0
    cores_per_llc: int | None = None
    bandwidth_mbps: int | None = None
    vcpu_overcommit: float = 1.0
    smt_yield: float = 1.25

    def __post_init__(self) -> None:
        thing = "host shape"
        for name in ("sockets", "nodes_per_socket", "cores_per_node"):
            check_int(thing, name, getattr(self, name), 1, NODES_MAX)
        check_int(thing, "threads_per_core", self.threads_per_core, 1, 8)
        check_int(thing, "memory_only_nodes", self.memory_only_nodes, 0, NODES_MAX)
        check_int(thing, "number of nodes", self.num_nodes, 1, NODES_MAX)
        threads = self.cores_per_node * self.threads_per_core
        pcpus = self.sockets * self.nodes_per_socket * threads
        check_int(thing, "number of pCPUs", pcpus, 1, PCPUS_MAX)
        for name in ("node_mib", "reserved_mib", "memory_only_mib"):
            check_int(thing, name, getattr(self, name), 0, MIB_MAX)
        for name in ("near", "far", "memory_only_distance"):
            check_int(thing, name, getattr(self, name), SLIT_LOCAL, DISTANCE_MAX)
        check_int(thing, "hop", self.hop, 0, 1000)
        for name in ("nics", "gpus"):
            check_int(thing, name, getattr(self, name), 0, 256)
        check_int(thing, "nic_functions", self.nic_functions, 1, 65536)
        if self.cores_per_llc is not None:
            check_int(thing, "cores_per_llc", self.cores_per_llc, 1, PCPUS_MAX)

    @property
    def num_nodes(self) -> int:
        """Nodes with and without pCPUs."""
        return self.sockets * self.nodes_per_socket + self.memory_only_nodes


def make_host(shape: HostShape, name: str) -> Host:
    """Return the host of that shape."""
    sockets = [number // shape.nodes_per_socket for number in range(_with_pcpus(shape))]
    sockets += [number % shape.sockets for number in range(shape.memory_only_nodes)]
    nodes = tuple(_node(shape, number, socket) for number, socket in enumerate(sockets))
    distances = tuple(
        tuple(float(_distance(shape, sockets, a, b)) for b in range(len(nodes)))
        for a in range(len(nodes))
    )
    return Host(
        name=name,
        nodes=nodes,
        distances=distances,
        devices=tuple(_devices(shape)),
        vcpu_overcommit=shape.vcpu_overcommit,
        smt_yield=shape.smt_yield,
    )


def _with_pcpus(shape: HostShape) -> int:
    return shape.sockets * shape.nodes_per_socket


def _node(shape: HostShape, number: int, socket: int) -> NumaNode:
    if number >= _with_pcpus(shape):
        return NumaNode(id=number, memory_mib=shape.memory_only_mib, socket=socket)
    first_core = number * shape.cores_per_node
    pcpus = tuple(
        PCpu(
            id=core * shape.threads_per_core + thread,
            core=core,
            socket=socket,
            llc=None
            if shape.cores_per_llc is None
            else core - (core - first_core) % shape.cores_per_llc,
        )
        for core in range(first_core, first_core + shape.cores_per_node)
        for thread in range(shape.threads_per_core)
    )
    return NumaNode(
        id=number,
        pcpus=pcpus,
        memory_mib=shape.node_mib,
        reserved_mib=shape.reserved_mib,
        bandwidth_mbps=shape.bandwidth_mbps,
    )


def _distance(shape: HostShape, sockets: list[int], a: int, b: int) -> int:
    if a == b:
        return SLIT_LOCAL
    hops = socket_hops(shape.fabric, shape.sockets, sockets[a], sockets[b])
    if max(a, b) >= _with_pcpus(shape):
        return shape.memory_only_distance + (hops > 0) * (shape.far // 2)
    return shape.near if hops == 0 else shape.far + (hops - 1) * shape.hop


def socket_hops(fabric: Fabric, sockets: int, a: int, b: int) -> int:
    """Links between two sockets; a mesh is the most square grid that has `sockets` places."""
    if fabric is Fabric.RING:
        return min((a - b) % sockets, (b - a) % sockets)
    if fabric is Fabric.MESH:
        rows = next(size for size in range(isqrt(sockets), 0, -1) if sockets % size == 0)
        columns = sockets // rows
        return abs(a // columns - b // columns) + abs(a % columns - b % columns)
    return int(a != b)


def _devices(shape: HostShape) -> list[Device]:
    devices: list[Device] = []
    for kind, count, functions in (
        ("nic", shape.nics, shape.nic_functions),
        ("gpu", shape.gpus, 1),
    ):
        for number in range(count):
            node = number * _with_pcpus(shape) // count
            bus = len(devices)
            if bus > 255:
                raise InputError("host shape", "nics and gpus", "are more than 256 in all")
            devices.append(
                Device(
                    address=f"0000:{bus:02x}:00.0",
                    kind=kind,
                    nodes=frozenset({node}),
                    functions=functions,
                )
            )
    return devices
