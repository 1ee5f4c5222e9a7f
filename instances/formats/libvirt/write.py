"""A planned VM as libvirt domain XML: a given one edited, or the parts that a plan decides.

===================== ==========================================================================
plan                  domain XML
===================== ==========================================================================
vCPUs, their pCPUs    vcpu, cputune/vcpupin; vcpu@cpuset, if given, holds all of them
hypervisor's threads  emulatorpin: pCPUs of the VM's nodes that no dedicated vCPU holds
memory, ballooning    memory, currentMemory
page size             memoryBacking/hugepages
guest cells           cpu/numa/cell, numatune/memnode
where memory lies     numatune/memory, memnode: mode and nodes (amounts cannot be said)
devices               devices/hostdev and interface of PCI devices
===================== ==========================================================================

Everything else of a given file stays as it is, to the byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from numaplace.instances.formats.format import AffinityKind, AppliedFile, VmPart
from numaplace.instances.formats.guest import PAGE_KIB, changed_pins
from numaplace.instances.formats.libvirt.domain import (
    WRAPPER,
    domains_in,
    in_one,
    pci_devices,
    topology_vcpus,
)
from numaplace.instances.formats.libvirt.numa import common_pin, vcpu_pins
from numaplace.instances.formats.libvirt.size import KIB, MIB, attribute_bytes, text_bytes, to_mib
from numaplace.instances.formats.libvirt.write_numa import apply_cells, apply_memory_binding
from numaplace.instances.formats.placed import PlacedVm
from numaplace.instances.formats.write_placed import exchanged_devices, other_pcpus
from numaplace.instances.ranges import format_ids
from numaplace.instances.reading import Reading
from numaplace.instances.xmlfile import error_at, ids_attribute, line_of, whole_attribute
from numaplace.instances.xmlspans import NewElement, XmlText
from numaplace.models.errors import InputError
from numaplace.models.units import PageSize

_ONCE = (
    *("memory", "currentMemory", "vcpu", "memoryBacking", "memoryBacking/hugepages"),
    *("cputune", "cputune/emulatorpin", "numatune", "numatune/memory", "cpu", "cpu/numa"),
    *("devices", "devices/memballoon"),
)
_SKELETON = """\
<domain type='kvm'>
  <name>{name}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu placement='static'>{vcpus}</vcpu>
  <os>
    <type>hvm</type>
  </os>
</domain>
"""


def write_libvirt(
    placed: PlacedVm, affinity: AffinityKind, source: str | None, file: str
) -> Reading[str]:
    """Return the domain XML of a planned VM: its `source`, edited, or a new one.

    `InputError` if its domain cannot be made to run as planned.
    """
    vm = placed.vm
    new = _SKELETON.format(name=escape(vm.name), memory=vm.memory_mib, vcpus=vm.vcpus)
    xml = XmlText(new if source is None else source, file)
    if xml.root.tag != "domain":
        raise error_at(xml.root, "", "is the root element, must be <domain>")
    for path in _ONCE:
        for element in xml.root.findall(path)[1:]:
            raise error_at(element, "", "occurs twice")
    _apply_vcpus(xml, placed)
    notes = _apply_memory(xml, placed)
    notes += apply_cells(xml, placed)
    _apply_pages(xml, placed)
    notes += _apply_pins(xml, placed)
    notes += apply_memory_binding(xml, placed)
    _apply_devices(xml, placed)
    return Reading(xml.result(), tuple(notes))


def _apply_vcpus(xml: XmlText, placed: PlacedVm) -> None:
    vcpus = placed.vm.vcpus
    topology = xml.root.find("cpu/topology")
    if topology is not None:
        product = topology_vcpus(topology)
        if product != vcpus:
            reason = f"makes {product} vCPUs, {placed.thing} has {vcpus}"
            raise error_at(topology, "", reason)
    vcpu = xml.root.find("vcpu")
    if vcpu is None:
        xml.add(xml.root, NewElement("vcpu", {"placement": "static"}, str(vcpus)))
        return
    xml.set_text(vcpu, str(vcpus))
    if vcpu.get("placement") == "auto":
        xml.set_attributes(vcpu, placement="static")
    if "cpuset" in vcpu.attrib:
        xml.set_attributes(vcpu, cpuset=format_ids(placed.all_pcpus))
    if "current" in vcpu.attrib and whole_attribute(vcpu, "current") > vcpus:
        xml.set_attributes(vcpu, current=None)


def _apply_memory(xml: XmlText, placed: PlacedVm) -> list[str]:
    extra = xml.root.find("devices/memory")
    if extra is not None:
        raise error_at(extra, "", "memory devices (DIMMs) cannot be divided as the plan says")
    _set_size(xml, "memory", placed.vm.memory_mib, exact=placed.shows_cells)
    balloon = xml.root.find("devices/memballoon")
    if placed.ballooned and balloon is not None and balloon.get("model") == "none":
        reason = f"is 'none', but the plan balloons {placed.thing} to {placed.target_mib} MiB"
        raise error_at(balloon, "model", reason)
    current = xml.root.find("currentMemory")
    now_mib = 0 if current is None else to_mib(text_bytes(current))
    kept = placed.kept(now_mib)
    if not kept and (placed.ballooned or current is not None):
        _set_size(xml, "currentMemory", placed.target_mib, exact=False)
    return kept


def _set_size(xml: XmlText, tag: str, mib: int, *, exact: bool) -> None:
    """Set a size in MiB, unless it says so already (rounded up, if not `exact`)."""
    element = xml.root.find(tag)
    if element is None:
        xml.add(xml.root, NewElement(tag, {"unit": "MiB"}, str(mib)))
        return
    size = text_bytes(element)
    if size == mib * MIB or (not exact and to_mib(size) == mib):
        return
    xml.set_attributes(element, unit="MiB")
    xml.set_text(element, str(mib))


def _apply_pages(xml: XmlText, placed: PlacedVm) -> None:
    huge = xml.root.find("memoryBacking/hugepages")
    size = placed.vm.page_size
    if size is PageSize.SMALL:
        if huge is not None:
            xml.remove(huge)
        return
    if huge is not None:
        old = huge.findall("page")
        same = len(old) == 1 and "nodeset" not in old[0].attrib
        if same and attribute_bytes(old[0], "size") == PAGE_KIB[size] * KIB:
            return
        xml.remove(huge)
    page = NewElement("page", {"size": PAGE_KIB[size], "unit": "KiB"})
    xml.put("memoryBacking", NewElement("hugepages", children=(page,)))


def _apply_pins(xml: XmlText, placed: PlacedVm) -> list[str]:
    old, common = vcpu_pins(xml.root), common_pin(xml.root)
    new: list[NewElement] = []
    was: list[tuple[str, str | None, str]] = []
    for number, pcpus in enumerate(placed.pins):
        pin = old.pop(number, None)
        before = common if pin is None else pin
        was.append((f"vCPU {number}", None if before is None else before.get("cpuset"), pcpus))
        if pin is not None:
            xml.set_attributes(pin, cpuset=pcpus)
        else:
            new.append(NewElement("vcpupin", {"vcpu": number, "cpuset": pcpus}))
    for element in old.values():
        xml.remove(element)
    notes = _emulator_pin(xml, placed, was, new)
    xml.put("cputune", *new)
    for element in xml.root.iterfind("cputune/iothreadpin"):
        held = format_ids(ids_attribute(element, "cpuset") - placed.free_pcpus)
        told = f"; dedicated vCPUs run on {held}" if held else ""
        notes.append(f"pins of I/O threads stay as they are{told}")
    return list(dict.fromkeys(notes))


def _emulator_pin(
    xml: XmlText, placed: PlacedVm, was: list[tuple[str, str | None, str]], new: list[NewElement]
) -> list[str]:
    """Pin the emulator's threads; a pin by hand stays if those of the vCPUs do and it is free."""
    pin = xml.root.find("cputune/emulatorpin")
    told = frozenset[int]() if pin is None else ids_attribute(pin, "cpuset")
    allocation = xml.root.find("memoryBacking/allocation")
    at_once = allocation is not None and allocation.get("mode") == "immediate"
    allocated = at_once or placed.vm.page_size is not PageSize.SMALL
    pcpus, notes = other_pcpus(placed, allocated=allocated)
    if told and told <= placed.free_pcpus and not changed_pins(was) and not allocated:
        return []
    others = format_ids(pcpus)
    if pin is None:
        new.append(NewElement("emulatorpin", {"cpuset": others}))
    else:
        xml.set_attributes(pin, cpuset=others)
    by_hand = None if pin is None else pin.get("cpuset")
    return [*changed_pins([("emulator threads", by_hand, others), *was]), *notes]


def _apply_devices(xml: XmlText, placed: PlacedVm) -> None:
    elements = pci_devices(xml.root)
    exchanged, added = exchanged_devices(placed, list(elements))
    for old, new in exchanged.items():
        xml.set_attributes(elements[old], **_address_attributes(new))
    if added:
        xml.put("devices", *map(_hostdev, added))


def _hostdev(address: str) -> NewElement:
    source = NewElement("source", children=(NewElement("address", _address_attributes(address)),))
    kind = {"mode": "subsystem", "type": "pci", "managed": "yes"}
    return NewElement("hostdev", kind, children=(source,))


def _address_attributes(address: str) -> dict[str, str]:
    domain, bus, rest = address.split(":")
    slot, function = rest.split(".")
    values = {"domain": domain, "bus": bus, "slot": slot, "function": function}
    return {name: f"0x{value}" for name, value in values.items()}


def join(files: Sequence[AppliedFile]) -> str:
    """Return domains as one document."""
    return f"{WRAPPER}\n" + "".join(file.text for file in files) + "</domains>\n"


def parts(text: str, file: str) -> list[VmPart]:
    """Return where the domains of a text are."""
    before = 0
    try:
        xml = XmlText(text, file)
    except InputError:  # its reader has taken it, so it is several documents in a row
        xml, before = XmlText(in_one(text), file), len(WRAPPER)
    if xml.root.tag == "domain":
        return [VmPart(0, len(text))]

    def part(domain: Element) -> VmPart:
        span = xml.span(domain)
        start, end = (len(xml.data[:at].decode()) - before for at in (span.start, span.end))
        return VmPart(start, end, line_of(domain) or 1)

    return [part(domain) for domain in domains_in(xml.root)]
