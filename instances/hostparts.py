"""What every host reader needs: numbering of cores, page pools, matrices, the finished host.

Firmware (the HMAT) tells how fast each memory is for the CPUs next to it and mostly no more. What
is missing is the latency of the nearest pair that is told and the way there: the distance (SLIT)
beyond local, in the initiator's own local latency.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from numaplace.instances.files import STDIN
from numaplace.instances.hostmemory import Free, HostReading, gpu_nodes
from numaplace.instances.ranges import format_ids
from numaplace.models.errors import NAME_LENGTH_MAX, InputError, check_int
from numaplace.models.topology import DISTANCE_MAX, NODES_MAX, Device, Host, Matrix, NumaNode, PCpu
from numaplace.models.units import SLIT_LOCAL

REMOTE_ASSUMED = 2 * SLIT_LOCAL
"""Distance between two nodes where a source tells none: what Linux assumes as well."""

THREADS_MAX = 256
"""The most threads that a list of siblings may give one core (real ones have up to 8)."""

_SUFFIXES = (".bz2", ".gz", ".xz", ".tar", ".tgz", ".tbz2", ".txz", ".xml", ".json", ".txt")


@dataclass(frozen=True, slots=True)
class CpuFacts:
    """A hardware thread as a source describes it.

    `core` and `llc` are anything that is equal for threads of one core (of one last-level cache)
    and different for all others on the host; an `llc` of None is unknown.
    """

    id: int
    node: int
    core: Hashable
    socket: int = 0
    llc: Hashable = None


def default_name(path: Path) -> str:
    """Return the host's name where the file tells none: the file's name without endings."""
    if path == STDIN:
        return "stdin"
    name = path.resolve().name or "host"
    while name.lower().endswith(_SUFFIXES) and "." in name[1:]:
        name = name.rpartition(".")[0]
    return name[:NAME_LENGTH_MAX]


def pcpus_by_node(cpus: Iterable[CpuFacts]) -> dict[int, tuple[PCpu, ...]]:
    """Return each node's pCPUs in ascending order, with cores and caches numbered from 0."""
    ordered = sorted(cpus, key=lambda cpu: cpu.id)
    cores: dict[Hashable, int] = {}
    caches: dict[Hashable, int] = {}
    nodes: dict[int, list[PCpu]] = {}
    for cpu in ordered:
        core = cores.setdefault(cpu.core, len(cores))
        llc = None if cpu.llc is None else caches.setdefault(cpu.llc, len(caches))
        nodes.setdefault(cpu.node, []).append(PCpu(cpu.id, core, cpu.socket, llc))
    return {node: tuple(pcpus) for node, pcpus in nodes.items()}


def sized_node(
    number: int,
    memory_mib: int,
    huge: Mapping[int, int],
    notes: list[str],
    socket: int | None = None,
) -> NumaNode:
    """Return a node without pCPUs, its huge pages in the pools that VMs know.

    `huge` has how many huge pages it has, by size in KiB; those of other sizes count as reserved
    memory, with a note.
    """
    other_kib = sum(kib * count for kib, count in huge.items() if kib not in (2048, 1048576))
    reserved_mib = -(-other_kib // 1024)
    if reserved_mib:
        told = f"{reserved_mib} MiB in pages other than 2M and 1G count as reserved"
        notes.append(f"node {number}: {told}")
    return NumaNode(
        number,
        memory_mib=memory_mib,
        reserved_mib=reserved_mib,
        pages_2m=huge.get(2048, 0),
        pages_1g=huge.get(1048576, 0),
        socket=socket,
    )


def without_base(counts: Mapping[int, int]) -> dict[int, int]:
    """Return counts by page size without the smallest size, whose pool is what others leave."""
    return {size: count for size, count in counts.items() if size > min(counts)}


def finish_host(
    name: str,
    nodes: Iterable[NumaNode],
    notes: Sequence[str],
    *,
    distances: Pairs | None = None,
    latency_ns: Pairs | None = None,
    bandwidth_mbps: Pairs | None = None,
    devices: Iterable[Device] = (),
    free: Mapping[int, Free] | None = None,
    gpu: Mapping[int, bool] | None = None,
) -> HostReading:
    """Put the parts of a host together; pairs (initiator, target) of other nodes are left out.

    Unknown distances become 10 (local) and 20 (elsewhere), with a note, and unknown latencies what
    `latency.complete_latency` makes of them. A node's bandwidth is what it has to itself; without
    pCPUs, the best that any initiator has to it. `free` and `gpu` are what is free on each node,
    and whether its memory is a GPU's, as far as that is told. `InputError` if the parts make no
    valid host.
    """
    devices = sorted(devices, key=lambda device: device.address)
    homeless = sum(not device.nodes for device in devices)
    remarks = [*notes, *[f"the node of {homeless} PCI devices is not told"] * bool(homeless)]
    bandwidth = dict(bandwidth_mbps or {})
    nodes = list(nodes)  # checked here, as what follows takes time with the square of it
    check_int(f"host {name!r:.80}", "number of nodes", len(nodes), 0, NODES_MAX)
    ordered = [_with_bandwidth(n, bandwidth) for n in sorted(nodes, key=lambda n: n.id)]
    ids = [node.id for node in ordered]
    if not any(node.pcpus for node in ordered):
        raise InputError(f"host {name!r:.80}", "pcpus", "has no CPU that may be used")
    known = dict(distances or {})
    of_gpus = gpu_nodes(ordered, known, gpu or {})
    remarks += _assumed_distances(ids, known)
    for a in ids:
        for b in ids:
            known.setdefault((a, b), SLIT_LOCAL if a == b else REMOTE_ASSUMED)
    latency, told = complete_latency(ordered, latency_ns or {}, known)
    host = Host(
        name=name,
        nodes=tuple(ordered),
        distances=_matrix(ids, known),
        latency_ns=_matrix(ids, latency),
        bandwidth_mbps=_matrix(ids, bandwidth),
        devices=tuple(devices),
    )
    return HostReading(host, (*remarks, *told), dict(free or {}), of_gpus)


def _with_bandwidth(node: NumaNode, bandwidth: Pairs) -> NumaNode:
    best = bandwidth.get((node.id, node.id), 0.0)
    if not node.pcpus:
        best = max((value for (_, to), value in bandwidth.items() if to == node.id), default=0)
    if best < 1 or node.bandwidth_mbps is not None:
        return node
    return replace(node, bandwidth_mbps=round(best))


def _assumed_distances(ids: Sequence[int], known: Pairs) -> list[str]:
    if len(ids) == 1:
        return []
    missing = {a for a in ids for b in ids if a != b and (a, b) not in known}
    if not missing:
        return []
    who = "the nodes" if missing == set(ids) else f"nodes {format_ids(missing)} and the others"
    return [f"distances between {who} are not all told: {REMOTE_ASSUMED} is assumed where missing"]


def _matrix(ids: Sequence[int], known: Pairs) -> Matrix:
    rows = tuple(tuple(float(known.get((a, b), 0)) for b in ids) for a in ids)
    return rows if any(value for row in rows for value in row) else ()


Pairs = Mapping[tuple[int, int], float]
_WAYS_MAX = 16  # initiators told for one target that are tried; a bound on time


def complete_latency(
    nodes: Sequence[NumaNode], told: Pairs, distances: Pairs
) -> tuple[dict[tuple[int, int], float], list[str]]:
    """Return latencies of all pairs but a CPU-less node's own, and a remark if some were missing.

    `told` are in ns by (initiator, target), `distances` the SLIT of all pairs.
    """
    ids = [node.id for node in nodes]
    there = set(ids)
    homes = [node.id for node in nodes if node.pcpus]
    known = {(a, b): ns for (a, b), ns in told.items() if ns > 0 and a in there and b in there}
    local = {n: known[n, n] for n in homes if (n, n) in known}
    if not known:
        return {}, []
    if not local:
        return {}, ["no node's latency to its own memory is told: distances are used instead"]
    full = known | {(n, n): local.get(n, min(local.values())) for n in homes}

    def hop(a: int, b: int) -> float:
        if (a, b) in known:
            return max(0.0, known[a, b] - full[a, a])
        return full[a, a] * max(0.0, distances[a, b] / SLIT_LOCAL - 1)

    for b in ids:
        sources = sorted((a for a in homes if (a, b) in known), key=lambda a: known[a, b])
        for a in homes:
            if (a, b) not in full:
                ways = [known[c, b] + hop(a, c) for c in sources[:_WAYS_MAX]]
                full[a, b] = min(ways, default=full[a, a] + hop(a, b))
    for a in sorted(there - set(homes)):  # what has no CPUs sends through the nearest that has
        nearest = min(homes, key=lambda home: full[home, a])
        for b in ids:
            if a != b and (a, b) not in full:
                way = full[nearest, a] + full[nearest, b] - full[nearest, nearest]
                full[a, b] = full[b, a] if b in homes else way
    full = {pair: min(round(ns, 3), DISTANCE_MAX) for pair, ns in full.items()}
    missing, pairs = sum((a, b) not in known for a in homes for b in ids), len(homes) * len(ids)
    if not missing:
        return full, []
    note = f"latency is told for {pairs - missing} of {pairs} pairs of CPUs' nodes and memory"
    return full, [f"{note}: the others are worked out from it and the distances"]
