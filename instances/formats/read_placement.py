"""Where a configuration puts a VM: the pins and memory bindings of a file as a `Placement`.

The readers of VMs (`xl_cfg`, `libvirt_domain`, `proxmox`) tell what a VM asks for, this one where
it runs: pins of each vCPU, the nodes of each guest cell's memory, devices. Files say on which nodes
memory may lie, not how much on each: several nodes are taken as equal parts, with a note.

A pin is one pCPU (``3``); a set may have a single one, too, and then it is a range (``3-3``): so
`write_placed` tells dedicated vCPUs from shared ones that have one pCPU left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from xml.etree.ElementTree import Element

from numaplace.instances.files import read_text
from numaplace.instances.formats.libvirt import domain as libvirt_domain
from numaplace.instances.formats.libvirt.numa import guest_cells
from numaplace.instances.formats.libvirt.size import text_bytes, to_mib
from numaplace.instances.formats.proxmox import conf as proxmox
from numaplace.instances.formats.xen import xl_cfg
from numaplace.instances.formats.xen.xl_cpus import parse_affinity, pcpus_of, restricts
from numaplace.instances.formats.xen.xl_text import XlSetting, XlValue, parse_xl_text
from numaplace.instances.formats.xen.xl_vnuma import parse_vnuma
from numaplace.instances.ranges import format_ids, parse_ids
from numaplace.instances.reading import Reading, located
from numaplace.instances.xmlfile import line_of
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, TakenDevice
from numaplace.models.topology import Host
from numaplace.models.vm import CpuPolicy, Vm

_LINE = re.compile(r"^([a-z]+[0-9]*):[ \t]*(.*?)\s*$", re.MULTILINE)
_PIN = re.compile(r"\s*([0-9]{1,9})\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Cell:
    """A guest cell of a file: its vCPUs, and the nodes its memory is bound to (None: not said)."""

    vcpus: tuple[int, ...]
    size_mib: int
    nodes: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a file says of where a VM runs.

    Parameters
    ----------
    asked
        The VM, as its reader reads it.
    pins
        pCPUs of each vCPU; empty if some vCPU may run anywhere.
    own
        The pCPU of each vCPU, if each has just one and no two the same; else empty.
    cells
        Guest cells.
    nodes
        Nodes of all memory, None: not said.
    target_mib
        Memory that it has now.
    """

    asked: Vm
    pins: tuple[frozenset[int], ...]
    own: tuple[int, ...]
    cells: tuple[_Cell, ...]
    nodes: frozenset[int] | None
    target_mib: int

    @property
    def bound(self) -> bool:
        """Whether something says on which nodes its memory lies."""
        return bool(self.nodes) or (bool(self.cells) and all(cell.nodes for cell in self.cells))


def read_found(kind: str, path: Path, host: Host, *, soft: bool = False) -> dict[str, Found]:
    """Return what a file says of where each of its VMs runs, by name; of other formats nothing.

    Parameters
    ----------
    kind
        Name of its format in `registry.VM_FORMATS`.
    host
        Tells on which nodes pCPUs lie.
    soft
        Of an xl configuration, go by ``cpus_soft`` rather than by ``cpus``.

    Raises
    ------
    InputError
        If the file is faulty.
    """
    if kind == "xl-cfg":
        found = _found_xl(path, host, soft)
    elif kind == "libvirt-domain":
        found = _found_libvirt(path)
    elif kind == "proxmox":
        found = _found_proxmox(path, host)
    else:
        found = []
    return {each.asked.name: each for each in found}


def _own(texts: Sequence[str], vcpus: int) -> tuple[int, ...]:
    """The pCPU of each vCPU, if the texts say just one for each; else none."""
    pins = [int(match[1]) for text in texts if (match := _PIN.fullmatch(text))]
    return tuple(pins) if len(pins) == len(texts) == len(set(pins)) == vcpus else ()


def _found_xl(path: Path, host: Host, soft: bool) -> list[Found]:
    asked = xl_cfg.read_vms(path).item[0]
    file, thing = str(path), f"VM {asked.name!r:.80}"
    settings = parse_xl_text(read_text(path), file)
    with located(file):
        cells = tuple(
            _Cell(
                tuple(sorted(node.vcpus)),
                node.size_mib,
                None if node.pnode is None else frozenset({node.pnode}),
            )
            for node in parse_vnuma(_items(settings, "vnuma"), thing)
        )
        keys = ("cpus_soft", "cpus") if soft else ("cpus", "cpus_soft")
        for key in keys:
            value = settings[key].value if key in settings else ()
            texts = (value,) * asked.vcpus if isinstance(value, str) else value[: asked.vcpus]
            affinities = [parse_affinity(str(text), thing=thing, field=key) for text in texts]
            if len(texts) == asked.vcpus and all(map(restricts, affinities)):
                pins = tuple(pcpus_of(affinity, host) for affinity in affinities)
                own = _own([str(text) for text in texts], asked.vcpus) if key == keys[0] else ()
                return [Found(asked, pins, own, cells, None, asked.memory_least_mib)]
    return [Found(asked, (), (), cells, None, asked.memory_least_mib)]


def _items(settings: Mapping[str, XlSetting], key: str) -> tuple[XlValue, ...]:
    value = settings[key].value if key in settings else ()
    return value if isinstance(value, tuple) else (value,)


def _found_libvirt(path: Path) -> list[Found]:
    asked = libvirt_domain.read_vms(path).item
    file = str(path)
    found: list[Found] = []
    for vm, domain in zip(asked, libvirt_domain.domains_of(read_text(path), file), strict=True):
        with located(file, line_of(domain)):
            found.append(_found_domain(vm, domain))
    return found


def _found_domain(vm: Vm, domain: Element) -> Found:
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
        tuple(_ids(vm, text, "vcpupin") for text in told) if len(told) == vm.vcpus else (),
        _own(told, vm.vcpus),
        _libvirt_cells(vm, domain, vm),
        None if stated is None else _ids(vm, stated, "nodeset"),
        min(now_mib or vm.memory_mib, vm.memory_mib),
    )


def _libvirt_cells(vm: Vm, domain: Element, asked: Vm) -> tuple[_Cell, ...]:
    """Guest cells by id, with the nodes of their ``memnode``."""
    bound = {
        int(node.get("cellid", "0")): _ids(vm, node.get("nodeset"), "memnode")
        for node in domain.iterfind("numatune/memnode")
    }
    cells = [cell for cell in guest_cells(vm.name, domain, vm.vcpus, []) if cell.vcpus]
    return tuple(
        _Cell(tuple(sorted(cell.vcpus)), size.memory_mib, bound.get(cell.id))
        for cell, size in zip(cells, asked.cells, strict=True)
    )


def _ids(vm: Vm, text: str | None, field: str) -> frozenset[int]:
    """Ids of a list; Proxmox puts semicolons where others have commas."""
    return parse_ids((text or "").replace(";", ","), thing=f"VM {vm.name!r:.80}", field=field)


def _found_proxmox(path: Path, host: Host) -> list[Found]:
    """Return what a Proxmox configuration says.

    Its one list of pCPUs holds for all vCPUs: a cell is where its memory is, as far as the list
    has pCPUs there. As many pCPUs as vCPUs, one by one, are pins.
    """
    asked = proxmox.read_vms(path).item[0]
    values = dict(_LINE.findall(read_text(path).split("\n[")[0]))
    with located(str(path)):
        cells = _proxmox_cells(asked, values, asked)
        text = values.get("affinity", "")
        own = _own(text.split(","), asked.vcpus)
        listed = _ids(asked, text, "affinity")
        pins = dict.fromkeys(range(asked.vcpus), listed)
        for cell in cells:
            local = _pcpus(host, cell.nodes or frozenset()) & listed
            pins |= dict.fromkeys(cell.vcpus, local or listed)
        pins |= {vcpu: frozenset({pcpu}) for vcpu, pcpu in enumerate(own)}
        whole = frozenset[int]().union(*(cell.nodes or frozenset() for cell in cells))
        now_mib = int(values.get("balloon", "0")) or asked.memory_mib
        return [
            Found(
                asked,
                tuple(pins[vcpu] for vcpu in range(asked.vcpus)) if listed else (),
                own,
                cells if len(cells) > 1 else (),
                whole or None,
                min(asked.memory_mib, now_mib),
            )
        ]


def _proxmox_cells(vm: Vm, values: Mapping[str, str], asked: Vm) -> tuple[_Cell, ...]:
    """Guest cells of the ``numaN`` lines with the nodes they are bound to; else one a socket.

    vCPUs that no line names are in the first cell, as its reader has it.
    """
    keys = sorted((key for key in values if re.fullmatch("numa[0-9]+", key)), key=_number)
    cells: list[_Cell] = []
    left = list(range(vm.vcpus))
    for index, stated in enumerate(asked.cells):
        vcpus: Iterable[int] = left[: stated.vcpus]
        nodes: frozenset[int] = frozenset()
        if keys:
            pairs = (part.partition("=") for part in values[keys[index]].split(","))
            parts = {option.strip(): value for option, _, value in pairs}
            vcpus, nodes = _ids(vm, parts["cpus"], "cpus"), _ids(vm, parts.get("hostnodes"), "numa")
        left = [vcpu for vcpu in left if vcpu not in vcpus]
        cells.append(_Cell(tuple(sorted(vcpus)), stated.memory_mib, nodes or None))
    if left and cells:
        cells[0] = replace(cells[0], vcpus=tuple(sorted((*cells[0].vcpus, *left))))
    return tuple(cells)


def _number(key: str) -> int:
    return int(key.removeprefix("numa"))


def _pcpus(host: Host, nodes: frozenset[int]) -> frozenset[int]:
    return frozenset(p.id for node in host.nodes if node.id in nodes for p in node.pcpus)


def placement_of(instance: Instance, vm: Vm, host: Host, found: Found) -> Reading[Placement]:
    """Return where a file puts `vm`, on `host`.

    Raises
    ------
    InputError
        If it does not keep each cell on one node.
    """
    if not found.pins:
        reason = "are missing for some vCPUs: nothing says where it runs"
        raise InputError(f"VM {vm.name!r:.80}", "pins", reason)
    asked = found.asked
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
        if missing := set(on) - host.position.keys():
            reason = f"its memory is bound to node {format_ids(missing)}, which the host lacks"
            raise InputError(f"VM {vm.name!r:.80}", "nodes", reason)
        if len(on) > 1:
            notes.append(
                f"VM {vm.name!r}: how much memory lies on each of nodes {format_ids(on)} is not "
                "told; equal parts are taken"
            )
        memory = tuple((node, _part(own_mib, i, len(on))) for i, node in enumerate(on))
        pins = [found.pins[vcpu] for vcpu in cell.vcpus]
        own: tuple[int, ...] = ()
        sets: tuple[frozenset[int], ...] = ()
        if vm.cpu_policy is CpuPolicy.SHARED:
            sets = tuple(pins)
        elif all(len(pin) == 1 for pin in pins):
            own = tuple(pcpu for pin in pins for pcpu in pin)
        placed.append(PlacedCell(used.pop(), len(cell.vcpus), memory, own, size_mib, sets))
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
