"""Hosts from util-linux's ``lscpu``, as text or JSON.

Best is ``lscpu -J -e=CPU,NODE,SOCKET,CORE,CACHE``; the summary, plain ``lscpu``, tells nodes but
not which threads share a core; tables (``-e``, ``-p``) tell cores and caches. Memory (``--memory
MIB``), distances and devices are not told.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numaplace.instances.files import read_text
from numaplace.instances.formats.format import Format
from numaplace.instances.formats.linux.lscpu_text import Pairs, Row, looks_like_lscpu, read_forms
from numaplace.instances.hostmemory import HostReading
from numaplace.instances.hostparts import CpuFacts, default_name, finish_host, pcpus_by_node
from numaplace.instances.ranges import IDS_MAX, format_ids, parse_ids, parse_mask, parse_whole
from numaplace.instances.reading import naming_file
from numaplace.models.errors import InputError
from numaplace.models.topology import PCPUS_MAX, NumaNode

_NODE_CPUS = re.compile(r"NUMA node(\d{1,9}) CPU\(s\)", re.ASCII)
_ONLINE = "On-line CPU(s) list"
_MASK = "On-line CPU(s) mask"


@dataclass(slots=True)
class _LscpuFacts:
    """CPUs, nodes that exist, and notes."""

    cpus: list[CpuFacts]
    nodes: set[int]
    notes: list[str]


def sniff(head: str, path: Path) -> bool:
    """Tell whether a file that starts with `head` looks like lscpu's output."""
    return looks_like_lscpu(head)


@naming_file
def read_host(path: Path, memory_mib: int | None = None) -> HostReading:
    """Read a host from lscpu's output; `InputError` if there is none.

    Its nodes have `memory_mib` each, which lscpu does not tell; None leaves them without memory.
    """
    rows, pairs = read_forms(read_text(path))
    found = _from_summary(pairs) if rows is None else _from_table(rows)
    if memory_mib is None:
        found.notes.append("lscpu tells no memory: the nodes have none (give memory per node)")
    pcpus = pcpus_by_node(found.cpus)
    nodes = [NumaNode(n, pcpus.get(n, ()), memory_mib=memory_mib or 0) for n in found.nodes]
    return finish_host(default_name(path), nodes, found.notes)


# -- the table -------------------------------------------------------------------------------------


def _from_table(rows: list[Any]) -> _LscpuFacts:
    if len(rows) > PCPUS_MAX:
        raise InputError("lscpu", "cpus", f"has more than {PCPUS_MAX} rows")
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InputError(f"cpus[{index}]", "", "must be an object")
    found = _LscpuFacts([], set(), [])
    offline = [at for at, row in enumerate(rows) if _is_offline(row)]
    columns = set(rows[0]) if rows else set()
    if not any(_told(row, "node") for row in rows):
        columns -= {"node"}
    homeless = {at for at, row in enumerate(rows) if "node" in columns and not _told(row, "node")}
    kept = [at for at in range(len(rows)) if at not in {*offline, *homeless}]
    depth = min((len(_caches(rows[at])[1]) for at in kept), default=0)
    packages: dict[Hashable, int] = {}
    for at in kept:
        cpu = _cpu(rows[at], f"cpus[{at}]", depth, packages)
        found.cpus.append(cpu)
        found.nodes.add(cpu.node)
    found.notes += _table_notes(rows, columns, offline, sorted(homeless - set(offline)))
    if len({cpu.core for cpu in found.cpus}) > len({_numbered(cpu) for cpu in found.cpus}):
        found.notes.append(
            "core numbers repeat: CPUs with different level 1 caches are taken as different cores"
        )
    if kept and any(len(_caches(rows[at])[1]) > depth for at in kept):
        found.notes.append("some CPUs have caches that others lack: those levels are left out")
    return found


def _numbered(cpu: CpuFacts) -> Hashable:
    """Return what the table calls the core, whatever its caches."""
    return cpu.core[:-1] if isinstance(cpu.core, tuple) else cpu.core


def _told(row: Row, key: str) -> bool:
    return row.get(key) not in (None, "-", "")


def _is_offline(row: Row) -> bool:
    """Tell whether a CPU is off: it says so, or none of its places is told."""
    places = [key for key in ("node", "socket", "core") if key in row]
    said = row.get("online") in (False, "no", "n", "N")
    return said or bool(places and not any(_told(row, key) for key in places))


def _table_notes(
    rows: list[Row], columns: set[str], offline: list[int], homeless: list[int]
) -> list[str]:
    notes: list[str] = []
    for places, why in ((offline, "offline"), (homeless, "on no NUMA node")):
        if places:
            ids = format_ids(_number(rows[at], "cpu", f"cpus[{at}]", need=True) for at in places)
            notes.append(f"CPUs {ids} are {why}: left out")
    if rows and "node" not in columns:
        notes.append("the column NODE is missing or empty: the machine is taken as node 0")
    if rows and "core" not in columns:
        notes.append("the table has no column CORE: each CPU is taken as one core")
    if rows and "socket" not in columns:
        notes.append("the table has no column SOCKET: each node is taken as one socket")
    return notes


def _cpu(row: Row, thing: str, depth: int, packages: dict[Hashable, int]) -> CpuFacts:
    cpu = _number(row, "cpu", thing, need=True)
    node = _number(row, "node", thing) if _told(row, "node") else 0
    socket = _number(row, "socket", thing) if _told(row, "socket") else node
    above = tuple(row.get(key) for key in ("drawer", "book"))
    if above != (None, None):  # sockets may be counted by book, books by drawer (s390)
        socket = packages.setdefault((above, socket), len(packages))
    names, caches = _caches(row)
    whole = len(caches) == len(names)
    levels = dict(zip(names, caches, strict=False))
    # Core numbers may repeat by cluster or package (Arm, --physical): level 1 is of one core.
    first = levels.get("l1i", levels.get("l1d", "")) if whole else ""
    core: Hashable = cpu
    if _told(row, "core"):
        core = (node, socket, row.get("cluster"), _number(row, "core", thing), first)
    shared = [name for name in names[:depth] if re.fullmatch("l[2-9][di]?", name)]
    last = levels[shared[-1]] if shared else ""
    return CpuFacts(cpu, node, core, socket, last if last.isdigit() else None)


def _caches(row: Row) -> tuple[list[str], list[str]]:
    """Return the names in the column ``l1d:l1i:l2:l3`` and the numbers told, one for each or less.

    Which level a CPU lacks is not told: it has as many numbers less.
    """
    for key, value in row.items():
        names = key.split(":")
        if key.startswith("l1"):
            numbers = [] if value in (None, "-", "") else str(value).split(":")
            if len(numbers) > len(names):
                reason = f"{value!r:.60} are more numbers than levels"
                raise InputError(f"CPU {row.get('cpu')!r:.20}", key, reason)
            return names, numbers
    return [], []


def _number(row: Row, key: str, thing: str, *, need: bool = False) -> int:
    value = row.get(key)
    if value is None or (value == "-" and need):
        raise InputError(thing, key, "is missing")
    if isinstance(value, bool) or not isinstance(value, int | str):
        reason = f"must be a whole number, not {value!r:.60}"
        raise InputError(thing, key, reason)
    return parse_whole(str(value), thing=thing, field=key)


# -- the summary -----------------------------------------------------------------------------------


def _from_summary(pairs: Pairs) -> _LscpuFacts:
    facts: dict[str, str] = {}
    members: dict[int, list[int]] = {}
    named = 0
    for name, data in pairs:
        facts.setdefault(name, data)
    for name, data in pairs:
        if match := _NODE_CPUS.fullmatch(name):
            node = int(match[1])
            if node in members:
                raise InputError("lscpu", name, "occurs twice")
            members[node] = sorted(_cpus(data, name, facts))
            if (named := named + len(members[node])) > IDS_MAX:
                raise InputError("lscpu", name, f"names more than {IDS_MAX} CPUs with those before")
    found = _LscpuFacts([], set(members), [])
    told = next((name for name in (_ONLINE, _MASK) if name in facts), None)
    online = None if told is None else _cpus(facts[told], told, facts)
    if online is not None and not members:
        members[0] = sorted(online)
        found.nodes.add(0)
        found.notes.append("no NUMA node is told: the machine is taken as node 0")
    if not members:
        raise InputError("lscpu", "", "tells no CPUs of nodes and none on-line (is it in English?)")
    if online is not None:  # nodes list CPUs that are off, too, on some machines (s390)
        offline = {cpu for cpus in members.values() for cpu in cpus} - online
        members = {node: [c for c in cpus if c in online] for node, cpus in members.items()}
        found.notes += [f"CPUs {format_ids(offline)} are offline: left out"] * bool(offline)
    _assume_cores(found, facts, members)
    return found


def _cpus(data: str, name: str, facts: dict[str, str]) -> frozenset[int]:
    """Return the CPUs of a list; with ``--hex`` all are masks."""
    if _MASK in facts or data.startswith("0x"):
        return parse_mask(data, thing="lscpu", field=name)
    return parse_ids(data, thing="lscpu", field=name)


def _assume_cores(found: _LscpuFacts, facts: dict[str, str], members: dict[int, list[int]]) -> None:
    threads, sockets = _fact(facts, "Thread(s) per core"), _fact(facts, "Socket(s)")
    if threads > 1:
        found.notes.append(
            f"the summary tells {threads} threads a core but not which: CPUs of a node are paired"
            " first half with second half"
        )
    each = _fact(facts, "Core(s) per socket")
    cpus = sum(len(listed) for listed in members.values())
    if threads > 1 and each > 1 and each * sockets * threads != cpus:
        found.notes.append(
            f"{each * sockets} cores of {threads} threads are told and {cpus} CPUs: cores differ or"
            " are partly offline, which lscpu -e tells"
        )
    if sockets > 1:
        found.notes.append(f"the {sockets} sockets are assumed to hold equally many nodes in order")
    for position, node in enumerate(sorted(members)):
        socket = sockets * position // len(members)
        cores = max(1, len(members[node]) // threads)
        found.cpus += [
            CpuFacts(cpu, node, (node, index % cores), socket)
            for index, cpu in enumerate(members[node])
        ]


def _fact(facts: dict[str, str], name: str) -> int:
    text = facts.get(name, "")
    if not text or text == "-":
        return 1
    return parse_whole(text, thing="lscpu", field=name, low=1, high=PCPUS_MAX)


LSCPU = Format(
    *("lscpu", "lscpu, lscpu -e or -p, as text or --json", __doc__),
    sniff=sniff,
    read_hosts=lambda path, memory_mib: (read_host(path, memory_mib=memory_mib),),
)
