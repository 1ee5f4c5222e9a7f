"""Hosts from hwloc's XML (``lstopo host.xml``), versions 1, 2 and 3.

Format: hwloc's ``doc/hwloc.doxy`` ("XML import/export") and ``hwloc2.dtd``. From version 2 NUMA
nodes are leaves beside the CPUs they are local to; in version 1 they enclose them. Either way a
CPU belongs to the node with the smallest CPU set that holds it, the lowest number deciding
between equals (fast memory has higher numbers than the DRAM beside it).

Told are cores, caches, memory, pages, distances, HMAT and devices, not what memory is free, nor
which functions of a device are virtual.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

from numaplace.instances.files import read_text
from numaplace.instances.formats.format import Format, one_host
from numaplace.instances.formats.hwloc.objects import (
    HwlocObjects,
    HwlocUnit,
    Pci,
    find_objects,
    fold_virtual,
    mask_of,
)
from numaplace.instances.formats.hwloc.values import NodeIndex, read_distances, read_memattrs
from numaplace.instances.hostmemory import HostReading
from numaplace.instances.hostparts import (
    CpuFacts,
    default_name,
    finish_host,
    pcpus_by_node,
    sized_node,
    without_base,
)
from numaplace.instances.ranges import format_ids, ids_of
from numaplace.instances.reading import naming_file
from numaplace.instances.xmlfile import at_element, attribute, error_at, parse_xml, whole_attribute
from numaplace.models.topology import MIB_MAX, Device, NumaNode, PCpu

_BYTES_MAX = MIB_MAX * 2**20


def sniff(head: str, path: Path) -> bool:
    """Tell whether a file that starts with `head` looks like hwloc XML."""
    return "<topology" in head and ("hwloc" in head or 'type="Machine"' in head)


@naming_file
def read_host(path: Path) -> HostReading:
    """Read a host from hwloc XML; `InputError` if there is none.

    CPUs and memory that hwloc was not allowed to use are left out, with a note.
    """
    root = parse_xml(read_text(path), str(path), roots=("topology",))
    machine = root.find("object")
    if machine is None:
        raise error_at(root, "", "has no <object> in it")
    if attribute(machine, "type") not in ("Machine", "System"):
        raise error_at(machine, "type", f"is {machine.get('type')!r:.40}, must be Machine")
    found = find_objects(machine)
    notes: list[str] = []
    units = _allowed_units(machine, found, notes)
    owner = _owners(units, found, notes)
    nodes = _nodes(machine, found, pcpus_by_node(_facts(units, owner)), notes)
    index = NodeIndex(
        by_gp={m.element.get("gp_index"): m.id for m in found.memories.values()},
        in_order=tuple(found.memories),
        pcpus={key: sum(1 << p.id for p in node.pcpus) for key, node in nodes.items()},
    )
    distances = read_distances(root, machine, index, notes)
    latency, bandwidth = read_memattrs(root, index, notes)
    devices = _on_nodes(fold_virtual(found.devices, notes), nodes)
    return finish_host(
        _host_name(root) or default_name(path),
        nodes.values(),
        notes + _device_notes(found),
        distances=distances,
        latency_ns=latency,
        bandwidth_mbps=bandwidth,
        devices=devices,
        gpu={
            memory.id: memory.element.get("subtype") == "GPUMemory"
            for memory in found.memories.values()
            if memory.element.get("subtype")
        },
    )


def _allowed_units(machine: Element, found: HwlocObjects, notes: list[str]) -> list[HwlocUnit]:
    allowed = set(found.units)
    for name in ("allowed_cpuset", "online_cpuset"):
        mask = mask_of(machine, name, universe=found.units)
        allowed &= allowed if mask is None else ids_of(mask)
    told = ids_of(mask_of(machine, "complete_cpuset", universe=found.units) or 0)
    left_out = (told | set(found.units)) - allowed
    if left_out:
        notes.append(f"CPUs {format_ids(left_out)} are offline or not allowed: left out")
    return [unit for unit in found.units.values() if unit.id in allowed]


def _owners(units: list[HwlocUnit], found: HwlocObjects, notes: list[str]) -> dict[int, int]:
    """Return the node of each unit, by unit; those without one are noted and absent."""
    ranked = sorted(found.memories.values(), key=lambda m: (m.cpuset.bit_count(), m.id))
    homeless = sum(1 << unit.id for unit in units)
    owner: dict[int, int] = {}
    for memory in ranked:
        owner.update(dict.fromkeys(ids_of(memory.cpuset & homeless), memory.id))
        homeless &= ~memory.cpuset
    nowhere: list[int] = []
    for unit in units:
        if not found.memories:
            owner[unit.id] = 0
        elif unit.id not in owner and unit.complete_nodeset.bit_count() == 1:
            owner[unit.id] = unit.complete_nodeset.bit_length() - 1
        elif unit.id not in owner:
            nowhere.append(unit.id)
    if nowhere:
        notes.append(f"CPUs {format_ids(nowhere)} are local to no single node: left out")
    return owner


def _facts(units: Iterable[HwlocUnit], owner: dict[int, int]) -> list[CpuFacts]:
    return [
        CpuFacts(
            id=unit.id,
            node=owner[unit.id],
            core=unit.key if unit.above.core is None else unit.above.core,
            socket=owner[unit.id] if unit.above.socket is None else unit.above.socket,
            llc=unit.above.llc,
        )
        for unit in units
        if unit.id in owner
    ]


def _nodes(
    machine: Element, found: HwlocObjects, cpus: dict[int, tuple[PCpu, ...]], notes: list[str]
) -> dict[int, NumaNode]:
    """Join the nodes' memory and CPUs; either may be missing."""
    allowed_nodes = mask_of(machine, "allowed_nodeset", universe=found.memories)
    nodes = _memory_nodes(machine, found, allowed_nodes, notes)
    for missing in set(cpus) - set(nodes):
        nodes[missing] = NumaNode(missing)
    nodes = {key: replace(node, pcpus=cpus.get(key, ())) for key, node in nodes.items()}
    bare = {key for key, node in nodes.items() if not node.memory_mib}
    for key in sorted(bare & set(cpus)):
        notes.append(f"node {key} has CPUs, but no memory that may be used")
    nodes = {key: node for key, node in nodes.items() if key in cpus or key not in bare}
    told = ids_of(mask_of(machine, "complete_nodeset", universe=nodes) or 0) | bare
    if told - set(nodes):
        listed = format_ids(told - set(nodes))
        notes.append(f"nodes {listed} are offline, not allowed or empty: left out")
    return nodes


def _memory_nodes(
    machine: Element, found: HwlocObjects, allowed: int | None, notes: list[str]
) -> dict[int, NumaNode]:
    if not found.memories:
        notes.append("no NUMA node is told: the machine is taken as node 0")
        return {0: _memory_node(machine, 0, None, notes)}
    nodes: dict[int, NumaNode] = {}
    for memory in found.memories.values():
        if allowed is not None and not allowed >> memory.id & 1:
            nodes[memory.id] = NumaNode(memory.id, socket=memory.socket)
        else:
            nodes[memory.id] = _memory_node(memory.element, memory.id, memory.socket, notes)
    return nodes


def _memory_node(element: Element, number: int, socket: int | None, notes: list[str]) -> NumaNode:
    told = bool(element.get("local_memory"))
    local = whole_attribute(element, "local_memory", 0, _BYTES_MAX) if told else 0
    counts: dict[int, int] = {}
    for page_type in element.findall("page_type"):
        size = whole_attribute(page_type, "size", 1, _BYTES_MAX) // 1024
        counts[size] = whole_attribute(page_type, "count", 0, _BYTES_MAX)
    with at_element(element):
        return sized_node(number, local // 2**20, without_base(counts), notes, socket)


def _on_nodes(found: Iterable[Pci], nodes: dict[int, NumaNode]) -> list[Device]:
    exist = sum(1 << number for number in nodes)
    return [replace(pci.device, nodes=ids_of(pci.nodeset & exist)) for pci in found]


def _device_notes(found: HwlocObjects) -> list[str]:
    notes: list[str] = []
    if found.skipped_devices:
        notes.append(f"{found.skipped_devices} PCI devices of kinds VMs do not ask for: left out")
    if found.side_caches:
        notes.append(f"{found.side_caches} memory-side caches are not modelled: left out")
    return notes


def _host_name(root: Element) -> str | None:
    for info in root.iter("info"):
        if info.get("name") == "HostName" and info.get("value", "").strip():
            return info.get("value")
    return None


HWLOC_XML = Format(
    *("hwloc-xml", "hwloc's lstopo --of xml", __doc__), sniff=sniff, read_hosts=one_host(read_host)
)
