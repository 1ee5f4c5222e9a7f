"""Hosts from hwloc's XML (``lstopo host.xml``), versions 1, 2 and 3.

Format: hwloc's ``doc/hwloc.doxy`` ("XML import/export") and ``hwloc2.dtd``. From version 2 NUMA
nodes are leaves beside the CPUs they are local to; in version 1 they enclose them. Either way a
CPU belongs to the node with the smallest CPU set that holds it, the lowest number deciding
between equals (fast memory has higher numbers than the DRAM beside it).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree.ElementTree import Element

from numaplace.instances.files import read_text
from numaplace.instances.formats.hwloc.pci import Pci, fold_virtual, read_pci
from numaplace.instances.formats.hwloc.values import NodeIndex, read_distances, read_memattrs
from numaplace.instances.hostmemory import HostReading
from numaplace.instances.hostparts import (
    CpuFacts,
    default_name,
    finish_host,
    huge_pools,
    other_pages_note,
    pcpus_by_node,
)
from numaplace.instances.ranges import format_ids, ids_of, parse_bits
from numaplace.instances.reading import located
from numaplace.instances.xmlfile import (
    attribute,
    error_at,
    file_of,
    line_of,
    parse_xml,
    whole_attribute,
)
from numaplace.models.errors import InputError
from numaplace.models.topology import MIB_MAX, NODES_MAX, PCPUS_MAX, Device, NumaNode, PCpu

_BYTES_MAX = MIB_MAX * 2**20
_IO_TYPES = {"Bridge", "PCIDev", "OSDev"}
_PACKAGES = {"Package", "Socket"}
_CACHE = re.compile(r"L([2-9])(?:u|Unified)?Cache", re.ASCII)
_BUSES = re.compile(r"([0-9a-f]{4,8}):\[([0-9a-f]{2})-", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Above:
    """What the objects above one tell about it; sets are integers, bit by bit."""

    socket: int | None = None
    core: int | None = None
    llc: int | None = None
    nodeset: int = 0
    is_machine: bool = True
    pcie_root: str | None = None
    bridge: int = 0


@dataclass(frozen=True, slots=True)
class _Unit:
    """A processing unit (hardware thread) and where it stands."""

    id: int
    above: _Above
    key: int
    complete_nodeset: int


@dataclass(frozen=True, slots=True)
class _Memory:
    """A NUMA node object."""

    element: Element
    id: int
    cpuset: int
    socket: int | None


@dataclass(slots=True)
class _Found:
    """Everything a walk over the tree collects, in document order."""

    units: dict[int, _Unit] = field(default_factory=dict)
    memories: dict[int, _Memory] = field(default_factory=dict)
    devices: list[Pci] = field(default_factory=list)
    skipped_devices: int = 0
    side_caches: int = 0


def sniff(head: str, path: Path) -> bool:
    """Tell whether a file that starts with `head` looks like hwloc XML."""
    return "<topology" in head and ("hwloc" in head or 'type="Machine"' in head)


def read_host(path: Path, name: str | None = None) -> HostReading:
    """Read a host from hwloc XML.

    CPUs and memory that hwloc was not allowed to use are left out, with a note.

    Raises
    ------
    InputError
        If the file is no hwloc XML or describes no valid host.
    """
    with located(str(path)):
        return _host(path, name)


def _host(path: Path, name: str | None) -> HostReading:
    root = parse_xml(read_text(path), str(path), roots=("topology",))
    machine = root.find("object")
    if machine is None:
        raise error_at(root, "", "has no <object> in it")
    if attribute(machine, "type") not in ("Machine", "System"):
        raise error_at(machine, "type", f"is {machine.get('type')!r:.40}, must be Machine")
    found = _Found()
    _walk(machine, _Above(), found)
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
        name or _host_name(root) or default_name(path),
        nodes.values(),
        notes + _device_notes(found, devices),
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


def _walk(element: Element, above: _Above, found: _Found) -> None:
    kind = attribute(element, "type")
    if kind == "PU":
        _add_unit(element, above, found)
        return
    if kind == "NUMANode":
        _add_memory(element, above, found)
    if kind in _IO_TYPES:
        above = _below_io(element, kind, above, found)
    elif element.get("nodeset") is not None:
        above = replace(above, nodeset=_mask(element, "nodeset") or 0)
        above = replace(above, is_machine=kind in ("Machine", "System"))
    if kind in _PACKAGES:
        above = replace(above, socket=whole_attribute(element, "os_index"))
    elif kind == "Core":
        above = replace(above, core=id(element))
    elif kind == "MemCache":
        found.side_caches += 1
    elif above.llc is None and _shared_cache(element, kind):
        above = replace(above, llc=id(element))
    for below in element.findall("object"):
        _walk(below, above, found)


def _shared_cache(element: Element, kind: str) -> bool:
    """Tell whether this is a CPU cache of level 2 or higher; the outermost counts."""
    if kind == "Cache":  # hwloc 1
        return whole_attribute(element, "depth") >= 2 and element.get("cache_type") != "2"
    return _CACHE.fullmatch(kind) is not None and element.get("subtype") != "MemorySideCache"


def _add_unit(element: Element, above: _Above, found: _Found) -> None:
    number = whole_attribute(element, "os_index")
    if number in found.units:
        raise error_at(element, "os_index", f"PU {number} occurs twice")
    if len(found.units) >= PCPUS_MAX:
        raise error_at(element, "", f"is one PU more than {PCPUS_MAX}, the most read")
    complete = _mask(element, "complete_nodeset") or 0
    found.units[number] = _Unit(number, above, id(element), complete)


def _add_memory(element: Element, above: _Above, found: _Found) -> None:
    number = whole_attribute(element, "os_index")
    if number in found.memories:
        raise error_at(element, "os_index", f"NUMANode {number} occurs twice")
    if len(found.memories) >= NODES_MAX:
        raise error_at(element, "", f"is one NUMANode more than {NODES_MAX}, the most read")
    cpuset = _mask(element, "cpuset") or 0
    found.memories[number] = _Memory(element, number, cpuset, above.socket)


def _below_io(element: Element, kind: str, above: _Above, found: _Found) -> _Above:
    if kind == "Bridge":
        above = replace(above, bridge=id(element))
        if element.get("bridge_type", "").startswith("0-"):
            match = _BUSES.match(element.get("bridge_pci", ""))
            root = f"{match[1]}:{match[2]}".lower() if match else None
            above = replace(above, pcie_root=root)
    elif kind == "PCIDev":
        unknown = above.is_machine and above.nodeset.bit_count() > 1
        nodeset = 0 if unknown else above.nodeset
        pci = read_pci(element, nodeset, above.bridge, above.pcie_root)
        if pci is None:
            found.skipped_devices += 1
        else:
            found.devices.append(pci)
    return above


def _allowed_units(machine: Element, found: _Found, notes: list[str]) -> list[_Unit]:
    allowed = set(found.units)
    for name in ("allowed_cpuset", "online_cpuset"):
        mask = _mask(machine, name, universe=found.units)
        allowed &= allowed if mask is None else ids_of(mask)
    told = ids_of(_mask(machine, "complete_cpuset", universe=found.units) or 0)
    left_out = (told | set(found.units)) - allowed
    if left_out:
        notes.append(f"CPUs {format_ids(left_out)} are offline or not allowed: left out")
    return [unit for unit in found.units.values() if unit.id in allowed]


def _owners(units: list[_Unit], found: _Found, notes: list[str]) -> dict[int, int]:
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


def _facts(units: Iterable[_Unit], owner: dict[int, int]) -> list[CpuFacts]:
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
    machine: Element, found: _Found, cpus: dict[int, tuple[PCpu, ...]], notes: list[str]
) -> dict[int, NumaNode]:
    """Join the nodes' memory and CPUs; either may be missing."""
    allowed_nodes = _mask(machine, "allowed_nodeset", universe=found.memories)
    nodes = _memory_nodes(machine, found, allowed_nodes, notes)
    for missing in set(cpus) - set(nodes):
        nodes[missing] = NumaNode(missing)
    nodes = {key: replace(node, pcpus=cpus.get(key, ())) for key, node in nodes.items()}
    bare = {key for key, node in nodes.items() if not node.memory_mib}
    for key in sorted(bare & set(cpus)):
        notes.append(f"node {key} has CPUs, but no memory that may be used")
    nodes = {key: node for key, node in nodes.items() if key in cpus or key not in bare}
    told = ids_of(_mask(machine, "complete_nodeset", universe=nodes) or 0) | bare
    if told - set(nodes):
        listed = format_ids(told - set(nodes))
        notes.append(f"nodes {listed} are offline, not allowed or empty: left out")
    return nodes


def _memory_nodes(
    machine: Element, found: _Found, allowed: int | None, notes: list[str]
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
    local = (
        whole_attribute(element, "local_memory", 0, _BYTES_MAX)
        if element.get("local_memory")
        else 0
    )
    counts: dict[int, int] = {}
    for page_type in element.findall("page_type"):
        size = whole_attribute(page_type, "size", 1, _BYTES_MAX) // 1024
        counts[size] = whole_attribute(page_type, "count", 0, _BYTES_MAX)
    # The smallest size listed is the base page, whose pool is what the others leave.
    pools = huge_pools({size: counts[size] for size in counts if size > min(counts)})
    notes += other_pages_note(number, pools)
    try:
        return NumaNode(
            number,
            memory_mib=local // 2**20,
            reserved_mib=pools.other_mib,
            pages_2m=pools.pages_2m,
            pages_1g=pools.pages_1g,
            socket=socket,
        )
    except InputError as error:
        raise error_at(element, error.field, error.reason) from None


def _on_nodes(found: Iterable[Pci], nodes: dict[int, NumaNode]) -> list[Device]:
    exist = sum(1 << number for number in nodes)
    return [replace(pci.device, nodes=ids_of(pci.nodeset & exist)) for pci in found]


def _device_notes(found: _Found, devices: list[Device]) -> list[str]:
    notes: list[str] = []
    if found.skipped_devices:
        notes.append(f"{found.skipped_devices} PCI devices of kinds VMs do not ask for: left out")
    unknown = sum(1 for device in devices if not device.nodes)
    if unknown:
        notes.append(f"the node of {unknown} PCI devices is not told")
    if found.side_caches:
        notes.append(f"{found.side_caches} memory-side caches are not modelled: left out")
    return notes


def _host_name(root: Element) -> str | None:
    for info in root.iter("info"):
        if info.get("name") == "HostName" and info.get("value", "").strip():
            return info.get("value")
    return None


def _mask(element: Element, name: str, universe: Iterable[int] = ()) -> int | None:
    """Return a set of numbers bit by bit; None if the attribute is missing."""
    text = element.get(name)
    if text is None:
        return None
    bits, infinite = parse_bits(
        text, thing=f"<{element.tag}>", field=name, file=file_of(element), line=line_of(element)
    )
    if infinite:
        bits |= sum(1 << number for number in universe if number >= 32 * text.count(","))
    return bits
