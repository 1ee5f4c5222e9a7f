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

from xml.sax.saxutils import escape

from numaplace.instances.formats.format import AffinityKind, VmPart
from numaplace.instances.formats.guest import changed_pins
from numaplace.instances.formats.libvirt.domain import WRAPPER, in_one
from numaplace.instances.formats.libvirt.size import KIB, MIB, to_mib
from numaplace.instances.formats.libvirt.write_numa import (
    apply_cells,
    apply_memory_binding,
    span_bytes,
)
from numaplace.instances.formats.placed import PlacedVm
from numaplace.instances.formats.write_placed import PAGE_KIB, exchanged_devices, other_pcpus
from numaplace.instances.formats.xen.c_number import parse_c_whole
from numaplace.instances.pci import pci_address
from numaplace.instances.ranges import format_ids, parse_ids
from numaplace.instances.reading import Reading
from numaplace.instances.xmlspans import NewElement, Span, XmlText
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

    Raises
    ------
    InputError
        If its domain cannot be made to run as planned.
    """
    vm = placed.vm
    new = _SKELETON.format(name=escape(vm.name), memory=vm.memory_mib, vcpus=vm.vcpus)
    xml = XmlText(new if source is None else source, file)
    if xml.root.tag != "domain":
        raise xml.error(xml.root, "", "is the root element, must be <domain>")
    for path in _ONCE:
        for span in list(xml.root.all(path))[1:]:
            raise xml.error(span, "", "occurs twice")
    _apply_vcpus(xml, placed)
    notes = [*_apply_memory(xml, placed)]
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
        product = 1
        for part in ("sockets", "dies", "clusters", "cores", "threads"):
            product *= int(topology.attributes.get(part, "1"))
        if product != vcpus:
            reason = f"makes {product} vCPUs, {placed.thing} has {vcpus}"
            raise xml.error(topology, "", reason)
    vcpu = xml.root.find("vcpu")
    if vcpu is None:
        xml.add(xml.root, NewElement("vcpu", {"placement": "static"}, str(vcpus)))
        return
    xml.set_text(vcpu, str(vcpus))
    if vcpu.attributes.get("placement") == "auto":
        xml.set_attributes(vcpu, placement="static")
    if "cpuset" in vcpu.attributes:
        xml.set_attributes(vcpu, cpuset=format_ids(placed.all_pcpus))
    if int(vcpu.attributes.get("current", "0")) > vcpus:
        xml.set_attributes(vcpu, current=None)


def _apply_memory(xml: XmlText, placed: PlacedVm) -> tuple[str, ...]:
    extra = xml.root.find("devices/memory")
    if extra is not None:
        reason = "memory devices (DIMMs) cannot be divided as the plan says"
        raise xml.error(extra, "", reason)
    _set_size(xml, "memory", placed.vm.memory_mib, exact=placed.shows_cells)
    balloon = xml.root.find("devices/memballoon")
    if placed.ballooned and balloon is not None and balloon.attributes.get("model") == "none":
        reason = f"is 'none', but the plan balloons {placed.thing} to {placed.target_mib} MiB"
        raise xml.error(balloon, "model", reason)
    current = xml.root.find("currentMemory")
    now_mib = 0 if current is None else to_mib(span_bytes(current))
    if placed.keeps(now_mib):
        return (placed.keeps_note(now_mib),)
    if placed.ballooned or current is not None:
        _set_size(xml, "currentMemory", placed.target_mib, exact=False)
    return ()


def _set_size(xml: XmlText, tag: str, mib: int, *, exact: bool) -> None:
    """Set a size in MiB, unless it says so already (rounded up, if not `exact`)."""
    span = xml.root.find(tag)
    if span is None:
        xml.add(xml.root, NewElement(tag, {"unit": "MiB"}, str(mib)))
        return
    size = span_bytes(span)
    if size == mib * MIB or (not exact and to_mib(size) == mib):
        return
    xml.set_attributes(span, unit="MiB")
    xml.set_text(span, str(mib))


def _apply_pages(xml: XmlText, placed: PlacedVm) -> None:
    huge = xml.root.find("memoryBacking/hugepages")
    size = placed.vm.page_size
    if size is PageSize.SMALL:
        if huge is not None:
            xml.remove(huge)
        return
    if huge is not None:
        old = list(huge.all("page"))
        same = len(old) == 1 and "nodeset" not in old[0].attributes
        if same and span_bytes(old[0], "size") == PAGE_KIB[size] * KIB:
            return
        xml.remove(huge)
    page = NewElement("page", {"size": PAGE_KIB[size], "unit": "KiB"})
    xml.put("memoryBacking", NewElement("hugepages", children=(page,)))


def _apply_pins(xml: XmlText, placed: PlacedVm) -> list[str]:
    tune = xml.root.find("cputune")
    old = {} if tune is None else {int(s.attributes["vcpu"]): s for s in tune.all("vcpupin")}
    new: list[NewElement] = []
    vcpu = xml.root.find("vcpu")
    common = None if vcpu is None else vcpu.attributes.get("cpuset")
    was: list[tuple[str, str | None, str]] = []
    for number, pcpus in enumerate(placed.pins):
        pin = old.pop(number, None)
        was.append((f"vCPU {number}", pin.attributes["cpuset"] if pin else common, pcpus))
        if pin is not None:
            xml.set_attributes(pin, cpuset=pcpus)
        else:
            new.append(NewElement("vcpupin", {"vcpu": number, "cpuset": pcpus}))
    for span in old.values():
        xml.remove(span)
    notes = _emulator_pin(xml, placed, was, new)
    xml.put("cputune", *new)
    for span in xml.root.all("cputune/iothreadpin"):
        pinned = parse_ids(_cpuset(xml, span), thing="<iothreadpin>", field="cpuset")
        held = format_ids(pinned - placed.free_pcpus)
        told = f"; dedicated vCPUs run on {held}" if held else ""
        notes.append(f"{placed.thing}: pins of I/O threads stay as they are{told}")
    return list(dict.fromkeys(notes))


def _cpuset(xml: XmlText, span: Span) -> str:
    if "cpuset" not in span.attributes:
        raise xml.error(span, "cpuset", "attribute is missing")
    return span.attributes["cpuset"]


def _emulator_pin(
    xml: XmlText, placed: PlacedVm, was: list[tuple[str, str | None, str]], new: list[NewElement]
) -> list[str]:
    """Pin the emulator's threads; a pin by hand stays if those of the vCPUs do and it is free."""
    span = xml.root.find("cputune/emulatorpin")
    by_hand = None if span is None else _cpuset(xml, span)
    told = parse_ids(by_hand or "", thing="<emulatorpin>", field="cpuset")
    allocation = xml.root.find("memoryBacking/allocation")
    at_once = allocation is not None and allocation.attributes.get("mode") == "immediate"
    allocated = at_once or placed.vm.page_size is not PageSize.SMALL
    pcpus, notes = other_pcpus(placed, allocated=allocated)
    if told and told <= placed.free_pcpus and not changed_pins(placed.thing, was) and not allocated:
        return []
    others = format_ids(pcpus)
    if span is None:
        new.append(NewElement("emulatorpin", {"cpuset": others}))
    else:
        xml.set_attributes(span, cpuset=others)
    return [*changed_pins(placed.thing, [("emulator threads", by_hand, others), *was]), *notes]


def _apply_devices(xml: XmlText, placed: PlacedVm) -> None:
    spans: dict[str, Span] = {}
    for element in ("hostdev", "interface"):
        for device in xml.root.all(f"devices/{element}"):
            kind = device.attributes.get("type")
            address = device.find("source/address")
            if address is not None and kind == ("pci" if element == "hostdev" else "hostdev"):
                spans[_address_of(address)] = address
    exchanged, added = exchanged_devices(placed, list(spans))
    for old, new in exchanged.items():
        xml.set_attributes(spans[old], **_address_attributes(new))
    if added:
        xml.put("devices", *map(_hostdev, added))


def _hostdev(address: str) -> NewElement:
    source = NewElement("source", children=(NewElement("address", _address_attributes(address)),))
    kind = {"mode": "subsystem", "type": "pci", "managed": "yes"}
    return NewElement("hostdev", kind, children=(source,))


def _address_of(span: Span) -> str:
    values = [span.attributes.get(p, "0") for p in ("domain", "bus", "slot", "function")]
    thing = f"<{span.tag}>"
    numbers = [
        parse_c_whole(value, thing=thing, field="", low=0, high=0xFFFFFFFF) for value in values
    ]
    return pci_address(*numbers)


def _address_attributes(address: str) -> dict[str, str]:
    domain, bus, rest = address.split(":")
    slot, function = rest.split(".")
    values = {"domain": domain, "bus": bus, "slot": slot, "function": function}
    return {name: f"0x{value}" for name, value in values.items()}


def parts(text: str, file: str) -> list[VmPart]:
    """Return where the domains of a text are."""
    before = 0
    try:
        xml = XmlText(text, file)
    except InputError:  # its reader has taken it, so it is several documents in a row
        xml, before = XmlText(in_one(text), file), len(WRAPPER)
    if xml.root.tag == "domain":
        return [VmPart(0, len(text))]
    spans = list(xml.root.all("domain"))
    spans += [s for each in xml.root.children if each.tag != "domain" for s in each.all("domain")]
    starts, ends = (
        [len(xml.data[:at].decode()) - before for at in places]
        for places in ([span.start for span in spans], [span.end for span in spans])
    )
    return [VmPart(*part) for part in zip(starts, ends, (s.line for s in spans), strict=True)]
