"""What the extra specs of an OpenStack flavour say, as Nova reads them.

``nova.virt.hardware`` is the reference for what goes together and what does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from numaplace.instances.formats.guest import PAGE_KIB, missing_vcpus
from numaplace.instances.ranges import parse_ids, parse_whole
from numaplace.models.errors import InputError
from numaplace.models.topology import MIB_MAX
from numaplace.models.units import PageSize
from numaplace.models.vm import (
    CELLS_MAX,
    Cell,
    CpuPolicy,
    DevicePolicy,
    DeviceRequest,
    ThreadPolicy,
)

_CPU_POLICIES = {
    "shared": CpuPolicy.SHARED,
    "dedicated": CpuPolicy.DEDICATED,
    "mixed": CpuPolicy.DEDICATED,
}
_PCI_POLICIES = {
    "required": DevicePolicy.REQUIRED,
    "socket": DevicePolicy.SOCKET,
    "preferred": DevicePolicy.PREFERRED,
    "legacy": DevicePolicy.REQUIRED,
}
_PAGE_WORDS = {"small": PageSize.SMALL, "large": PageSize.HUGE_2M, "any": PageSize.SMALL}
_PAGES = {kib: size for size, kib in PAGE_KIB.items()}
_PAGE_SIZE = re.compile(r"([0-9]{1,12})(?:([kmgt])i?b?|b)?", re.ASCII | re.IGNORECASE)
_PAIR = re.compile(r"\s*([^\s=,']+)='([^']*)'\s*(?:,|\Z)")
_GUEST_TOPOLOGY = re.compile(r"hw:(?:max_)?cpu_(?:sockets|cores|threads|max_.*)")


@dataclass
class Specs:
    """Extra specs of one flavour; remembers which were asked for."""

    thing: str
    values: dict[str, str]
    used: set[str] = field(default_factory=set)

    def text(self, key: str) -> str | None:
        """Value of a key, None if it is not given."""
        self.used.add(key)
        return self.values.get(key)

    def error(self, key: str, reason: str) -> InputError:
        """Make an error that names the flavour and the key."""
        return InputError(self.thing, key, reason)

    def choice(self, key: str, choices: Iterable[str]) -> str | None:
        """Value of a key that must be one of `choices`, None if it is not given."""
        text = self.text(key)
        if text is not None and text not in choices:
            raise self.error(key, f"{text!r:.40} is none of {', '.join(choices)}")
        return text

    def unused(self) -> list[str]:
        """Keys nobody asked for, but for the guest's sockets, cores and threads."""
        return sorted(
            key for key in self.values.keys() - self.used if not _GUEST_TOPOLOGY.fullmatch(key)
        )


def split_properties(text: str, thing: str) -> dict[str, str]:
    """Return the pairs of ``k='v', k2='v2'``, as the command line client prints them."""
    pairs: dict[str, str] = {}
    position = 0
    while position < len(text.rstrip()):
        match = _PAIR.match(text, position)
        if match is None:
            shown = text[position : position + 40]
            raise InputError(thing, "properties", f"{shown!r} is not of the form key='value'")
        if match[1] in pairs:
            raise InputError(thing, "properties", f"{match[1]!r:.60} is given twice")
        pairs[match[1]] = match[2]
        position = match.end()
    return pairs


def cpu_policies(specs: Specs, notes: list[str]) -> tuple[CpuPolicy, ThreadPolicy]:
    """Return how vCPUs hold pCPUs; a mixed flavour counts as dedicated, with a note."""
    policy = specs.choice("hw:cpu_policy", _CPU_POLICIES) or "shared"
    threads = specs.choice("hw:cpu_thread_policy", [str(word) for word in ThreadPolicy])
    if threads is not None and policy == "shared":
        raise specs.error("hw:cpu_thread_policy", "needs hw:cpu_policy dedicated or mixed")
    if policy == "mixed":
        specs.text("hw:cpu_dedicated_mask")
        notes.append("mixes shared and dedicated vCPUs; all taken as dedicated")
    if specs.choice("hw:emulator_threads_policy", ("share", "isolate")) == "isolate":
        if policy != "dedicated":
            raise specs.error("hw:emulator_threads_policy", "needs hw:cpu_policy dedicated")
        notes.append("the pCPU that its emulator threads take is not counted")
    if (specs.text("hw:locked_memory") or "").lower() == "true":
        notes.append("locked memory is not kept")
    return _CPU_POLICIES[policy], ThreadPolicy(threads or ThreadPolicy.PREFER)


def page_size(specs: Specs, notes: list[str]) -> PageSize | None:
    """Return the page size asked for, None if nothing is said."""
    key = "hw:mem_page_size"
    text = specs.text(key)
    if text is None:
        return None
    if text in _PAGE_WORDS:
        if text != "small":
            notes.append(f"{key} {text!r} is taken as {_PAGE_WORDS[text]}")
        return _PAGE_WORDS[text]
    match = _PAGE_SIZE.fullmatch(text)
    if match is None:
        raise specs.error(key, f"{text!r:.40} is none of small, large, any or a size")
    if match[2]:
        kib: float = int(match[1]) * 1024 ** "kmgt".index(match[2].lower())
    else:  # a bare number is KiB, one with only a B is bytes
        kib = int(match[1]) / (1024 if text[-1] in "bB" else 1)
    if kib not in _PAGES:
        raise specs.error(key, f"{text!r:.40} is none of the sizes 4K, 2M and 1G")
    return _PAGES[int(kib)]


def guest_cells(
    specs: Specs, vcpus: int, memory_mib: int, implied: bool, notes: list[str]
) -> tuple[Cell, ...]:
    """Return the guest NUMA cells, none for a guest without a topology of its own.

    `implied` is whether other specs (dedicated CPUs, page size) make Nova give it one cell.
    `InputError` for cells that are incomplete, overlap or do not add up, and where vCPUs or memory
    cannot be split evenly (Nova refuses that too).
    """
    nodes = _whole(specs, "hw:numa_nodes", 1, CELLS_MAX)
    count = nodes or 1
    stated = [_stated_cell(specs, number) for number in range(count)]
    for key in specs.values:
        match = re.fullmatch(r"hw:numa_(?:cpus|mem)\.(.*)", key)
        if match and (not match[1].isdecimal() or int(match[1][:9]) >= count):
            raise specs.error(key, f"guest NUMA cell {match[1]!r:.20} does not exist")
    if nodes is None and not implied and stated[0] is None:
        return ()
    if nodes is None:
        notes.append("Nova gives it a guest topology of one cell")
    cells = [cell for cell in stated if cell is not None]
    if not cells:
        return _even_cells(specs, vcpus, memory_mib, count)
    if len(cells) < count:
        key = f"hw:numa_cpus.{stated.index(None)}"
        raise specs.error(key, "is missing, other cells have it")
    _check_cells(specs, cells, vcpus, memory_mib)
    return tuple(Cell(len(cpus), mib) for cpus, mib in cells)


def _even_cells(specs: Specs, vcpus: int, memory_mib: int, count: int) -> tuple[Cell, ...]:
    for what, amount in (("vCPUs", vcpus), ("MiB", memory_mib)):
        if amount % count:
            reason = f"{amount} {what} cannot be split evenly over {count} cells"
            raise specs.error("hw:numa_nodes", reason)
    return (Cell(vcpus // count, memory_mib // count),) * count


def _stated_cell(specs: Specs, number: int) -> tuple[frozenset[int], int] | None:
    cpus_key, mem_key = f"hw:numa_cpus.{number}", f"hw:numa_mem.{number}"
    text = specs.text(cpus_key)
    mib = _whole(specs, mem_key, 1, MIB_MAX)
    if text is None and mib is None:
        return None
    if text is None or mib is None:
        raise specs.error(cpus_key if text is None else mem_key, "is missing")
    cpus = parse_ids(text, thing=specs.thing, field=cpus_key)
    if not cpus:
        raise specs.error(cpus_key, "names no vCPU")
    return cpus, mib


def _check_cells(
    specs: Specs, cells: list[tuple[frozenset[int], int]], vcpus: int, memory_mib: int
) -> None:
    missing = missing_vcpus(
        [cpus for cpus, _ in cells],
        vcpus,
        "the flavour has",
        lambda number, reason: specs.error(f"hw:numa_cpus.{number}", reason),
    )
    if missing:
        reason = f"cells hold {vcpus - len(missing)} vCPUs, the flavour has {vcpus}"
        raise specs.error("hw:numa_cpus", reason)
    total = sum(mib for _, mib in cells)
    if total != memory_mib:
        raise specs.error("hw:numa_mem", f"cells hold {total} MiB, the flavour has {memory_mib}")


def devices(specs: Specs, has_topology: bool, notes: list[str]) -> tuple[DeviceRequest, ...]:
    """Return the requests of ``pci_passthrough:alias``: ``name:count,name2:count``.

    Without a policy Nova's ``legacy`` holds for guests with a topology: taken as required.
    Guests without one get their devices from anywhere: preferred.
    """
    stated = specs.choice("hw:pci_numa_affinity_policy", _PCI_POLICIES)
    policy = _PCI_POLICIES[stated or ("legacy" if has_topology else "preferred")]
    key = "pci_passthrough:alias"
    text = specs.text(key)
    if text is None:
        return ()
    if stated in (None, "legacy") and has_topology:
        notes.append(
            "PCI policy 'legacy' is taken as required, so that devices whose node is unknown "
            "do not count"
        )
    counts: dict[str, int] = {}
    for item in text.split(","):
        name, sign, number = item.strip().rpartition(":")
        if not sign or not name:
            raise specs.error(key, f"{item.strip()!r:.60} is not of the form name:count")
        count = parse_whole(number, thing=specs.thing, field=key, low=1, high=256)
        counts[name] = counts.get(name, 0) + count
    return tuple(DeviceRequest(name, count, policy) for name, count in counts.items())


def _whole(specs: Specs, key: str, low: int, high: int) -> int | None:
    text = specs.text(key)
    if text is None:
        return None
    return parse_whole(text, thing=specs.thing, field=key, low=low, high=high)
