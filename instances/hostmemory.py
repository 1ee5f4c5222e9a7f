"""What a host reader hands back, and what of its memory VMs get: all or free, of GPUs or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from numaplace.instances.ranges import format_ids
from numaplace.instances.reading import Reading
from numaplace.models.errors import InputError
from numaplace.models.topology import Device, Host, Matrix, NumaNode

_GPU_DISTANCE = 80
"""NVIDIA's firmware puts a GPU's memory that far from the nearest CPUs (POWER9, Grace)."""

_GPU_ID = 240
"""Linux on POWER9 numbers nodes of GPU memory from 255 down."""


@dataclass(frozen=True, slots=True)
class Free:
    """What nobody holds on a node: memory in all, huge pages included, and those pages."""

    mib: int
    pages_2m: int = 0
    pages_1g: int = 0


@dataclass(frozen=True, slots=True)
class HostReading(Reading[Host]):
    """A host as a file tells it, with all its memory."""

    free: Mapping[int, Free] = field(default_factory=dict)  # now, by node id, if the file tells it
    gpu_nodes: frozenset[int] = frozenset()  # ids of nodes whose memory is a GPU's
    held: str = ""  # remark on reserved memory; of no interest to who wants what is free


def gpu_nodes(
    nodes: list[NumaNode], distances: Mapping[tuple[int, int], float], told: Mapping[int, bool]
) -> frozenset[int]:
    """Return the ids of nodes of GPU memory: as `told`, else far from all CPUs as no other is."""
    homes = [node.id for node in nodes if node.pcpus]

    def looks_so(number: int) -> bool:
        known = [distances[home, number] for home in homes if (home, number) in distances]
        return min(known) >= _GPU_DISTANCE if known else _GPU_ID <= number < 256

    bare = (node.id for node in nodes if not node.pcpus)
    return frozenset(n for n in bare if (told[n] if n in told else looks_so(n)))


def as_asked(reading: HostReading, *, free: bool, gpu_memory: bool) -> Reading[Host]:
    """Return the host with the memory that is wanted, and remarks that tell which was taken.

    `InputError` if free memory is wanted and not told.
    """
    host, notes = reading.item, [*reading.notes, *[reading.held] * bool(reading.held and not free)]
    if reading.gpu_nodes:
        gone = frozenset() if gpu_memory else reading.gpu_nodes
        host = _without(host, gone)
        what = "left out (--gpu-memory keeps them)" if gone else "VMs may get it"
        notes.append(f"nodes {format_ids(reading.gpu_nodes)} are memory of GPUs: {what}")
    if free and not reading.free:
        reason = "is not told by this file: 'free' cannot be had"
        raise InputError(f"host {host.name!r:.80}", "memory", reason)
    if reading.free:
        kept = [reading.free[node.id].mib for node in host.nodes if node.id in reading.free]
        now, whole = sum(kept), sum(node.memory_mib for node in host.nodes)
        if free:
            host = replace(host, nodes=tuple(_with(n, reading.free.get(n.id)) for n in host.nodes))
            notes.append(
                f"memory is what is free now ({now} of {whole} MiB), for plans without the VMs that"
                " run already"
            )
        elif now < whole:
            notes.append(
                f"memory is all there is ({whole} MiB), for plans with the VMs that run already;"
                f" --memory free takes what is free now ({now} MiB)"
            )
    return Reading(host, tuple(notes))


def _with(node: NumaNode, free: Free | None) -> NumaNode:
    if free is None:
        return node
    mib = min(free.mib, node.memory_mib)
    return replace(
        node, memory_mib=mib, reserved_mib=0, pages_2m=free.pages_2m, pages_1g=free.pages_1g
    )


def _without(host: Host, gone: frozenset[int]) -> Host:
    """Leave nodes out; a device that is local to them alone is local to those next to them."""
    if not gone:
        return host
    kept = [index for index, node in enumerate(host.nodes) if node.id not in gone]

    def part(matrix: Matrix) -> Matrix:
        return tuple(tuple(matrix[a][b] for b in kept) for a in kept) if matrix else ()

    def near(device: Device) -> Device:
        rows = [host.relative[host.position[node]] for node in device.nodes]
        if not device.nodes & gone:
            return device
        least = min(row[b] for row in rows for b in kept)
        nearest = {host.nodes[b].id for b in kept if min(row[b] for row in rows) == least}
        return replace(device, nodes=(device.nodes - gone) or frozenset(nearest))

    return replace(
        host,
        nodes=tuple(host.nodes[index] for index in kept),
        distances=part(host.distances),
        latency_ns=part(host.latency_ns),
        bandwidth_mbps=part(host.bandwidth_mbps),
        devices=tuple(near(device) for device in host.devices),
    )
