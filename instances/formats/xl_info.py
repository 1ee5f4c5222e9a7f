"""Hosts from Xen's ``xl info -n``.

Format: Xen's ``tools/xl/xl_info.c``. The tables leave out CPUs and nodes that are offline, so ids
may have gaps. Capacity is ``memfree``: ``memsize`` is the spanned range with its holes, and often
too big. Devices come as addresses only, without their kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from numaplace.instances.files import read_text
from numaplace.instances.hostparts import CpuFacts, default_name, finish_host, pcpus_by_node
from numaplace.instances.pci_address import parse_pci_address
from numaplace.instances.ranges import format_ids, parse_whole
from numaplace.instances.reading import Reading, located
from numaplace.models.errors import InputError
from numaplace.models.topology import DISTANCE_MAX, ID_MAX, MIB_MAX, Device, Host, NumaNode

_PAIR = re.compile(r"([a-z_ ]+?)\s*:\s*(.*)", re.ASCII)
_CPU_ROW = re.compile(r"\s*(\d{1,9}):\s+(\S+)\s+(\S+)\s+(\S+)", re.ASCII)
_DEVICE_ROW = re.compile(r"([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\s+(\S+)", re.ASCII)
_NODE_ROW = re.compile(r"\s*(\d{1,9}):\s+(\S+)\s+(\S+)\s+(\S+)", re.ASCII)
_HEADERS = {
    ("cpu:", "core", "socket", "node"): "cpu",
    ("device", "node"): "device",
    ("node:", "memsize", "memfree", "distances"): "node",
}
_INVALID = 0xFFFFFFFF  # Xen's "unknown", which %d prints as -1 and %u as this
_NOWHERE = -1
KIND_UNKNOWN = "pci"
"""Kind of every device here: xl tells addresses, not kinds."""


@dataclass(slots=True)
class _Tables:
    """The tables of the text, and its ``key : value`` lines."""

    file: str
    pairs: dict[str, str] = field(default_factory=dict)
    cpus: dict[int, CpuFacts] = field(default_factory=dict)
    devices: dict[str, int | None] = field(default_factory=dict)
    memfree_mib: dict[int, int] = field(default_factory=dict)
    distances: dict[int, list[int]] = field(default_factory=dict)

    def error(self, line: int, thing: str, name: str, reason: str) -> InputError:
        return InputError(thing, name, reason, file=self.file, line=line)

    def whole(self, word: str, line: int, thing: str, name: str, high: int = ID_MAX) -> int:
        return parse_whole(word, thing=thing, field=name, high=high, file=self.file, line=line)


def sniff(head: str, path: Path) -> bool:
    """Tell whether a file that starts with `head` looks like the text of ``xl info``."""
    return re.search(r"^(cpu_topology|nr_cpus)\s*:|^cpu:\s+core\s", head, re.MULTILINE) is not None


def read_host(path: Path, name: str | None = None) -> Reading[Host]:
    """Read a host from the output of ``xl info -n``.

    Raises
    ------
    InputError
        If the file is no such text or describes no valid host.
    """
    with located(str(path)):
        return _host(path, name)


def _host(path: Path, name: str | None) -> Reading[Host]:
    tables = _Tables(str(path))
    _read_lines(read_text(path), tables)
    if not tables.memfree_mib:
        reason = "has no table of nodes (was it made with -n?)"
        raise InputError("xl info", "numa_info", reason)
    notes = ["memory is what is free now (memfree): guests that run are not counted as capacity"]
    ids = sorted(tables.memfree_mib)
    strays = [cpu for cpu in tables.cpus.values() if cpu.node not in tables.memfree_mib]
    if strays:
        listed = format_ids(cpu.id for cpu in strays)
        notes.append(f"CPUs {listed} are on no node that is online: left out")
    pcpus = pcpus_by_node(c for c in tables.cpus.values() if c.node in tables.memfree_mib)
    told = tables.pairs.get("nr_nodes", "")
    if told.isdigit() and int(told) != len(ids):
        notes.append(f"nr_nodes is {told}, the table has {len(ids)}: the others are left out")
    distances = _distances(tables, ids, notes)
    return finish_host(
        name or tables.pairs.get("host") or default_name(path),
        [NumaNode(n, pcpus.get(n, ()), memory_mib=tables.memfree_mib[n]) for n in ids],
        notes + _device_notes(tables),
        distances=distances,
        devices=_devices(tables),
    )


def _read_lines(text: str, tables: _Tables) -> None:
    table = ""
    for line, content in enumerate(text.splitlines(), start=1):
        header = _HEADERS.get(tuple(content.split()))
        if header:
            table = header
        elif table and _read_row(table, content, line, tables):
            continue
        elif match := _PAIR.fullmatch(content.strip()):
            table = ""
            tables.pairs.setdefault(match[1].strip(), match[2].strip())
        elif table and content[:1] in " \t0123456789" and content.strip():
            reason = f"{content.strip()!r:.60} is no row of the table"
            raise tables.error(line, "xl info", f"{table} table", reason)


def _read_row(table: str, content: str, line: int, tables: _Tables) -> bool:
    """Read a row of the table at hand; False if the line is none."""
    if table == "cpu" and (match := _CPU_ROW.fullmatch(content.rstrip())):
        _read_cpu(int(match[1]), match[2], match[3], match[4], line, tables)
    elif table == "device" and (match := _DEVICE_ROW.fullmatch(content.strip().lower())):
        _read_device(match[1], match[2], line, tables)
    elif table == "node" and (match := _NODE_ROW.fullmatch(content.rstrip())):
        _read_node(int(match[1]), match[3], match[4], line, tables)
    else:
        return False
    return True


def _read_cpu(cpu: int, core: str, socket: str, node: str, line: int, tables: _Tables) -> None:
    thing = f"cpu {cpu}"
    if cpu in tables.cpus:
        raise tables.error(line, thing, "cpu_topology", "occurs twice")
    home = _NOWHERE if node == "-1" else tables.whole(node, line, thing, "node")
    package = tables.whole(socket, line, thing, "socket")
    number = tables.whole(core, line, thing, "core")
    tables.cpus[cpu] = CpuFacts(cpu, home, (home, package, number), package)


def _read_device(address: str, node: str, line: int, tables: _Tables) -> None:
    with located(tables.file, line):
        address = parse_pci_address(address, thing="device topology", field="address")
    if address in tables.devices:
        raise tables.error(line, f"device {address}", "device topology", "occurs twice")
    tables.devices[address] = (
        tables.whole(node, line, f"device {address}", "node") if node.isdigit() else None
    )


def _read_node(node: int, memfree: str, distances: str, line: int, tables: _Tables) -> None:
    thing = f"node {node}"
    tables.whole(str(node), line, thing, "node")
    if node in tables.memfree_mib:
        raise tables.error(line, thing, "numa_info", "occurs twice")
    tables.memfree_mib[node] = tables.whole(memfree, line, thing, "memfree", MIB_MAX)
    tables.distances[node] = [
        _INVALID if word == "-1" else tables.whole(word, line, thing, "distances", _INVALID)
        for word in distances.split(",")
    ]


def _distances(tables: _Tables, ids: list[int], notes: list[str]) -> dict[tuple[int, int], float]:
    """Give distances their nodes: the columns are those of all nodes, offline ones too."""
    known: dict[tuple[int, int], float] = {}
    for node, row in tables.distances.items():
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


def _devices(tables: _Tables) -> list[Device]:
    return [
        Device(
            address,
            KIND_UNKNOWN,
            nodes=frozenset() if node not in tables.memfree_mib else frozenset({node}),
        )
        for address, node in tables.devices.items()
    ]


def _device_notes(tables: _Tables) -> list[str]:
    if not tables.devices:
        return []
    notes = [f"xl tells no kinds of devices: ask for them by address or as {KIND_UNKNOWN!r}"]
    unknown = sum(1 for node in tables.devices.values() if node not in tables.memfree_mib)
    if unknown:
        notes.append(f"the node of {unknown} PCI devices is not told")
    return notes
