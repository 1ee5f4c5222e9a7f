"""VMs from Proxmox VE's configuration files (``/etc/pve/qemu-server/<vmid>.conf``), one a file.

======================== =====================================================================
VM conf                  Vm
======================== =====================================================================
name                     name (without it: the file's name, the vmid)
sockets, cores, vcpus    vcpus = sockets x cores (1 each), also where fewer are plugged in (vcpus)
memory, balloon          memory_mib = memory (512); memory_min_mib = balloon if less and not 0,
                         unless ``shares: 0`` switches automatic ballooning off
numa: 1                  one cell per socket, equal as far as it goes (none with one socket)
numaN                    cells; hostnodes become memory_nodes, policy the memory_mode (bind =
                         strict), cells joined; without ``numa: 1`` they do not count
hugepages                page_size: 2 and any = 2M, 1024 = 1G
affinity                 hard_nodes: nodes of these pCPUs on `host`
hostpciN                 devices, one function each, policy preferred; by address, or by the
                         name of a resource mapping
shares, cpulimit,        left out with a note
cpuunits, allow-ksm: 0
======================== =====================================================================

Snapshots (sections that begin with ``[name]``), comments and all other keys are passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from numaplace.instances.formats.found import Found, FoundCell, own_pcpus
from numaplace.instances.formats.guest import (
    Binding,
    guest_vm,
    join_bindings,
    missing_vcpus,
    note_plugged,
    resolve_pins,
)
from numaplace.instances.formats.proxmox.conf_text import Conf, read_conf
from numaplace.instances.pci import one_function
from numaplace.instances.ranges import format_ids, parse_whole
from numaplace.instances.reading import Reading, located, naming_file
from numaplace.models.errors import check_int
from numaplace.models.topology import MIB_MAX, Host
from numaplace.models.units import PageSize
from numaplace.models.vm import CELLS_MAX, VCPUS_MAX, Cell, DeviceRequest, MemoryMode, Vm

NUMA_MAX = 8
"""Proxmox knows numa0 to numa7."""

POLICIES = {
    "bind": MemoryMode.STRICT,
    "preferred": MemoryMode.PREFERRED,
    "interleave": MemoryMode.INTERLEAVE,
}
_HEAD = re.compile(
    r"^(?:cores|sockets|memory|numa\d?|ostype|scsihw|balloon|hostpci\d+|bootdisk|net\d+): ",
    re.MULTILINE,
)
_PAGES = {"2": PageSize.HUGE_2M, "1024": PageSize.HUGE_1G, "any": PageSize.HUGE_2M}
_LEFT_OUT = {
    "shares": "shares of ballooned memory are not kept",
    "cpulimit": "cpulimit is not kept: say with utilisation how much of its vCPUs it uses",
    "cpuunits": "cpuunits are not kept: all VMs have the same share of contended pCPUs",
}


@dataclass(frozen=True, slots=True)
class _ConfCell:
    """vCPUs and memory of a guest cell, and where that is bound (None: not said)."""

    vcpus: frozenset[int]
    memory_mib: int
    binding: Binding | None = None


def sniff(head: str, path: Path) -> bool:
    """Tell whether the beginning of a file looks like a Proxmox VM configuration."""
    return head.lstrip()[:1] not in ("<", "{", "[") and len(_HEAD.findall(head)) >= 2


def read_vms(path: Path, host: Host | None = None) -> Reading[tuple[Vm, ...]]:
    """Return the VM of a Proxmox configuration; `host` turns pCPUs into nodes, else they are left.

    `InputError` with file and line, for what Proxmox would refuse.
    """
    notes: list[str] = []
    conf, vm, _ = _read(path, notes)
    with located(conf.file, conf.line("affinity")):
        affinity = conf.text("affinity")
        pcpus = None if affinity is None else conf.ids(affinity, "affinity")
        vm = resolve_pins(vm, pcpus, host, notes)
    return Reading((vm,), tuple(f"VM {vm.name!r}: {note}" for note in notes))


@naming_file
def _read(path: Path, notes: list[str]) -> tuple[Conf, Vm, tuple[_ConfCell, ...]]:
    """Return a configuration, its VM without its pins, and the cells as they are stated."""
    conf = read_conf(path)
    vcpus = vcpus_of(conf)
    check_int(conf.thing, "sockets x cores", vcpus, 1, VCPUS_MAX)
    note_plugged(conf.whole("vcpus", 1, vcpus) or vcpus, vcpus, notes)
    memory_mib = conf.whole("memory", 16, MIB_MAX, "current=") or 512
    cells = _guest_cells(conf, vcpus, memory_mib, notes)
    vm = guest_vm(
        conf.name,
        vcpus,
        memory_mib,
        [Cell(len(cell.vcpus), cell.memory_mib) for cell in cells],
        notes,
        least_mib=_least_mib(conf, memory_mib, notes),
        pages=_page_size(conf, cells, notes),
        binding=join_bindings([cell.binding for cell in cells], notes),
        devices=_devices(conf, notes),
    )
    notes += [why for key, why in _LEFT_OUT.items() if conf.text(key) not in (None, "0")]
    if not conf.flag("allow-ksm", True):
        notes.append("its pages must not be shared: put it in no sharing group")
    return conf, vm, cells


def vcpus_of(conf: Conf) -> int:
    """Return the vCPUs in all: one socket of one core if nothing is said."""
    return (conf.whole("sockets", 1, VCPUS_MAX) or 1) * (conf.whole("cores", 1, VCPUS_MAX) or 1)


def _least_mib(conf: Conf, memory_mib: int, notes: list[str]) -> int | None:
    balloon = conf.whole("balloon", 0, MIB_MAX) or 0
    if balloon > memory_mib:
        raise conf.error("balloon", f"{balloon} is above memory, {memory_mib}")
    if balloon in (0, memory_mib):
        return None
    if conf.whole("shares", 0, 50000) == 0:
        notes.append("'shares: 0' switches automatic ballooning off")
        return None
    return balloon


def _page_size(conf: Conf, cells: tuple[_ConfCell, ...], notes: list[str]) -> PageSize:
    text = conf.text("hugepages")
    if text is None:
        return PageSize.SMALL
    if text not in _PAGES:
        raise conf.error("hugepages", f"{text!r:.20} is none of {', '.join(_PAGES)}")
    if not conf.flag("numa", False):
        raise conf.error("hugepages", "needs 'numa: 1'")
    if conf.numbered("numa") and any(cell.binding is None for cell in cells):
        raise conf.error("hugepages", "needs hostnodes in every numaN line")
    if text == "any":
        notes.append("huge pages of any size are taken as 2M")
    return _PAGES[text]


def _devices(conf: Conf, notes: list[str]) -> tuple[DeviceRequest, ...]:
    kinds: dict[str, int] = {}
    for key in conf.numbered("hostpci"):
        options = conf.options(key, ())
        mapping = options.get("mapping")
        stated = options.get("host") or options.get("")
        if (mapping is None) == (stated is None):
            raise conf.error(key, "must name a PCI address or a mapping")
        if mapping is not None:
            kinds[mapping] = kinds.get(mapping, 0) + 1
            continue
        for text in (stated or "").split(";"):
            with located(conf.file, conf.line(key)):
                address = one_function(text, thing=conf.thing, field=key, notes=notes)
            if address in kinds:
                raise conf.error(key, f"PCI device {address} is passed through twice")
            kinds[address] = 1
    return tuple(DeviceRequest(kind, count) for kind, count in kinds.items())


def _guest_cells(
    conf: Conf, vcpus: int, memory_mib: int, notes: list[str]
) -> tuple[_ConfCell, ...]:
    """Return the guest's cells; none if it has no NUMA of its own."""
    keys = conf.numbered("numa")
    for key in keys:
        if int(key[4:]) >= NUMA_MAX:
            raise conf.error(key, f"does not exist, numa0 to numa{NUMA_MAX - 1} do")
    if not conf.flag("numa", False):
        if keys:
            notes.append("its numaN lines do not count without 'numa: 1'")
        return ()
    if keys:
        return _stated_cells(conf, keys, vcpus, memory_mib, notes)
    sockets = conf.whole("sockets", 1, VCPUS_MAX) or 1
    if sockets == 1:
        return ()
    if sockets > CELLS_MAX:
        raise conf.error("sockets", f"{sockets} guest NUMA cells are more than {CELLS_MAX}")
    each, more = divmod(memory_mib, sockets)
    if more:
        notes.append(f"{memory_mib} MiB are not even over {sockets} sockets")
    cores = vcpus // sockets
    return tuple(
        _ConfCell(frozenset(range(at * cores, (at + 1) * cores)), each + (at < more))
        for at in range(sockets)
    )


def _stated_cells(
    conf: Conf, keys: list[str], vcpus: int, memory_mib: int, notes: list[str]
) -> tuple[_ConfCell, ...]:
    cells: list[_ConfCell] = []
    for key in keys:
        with located(conf.file, conf.line(key)):
            cells.append(_cell(conf, key))
    missing = missing_vcpus(
        [cell.vcpus for cell in cells],
        vcpus,
        "the VM has",
        lambda at, reason: conf.error(keys[at], reason),
    )
    total = sum(cell.memory_mib for cell in cells)
    if total != memory_mib:
        raise conf.error(keys[-1], f"the cells' memory adds up to {total}, memory is {memory_mib}")
    if missing:
        cells[0] = replace(cells[0], vcpus=cells[0].vcpus | missing)
        told = f"vCPUs {format_ids(missing)}, which no numaN line names,"
        notes.append(f"{told} are taken to be in {keys[0]}")
    return tuple(cells)


def _cell(conf: Conf, key: str) -> _ConfCell:
    """The cell that a numaN line states."""
    options = conf.options(key, ("cpus", "hostnodes", "memory", "policy"))
    for option in ("cpus", "memory"):
        if option not in options:
            raise conf.error(key, f"{option} is missing")
    cpus = conf.ids(options["cpus"], f"{key} cpus")
    mib = parse_whole(
        options["memory"], thing=conf.thing, field=f"{key} memory", low=1, high=MIB_MAX
    )
    policy = options.get("policy")
    if policy is not None and policy not in POLICIES:
        raise conf.error(key, f"policy {policy!r:.20} is none of {', '.join(POLICIES)}")
    if "hostnodes" not in options:
        return _ConfCell(cpus, mib)
    if policy is None:
        raise conf.error(key, "hostnodes needs a policy")
    nodes = conf.ids(options["hostnodes"], f"{key} hostnodes")
    return _ConfCell(cpus, mib, Binding(POLICIES[policy], nodes))


@naming_file
def place(path: Path, host: Host) -> list[Found]:
    """Return where the VM of a configuration runs.

    Its one list of pCPUs holds for all vCPUs: a cell is where its memory is, as far as the list
    has pCPUs there. As many pCPUs as vCPUs, one by one, are pins.
    """
    conf, asked, stated = _read(path, [])
    cells = tuple(
        FoundCell(
            tuple(sorted(cell.vcpus)), size.memory_mib, cell.binding.nodes if cell.binding else None
        )
        for cell, size in zip(stated, asked.cells, strict=True)
    )
    text = conf.text("affinity")
    own = own_pcpus((text or "").split(","), asked.vcpus)
    listed = frozenset[int]() if text is None else conf.ids(text, "affinity")
    pins = dict.fromkeys(range(asked.vcpus), listed)
    for cell in cells:
        nodes = [node for node in host.nodes if node.id in (cell.nodes or ())]
        local = listed & {pcpu.id for node in nodes for pcpu in node.pcpus}
        pins |= dict.fromkeys(cell.vcpus, local or listed)
    pins |= {vcpu: frozenset({pcpu}) for vcpu, pcpu in enumerate(own)}
    whole = frozenset[int]().union(*(cell.nodes or frozenset() for cell in cells))
    return [
        Found(
            asked,
            min(asked.memory_mib, conf.whole("balloon", 0, MIB_MAX) or asked.memory_mib),
            tuple(pins[vcpu] for vcpu in range(asked.vcpus)) if listed else (),
            own,
            cells if len(cells) > 1 else (),
            whole or None,
        )
    ]
