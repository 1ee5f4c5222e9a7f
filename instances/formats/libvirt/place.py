"""Where libvirt runs the domains of a file."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

from numaplace.instances.files import read_text
from numaplace.instances.formats.found import Found, FoundCell, own_pcpus
from numaplace.instances.formats.libvirt.domain import domains_of, read_vms
from numaplace.instances.formats.libvirt.numa import (
    common_pin,
    guest_cells,
    id_list,
    memnodes,
    vcpu_pins,
)
from numaplace.instances.formats.libvirt.size import text_bytes, to_mib
from numaplace.instances.reading import located
from numaplace.instances.xmlfile import ids_attribute, line_of
from numaplace.models.topology import Host
from numaplace.models.vm import Vm


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
    cells = [cell for cell in guest_cells(vm.name, domain, vm.vcpus, []) if cell.vcpus]
    return tuple(
        FoundCell(tuple(sorted(cell.vcpus)), size.memory_mib, bound.get(cell.id))
        for cell, size in zip(cells, vm.cells, strict=True)
    )
