"""Hosts from util-linux's ``lscpu`` in JSON.

Best is ``lscpu -J -e=CPU,NODE,SOCKET,CORE,CACHE``; the summary ``lscpu -J`` (flat or nested) tells
nodes but not which threads share a core. Neither tells memory, distances or devices.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numaplace.instances.files import read_text
from numaplace.instances.hostmemory import HostReading
from numaplace.instances.hostparts import CpuFacts, default_name, finish_host, pcpus_by_node
from numaplace.instances.ranges import format_ids, parse_ids, parse_whole
from numaplace.instances.reading import located
from numaplace.models.errors import InputError
from numaplace.models.topology import PCPUS_MAX, NumaNode

_NODE_CPUS = re.compile(r"NUMA node(\d{1,9}) CPU\(s\)", re.ASCII)
_DEPTH_MAX = 20


@dataclass(slots=True)
class _Found:
    """CPUs, nodes that exist, and notes."""

    cpus: list[CpuFacts]
    nodes: set[int]
    notes: list[str]


def sniff(head: str, path: Path) -> bool:
    """Tell whether a file that starts with `head` looks like lscpu's JSON."""
    return re.match(r'\s*\{\s*"(lscpu|cpus)"\s*:\s*\[', head) is not None


def read_host(path: Path, name: str | None = None, *, memory_mib: int | None = None) -> HostReading:
    """Read a host from lscpu's JSON.

    Parameters
    ----------
    path
        The file.
    name
        Name of the host; None takes the file's.
    memory_mib
        Memory of each node, which lscpu does not tell; None leaves the nodes without memory.

    Raises
    ------
    InputError
        If the file is no such JSON or describes no valid host.
    """
    with located(str(path)):
        return _host(path, name, memory_mib)


def _host(path: Path, name: str | None, memory_mib: int | None) -> HostReading:
    document = _load(path)
    if isinstance(document.get("cpus"), list):
        found = _from_table(document["cpus"])
    elif isinstance(document.get("lscpu"), list):
        found = _from_summary(document["lscpu"])
    else:
        raise InputError("lscpu", "", "has neither 'cpus' nor 'lscpu' in it")
    if memory_mib is None:
        found.notes.append("lscpu tells no memory: the nodes have none (give memory per node)")
    pcpus = pcpus_by_node(found.cpus)
    nodes = [NumaNode(n, pcpus.get(n, ()), memory_mib=memory_mib or 0) for n in found.nodes]
    return finish_host(name or default_name(path), nodes, found.notes)


def _load(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        reason = f"is no JSON ({error.msg.lower()})"
        raise InputError("lscpu", "", reason, line=error.lineno) from None
    except RecursionError:
        raise InputError("lscpu", "", "is nested too deeply") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        reason = "holds a number with too many digits"
        raise InputError("lscpu", "", reason) from None
    if not isinstance(document, dict):
        raise InputError("lscpu", "", "must be a JSON object")
    return document


def _from_table(rows: list[Any]) -> _Found:
    found = _Found([], set(), [])
    offline: list[int] = []
    nowhere: list[int] = []
    if len(rows) > PCPUS_MAX:
        raise InputError("lscpu", "cpus", f"has more than {PCPUS_MAX} rows")
    for index, row in enumerate(rows):
        thing = f"cpus[{index}]"
        if not isinstance(row, dict):
            raise InputError(thing, "", "must be an object")
        cpu = _number(row, "cpu", thing)
        if cpu is None:
            raise InputError(thing, "cpu", "is missing")
        node = _number(row, "node", thing)
        if row.get("online") in (False, "no", "n"):
            offline.append(cpu)
        elif node is None and "node" in row:
            nowhere.append(cpu)
        else:
            found.cpus.append(_cpu(row, cpu, node or 0, thing))
            found.nodes.add(node or 0)
    found.notes += _table_notes(rows, offline, nowhere)
    return found


def _table_notes(rows: list[Any], offline: list[int], nowhere: list[int]) -> list[str]:
    notes: list[str] = []
    if offline:
        notes.append(f"CPUs {format_ids(offline)} are offline: left out")
    if nowhere:
        notes.append(f"CPUs {format_ids(nowhere)} are on no NUMA node: left out")
    if rows and "node" not in rows[0]:
        notes.append("the table has no column NODE: the machine is taken as node 0")
    if rows and "core" not in rows[0]:
        notes.append("the table has no column CORE: each CPU is taken as one core")
    if rows and "socket" not in rows[0]:
        notes.append("the table has no column SOCKET: each node is taken as one socket")
    return notes


def _cpu(row: dict[str, Any], cpu: int, node: int, thing: str) -> CpuFacts:
    socket = _number(row, "socket", thing)
    if socket is None:
        socket = node
    number = _number(row, "core", thing)
    core: Hashable = cpu if number is None else ("core", node, socket, number)
    return CpuFacts(cpu, node, core, socket, _last_cache(row, thing))


def _last_cache(row: dict[str, Any], thing: str) -> Hashable:
    """Return the last of the column ``l1d:l1i:l2:l3``, level 2 or higher."""
    for key, value in row.items():
        levels = key.split(":")
        if key.startswith("l1") and re.fullmatch(r"l[2-9]", levels[-1]):
            numbers = str(value).split(":")
            if len(numbers) != len(levels):
                raise InputError(thing, key, f"{value!r:.60} has not one number each")
            return numbers[-1] if numbers[-1].isdigit() else None
    return None


def _number(row: dict[str, Any], key: str, thing: str) -> int | None:
    value = row.get(key)
    if value is None or value == "-":
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        reason = f"must be a whole number, not {value!r:.60}"
        raise InputError(thing, key, reason)
    return parse_whole(str(value), thing=thing, field=key)


def _pairs(items: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield fields and their data, whether nested in ``children`` or flat."""
    if not isinstance(items, list) or depth > _DEPTH_MAX:
        raise InputError("lscpu", "children", "must be a list of fields")
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("field"), str):
            raise InputError("lscpu", "field", "is missing in an entry of the list")
        data = item.get("data")
        yield item["field"].rstrip(":"), "" if data is None else str(data)
        if "children" in item:
            yield from _pairs(item["children"], depth + 1)


def _from_summary(items: list[Any]) -> _Found:
    facts: dict[str, str] = {}
    members: dict[int, list[int]] = {}
    for name, data in _pairs(items):
        facts.setdefault(name, data)
        if match := _NODE_CPUS.fullmatch(name):
            node = int(match[1])
            if node in members:
                raise InputError("lscpu", name, "occurs twice")
            members[node] = sorted(parse_ids(data, thing="lscpu", field=name))
    found = _Found([], set(members), [])
    if not members and "On-line CPU(s) list" in facts:
        name = "On-line CPU(s) list"
        members[0] = sorted(parse_ids(facts[name], thing="lscpu", field=name))
        found.nodes.add(0)
        found.notes.append("no NUMA node is told: the machine is taken as node 0")
    threads = _fact(facts, "Thread(s) per core")
    sockets = _fact(facts, "Socket(s)")
    if threads > 1:
        found.notes.append(
            f"the summary tells {threads} threads a core but not which: CPUs of a node are paired"
            " first half with second half"
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
    return found


def _fact(facts: dict[str, str], name: str) -> int:
    text = facts.get(name, "")
    if not text or text == "-":
        return 1
    return parse_whole(text, thing="lscpu", field=name, low=1, high=PCPUS_MAX)
