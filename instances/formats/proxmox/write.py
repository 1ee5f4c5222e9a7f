"""A planned VM as a Proxmox VE configuration: a given one edited, or what a plan decides.

===================== ==========================================================================
plan                  VM conf
===================== ==========================================================================
vCPUs                 sockets x cores
their pCPUs           affinity: one list for all threads of the VM
memory, ballooning    memory; balloon is the least it keeps
page size             hugepages
guest cells, memory   numa: 1 and a numaN line for each; a guest without cells of its own has one
devices               hostpciN
===================== ==========================================================================

Snapshots, comments and all other lines stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from numaplace.instances.formats.format import AffinityKind, Format, one_vm
from numaplace.instances.formats.guest import changed_pins
from numaplace.instances.formats.placed import NumberedCell, PlacedVm
from numaplace.instances.formats.proxmox import conf as reader
from numaplace.instances.formats.proxmox.conf import NUMA_MAX, POLICIES, vcpus_of
from numaplace.instances.formats.proxmox.conf_text import Conf, parse_conf
from numaplace.instances.formats.write_placed import amounts_note, exchanged_devices
from numaplace.instances.pci import parse_pci_functions
from numaplace.instances.ranges import format_ids
from numaplace.instances.reading import Reading
from numaplace.models.topology import MIB_MAX
from numaplace.models.units import PageSize
from numaplace.models.vm import CpuPolicy

HOSTPCI_MAX = 16
_POLICY_OF = {mode: policy for policy, mode in POLICIES.items()}
_PAGES = {PageSize.HUGE_2M: "2", PageSize.HUGE_1G: "1024"}


def write_proxmox(
    placed: PlacedVm, affinity: AffinityKind, source: str | None, file: str
) -> Reading[str]:
    """Return the configuration of a planned VM: its `source`, edited, or a new one.

    `InputError` if Proxmox would refuse or not do what the plan says.
    """
    conf = EditedConf(source or "", file)
    if source is None:
        conf.set("name", placed.vm.name)
    if "memory" in (conf.text("hotplug") or "").split(","):
        reason = f"{file}: memory hotplug does not go with cells of the plan's size"
        raise placed.error("hotplug", reason)
    _apply_vcpus(conf, placed)
    notes = _apply_memory(conf, placed)
    notes += _apply_numa(conf, placed)
    notes += _apply_affinity(conf, placed)
    _apply_devices(conf, placed)
    return Reading("".join([*conf.lines, *conf.rest]), tuple(notes))


class EditedConf(Conf):
    """A configuration whose keys can be set; new ones stand before the first section."""

    def __init__(self, text: str, file: str) -> None:
        super().__init__(parse_conf(text, file), file)
        self.newline = "\r\n" if "\r\n" in text else "\n"
        lines = [line + "\n" for line in text.split("\n")]
        lines[-1] = lines[-1].removesuffix("\n")
        stop = next((i for i, line in enumerate(lines) if line.startswith("[")), len(lines))
        while stop and not lines[stop - 1].strip():
            stop -= 1  # empty lines belong to the section behind them
        self.lines, self.rest = lines[:stop], lines[stop:]
        if self.lines and not self.lines[-1].endswith("\n"):
            self.lines[-1] += self.newline

    def set(self, key: str, value: str) -> None:
        """Set a key; its line stays as it is if it says the same."""
        line = self.line(key) or len(self.lines) + 1
        if self.text(key) != value:
            self.lines[line - 1 : line] = [f"{key}: {value}{self.newline}"]
            self.values[key] = (value, line)

    def remove(self, key: str) -> None:
        """Take a key away."""
        if key in self.values:
            self.lines[self.values.pop(key)[1] - 1] = ""


def _apply_vcpus(conf: EditedConf, placed: PlacedVm) -> None:
    vcpus = placed.vm.vcpus
    old = vcpus_of(conf)
    if old != vcpus or conf.text("cores") is None:
        conf.set("sockets", "1")
        conf.set("cores", str(vcpus))
        if old != vcpus:
            conf.remove("vcpus")


def _apply_memory(conf: EditedConf, placed: PlacedVm) -> list[str]:
    memory = str(placed.vm.memory_mib)
    if (conf.text("memory") or "").removeprefix("current=") != memory:
        conf.set("memory", memory)
    if placed.ballooned:
        conf.set("balloon", str(placed.target_mib))
        if conf.text("shares") == "0":
            conf.remove("shares")
        return [f"Proxmox takes memory away, down to {placed.target_mib} MiB, when it is short"]
    least = conf.whole("balloon", 0, MIB_MAX) or 0
    kept = placed.kept(least)
    if not kept and least not in (0, placed.target_mib):
        conf.set("balloon", memory)
    return kept


def _apply_numa(conf: EditedConf, placed: PlacedVm) -> list[str]:
    notes: list[str] = []
    groups = placed.groups
    if len(groups) > NUMA_MAX:
        reason = f"Proxmox has numa0 to numa{NUMA_MAX - 1}, the plan {len(groups)} guest cells"
        raise placed.error("cells", reason)
    conf.set("numa", "1")
    wanted = {f"numa{number}" for number in range(len(groups))}
    for key in conf.numbered("numa"):
        if key not in wanted:
            conf.remove(key)
    was = [(key, _hostnodes(conf.text(key))) for key in sorted(wanted)]
    for number, cells in enumerate(groups):
        conf.set(f"numa{number}", _numa_line(placed, cells))
        notes += amounts_note(placed, cells, "Proxmox")
    notes += changed_pins((key, old, _hostnodes(conf.text(key)) or "") for key, old in was)
    if placed.vm.page_size is PageSize.SMALL:
        conf.remove("hugepages")
    else:
        conf.set("hugepages", _PAGES[placed.vm.page_size])
    return notes


def _numa_line(placed: PlacedVm, cells: tuple[NumberedCell, ...]) -> str:
    nodes = frozenset[int]().union(*(cell.memory_nodes for cell in cells))
    parts = {
        "cpus": _semicolons(vcpu for cell in cells for vcpu in cell.vcpus),
        "hostnodes": _semicolons(nodes),
        "memory": str(sum(cell.size_mib for cell in cells)),
        "policy": _POLICY_OF[placed.binding(nodes).mode],
    }
    return ",".join(f"{key}={value}" for key, value in parts.items())


def _hostnodes(line: str | None) -> str | None:
    """Nodes that a numaN line binds its memory to."""
    found = re.search(r"\bhostnodes=([0-9;-]+)", line or "")
    return f"node {found[1].replace(';', ',')}" if found else None


def _semicolons(ids: Iterable[int]) -> str:
    return format_ids(ids).replace(",", ";")


def _apply_affinity(conf: EditedConf, placed: PlacedVm) -> list[str]:
    was = conf.text("affinity")
    conf.set("affinity", _affinity_text(placed))
    notes = [*changed_pins([("affinity", was, conf.text("affinity") or "")])]
    one = "Proxmox has one pCPU list for all threads"
    if placed.vm.cpu_policy is CpuPolicy.DEDICATED:
        notes.append(f"{one}; which vCPU holds which is left out")
    elif len(set(placed.pcpus)) > 1:
        notes.append(f"{one}; its cells are not kept apart")
    return notes


def _affinity_text(placed: PlacedVm) -> str:
    """The pCPU of each vCPU one by one, or a set that cannot be mistaken for that."""
    if placed.vm.cpu_policy is CpuPolicy.DEDICATED:
        return ",".join(placed.pins)
    first, *rest = format_ids(placed.all_pcpus).split(",")
    return ",".join([first if "-" in first else f"{first}-{first}", *rest])


def _apply_devices(conf: EditedConf, placed: PlacedVm) -> None:
    spelt: dict[str, tuple[str, str]] = {}
    for key in conf.numbered("hostpci"):
        for item in (conf.text(key) or "").split(","):
            option, sign, value = item.partition("=")
            if sign and option.strip() not in ("", "host"):
                continue
            for word in (value if sign else item).split(";"):
                address, _ = parse_pci_functions(word, thing=placed.thing, field=key)
                spelt[address] = (key, word.strip())
    exchanged, added = exchanged_devices(placed, list(spelt))
    for old, new in exchanged.items():
        key, word = spelt[old]
        conf.set(key, (conf.text(key) or "").replace(word, new, 1))
    used = {int(key[7:]) for key in conf.numbered("hostpci")}
    free = [number for number in range(HOSTPCI_MAX) if number not in used]
    if len(added) > len(free):
        raise placed.error("devices", f"Proxmox takes {HOSTPCI_MAX} PCI devices at most")
    for number, address in zip(free, added, strict=False):
        conf.set(f"hostpci{number}", address)


PROXMOX = Format(
    *("proxmox", "Proxmox's qemu-server/<id>.conf", f"{reader.__doc__}\n{__doc__}"),
    sniff=reader.sniff,
    read_vms=reader.read_vms,
    place=reader.place,
    write=write_proxmox,
    parts=one_vm,
    suffix=".conf",
    system="Proxmox",
)
