"""Small random hosts for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numaplace.models.topology import Device, Host, Matrix, NumaNode, PCpu
from numaplace.tests.choices import Choices, chance, of

UNIT_MIB = 256


def random_host(c: Choices, name: str, max_nodes: int, features: frozenset[str]) -> Host:
    """Return a host of 1 to `max_nodes` nodes."""
    size = c.integer(1, max_nodes)
    nodes: list[NumaNode] = []
    next_id = 0
    first_pcpu = 0
    for position in range(size):
        next_id += chance(c, 15 * ("gaps" in features))
        nodes.append(_node(c, next_id, position, first_pcpu, features))
        next_id += 1
        first_pcpu += 16 if chance(c, 30 * ("gaps" in features)) else nodes[-1].threads
    return Host(
        name=name,
        nodes=tuple(nodes),
        distances=_distances(c, size, features),
        latency_ns=_latency(c, nodes) if chance(c, 25 * ("latency" in features)) else (),
        bandwidth_mbps=_square(size, lambda a, b: 4000.0 if a == b else 0.0)
        if chance(c, 15 * ("bandwidth" in features))
        else (),
        devices=tuple(_devices(c, nodes)) if "devices" in features else (),
        vcpu_overcommit=of(c, (1.0, 1.5, 2.0)) if "overcommit" in features else 1.0,
        smt_yield=of(c, (1.25, 1.0, 1.6, 2.0)) if "smt" in features else 1.25,
        network_factor=of(c, (20.0, 4.0)) if "network" in features else 20.0,
    )


def _node(c: Choices, node_id: int, position: int, pcpu: int, features: frozenset[str]) -> NumaNode:
    bare = position > 0 and chance(c, 20 * ("bare" in features))
    memory_only = bare and chance(c, 60)
    smt = chance(c, 40 * ("smt" in features))
    per_core = 2 if smt else 1
    threads = 0 if memory_only else of(c, (4, 6, 3, 2, 1)) * per_core
    llcs = c.integer(0, 2) if "llc" in features else 0
    pcpus = tuple(
        PCpu(
            id=pcpu + t,
            core=pcpu + t // per_core,
            socket=position // 2,
            llc=pcpu + t // per_core % llcs if llcs else None,
        )
        for t in range(threads)
    )
    no_memory = bare and not memory_only
    huge_2m = 128 * c.integer(0, 4) if chance(c, 30 * ("pages" in features)) else 0
    huge_1g = c.integer(0, 2) if chance(c, 15 * ("pages" in features)) else 0
    reserved = 128 if chance(c, 20 * ("reserved" in features)) else 0
    small = of(c, (4, 6, 8, 10, 3, 2, 1)) * UNIT_MIB
    return NumaNode(
        id=node_id,
        pcpus=pcpus,
        memory_mib=0 if no_memory else small + reserved + 2 * huge_2m + 1024 * huge_1g,
        reserved_mib=0 if no_memory else reserved,
        pages_2m=0 if no_memory else huge_2m,
        pages_1g=0 if no_memory else huge_1g,
        bandwidth_mbps=of(c, (2000, 5000)) if chance(c, 40 * ("bandwidth" in features)) else None,
        socket=position // 2 if memory_only and chance(c, 50) else None,
    )


def _square(size: int, value: Callable[[int, int], float]) -> Matrix:
    return tuple(tuple(value(a, b) for b in range(size)) for a in range(size))


def _distances(c: Choices, size: int, features: frozenset[str]) -> Matrix:
    kind = c.integer(0, 2) if "distances" in features else 0
    if kind == 0:
        return ()
    drawn = _square(size, lambda a, b: 10.0 if a == b else of(c, (20.0, 12.0, 15.0, 21.0, 32.0)))
    return drawn if kind == 2 else _square(size, lambda a, b: drawn[min(a, b)][max(a, b)])


def _latency(c: Choices, nodes: Sequence[NumaNode]) -> Matrix:
    """Latency as firmware gives it: nothing from nodes without pCPUs, a value or two missing."""

    def value(a: int, b: int) -> float:
        if not nodes[a].pcpus:
            return 0.0
        return 80.0 if a == b else of(c, (120.0, 95.0, 160.0, 0.0))

    return _square(len(nodes), value)


def _devices(c: Choices, nodes: Sequence[NumaNode]) -> list[Device]:
    ids = [node.id for node in nodes]
    return [
        Device(
            address=f"0000:{number:02x}:00.0",
            kind=of(c, ("nic", "gpu")),
            nodes=of(c, (frozenset({of(c, ids)}), frozenset(ids), frozenset[int]())),
            functions=of(c, (2, 3, 4, 1, 0)),
            vendor_product=of(c, (None, "8086:1572")),
            pcie_root=of(c, (None, "0000:00")),
        )
        for number in range(of(c, (2, 1, 0)))
    ]
