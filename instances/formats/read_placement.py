"""Where a configuration puts a VM: the pins and memory bindings of a file as a `Placement`.

The readers of VMs (`xl_cfg`, `libvirt_domain`, `proxmox`) tell what a VM asks for, this one where
it runs: pins of each vCPU, the nodes of each guest cell's memory, devices. Files say on which nodes
memory may lie, not how much on each: several nodes are taken as equal parts, with a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from xml.etree.ElementTree import Element

from numaplace.instances.files import read_text
from numaplace.instances.formats import libvirt_domain, proxmox, xl_cfg
from numaplace.instances.formats.libvirt_size import text_bytes, to_mib
from numaplace.instances.formats.xl_cpus import parse_affinity, pcpus_of
from numaplace.instances.formats.xl_text import XlSetting, XlValue, parse_xl_text
from numaplace.instances.formats.xl_vnuma import parse_vnuma
from numaplace.instances.ranges import format_ids, parse_ids
from numaplace.instances.reading import Reading, located
from numaplace.instances.xmlfile import parse_xml
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, TakenDevice
from numaplace.models.topology import Host
from numaplace.models.vm import CpuPolicy, Vm

_LINE = re.compile(r"^([a-z]+[0-9]*):[ \t]*(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Cell:
    """A guest cell of a file: its vCPUs, and the nodes its memory is bound to (None: not said)."""

    vcpus: tuple[int, ...]
    size_mib: int
    nodes: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What a file says: pCPUs of each vCPU, guest cells, nodes of all memory, memory it has."""

    pins: tuple[frozenset[int], ...]
    cells: tuple[_Cell, ...]
    nodes: frozenset[int] | None
    target_mib: int


def read_xl_placement(
    path: Path, instance: Instance, vm: Vm, host: Host, *, soft: bool = False
) -> Reading[Placement]:
    """Return where an xl configuration puts `vm` on `host`.

    Parameters
    ----------
    soft
        Go by ``cpus_soft`` in place of ``cpus``.

    Raises
    ------
    InputError
        If the file is faulty, or does not keep each cell on one node.
    """
    asked = xl_cfg.read_vms(path, host).item[0]
    file = str(path)
    settings = parse_xl_text(read_text(path), file)
    with located(file):
        nodes = parse_vnuma(_items(settings, "vnuma"), f"VM {vm.name!r:.80}")
        cells = tuple(
            _Cell(
                tuple(sorted(node.vcpus)),
                node.size_mib,
                None if node.pnode is None else frozenset({node.pnode}),
            )
            for node in nodes
        )
        pins = _xl_pins(settings, "cpus_soft" if soft else "cpus", asked, host)
        found = _Found(pins, cells, None, asked.memory_least_mib)
        return _placement(instance, vm, host, found, asked)


def _items(settings: Mapping[str, XlSetting], key: str) -> tuple[XlValue, ...]:
    value = settings[key].value if key in settings else ()
    return value if isinstance(value, tuple) else (value,)


def _xl_pins(
    settings: Mapping[str, XlSetting], key: str, asked: Vm, host: Host
) -> tuple[frozenset[int], ...]:
    thing = f"VM {asked.name!r:.80}"
    if key not in settings:
        raise InputError(thing, key, "is missing: nothing says where it runs")
    value = settings[key].value
    texts = (value,) * asked.vcpus if isinstance(value, str) else value
    return tuple(
        pcpus_of(parse_affinity(str(text), thing=thing, field=key), host) for text in texts
    )


def read_libvirt_placement(
    path: Path, instance: Instance, vm: Vm, host: Host
) -> Reading[Placement]:
    """Return where a file with one domain puts `vm` on `host`; as `read_xl_placement`."""
    asked = libvirt_domain.read_vms(path, host).item[0]
    file = str(path)
    domain = parse_xml(read_text(path), file, roots=("domain",))
    with located(file):
        pins = {
            int(pin.get("vcpu", "0")): _ids(vm, pin.get("cpuset"), "vcpupin")
            for pin in domain.iterfind("cputune/vcpupin")
        }
        if len(pins) < asked.vcpus:
            raise InputError(f"VM {vm.name!r:.80}", "vcpupin", "is missing for some vCPUs")
        memory = domain.find("numatune/memory")
        stated = None if memory is None else memory.get("nodeset")
        current = domain.find("currentMemory")
        found = _Found(
            tuple(pins[vcpu] for vcpu in range(asked.vcpus)),
            _libvirt_cells(vm, domain, asked),
            None if stated is None else _ids(vm, stated, "nodeset"),
            asked.memory_mib if current is None else to_mib(text_bytes(current)),
        )
        return _placement(instance, vm, host, found, asked)


def _libvirt_cells(vm: Vm, domain: Element, asked: Vm) -> tuple[_Cell, ...]:
    """Guest cells by id, with the nodes of their ``memnode``."""
    bound = {
        int(node.get("cellid", "0")): _ids(vm, node.get("nodeset"), "memnode")
        for node in domain.iterfind("numatune/memnode")
    }
    vcpus = {
        int(cell.get("id", order)): tuple(sorted(_ids(vm, cell.get("cpus"), "cpus")))
        for order, cell in enumerate(domain.iterfind("cpu/numa/cell"))
    }
    return tuple(
        _Cell(vcpus[number], size.memory_mib, bound.get(number))
        for number, size in zip(sorted(vcpus), asked.cells, strict=True)
    )


def _ids(vm: Vm, text: str | None, field: str) -> frozenset[int]:
    """Ids of a list; Proxmox puts semicolons where others have commas."""
    return parse_ids((text or "").replace(";", ","), thing=f"VM {vm.name!r:.80}", field=field)


def read_proxmox_placement(
    path: Path, instance: Instance, vm: Vm, host: Host
) -> Reading[Placement]:
    """Return where a Proxmox configuration puts `vm` on `host`; as `read_xl_placement`.

    Its one list of pCPUs holds for all vCPUs: a cell is where its memory is, as far as the list
    has pCPUs there, and a dedicated VM has no pCPUs of its own.
    """
    asked = proxmox.read_vms(path, host).item[0]
    file = str(path)
    values = dict(_LINE.findall(read_text(path).split("\n[")[0]))
    with located(file):
        cells = _proxmox_cells(vm, values, asked)
        listed = _ids(vm, values.get("affinity"), "affinity")
        pins = dict.fromkeys(range(asked.vcpus), listed)
        for cell in cells:
            local = _pcpus(host, cell.nodes or frozenset()) & listed
            pins |= dict.fromkeys(cell.vcpus, local or listed)
        whole = frozenset[int]().union(*(cell.nodes or frozenset() for cell in cells))
        found = _Found(
            tuple(pins[vcpu] for vcpu in range(asked.vcpus)),
            cells if len(cells) > 1 or vm.cells else (),
            whole or None,
            min(asked.memory_mib, int(values.get("balloon", "0")) or asked.memory_mib),
        )
        return _placement(instance, vm, host, found, asked)


def _proxmox_cells(vm: Vm, values: Mapping[str, str], asked: Vm) -> tuple[_Cell, ...]:
    """Guest cells of the ``numaN`` lines, with the nodes they are bound to."""
    keys = sorted((key for key in values if re.fullmatch("numa[0-9]+", key)), key=_number)
    if len(keys) != len(asked.cells):
        thing = f"VM {vm.name!r:.80}"
        raise InputError(thing, "numa", "there is no numaN line for each guest cell")
    cells: list[_Cell] = []
    for key, stated in zip(keys, asked.cells, strict=True):
        pairs = (part.partition("=") for part in values[key].split(","))
        parts = {option.strip(): value for option, _, value in pairs}
        vcpus = tuple(sorted(_ids(vm, parts["cpus"], "cpus")))
        nodes = _ids(vm, parts.get("hostnodes"), "hostnodes")
        cells.append(_Cell(vcpus, stated.memory_mib, nodes or None))
    return tuple(cells)


def _number(key: str) -> int:
    return int(key.removeprefix("numa"))


def _pcpus(host: Host, nodes: frozenset[int]) -> frozenset[int]:
    return frozenset(p.id for node in host.nodes if node.id in nodes for p in node.pcpus)


def _placement(
    instance: Instance, vm: Vm, host: Host, found: _Found, asked: Vm
) -> Reading[Placement]:
    homes = _homes(vm, host, found.pins)
    notes: list[str] = []
    cells = found.cells or _cells_by_home(homes, asked.memory_mib, found.nodes)
    if found.target_mib < asked.memory_mib and len(cells) > 1:
        reason = "which cells ballooning takes memory from is not told; all in proportion"
        notes.append(f"VM {vm.name!r}: {reason}")
    sizes = _sizes(cells, instance.form(vm.name).shared_mib, asked.memory_mib - found.target_mib)
    placed: list[PlacedCell] = []
    for index, (cell, (size_mib, own_mib)) in enumerate(zip(cells, sizes, strict=True)):
        used = {homes[vcpu] for vcpu in cell.vcpus}
        if len(used) > 1:
            reason = f"guest cell {index} runs on nodes {format_ids(used)}, must be one"
            raise InputError(f"VM {vm.name!r:.80}", "pins", reason)
        on = sorted(cell.nodes or used)
        if len(on) > 1:
            notes.append(
                f"VM {vm.name!r}: how much memory lies on each of nodes {format_ids(on)} is not "
                "told; equal parts are taken"
            )
        memory = tuple((node, _part(own_mib, i, len(on))) for i, node in enumerate(on))
        pins = [found.pins[vcpu] for vcpu in cell.vcpus]
        dedicated = vm.cpu_policy is CpuPolicy.DEDICATED and all(len(pin) == 1 for pin in pins)
        own = tuple(pcpu for pin in pins for pcpu in pin) if dedicated else ()
        placed.append(PlacedCell(used.pop(), len(cell.vcpus), memory, own, size_mib))
    return Reading(Placement(host.name, tuple(placed), _devices(vm, host, asked)), tuple(notes))


def _sizes(cells: Sequence[_Cell], shared_mib: int, taken_mib: int) -> Iterator[tuple[int, int]]:
    """Own memory of each cell in MiB, before and after ballooning, which takes in proportion."""
    whole_mib = sum(cell.size_mib for cell in cells)
    before_mib = 0
    for index, cell in enumerate(cells):
        size_mib = cell.size_mib - _part(shared_mib, index, len(cells))
        # Rounded over all cells together, so that the parts add up.
        after_mib = before_mib + cell.size_mib
        gone_mib = taken_mib * after_mib // whole_mib - taken_mib * before_mib // whole_mib
        yield size_mib, size_mib - gone_mib
        before_mib = after_mib


def _homes(vm: Vm, host: Host, pins: Sequence[frozenset[int]]) -> list[int]:
    """The node each vCPU is kept on."""
    owner = {pcpu.id: node.id for node in host.nodes for pcpu in node.pcpus}
    homes: list[int] = []
    for vcpu, pcpus in enumerate(pins):
        nodes = {owner[pcpu] for pcpu in pcpus if pcpu in owner}
        if len(nodes) != 1:
            reason = f"vCPU {vcpu} is kept on nodes {format_ids(nodes) or 'none'}, must be one"
            raise InputError(f"VM {vm.name!r:.80}", "pins", reason)
        homes.append(nodes.pop())
    return homes


def _part(whole: int, index: int, parts: int) -> int:
    return whole * (index + 1) // parts - whole * index // parts


def _cells_by_home(
    homes: Sequence[int], memory_mib: int, nodes: frozenset[int] | None
) -> tuple[_Cell, ...]:
    """Cells of a guest without any: vCPUs one after the other on one node, memory in proportion."""
    groups = [
        tuple(vcpu for vcpu, _ in group)
        for _, group in groupby(enumerate(homes), key=lambda item: item[1])
    ]
    cells: list[_Cell] = []
    for index, vcpus in enumerate(groups):
        apart = len(groups) > 1 and nodes == frozenset(homes)
        local = frozenset({homes[vcpus[0]]}) if apart else nodes
        cells.append(_Cell(vcpus, _part(memory_mib, index, len(groups)), local))
    return tuple(cells)


def _devices(vm: Vm, host: Host, asked: Vm) -> tuple[TakenDevice, ...]:
    taken: list[TakenDevice] = []
    for wanted in asked.devices:
        device = next((d for d in host.devices if d.address == wanted.kind), None)
        request = next((r for r in vm.devices if device and device.answers(r.kind)), None)
        if device is not None and request is not None:
            taken.append(TakenDevice(request.kind, device.address))
    return tuple(taken)
