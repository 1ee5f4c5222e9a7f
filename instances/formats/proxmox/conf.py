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
from pathlib import Path

from numaplace.instances.formats.guest import guest_vm, join_bindings, note_plugged, resolve_pins
from numaplace.instances.formats.proxmox.conf_text import Conf, read_conf
from numaplace.instances.formats.proxmox.numa import ConfCell, guest_cells
from numaplace.instances.pci import one_function
from numaplace.instances.ranges import parse_whole
from numaplace.instances.reading import Reading, located
from numaplace.models.errors import check_int
from numaplace.models.topology import MIB_MAX, Host
from numaplace.models.units import PageSize
from numaplace.models.vm import VCPUS_MAX, Cell, DeviceRequest, Vm

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


def sniff(head: str, path: Path) -> bool:
    """Tell whether the beginning of a file looks like a Proxmox VM configuration."""
    return head.lstrip()[:1] not in ("<", "{", "[") and len(_HEAD.findall(head)) >= 2


def read_vms(path: Path, host: Host | None = None) -> Reading[tuple[Vm, ...]]:
    """Return the VM of a Proxmox configuration.

    `host`, where they are to run, turns pCPUs into nodes; without it they are left out.

    Raises
    ------
    InputError
        With file and line, for what Proxmox would refuse.
    """
    conf = read_conf(path)
    notes: list[str] = []
    with located(conf.file):
        vm = _vm(conf, notes)
    with located(conf.file, conf.line("affinity")):
        affinity = conf.text("affinity")
        pcpus = None if affinity is None else conf.ids(affinity, "affinity")
        vm = resolve_pins(vm, pcpus, host, notes)
    return Reading((vm,), tuple(notes))


def _vm(conf: Conf, notes: list[str]) -> Vm:
    vcpus = conf.whole("sockets", 1, VCPUS_MAX, 1) * conf.whole("cores", 1, VCPUS_MAX, 1)
    check_int(conf.thing, "sockets x cores", vcpus, 1, VCPUS_MAX)
    note_plugged(conf.name, conf.whole("vcpus", 1, vcpus, vcpus), vcpus, notes)
    memory_mib = memory_mib_of(conf)
    cells = guest_cells(conf, vcpus, memory_mib, notes)
    vm = guest_vm(
        conf.name,
        vcpus,
        memory_mib,
        [Cell(len(cell.vcpus), cell.memory_mib) for cell in cells],
        notes,
        least_mib=_least_mib(conf, memory_mib, notes),
        pages=_page_size(conf, cells, notes),
        binding=join_bindings(conf.name, [cell.binding for cell in cells], notes),
        devices=_devices(conf, notes),
    )
    notes += [
        f"VM {conf.name!r}: {reason}"
        for key, reason in _LEFT_OUT.items()
        if conf.text(key) not in (None, "0")
    ]
    if not conf.flag("allow-ksm", True):
        notes.append(f"VM {conf.name!r}: its pages must not be shared: put it in no sharing group")
    return vm


def memory_mib_of(conf: Conf) -> int:
    """Return the memory in MiB."""
    text = conf.text("memory")
    if text is None:
        return 512
    with located(conf.file, conf.line("memory")):
        plain = text.removeprefix("current=")
        return parse_whole(plain, thing=conf.thing, field="memory", low=16, high=MIB_MAX)


def _least_mib(conf: Conf, memory_mib: int, notes: list[str]) -> int | None:
    balloon = conf.whole("balloon", 0, MIB_MAX, 0)
    if balloon > memory_mib:
        raise conf.error("balloon", f"{balloon} is above memory, {memory_mib}")
    if balloon in (0, memory_mib):
        return None
    if conf.whole("shares", 0, 50000, 1000) == 0:
        notes.append(f"VM {conf.name!r}: 'shares: 0' switches automatic ballooning off")
        return None
    return balloon


def _page_size(conf: Conf, cells: tuple[ConfCell, ...], notes: list[str]) -> PageSize:
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
        notes.append(f"VM {conf.name!r}: huge pages of any size are taken as 2M")
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
