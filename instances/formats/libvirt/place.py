"""Where libvirt runs the domains of a file."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

from numaplace.instances.files import read_text
from numaplace.instances.formats.found import Found, FoundCell, own_pcpus
from numaplace.instances.formats.libvirt.domain import domains_of, read_vms
from numaplace.instances.formats.libvirt.numa import guest_cells
from numaplace.instances.formats.libvirt.size import text_bytes, to_mib
from numaplace.instances.ranges import parse_ids
from numaplace.instances.reading import located
from numaplace.instances.xmlfile import line_of
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
    vcpu = domain.find("vcpu")
    auto = vcpu is None or vcpu.get("placement") == "auto"
    common = None if vcpu is None or auto else vcpu.get("cpuset")
    texts = [common] * vm.vcpus
    for pin in domain.iterfind("cputune/vcpupin"):
        texts[int(pin.get("vcpu", "0"))] = pin.get("cpuset")
    told = [text for text in texts if text]
    memory = domain.find("numatune/memory")
    stated = None if memory is None else memory.get("nodeset")
    current = domain.find("currentMemory")
    now_mib = 0 if current is None else to_mib(text_bytes(current))
    return Found(
        vm,
        min(now_mib or vm.memory_mib, vm.memory_mib),
        tuple(_ids(vm, text, "vcpupin") for text in told) if len(told) == vm.vcpus else (),
        own_pcpus(told, vm.vcpus),
        _cells(vm, domain),
        None if stated is None else _ids(vm, stated, "nodeset"),
    )


def _cells(vm: Vm, domain: Element) -> tuple[FoundCell, ...]:
    """Guest cells by id, with the nodes of their ``memnode``."""
    bound = {
        int(node.get("cellid", "0")): _ids(vm, node.get("nodeset"), "memnode")
        for node in domain.iterfind("numatune/memnode")
    }
    cells = [cell for cell in guest_cells(vm.name, domain, vm.vcpus, []) if cell.vcpus]
    return tuple(
        FoundCell(tuple(sorted(cell.vcpus)), size.memory_mib, bound.get(cell.id))
        for cell, size in zip(cells, vm.cells, strict=True)
    )


def _ids(vm: Vm, text: str | None, field: str) -> frozenset[int]:
    return parse_ids(text or "", thing=f"VM {vm.name!r:.80}", field=field)
