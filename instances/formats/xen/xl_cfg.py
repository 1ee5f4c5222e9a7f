"""VMs from xl configuration files (xl.cfg), one VM a file.

======================== =====================================================================
xl.cfg                   Vm
======================== =====================================================================
name                     name (without it: the file's name)
vcpus, maxvcpus          vcpus = maxvcpus, what Xen's own placement counts (default: vcpus, 1)
memory, maxmem           memory_mib = maxmem (default: memory); memory_min_mib = memory if less
cpus                     hard_nodes: nodes that are named, or the nodes of the pCPUs on `host`
cpus_soft                soft_nodes, likewise
vnuma                    cells (vcpus, size); the set of all pnodes becomes hard_nodes, with a note
                         (which cell goes to which node is the solver's to say); vdistances is
                         left out
pci                      devices by address, one function each, policy preferred
pool, cpu_weight, cap    left out with a note
======================== =====================================================================

Affinities that differ between vCPUs are joined, with a note. Other keys (disks, consoles) do not
matter to placement and are passed over.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from numaplace.instances.files import STDIN, read_text
from numaplace.instances.formats.found import Found, FoundCell, own_pcpus
from numaplace.instances.formats.guest import guest_vm, note_plugged, resolve_pins
from numaplace.instances.formats.xen.xl_cpus import (
    Affinity,
    check_size,
    named_nodes,
    parse_affinity,
    parse_vnuma,
    pcpus_of,
    restricts,
)
from numaplace.instances.formats.xen.xl_text import XlSetting, XlValue, parse_xl_text
from numaplace.instances.pci import one_function
from numaplace.instances.ranges import format_ids, parse_c_whole
from numaplace.instances.reading import Reading, located, naming_file
from numaplace.models.errors import InputError
from numaplace.models.topology import MIB_MAX, Host
from numaplace.models.vm import VCPUS_MAX, Cell, DeviceRequest, Vm

LIMIT_BYTES = 2**20
_LEFT_OUT = {
    "pool": "is not kept: say with hard nodes or allowed hosts what the pool may use",
    "cpu_weight": "is not kept: all VMs have the same share of contended pCPUs",
    "cap": "is not kept: say with utilisation how much of its vCPUs it uses",
}
_HEAD = re.compile(
    r"^[ \t]*(?:name|memory|maxmem|vcpus|maxvcpus|vnuma|cpus|builder|type)[ \t]*=[ \t]*['\"\[0-9]",
    re.MULTILINE,
)


def sniff(head: str, path: Path) -> bool:
    """Tell whether the beginning of a file looks like an xl configuration."""
    first = head.lstrip()[:1]
    return first not in ("<", "{", "[") and _HEAD.search(head) is not None


def read_vms(path: Path, host: Host | None = None) -> Reading[tuple[Vm, ...]]:
    """Return the VM of an xl configuration, which is read, never executed.

    `host`, where it is to run, turns pCPUs into nodes; without it they are left out. `InputError`
    with file and line, for what xl would refuse or warn about.
    """
    notes: list[str] = []
    _, vm, _ = _read(path, host, notes)
    return Reading((vm,), tuple(f"VM {vm.name!r}: {note}" for note in notes))


def _read(
    path: Path, host: Host | None, notes: list[str]
) -> tuple[_Config, Vm, tuple[FoundCell, ...]]:
    file = str(path)
    config = _Config(parse_xl_text(read_text(path, limit_bytes=LIMIT_BYTES), file), file)
    for key, setting in config.settings.items():
        if setting.earlier is not None:
            lines = f"lines {setting.earlier} and {setting.line}"
            notes.append(f"{key!r} is given in {lines}; the last counts")
    name = config.text("name") or ("vm" if path == STDIN else path.stem)
    config.thing = f"VM {name!r:.80}"
    with located(file, config.line("vnuma")):
        vnuma = parse_vnuma(config.items("vnuma"), config.thing, notes)
    with located(file):
        vm = _vm(config, name, vnuma, notes)
    vm = _on_pnodes(config, _pinned(config, vm, host, notes), vnuma, notes)
    for key, reason in _LEFT_OUT.items():
        if key in config.settings:
            notes.append(f"{key!r} {reason}")
    return config, vm, vnuma


@naming_file
def place(path: Path, host: Host, *, soft: bool = False) -> list[Found]:
    """Return where an xl configuration runs its VM, going by ``cpus_soft`` first if `soft`."""
    config, asked, cells = _read(path, None, [])
    keys = ("cpus_soft", "cpus") if soft else ("cpus", "cpus_soft")
    for key in keys:
        value = config.settings[key].value if key in config.settings else None
        texts = vcpu_texts(value, asked.vcpus)
        affinities = [parse_affinity(text, thing=config.thing, field=key) for text in texts]
        if len(texts) == asked.vcpus and all(map(restricts, affinities)):
            pins = tuple(pcpus_of(affinity, host) for affinity in affinities)
            own = own_pcpus(texts, asked.vcpus) if key == keys[0] else ()
            return [Found(asked, asked.memory_least_mib, pins, own, cells)]
    return [Found(asked, asked.memory_least_mib, cells=cells)]


def vcpu_texts(value: XlValue | None, vcpus: int) -> list[str]:
    """Return what an affinity says of each vCPU: one text holds for all, a list for its first."""
    if isinstance(value, str):
        return [value] * vcpus
    return [str(item) for item in (value or ())[:vcpus]]


class _Config:
    """Settings of one file, fetched by kind; errors name key and line."""

    def __init__(self, settings: dict[str, XlSetting], file: str) -> None:
        self.settings = settings
        self.file = file
        self.thing = "xl configuration"

    def line(self, key: str) -> int | None:
        return self.settings[key].line if key in self.settings else None

    def error(self, key: str, reason: str) -> InputError:
        return InputError(self.thing, key, reason, file=self.file, line=self.line(key))

    def text(self, key: str) -> str | None:
        if key not in self.settings:
            return None
        value = self.settings[key].value
        if not isinstance(value, str):
            raise self.error(key, "is a list, must be a single value")
        return value

    def whole(self, key: str, low: int, high: int) -> int | None:
        text = self.text(key)
        if text is None:
            return None
        with located(self.file, self.line(key)):
            return parse_c_whole(text, thing=self.thing, field=key, low=low, high=high)

    def items(self, key: str) -> tuple[XlValue, ...]:
        if key not in self.settings:
            return ()
        value = self.settings[key].value
        if isinstance(value, str):
            raise self.error(key, "is a single value, must be a list")
        return value


def _vm(config: _Config, name: str, vnuma: tuple[FoundCell, ...], notes: list[str]) -> Vm:
    vcpus = config.whole("vcpus", 1, VCPUS_MAX) or 1
    most = config.whole("maxvcpus", 1, VCPUS_MAX)
    if most is not None and most < vcpus:
        raise config.error("maxvcpus", f"{most} is below vcpus, {vcpus}")
    cells = tuple(Cell(len(node.vcpus), node.size_mib) for node in vnuma)
    total = sum(cell.vcpus for cell in cells) or most or vcpus
    wanted = most if most is not None else vcpus
    if total < wanted or (most is not None and total > most):
        key = "vcpus" if most is None else "maxvcpus"
        raise config.error("vnuma", f"its vcpus add up to {total}, {key} is {wanted}")
    note_plugged(vcpus, total, notes)
    memory_mib, least_mib = _memory(config, cells)
    devices = _devices(config, notes)
    return guest_vm(name, total, memory_mib, cells, notes, least_mib=least_mib, devices=devices)


def _memory(config: _Config, cells: tuple[Cell, ...]) -> tuple[int, int]:
    """Nominal and least memory in MiB."""
    start = config.whole("memory", 1, MIB_MAX)
    most = config.whole("maxmem", 1, MIB_MAX)
    whole = sum(cell.memory_mib for cell in cells)
    if whole:
        for key, mib in (("maxmem", most), ("memory", start)):
            if mib is not None and mib != whole:
                # Xen refuses populate-on-demand (memory < maxmem) together with vNUMA.
                raise config.error(key, f"{mib} differs from the sizes in vnuma, {whole} together")
        return whole, whole
    if most is None and start is None:
        raise config.error("memory", "is missing")
    most = start if most is None else most
    start = most if start is None else start
    if most is None or start is None or start > most:
        raise config.error("maxmem", f"{most} is below memory, {start}")
    return most, start


def _devices(config: _Config, notes: list[str]) -> tuple[DeviceRequest, ...]:
    requests: dict[str, DeviceRequest] = {}
    with located(config.file, config.line("pci")):
        for item in config.items("pci"):
            if not isinstance(item, str):
                raise InputError(config.thing, "pci", "holds a list, must hold strings")
            spelt = bdf_of(item)
            address = one_function(spelt, thing=config.thing, field="pci", notes=notes)
            if address in requests:
                raise InputError(config.thing, "pci", f"device {address} is given twice")
            requests[address] = DeviceRequest(address)
    return tuple(requests.values())


def bdf_of(item: str) -> str:
    """Return the address in a PCI specification: the first part, or the value of ``bdf=``."""
    parts = [part.strip() for part in item.split(",")]
    named = [part[4:] for part in parts if part.startswith("bdf=")]
    return (named[0] if named else parts[0]).split("@")[0].strip("() ")


def _pinned(config: _Config, vm: Vm, host: Host | None, notes: list[str]) -> Vm:
    """Return the VM with its affinities as hard and soft nodes."""
    for key, field in (("cpus", "hard_nodes"), ("cpus_soft", "soft_nodes")):
        with located(config.file, config.line(key)):
            affinities = _affinities(config, key, vm.vcpus, notes)
            if not affinities:
                continue
            named = [named_nodes(affinity) for affinity in affinities]
            if None not in named:
                nodes = frozenset[int]().union(*(ids for ids in named if ids is not None))
                if not nodes:
                    raise InputError(config.thing, key, "names no node")
                given: dict[str, Any] = {field: nodes}
                vm = replace(vm, **given)
            elif host is not None:
                pcpus = frozenset[int]().union(*(pcpus_of(each, host) for each in affinities))
                vm = resolve_pins(vm, pcpus, host, notes, field)
    return vm


def _affinities(config: _Config, key: str, vcpus: int, notes: list[str]) -> list[Affinity]:
    """Different affinities of the vCPUs; empty if some vCPU may run anywhere."""
    if key not in config.settings:
        return []
    value = config.settings[key].value
    texts = [value] if isinstance(value, str) else list(value[:vcpus])
    affinities: dict[Affinity, None] = {}
    for text in texts:
        if not isinstance(text, str):
            raise InputError(config.thing, key, "holds a list, must hold strings or numbers")
        affinities[parse_affinity(text, thing=config.thing, field=key)] = None
    check_size(affinities, thing=config.thing, field=key)
    if not isinstance(value, str):
        if len(value) > vcpus:
            reason = f"has {len(value)} entries for {vcpus} vCPUs; the rest is left out"
            notes.append(f"{key!r} {reason}")
        if len(texts) < vcpus:
            reason = "does not name every vCPU, so that some may run anywhere; left out"
            notes.append(f"{key!r} {reason}")
            return []
        if len(affinities) > 1:
            reason = "differs between vCPUs; all of them together are taken"
            notes.append(f"{key!r} {reason}")
    return list(affinities) if all(map(restricts, affinities)) else []


def _on_pnodes(config: _Config, vm: Vm, vnuma: tuple[FoundCell, ...], notes: list[str]) -> Vm:
    """Return the VM kept on the host nodes that its virtual nodes are built on."""
    pnodes = frozenset[int]().union(*(cell.nodes or () for cell in vnuma))
    if not pnodes:
        return vm
    if vm.hard_nodes is None:
        notes.append(
            f"the pnodes of its vnuma became hard nodes {format_ids(pnodes)}; "
            "which virtual node lies on which is left to the solver"
        )
        return replace(vm, hard_nodes=pnodes)
    common = vm.hard_nodes & pnodes
    notes.append(
        f"'cpus' allows nodes {format_ids(vm.hard_nodes)}, its vnuma names pnodes "
        f"{format_ids(pnodes)}; kept on {format_ids(common or vm.hard_nodes)}"
    )
    return replace(vm, hard_nodes=common or vm.hard_nodes)
