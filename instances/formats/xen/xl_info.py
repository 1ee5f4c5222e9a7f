"""Hosts from Xen's ``xl info -n``.

Format: Xen's ``tools/xl/xl_info.c``. The tables leave out CPUs and nodes that are offline, so ids
may have gaps. ``memsize`` is the span with its holes, of which ``total_memory`` has none: that
tells how much of the spans is none. Also told are cores, sockets, free memory, distances, and
devices as addresses without their kind, but no caches.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path

from numaplace.instances.files import read_text
from numaplace.instances.hostmemory import Free, HostReading
from numaplace.instances.hostparts import CpuFacts, default_name, finish_host, pcpus_by_node
from numaplace.instances.pci import parse_pci_address
from numaplace.instances.ranges import format_ids, parse_whole
from numaplace.instances.reading import located, naming_file
from numaplace.models.errors import InputError, check_int
from numaplace.models.topology import DISTANCE_MAX, ID_MAX, MIB_MAX, Device, NumaNode

_PAIR = re.compile(r"([a-z_ ]+?)\s*:\s*(.*)", re.ASCII)
_ROW = re.compile(r"\s*(\d{1,9}):\s+(\S+)\s+(\S+)\s+(\S+)", re.ASCII)
_DEVICE_ROW = re.compile(r"([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\s+(\S+)", re.ASCII)
_DOM0_MEM = re.compile(r"(?:^|\s)dom0_mem=(\S+)")
_SIZE = re.compile(r"(?:max:)?([0-9]{1,12})([bkmgt]?)", re.ASCII | re.IGNORECASE)
_SHIFT = {"b": -20, "": -10, "k": -10, "m": 0, "g": 10, "t": 20}  # to MiB; KiB if none is told
_XEN_SHARE = 50
"""Xen's own: 1/50 of memory (measured: 47 MiB of 4 GiB; the frame table alone takes 1/128)."""
_HEADERS = {
    ("cpu:", "core", "socket", "node"): "cpu",
    ("device", "node"): "device",
    ("node:", "memsize", "memfree", "distances"): "node",
}
_INVALID = 0xFFFFFFFF  # Xen's "unknown", which %d prints as -1 and %u as this
_NOWHERE = -1
KIND_UNKNOWN = "pci"
"""Kind of every device here: xl tells addresses, not kinds."""


@dataclass(frozen=True, slots=True)
class _NodeRow:
    size_mib: int
    free_mib: int
    distances: list[int]


@dataclass(slots=True)
class _Tables:
    """The tables of the text, and its ``key : value`` lines."""

    pairs: dict[str, str] = field(default_factory=dict)
    cpus: dict[int, CpuFacts] = field(default_factory=dict)
    devices: dict[str, int] = field(default_factory=dict)
    nodes: dict[int, _NodeRow] = field(default_factory=dict)


def sniff(head: str, path: Path) -> bool:
    """Tell whether a file that starts with `head` looks like the text of ``xl info``."""
    return re.search(r"^(cpu_topology|nr_cpus)\s*:|^cpu:\s+core\s", head, re.MULTILINE) is not None


@naming_file
def read_host(path: Path) -> HostReading:
    """Read a host from ``xl info -n``; `InputError` if there is none."""
    tables = _Tables()
    _read_lines(read_text(path), str(path), tables)
    if not tables.nodes:
        reason = "has no table of nodes (was it made with -n?)"
        raise InputError("xl info", "numa_info", reason)
    notes: list[str] = []
    ids = sorted(tables.nodes)
    if listed := format_ids(c.id for c in tables.cpus.values() if c.node not in tables.nodes):
        notes.append(f"CPUs {listed} are on no node that is online: left out")
    pcpus = pcpus_by_node(_with_cores(tables, notes))
    told = tables.pairs.get("nr_nodes", "")
    if told.isdigit() and int(told) != len(ids):
        notes.append(f"nr_nodes is {told}, the table has {len(ids)}: the others are left out")
    distances = _distances(tables, ids, notes)
    size, held = _memory(tables, notes)
    if tables.devices:
        notes.append(
            f"xl tells no kinds of devices: ask for them by address or as {KIND_UNKNOWN!r}"
        )
    reading = finish_host(
        tables.pairs.get("host") or default_name(path),
        [NumaNode(n, pcpus.get(n, ()), size[n], reserved_mib=held[n]) for n in ids],
        notes,
        distances=distances,
        devices=[
            Device(address, KIND_UNKNOWN, nodes=frozenset({node} & tables.nodes.keys()))
            for address, node in tables.devices.items()
        ],
        free={node: Free(row.free_mib) for node, row in tables.nodes.items()},
    )
    return replace(reading, held=_held_note(tables, sum(held.values())))


def _held_note(tables: _Tables, held_mib: int) -> str:
    dom0 = _dom0_mib(tables)
    who = f"dom0 (dom0_mem: {dom0} MiB)" if dom0 else "dom0 (no dom0_mem is told: reserve for it)"
    return (
        f"{held_mib} MiB of what is in use count as reserved for {who} and Xen (1/{_XEN_SHARE} of"
        " memory), spread over the nodes like what is in use"
    ) * bool(held_mib)


def _with_cores(tables: _Tables, notes: list[str]) -> list[CpuFacts]:
    """Return the CPUs of nodes that are there; Arm's Xen numbers every core 0."""
    there = (cpu for cpu in tables.cpus.values() if cpu.node in tables.nodes)
    cpus = sorted(there, key=lambda cpu: cpu.id)
    told = tables.pairs.get("threads_per_core", "")
    threads = int(told) if re.fullmatch("[1-9][0-9]{0,3}", told) else len(cpus)
    seen: Counter[Hashable] = Counter()
    facts = []
    for cpu in cpus:
        facts.append(replace(cpu, core=(cpu.core, seen[cpu.core] // threads)))
        seen[cpu.core] += 1
    if max(seen.values(), default=0) > threads:
        notes.append(
            f"core numbers repeat, a core has threads_per_core : {threads}: CPUs of one number are"
            f" taken {threads} by {threads} as a core"
        )
    return facts


def _memory(tables: _Tables, notes: list[str]) -> tuple[dict[int, int], dict[int, int]]:
    """Return each node's memory without holes, and what of it Xen and dom0 hold."""
    size = {node: row.size_mib for node, row in tables.nodes.items()}
    free = {node: row.free_mib for node, row in tables.nodes.items()}
    told = tables.pairs.get("total_memory", "")
    if not re.fullmatch("[0-9]{1,15}", told):
        notes.append("total_memory is not told: memory is what is free now (memfree)")
        return free, dict.fromkeys(free, 0)
    holes = max(0, sum(size.values()) - int(told))
    for node in sorted(size):  # below 4 GiB, so on the first nodes, and never where memory is free
        hole = min(holes, size[node] - free[node])
        size[node] -= hole
        holes -= hole
    used = {node: size[node] - free[node] for node in size}
    own = min(sum(used.values()), _dom0_mib(tables) + sum(size.values()) // _XEN_SHARE)
    held = {node: -(-own * mib // max(1, sum(used.values()))) for node, mib in used.items()}
    return size, held


def _dom0_mib(tables: _Tables) -> int:
    """Return what ``dom0_mem=512M,max:1G`` starts dom0 with; 0 if that is not told in bytes."""
    told = _DOM0_MEM.findall(tables.pairs.get("xen_commandline", ""))
    sizes = (_SIZE.fullmatch(part) for part in told[-1].split(",")) if told else ()
    known = sorted((size for size in sizes if size), key=lambda size: ":" in size[0])
    if not known:
        return 0
    number, shift = int(known[0][1]), _SHIFT[known[0][2].lower()]
    return min(MIB_MAX, number << shift if shift > 0 else number >> -shift)


def _read_lines(text: str, file: str, tables: _Tables) -> None:
    table = ""
    for line, content in enumerate(text.splitlines(), start=1):
        header = _HEADERS.get(tuple(content.split()))
        with located(file, line):
            if header:
                table = header
            elif table and _read_row(table, content, tables):
                continue
            elif match := _PAIR.fullmatch(content.strip()):
                table = ""
                tables.pairs.setdefault(match[1].strip(), match[2].strip())
            elif table and content[:1] in " \t0123456789" and content.strip():
                reason = f"{content.strip()!r:.60} is no row of the table"
                raise InputError("xl info", f"{table} table", reason)


def _read_row(table: str, content: str, tables: _Tables) -> bool:
    """Read a row of the table at hand; False if the line is none."""
    if table == "cpu" and (match := _ROW.fullmatch(content.rstrip())):
        _read_cpu(int(match[1]), match[2], match[3], match[4], tables)
    elif table == "device" and (match := _DEVICE_ROW.fullmatch(content.strip().lower())):
        _read_device(match[1], match[2], tables)
    elif table == "node" and (match := _ROW.fullmatch(content.rstrip())):
        _read_node(int(match[1]), match[2], match[3], match[4], tables)
    else:
        return False
    return True


def _read_cpu(cpu: int, core: str, socket: str, node: str, tables: _Tables) -> None:
    thing = f"cpu {cpu}"
    if cpu in tables.cpus:
        raise InputError(thing, "cpu_topology", "occurs twice")
    home = _NOWHERE if node == "-1" else parse_whole(node, thing=thing, field="node")
    package = parse_whole(socket, thing=thing, field="socket")
    number = parse_whole(core, thing=thing, field="core")
    tables.cpus[cpu] = CpuFacts(cpu, home, (home, package, number), package)


def _read_device(address: str, node: str, tables: _Tables) -> None:
    address = parse_pci_address(address, thing="device topology", field="address")
    thing = f"device {address}"
    if address in tables.devices:
        raise InputError(thing, "device topology", "occurs twice")
    home = parse_whole(node, thing=thing, field="node") if node.isdigit() else _NOWHERE
    tables.devices[address] = home


def _read_node(node: int, memsize: str, memfree: str, distances: str, tables: _Tables) -> None:
    thing = f"node {node}"
    check_int(thing, "node", node, 0, ID_MAX)
    if node in tables.nodes:
        raise InputError(thing, "numa_info", "occurs twice")
    size = parse_whole(memsize, thing=thing, field="memsize", high=MIB_MAX)
    free = parse_whole(memfree, thing=thing, field="memfree", high=size)
    words = (str(_INVALID) if word == "-1" else word for word in distances.split(","))
    row = [parse_whole(word, thing=thing, field="distances", high=_INVALID) for word in words]
    tables.nodes[node] = _NodeRow(size, free, row)


def _distances(tables: _Tables, ids: list[int], notes: list[str]) -> dict[tuple[int, int], float]:
    """Give distances their nodes: the columns are those of all nodes, offline ones too."""
    known: dict[tuple[int, int], float] = {}
    for node, told in tables.nodes.items():
        row = told.distances
        if len(row) == len(ids):
            columns = dict(zip(ids, row, strict=True))
        elif len(row) > max(ids):
            columns = {number: row[number] for number in ids}
        else:
            reason = f"has {len(row)} values for {len(ids)} nodes"
            raise InputError(f"node {node}", "distances", reason)
        for column, value in columns.items():
            if value <= DISTANCE_MAX:
                known[node, column] = float(value)
            else:
                notes.append(f"node {node}: its distance to node {column} is unknown to Xen")
    return known
