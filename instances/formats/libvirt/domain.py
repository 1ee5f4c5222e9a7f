"""VMs from libvirt domain XML: one ``<domain>``, several in a row, or in a ``<domains>``.

============================ =================================================================
domain XML                   Vm
============================ =================================================================
name                         name
vcpu                         vcpus: the maximum, also where ``current`` is less
memory, currentMemory        memory_mib = memory; memory_min_mib = currentMemory if less, unless
                             ``memballoon`` is ``none``; rounded up to whole MiB
memoryBacking/hugepages      page_size; without a ``page`` 2M
vcpu@cpuset, vcpupin         hard_nodes: nodes of all these pCPUs on `host`
numatune/memory, memnode     memory_mode (restrictive = strict), memory_nodes; cells joined
cpu/numa/cell                cells, unequal ones too; memory devices, and cells without vCPUs,
                             added to theirs; with cells their sum is the memory
hostdev, interface (PCI)     devices by address, one function each, policy preferred
mdev, vdpa, NVMe disks,      left out with a note
networks but ``default``
cpu/topology                 checked only
nosharepages, locked,        left out with a note
emulatorpin, iothreadpin,
maxMemory
============================ =================================================================

Everything else (disks, consoles, firmware) does not matter to placement and is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import prod
from pathlib import Path
from xml.etree.ElementTree import Element

from numaplace.instances.files import read_text
from numaplace.instances.formats.found import Found, FoundCell, own_pcpus
from numaplace.instances.formats.guest import guest_vm, note_plugged, resolve_pins
from numaplace.instances.formats.libvirt.numa import (
    common_pin,
    guest_cells,
    id_list,
    memnodes,
    memory_binding,
    page_size,
    pinned_pcpus,
    placed_cells,
    vcpu_pins,
)
from numaplace.instances.formats.libvirt.size import KIB, MIB, text_bytes, to_mib
from numaplace.instances.pci import pci_address
from numaplace.instances.ranges import parse_c_whole
from numaplace.instances.reading import Reading, located
from numaplace.instances.xmlfile import (
    at_element,
    attribute,
    child,
    error_at,
    ids_attribute,
    line_of,
    parse_xml,
    whole_attribute,
    whole_text,
)
from numaplace.models.errors import InputError
from numaplace.models.topology import Host
from numaplace.models.vm import VCPUS_MAX, VMS_MAX, DeviceRequest, Vm

_NEXT_ROOT = re.compile(r"</dom\w+>\s*(?:<[?!][^>]*>\s*)*<dom\w+[\s>]")
_DECLARATION = re.compile(r"<\?xml[^>]*\?>|<!DOCTYPE[^>\[]*>")
_FIRST_TAG = re.compile(r"<([A-Za-z][\w.-]*)")
_ROUNDING = 4 * MIB
"""How far currentMemory may exceed memory; libvirt takes it as rounding."""

WRAPPER = "<domains>"
_LEFT_OUT = {
    "memoryBacking/nosharepages": "its pages must not be shared: put it in no sharing group",
    "memoryBacking/locked": "locked memory is not kept",
    "cputune/emulatorpin": "pins of emulator threads are left out",
    "cputune/iothreadpin": "pins of I/O threads are left out",
    "maxMemory": "room for memory to be plugged in later is not counted",
    "devices/memory": "memory devices count as memory that is there from the start",
}


def sniff(head: str, path: Path) -> bool:
    """Tell whether the beginning of a file looks like libvirt domain XML."""
    plain = re.sub(r"<!--.*?(?:-->|\Z)", "", head, flags=re.DOTALL)
    first = _FIRST_TAG.search(plain)
    return first is not None and first[1] in ("domain", "domains", "domstatus", "domainsnapshot")


def read_vms(path: Path, host: Host | None = None) -> Reading[tuple[Vm, ...]]:
    """Return the domains of a file as VMs; `host`, where they are to run, turns pCPUs into nodes.

    `InputError` with file and line, for what libvirt would refuse or a `Vm` cannot say.
    """
    domains = domains_of(read_text(path), str(path))
    vms: dict[str, Vm] = {}
    notes: list[str] = []
    for domain in domains:
        with located(str(path), line_of(domain)):
            reading = _vm(domain, host)
        if reading.item.name in vms:
            raise error_at(child(domain, "name"), "", f"{reading.item.name!r} occurs twice")
        vms[reading.item.name] = reading.item
        notes.extend(reading.notes)
    return Reading(tuple(vms.values()), tuple(notes))


def domains_of(text: str, file: str) -> list[Element]:
    """Domains of a document, or of several in a row (``virsh dumpxml`` into one file)."""
    try:
        root = parse_xml(text, file)
    except InputError:
        if _NEXT_ROOT.search(text) is None:
            raise
        root = parse_xml(in_one(text), file)
    return domains_in(root)


def domains_in(root: Element) -> list[Element]:
    """The element itself if it is a domain, else those in it and in what it holds."""
    domains = [root] if root.tag == "domain" else root.findall("domain")
    for wrapper in () if root.tag == "domain" else root:
        domains += wrapper.findall("domain") if wrapper.tag != "domain" else ()
    if not domains:
        raise error_at(root, "", "is no <domain> and holds none")
    if len(domains) > VMS_MAX:
        raise error_at(root, "", f"holds more than {VMS_MAX} domains")
    return domains


def in_one(text: str) -> str:
    """Return documents in a row as one; all but what stands in front is where it was."""
    plain = _DECLARATION.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    return f"{WRAPPER}{plain}</domains>"


def _vm(domain: Element, host: Host | None) -> Reading[Vm]:
    name = (child(domain, "name").text or "").strip()
    notes: list[str] = []
    vcpus = _vcpus(domain, notes)
    guest = guest_cells(domain, vcpus, notes)
    element = domain.find("memory")
    stated = None if element is None else text_bytes(element)
    cells, memory = placed_cells(domain, guest, stated, notes)
    memory_mib = sum(cell.memory_mib for cell in cells) or to_mib(memory)
    if memory_mib * MIB != memory:
        notes.append(f"memory of {memory // KIB} KiB rounded up to {memory_mib} MiB")
    vm = guest_vm(
        name,
        vcpus,
        memory_mib,
        cells,
        notes,
        least_mib=_least_mib(domain, memory, notes),
        pages=page_size(domain, guest, notes),
        binding=memory_binding(domain, guest, notes),
        devices=tuple(map(DeviceRequest, pci_devices(domain))),
    )
    notes += [why for path, why in _LEFT_OUT.items() if domain.find(path) is not None]
    notes += _devices_left_out(domain)
    vm = resolve_pins(vm, pinned_pcpus(domain, vcpus), host, notes)
    return Reading(vm, tuple(f"VM {name!r}: {note}" for note in notes))


def _vcpus(domain: Element, notes: list[str]) -> int:
    vcpu = domain.find("vcpu")
    if vcpu is None:
        return 1
    vcpus = whole_text(vcpu, 1, VCPUS_MAX)
    if vcpu.get("placement", "static") not in ("static", "auto"):
        reason = f"{vcpu.get('placement')!r:.20} is neither static nor auto"
        raise error_at(vcpu, "placement", reason)
    if "current" in vcpu.attrib:
        note_plugged(whole_attribute(vcpu, "current", 1, vcpus), vcpus, notes)
    topology = domain.find("cpu/topology")
    if topology is not None:
        product = topology_vcpus(topology)
        if product != vcpus:
            reason = f"makes {product} vCPUs (sockets, cores, threads...), <vcpu> is {vcpus}"
            raise error_at(topology, "", reason)
    return vcpus


def topology_vcpus(topology: Element) -> int:
    """Return how many vCPUs a ``cpu/topology`` makes."""
    more = [part for part in ("dies", "clusters") if part in topology.attrib]
    parts = ("sockets", "cores", "threads", *more)
    return prod(whole_attribute(topology, part, 1, VCPUS_MAX) for part in parts)


def _least_mib(domain: Element, memory: int, notes: list[str]) -> int | None:
    """What the VM may be ballooned to in MiB; None if it keeps all its memory."""
    current = domain.find("currentMemory")
    if current is None:
        return None
    size = text_bytes(current)
    if size > memory + _ROUNDING:
        reason = f"{size // KIB} KiB is above the memory, {memory // KIB} KiB"
        raise error_at(current, "", reason)
    if size == 0:  # libvirt takes it as not said
        return None
    balloon = domain.find("devices/memballoon")
    if balloon is not None and balloon.get("model") == "none":
        if size < memory:
            notes.append("has no balloon device and keeps all its memory")
        return None
    return to_mib(size)


def _devices_left_out(domain: Element) -> Iterator[str]:
    """Devices of the host it uses, of which the file does not tell enough to ask for them."""
    left: dict[str, None] = {}
    for element in domain.iterfind("devices/hostdev"):
        if element.get("type") == "mdev":
            address = element.find("source/address")
            left[f"mediated device {'' if address is None else address.get('uuid', '')}"] = None
    for element in domain.iterfind("devices/interface"):
        source = element.find("source")
        origin = {} if source is None else source.attrib
        if element.get("type") == "vdpa":
            left[f"vDPA interface {origin.get('dev', '')}"] = None
        elif element.get("type") == "network" and origin.get("network", "default") != "default":
            left[f"interface of network {origin['network']!r}, a pool of devices maybe,"] = None
    for element in domain.iterfind("devices/disk"):
        if element.get("type") == "nvme":
            left["NVMe disk passed through"] = None
    for what in left:
        yield f"{what.strip()} is left out: ask for it with 'devices' if its node matters"


def pci_devices(domain: Element) -> dict[str, Element]:
    """PCI devices of the host that are passed through: the element of each, by address."""
    found: dict[str, Element] = {}
    for path, kind in (("devices/hostdev", "pci"), ("devices/interface", "hostdev")):
        for device in domain.iterfind(path):
            if device.get("type") != kind:
                continue
            address = child(child(device, "source"), "address")
            limits = {"domain": 0xFFFFFFFF, "bus": 0xFF, "slot": 0x1F, "function": 7}
            text = pci_address(*(_number(address, part, high) for part, high in limits.items()))
            if text in found:
                raise error_at(address, "", f"PCI device {text} is passed through twice")
            found[text] = address
    return found


def _number(address: Element, part: str, high: int) -> int:
    text = address.get("domain", "0") if part == "domain" else attribute(address, part)
    with at_element(address):
        return parse_c_whole(text, thing="<address>", field=part, low=0, high=high)


def place(path: Path, host: Host) -> list[Found]:
    """Return where each domain of a file runs."""
    asked = read_vms(path).item
    found: list[Found] = []
    for vm, domain in zip(asked, domains_of(read_text(path), str(path)), strict=True):
        with located(str(path), line_of(domain)):
            found.append(_found(vm, domain))
    return found


def _found(vm: Vm, domain: Element) -> Found:
    common, pins = common_pin(domain), vcpu_pins(domain)
    told = [pins.get(number, common) for number in range(vm.vcpus)]
    pinned = [element for element in told if element is not None and element.get("cpuset")]
    memory = domain.find("numatune/memory")
    current = domain.find("currentMemory")
    now_mib = 0 if current is None else to_mib(text_bytes(current))
    return Found(
        vm,
        min(now_mib or vm.memory_mib, vm.memory_mib),
        tuple(ids_attribute(e, "cpuset") for e in pinned) if len(pinned) == vm.vcpus else (),
        own_pcpus([element.get("cpuset", "") for element in pinned], vm.vcpus),
        _cells(vm, domain),
        None if memory is None or "nodeset" not in memory.attrib else id_list(memory, "nodeset"),
    )


def _cells(vm: Vm, domain: Element) -> tuple[FoundCell, ...]:
    """Guest cells by id, with the nodes of their ``memnode``."""
    bound = {number: id_list(node, "nodeset") for number, node in memnodes(domain).items()}
    cells = [cell for cell in guest_cells(domain, vm.vcpus, []) if cell.vcpus]
    return tuple(
        FoundCell(tuple(sorted(cell.vcpus)), size.memory_mib, bound.get(cell.id))
        for cell, size in zip(cells, vm.cells, strict=True)
    )
