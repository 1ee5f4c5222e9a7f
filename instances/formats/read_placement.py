"""Where a configuration puts a VM: the pins and memory bindings of a file as a `Placement`.

The readers of VMs (`xl_cfg`, `libvirt_domain`, `proxmox`) tell what a VM asks for, this one where
it runs: pins of each vCPU, the nodes of each guest cell's memory, devices. Files say on which nodes
memory may lie, not how much on each: several nodes are taken as equal parts, with a note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

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
        thing = f"VM {vm.name!r:.80}"

        def ids(text: str, name: str) -> frozenset[int]:
            return parse_ids(text, thing=thing, field=name)

        pins: dict[int, frozenset[int]] = {}
        for pin in domain.iterfind("cputune/vcpupin"):
            pins[int(pin.get("vcpu", "0"))] = ids(pin.get("cpuset", ""), "vcpupin")
        if len(pins) < asked.vcpus:
            raise InputError(thing, "vcpupin", "is missing for some vCPUs")
        bound: dict[int, frozenset[int]] = {}
        for node in domain.iterfind("numatune/memnode"):
            bound[int(node.get("cellid", "0"))] = ids(node.get("nodeset", ""), "memnode")
        cells: dict[int, _Cell] = {}
        for order, cell in enumerate(domain.iterfind("cpu/numa/cell")):
            number = int(cell.get("id", order))
            vcpus = tuple(sorted(ids(cell.get("cpus", ""), "cpus")))
            cells[number] = _Cell(vcpus, 0, bound.get(number))
        sizes = asked.cells
        ordered = tuple(
            _Cell(cells[number].vcpus, size.memory_mib, cells[number].nodes)
            for number, size in zip(sorted(cells), sizes, strict=True)
        )
        current = domain.find("currentMemory")
        target = asked.memory_mib if current is None else to_mib(text_bytes(current))
        memory = domain.find("numatune/memory")
        stated = None if memory is None else memory.get("nodeset")
        whole = None if stated is None else ids(stated, "nodeset")
        in_order = tuple(pins[vcpu] for vcpu in range(asked.vcpus))
        return _placement(instance, vm, host, _Found(in_order, ordered, whole, target), asked)


def read_proxmox_placement(
    path: Path, instance: Instance, vm: Vm, host: Host
) -> Reading[Placement]:
    """Return where a Proxmox configuration puts `vm` on `host`; as `read_xl_placement`.

    Its one list of pCPUs holds for all vCPUs: a cell is where its memory is, as far as the list
    has pCPUs there, and a dedicated VM has no pCPUs of its own.
    """
    asked = proxmox.read_vms(path, host).item[0]
    file = str(path)
    values = dict(
        line.split(": ", 1) for line in read_text(path).split("\n[")[0].splitlines() if ": " in line
    )
    with located(file):
        thing = f"VM {vm.name!r:.80}"
        cells: list[_Cell] = []
        for number, stated in enumerate(asked.cells):
            parts = dict(part.split("=") for part in values[f"numa{number}"].strip().split(","))
            vcpus = parse_ids(parts["cpus"].replace(";", ","), thing=thing, field="cpus")
            nodes = parse_ids(
                parts.get("hostnodes", "").replace(";", ","), thing=thing, field="hostnodes"
            )
            cells.append(_Cell(tuple(sorted(vcpus)), stated.memory_mib, nodes or None))
        listed = parse_ids(values.get("affinity", ""), thing=thing, field="affinity")
        target = min(asked.memory_mib, int(values.get("balloon", "0")) or asked.memory_mib)
        pins: dict[int, frozenset[int]] = {}
        for cell in cells:
            local = _pcpus(host, cell.nodes or frozenset()) & listed
            pins |= dict.fromkeys(cell.vcpus, local or listed)
        in_order = tuple(pins[vcpu] for vcpu in range(asked.vcpus))
        whole = frozenset[int]().union(*(cell.nodes or frozenset() for cell in cells))
        shown = tuple(cells) if len(cells) > 1 or vm.cells else ()
        return _placement(instance, vm, host, _Found(in_order, shown, whole, target), asked)


def _pcpus(host: Host, nodes: frozenset[int]) -> frozenset[int]:
    return frozenset(p.id for node in host.nodes if node.id in nodes for p in node.pcpus)


def _placement(
    instance: Instance, vm: Vm, host: Host, found: _Found, asked: Vm
) -> Reading[Placement]:
    owner = {pcpu.id: node.id for node in host.nodes for pcpu in node.pcpus}
    homes: list[int] = []
    for vcpu, pcpus in enumerate(found.pins):
        nodes = {owner[pcpu] for pcpu in pcpus if pcpu in owner}
        if len(nodes) != 1:
            reason = f"vCPU {vcpu} is kept on nodes {format_ids(nodes) or 'none'}, must be one"
            raise InputError(f"VM {vm.name!r:.80}", "pins", reason)
        homes.append(nodes.pop())
    notes: list[str] = []
    cells = found.cells or _cells_by_home(homes, asked.memory_mib, found.nodes)
    shared_mib = instance.form(vm.name).shared_mib
    taken_mib = asked.memory_mib - found.target_mib
    placed: list[PlacedCell] = []
    for index, cell in enumerate(cells):
        used = {homes[vcpu] for vcpu in cell.vcpus}
        if len(used) > 1:
            reason = f"guest cell {index} runs on nodes {format_ids(used)}, must be one"
            raise InputError(f"VM {vm.name!r:.80}", "pins", reason)
        share = _part(shared_mib, index, len(cells))
        own_mib = cell.size_mib - share - _part(taken_mib, index, len(cells))
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
        size = cell.size_mib - share
        placed.append(PlacedCell(used.pop(), len(cell.vcpus), memory, own, size))
    return Reading(Placement(host.name, tuple(placed), _devices(vm, host, asked)), tuple(notes))


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
