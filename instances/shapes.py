"""Hosts as counts: sockets, nodes, cores, memory, and how far apart they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from math import isqrt
from typing import Annotated, ClassVar

from numaplace.models.errors import InputError, check_int
from numaplace.models.fields import Bound, checked
from numaplace.models.topology import (
    DISTANCE_MAX,
    NODES_MAX,
    PCPUS_MAX,
    Device,
    Host,
    Mib,
    NumaNode,
    PCpu,
)
from numaplace.models.units import SLIT_LOCAL


class Fabric(StrEnum):
    """How sockets are wired: each to each, in a ring, or in a grid."""

    FULL = "full"
    RING = "ring"
    MESH = "mesh"


Count = Annotated[int, Bound(1, NODES_MAX)]
Away = Annotated[int, Bound(SLIT_LOCAL, DISTANCE_MAX)]
Cards = Annotated[int, Bound(0, 256)]


@dataclass(frozen=True, slots=True)
class HostShape:
    """The shape of a host whose sockets are all equal; distances are SLIT values (10 = local)."""

    THING: ClassVar[str] = "host shape"

    sockets: Annotated[Count, "Packages."] = 2
    nodes_per_socket: Annotated[Count, "Nodes with pCPUs."] = 1
    cores_per_node: Annotated[Count, "Cores of such a node."] = 8
    threads_per_core: Annotated[int, Bound(1, 8), "pCPUs of a core."] = 1
    node_mib: Annotated[Mib, "Memory of each node, and"] = 32768
    reserved_mib: Annotated[Mib, "the part of it kept for the hypervisor."] = 0
    near: Annotated[Away, "Distance to another node of the socket,"] = 12
    far: Annotated[Away, "to the next socket, and"] = 21
    hop: Annotated[int, Bound(0, 1000), "what each further socket on the way adds."] = 10
    fabric: Annotated[Fabric, "How the sockets are wired."] = Fabric.FULL
    memory_only_nodes: Annotated[
        int, Bound(0, NODES_MAX), "Nodes without pCPUs (CXL), one after another on sockets 0, 1..."
    ] = 0
    memory_only_mib: Annotated[Mib, "Memory of each of them."] = 65536
    memory_only_distance: Annotated[
        Away, "From them to the nodes of their socket; to others, half of `far` is added."
    ] = 17
    nics: Annotated[Cards, "Network cards, spread evenly over the nodes with pCPUs."] = 0
    nic_functions: Annotated[int, Bound(1, 65536), "Functions of each."] = 8
    gpus: Annotated[Cards, "GPUs, spread as the network cards."] = 0
    cores_per_llc: Annotated[
        int | None, Bound(1, PCPUS_MAX), "Cores that share a last-level cache; None: unknown."
    ] = None
    bandwidth_mbps: Annotated[int | None, "Memory bandwidth of a node; None: unknown."] = None
    vcpu_overcommit: Annotated[float, "As in `Host`."] = 1.0
    smt_yield: Annotated[float, "As in `Host`."] = 1.25

    def __post_init__(self) -> None:
        thing = checked(self)
        check_int(thing, "number of nodes", self.num_nodes, 1, NODES_MAX)
        threads = self.cores_per_node * self.threads_per_core
        pcpus = self.sockets * self.nodes_per_socket * threads
        check_int(thing, "number of pCPUs", pcpus, 1, PCPUS_MAX)

    @property
    def num_nodes(self) -> int:
        """Nodes with and without pCPUs."""
        return self.sockets * self.nodes_per_socket + self.memory_only_nodes


FAR = 21
_SHAPE = re.compile(r"([0-9]{1,4})x([0-9]{1,5})x([0-9]{1,7})", re.ASCII)


def parse_shape(text: str, *, threads_per_core: int = 1) -> HostShape | None:
    """Return the shape of a text like ``2x48x192``: nodes, and pCPUs and GiB of each.

    None if it is no such text; `InputError` if one of the three is 0, or cores are not whole.
    """
    sized = _SHAPE.fullmatch(text)
    if not sized:
        return None
    nodes, pcpus, gib = map(int, sized.groups())
    if not nodes or not pcpus or not gib:
        raise InputError("hosts", f"{text!r:.80}", "nodes, pCPUs and GiB must be at least 1")
    if pcpus % threads_per_core:
        raise InputError("hosts", f"{text!r:.80}", f"pCPUs are not cores of {threads_per_core}")
    return HostShape(
        sockets=nodes,
        cores_per_node=pcpus // threads_per_core,
        threads_per_core=threads_per_core,
        node_mib=gib * 1024,
    )


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
    if shape.nics + shape.gpus > 256:
        raise InputError("host shape", "nics and gpus", "are more than 256 in all")
    kinds = (("nic", shape.nics, shape.nic_functions), ("gpu", shape.gpus, 1))
    wanted = [
        (kind, number * _with_pcpus(shape) // count, functions)
        for kind, count, functions in kinds
        for number in range(count)
    ]
    return [
        Device(f"0000:{bus:02x}:00.0", kind, frozenset({node}), functions)
        for bus, (kind, node, functions) in enumerate(wanted)
    ]
