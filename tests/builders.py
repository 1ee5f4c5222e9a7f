"""Small hosts and VMs for tests, in one line each."""

from __future__ import annotations

from numaplace.models.instance import Instance
from numaplace.models.relations import Cooperation
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.vm import Vm

SLIT_2 = ((10.0, 20.0), (20.0, 10.0))


def make_node(
    node: int,
    *,
    cores: int = 4,
    threads: int = 1,
    memory_mib: int = 4096,
    socket: int | None = None,
) -> NumaNode:
    """Return a node whose pCPU and core ids follow from its own id."""
    pcpus = tuple(
        PCpu(1000 * node + t, 1000 * node + t // threads, node if socket is None else socket, node)
        for t in range(cores * threads)
    )
    return NumaNode(node, pcpus, memory_mib)


def make_host(name: str = "host", nodes: int = 2, *, distance: float = 20.0, **node: int) -> Host:
    """Return a host of equal nodes, all at the same distance from each other."""
    slit = tuple(tuple(10.0 if a == b else distance for b in range(nodes)) for a in range(nodes))
    return Host(name, tuple(make_node(n, **node) for n in range(nodes)), slit)


def make_instance(*vms: Vm, host: Host | None = None, **more: object) -> Instance:
    """Return an instance with one host (two nodes of 4 cores and 4096 MiB unless given)."""
    return Instance((host or make_host(),), vms, **more)  # type: ignore[arg-type]


def crowd(count: int) -> Instance:
    """Return 8 nodes in which `count` VMs, each talking to the next three, are a hard problem."""
    vms = [Vm(f"vm{i}", 1 + i % 5, 512) for i in range(count)]
    pairs = [
        Cooperation(f"vm{i}", f"vm{(i + k) % count}", 0.5 + (i * k) % 7 / 5)
        for i in range(count)
        for k in (1, 2, 3)
    ]
    host = make_host(nodes=8, cores=16, memory_mib=16384)
    return make_instance(*vms, host=host, cooperations=tuple(pairs))
