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

from numaplace.instances.files import STDIN, read_text
from numaplace.instances.formats.balloon import balloon_floor, whole_pages
from numaplace.instances.formats.memory_binding import UNBOUND, Binding, join_bindings
from numaplace.instances.formats.pins import CpuPins, resolve_pins
from numaplace.instances.pci_address import parse_pci_functions
from numaplace.instances.ranges import format_ids, parse_ids, parse_whole
from numaplace.instances.reading import Reading, located
from numaplace.models.errors import InputError, check_int
from numaplace.models.topology import MIB_MAX, Host
from numaplace.models.units import PageSize
from numaplace.models.vm import CELLS_MAX, VCPUS_MAX, Cell, DeviceRequest, GuestNuma, MemoryMode, Vm

LIMIT_BYTES = 2**20
NUMA_MAX = 8
"""Proxmox knows numa0 to numa7."""

_LINE = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):\s*(.*?)\s*")
_HEAD = re.compile(
    r"^(?:cores|sockets|memory|numa\d?|ostype|scsihw|balloon|hostpci\d+|bootdisk|net\d+): ",
    re.MULTILINE,
)
_MODES = {
    "bind": MemoryMode.STRICT,
    "preferred": MemoryMode.PREFERRED,
    "interleave": MemoryMode.INTERLEAVE,
}
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
    """Return the VM of a Proxmox configuration file.

    Parameters
    ----------
    path
        The file.
    host
        Where it is to run: needed to turn pCPUs into nodes; without it they are left out.

    Raises
    ------
    InputError
        With file and line, for what Proxmox would refuse.
    """
    file = str(path)
    conf = _parse(read_text(path, limit_bytes=LIMIT_BYTES), file)
    name = conf.text("name") or ("vm" if path == STDIN else path.stem)
    conf.thing = f"VM {name!r:.80}"
    notes: list[str] = []
    with located(file):
        vm = _vm(conf, name, notes)
    with located(file, conf.line("affinity")):
        affinity = conf.text("affinity")
        pcpus = None if affinity is None else _ids(affinity, conf.thing, "affinity")
        pinned = resolve_pins(vm, CpuPins(hard=pcpus), host)
    return Reading((pinned.item,), (*notes, *pinned.notes))


class _Conf:
    """Values of one file and the lines they are on; errors name key and line."""

    def __init__(self, values: dict[str, tuple[str, int]], file: str) -> None:
        self.values = values
        self.file = file
        self.thing = "VM configuration"

    def line(self, key: str) -> int | None:
        return self.values[key][1] if key in self.values else None

    def text(self, key: str) -> str | None:
        return self.values[key][0] if key in self.values else None

    def error(self, key: str, reason: str) -> InputError:
        return InputError(self.thing, key, reason, file=self.file, line=self.line(key))

    def whole(self, key: str, low: int, high: int, default: int) -> int:
        text = self.text(key)
        if text is None:
            return default
        with located(self.file, self.line(key)):
            return parse_whole(text, thing=self.thing, field=key, low=low, high=high)

    def flag(self, key: str, default: bool) -> bool:
        text = self.text(key)
        if text is None:
            return default
        if text not in ("0", "1"):
            raise self.error(key, f"must be 0 or 1, not {text!r:.20}")
        return text == "1"

    def numbered(self, prefix: str) -> list[str]:
        """Keys like ``numa0`` in ascending order."""
        keys = [key for key in self.values if re.fullmatch(prefix + r"[0-9]{1,3}", key)]
        return sorted(keys, key=lambda key: int(key[len(prefix) :]))


def _parse(text: str, file: str) -> _Conf:
    values: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("["):
            break  # snapshots and pending changes follow
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            reason = f"{line.strip()!r:.60} is not of the form 'key: value'"
            raise InputError("VM configuration", "", reason, file=file, line=number)
        key, value = match.groups()
        if key in values:
            reason = f"is given in line {values[key][1]} already"
            raise InputError("VM configuration", key, reason, file=file, line=number)
        values[key] = (value, number)
    if not values:
        raise InputError("VM configuration", "", "holds no 'key: value' line", file=file)
    return _Conf(values, file)


def _vm(conf: _Conf, name: str, notes: list[str]) -> Vm:
    sockets = conf.whole("sockets", 1, VCPUS_MAX, 1)
    vcpus = sockets * conf.whole("cores", 1, VCPUS_MAX, 1)
    check_int(conf.thing, "sockets x cores", vcpus, 1, VCPUS_MAX)
    plugged = conf.whole("vcpus", 1, vcpus, vcpus)
    if plugged < vcpus:
        notes.append(f"VM {name!r}: starts with {plugged} vCPUs and may get {vcpus}; all count")
    memory_mib = _memory_mib(conf)
    numa = _numa(conf, name, sockets, vcpus, memory_mib, notes)
    pages = _page_size(conf, name, numa, notes)
    parts = whole_pages(name, [c.memory_mib for c in numa.cells] or [memory_mib], pages, notes)
    cells = tuple(replace(c, memory_mib=mib) for c, mib in zip(numa.cells, parts, strict=False))
    memory_mib = sum(parts)
    least_mib = _least_mib(conf, name, memory_mib, notes)
    notes += [
        f"VM {name!r}: {reason}"
        for key, reason in _LEFT_OUT.items()
        if conf.text(key) not in (None, "0")
    ]
    if not conf.flag("allow-ksm", True):
        notes.append(f"VM {name!r}: its pages must not be shared: put it in no sharing group")
    return Vm(
        name,
        vcpus,
        memory_mib,
        memory_min_mib=balloon_floor(name, memory_mib, least_mib, pages, numa.binding.mode, notes),
        page_size=pages,
        memory_mode=numa.binding.mode,
        memory_nodes=numa.binding.nodes,
        guest_numa=GuestNuma.EXPLICIT if cells else GuestNuma.NONE,
        cells=cells,
        devices=_devices(conf, name, notes),
    )


def _memory_mib(conf: _Conf) -> int:
    text = conf.text("memory")
    if text is None:
        return 512
    with located(conf.file, conf.line("memory")):
        plain = text.removeprefix("current=")
        return parse_whole(plain, thing=conf.thing, field="memory", low=16, high=MIB_MAX)


def _least_mib(conf: _Conf, name: str, memory_mib: int, notes: list[str]) -> int | None:
    balloon = conf.whole("balloon", 0, MIB_MAX, 0)
    if balloon > memory_mib:
        raise conf.error("balloon", f"{balloon} is above memory, {memory_mib}")
    if balloon in (0, memory_mib):
        return None
    if conf.whole("shares", 0, 50000, 1000) == 0:
        notes.append(f"VM {name!r}: 'shares: 0' switches automatic ballooning off")
        return None
    return balloon


@dataclass(frozen=True, slots=True)
class _Numa:
    """Guest cells, and where their memory is bound; `hosted` if all name host nodes."""

    cells: tuple[Cell, ...] = ()
    binding: Binding = UNBOUND
    hosted: bool = True


def _numa(
    conf: _Conf, name: str, sockets: int, vcpus: int, memory_mib: int, notes: list[str]
) -> _Numa:
    keys = conf.numbered("numa")
    for key in keys:
        if int(key[4:]) >= NUMA_MAX:
            raise conf.error(key, f"does not exist, numa0 to numa{NUMA_MAX - 1} do")
    if not conf.flag("numa", False):
        if keys:
            notes.append(f"VM {name!r}: its numaN lines do not count without 'numa: 1'")
        return _Numa()
    if keys:
        return _stated_cells(conf, name, keys, vcpus, memory_mib, notes)
    if sockets == 1:
        return _Numa()
    if sockets > CELLS_MAX:
        raise conf.error("sockets", f"{sockets} guest NUMA cells are more than {CELLS_MAX}")
    each, more = divmod(memory_mib, sockets)
    if more:
        notes.append(f"VM {name!r}: {memory_mib} MiB are not even over {sockets} sockets")
    return _Numa(tuple(Cell(vcpus // sockets, each + (at < more)) for at in range(sockets)))


def _stated_cells(
    conf: _Conf, name: str, keys: list[str], vcpus: int, memory_mib: int, notes: list[str]
) -> _Numa:
    cells: list[Cell] = []
    bindings: list[Binding | None] = []
    seen: set[int] = set()
    for key in keys:
        with located(conf.file, conf.line(key)):
            cpus, mib, binding = _cell(conf, key)
        if cpus & seen:
            raise conf.error(key, f"vCPU {min(cpus & seen)} is in another cell too")
        if max(cpus) >= vcpus:
            raise conf.error(key, f"vCPU {max(cpus)} does not exist, the VM has {vcpus}")
        seen |= cpus
        cells.append(Cell(len(cpus), mib))
        bindings.append(binding)
    total = sum(cell.memory_mib for cell in cells)
    if total != memory_mib:
        raise conf.error(keys[-1], f"the cells' memory adds up to {total}, memory is {memory_mib}")
    missing = frozenset(range(vcpus)) - seen
    if missing:
        cells[0] = replace(cells[0], vcpus=cells[0].vcpus + len(missing))
        told = f"vCPUs {format_ids(missing)}, which no numaN line names,"
        notes.append(f"VM {name!r}: {told} are taken to be in {keys[0]}")
    return _Numa(tuple(cells), join_bindings(name, bindings, notes), None not in bindings)


def _cell(conf: _Conf, key: str) -> tuple[frozenset[int], int, Binding | None]:
    """vCPUs, memory in MiB and binding that a numaN line states."""
    options = _options(conf, key, ("cpus", "hostnodes", "memory", "policy"))
    for option in ("cpus", "memory"):
        if option not in options:
            raise conf.error(key, f"{option} is missing")
    cpus = _ids(options["cpus"].replace(";", ","), conf.thing, f"{key} cpus")
    mib = parse_whole(
        options["memory"], thing=conf.thing, field=f"{key} memory", low=1, high=MIB_MAX
    )
    policy = options.get("policy")
    if policy is not None and policy not in _MODES:
        raise conf.error(key, f"policy {policy!r:.20} is none of {', '.join(_MODES)}")
    if "hostnodes" not in options:
        return cpus, mib, None
    if policy is None:
        raise conf.error(key, "hostnodes needs a policy")
    nodes = _ids(options["hostnodes"].replace(";", ","), conf.thing, f"{key} hostnodes")
    return cpus, mib, Binding(_MODES[policy], nodes)


def _options(conf: _Conf, key: str, known: tuple[str, ...]) -> dict[str, str]:
    """Comma-separated ``option=value`` pairs of a line; `known` empty allows any option."""
    options: dict[str, str] = {}
    for item in (conf.text(key) or "").split(","):
        option, sign, value = (part.strip() for part in item.partition("="))
        if not sign:
            option, value = "", option
        if (known and option not in known) or not value:
            wanted = ", ".join(f"{word}=" for word in known) or "'option=value'"
            raise conf.error(key, f"{item.strip()!r:.60} is none of {wanted}")
        if option in options:
            raise conf.error(key, f"{option or item!r:.60} is given twice")
        options[option] = value
    return options


def _page_size(conf: _Conf, name: str, numa: _Numa, notes: list[str]) -> PageSize:
    text = conf.text("hugepages")
    if text is None:
        return PageSize.SMALL
    if text not in _PAGES:
        raise conf.error("hugepages", f"{text!r:.20} is none of {', '.join(_PAGES)}")
    if not conf.flag("numa", False):
        raise conf.error("hugepages", "needs 'numa: 1'")
    if not numa.hosted:
        raise conf.error("hugepages", "needs hostnodes in every numaN line")
    if text == "any":
        notes.append(f"VM {name!r}: huge pages of any size are taken as 2M")
    return _PAGES[text]


def _devices(conf: _Conf, name: str, notes: list[str]) -> tuple[DeviceRequest, ...]:
    kinds: dict[str, int] = {}
    for key in conf.numbered("hostpci"):
        options = _options(conf, key, ())
        mapping = options.get("mapping")
        stated = options.get("host") or options.get("")
        if (mapping is None) == (stated is None):
            raise conf.error(key, "must name a PCI address or a mapping")
        if mapping is not None:
            kinds[mapping] = kinds.get(mapping, 0) + 1
            continue
        for text in (stated or "").split(";"):
            with located(conf.file, conf.line(key)):
                address, whole = parse_pci_functions(text, thing=conf.thing, field=key)
            if address in kinds:
                raise conf.error(key, f"PCI device {address} is passed through twice")
            kinds[address] = 1
            if whole:
                notes.append(
                    f"VM {name!r}: all functions of PCI slot {address[:-2]} are asked for; only "
                    "function 0 is kept"
                )
    return tuple(DeviceRequest(kind, count) for kind, count in kinds.items())


def _ids(text: str, thing: str, field: str) -> frozenset[int]:
    ids = parse_ids(text, thing=thing, field=field, exclusions=False)
    if not ids:
        raise InputError(thing, field, "names none")
    return ids
