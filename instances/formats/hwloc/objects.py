"""Objects of hwloc's XML: processing units, NUMA nodes and devices, with what is above them.

hwloc does not tell which PCI functions are virtual. They sit behind the bridge of the physical
one, and either their PCI id is known to be one of a virtual function, or they have no link of their
own while the physical one has (SR-IOV reserves those bits).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element

from numaplace.instances.pci import VIRTUAL, kind_of, parse_pci_address
from numaplace.instances.ranges import parse_bits
from numaplace.instances.xmlfile import (
    at_element,
    attribute,
    error_at,
    place_of,
    real_attribute,
    whole_attribute,
)
from numaplace.models.topology import NODES_MAX, PCPUS_MAX, Device

_IO_TYPES = {"Bridge", "PCIDev", "OSDev"}
_PACKAGES = {"Package", "Socket"}
_CACHE = re.compile(r"L([2-9])(?:u|Unified)?Cache", re.ASCII)
_BUSES = re.compile(r"([0-9a-f]{4,8}):\[([0-9a-f]{2})-", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Above:
    """What the objects above one tell about it; sets are integers, bit by bit."""

    socket: int | None = None
    core: int | None = None
    llc: int | None = None
    nodeset: int = 0
    is_machine: bool = True
    pcie_root: str | None = None
    bridge: int = 0


@dataclass(frozen=True, slots=True)
class HwlocUnit:
    """A processing unit (hardware thread) and where it stands."""

    id: int
    above: Above
    key: int
    complete_nodeset: int


@dataclass(frozen=True, slots=True)
class HwlocMemory:
    """A NUMA node object."""

    element: Element
    id: int
    cpuset: int
    socket: int | None


@dataclass(slots=True)
class HwlocObjects:
    """Everything a walk over the tree collects, in document order."""

    units: dict[int, HwlocUnit] = field(default_factory=dict)
    memories: dict[int, HwlocMemory] = field(default_factory=dict)
    devices: list[Pci] = field(default_factory=list)
    skipped_devices: int = 0
    side_caches: int = 0


def find_objects(machine: Element) -> HwlocObjects:
    """Return what is in a machine."""
    found = HwlocObjects()
    _walk(machine, Above(), found)
    return found


def _walk(element: Element, above: Above, found: HwlocObjects) -> None:
    kind = attribute(element, "type")
    if kind == "PU":
        number = _number(element, kind, found.units, PCPUS_MAX)
        complete = mask_of(element, "complete_nodeset") or 0
        found.units[number] = HwlocUnit(number, above, id(element), complete)
        return
    if kind == "NUMANode":
        number = _number(element, kind, found.memories, NODES_MAX)
        cpuset = mask_of(element, "cpuset") or 0
        found.memories[number] = HwlocMemory(element, number, cpuset, above.socket)
    if kind in _IO_TYPES:
        above = _below_io(element, kind, above, found)
    elif element.get("nodeset") is not None:
        above = replace(above, nodeset=mask_of(element, "nodeset") or 0)
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


def _number(element: Element, kind: str, known: Collection[int], most: int) -> int:
    number = whole_attribute(element, "os_index")
    if number in known:
        raise error_at(element, "os_index", f"{kind} {number} occurs twice")
    if len(known) >= most:
        raise error_at(element, "", f"is one {kind} more than {most}, the most read")
    return number


def _below_io(element: Element, kind: str, above: Above, found: HwlocObjects) -> Above:
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


def mask_of(element: Element, name: str, universe: Iterable[int] = ()) -> int | None:
    """Return a set of numbers bit by bit; None if the attribute is missing."""
    text = element.get(name)
    if text is None:
        return None
    bits, infinite = parse_bits(text, **place_of(element, name))
    if infinite:
        bits |= sum(1 << number for number in universe if number >= 32 * text.count(","))
    return bits


_TYPE = re.compile(r"([0-9a-f]{4}) \[([0-9a-f]{4}):([0-9a-f]{4})\]", re.ASCII | re.IGNORECASE)
_GBPS_MAX = 1e9


@dataclass(frozen=True, slots=True)
class Pci:
    """A function: the device, the nodes it is local to bit by bit, its bridge and its link."""

    device: Device
    nodeset: int
    bridge: int
    link_gbps: float | None


def read_pci(element: Element, nodeset: int, bridge: int, root: str | None) -> Pci | None:
    """Return the function that a ``PCIDev`` is; None if VMs do not ask for such devices."""
    text = attribute(element, "pci_type")
    match = _TYPE.match(text)
    if match is None:
        raise error_at(element, "pci_type", f"{text!r:.60} is not like '0200 [8086:10c9] ...'")
    kind = kind_of(int(match[1], 16), int(match[2], 16), int(match[3], 16))
    if kind is None:
        return None
    busid = attribute(element, "pci_busid")
    with at_element(element):
        address = parse_pci_address(busid, thing="<object>", field="pci_busid")
    told = element.get("pci_link_speed") is not None
    link = real_attribute(element, "pci_link_speed", 0.0, _GBPS_MAX) if told else None
    device = Device(address, kind, vendor_product=f"{match[2]}:{match[3]}".lower(), pcie_root=root)
    return Pci(device, nodeset, bridge, link)


def fold_virtual(found: Sequence[Pci], notes: list[str]) -> list[Pci]:
    """Return the functions that are not virtual, those with virtual ones standing for these.

    Which of several physical functions a virtual one belongs to is not told: all share them.
    """
    groups: dict[tuple[int, str, str], list[Pci]] = {}
    for pci in found:
        vendor = (pci.device.vendor_product or "")[:4]
        groups.setdefault((pci.bridge, pci.device.kind, vendor), []).append(pci)
    folded: list[Pci] = []
    for group in groups.values():
        linked = any(pci.link_gbps for pci in group)
        parts: tuple[list[Pci], list[Pci]] = ([], [])
        for pci in group:
            known = pci.device.vendor_product in VIRTUAL
            parts[known or (linked and pci.link_gbps == 0)].append(pci)
        real, virtual = parts
        if not virtual or not real:
            folded += group
            continue
        for index, pci in enumerate(real):
            share = len(virtual[index :: len(real)]) or 1
            folded.append(replace(pci, device=replace(pci.device, functions=share)))
        names = ", ".join(pci.device.address for pci in real)
        notes.append(
            f"device {names:.80}: stands for its {len(virtual)} virtual functions, is not free"
            " itself"
        )
    return folded
