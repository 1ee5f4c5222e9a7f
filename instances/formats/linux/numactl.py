"""Hosts from ``numactl --hardware``.

The text tells nodes, CPUs, memory (all and free) and distances; it knows no cores, sockets, caches
or devices. Node ids may have gaps, and with ``--cpu-compress`` the CPUs are ranges followed by
their count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from numaplace.instances.files import read_text
from numaplace.instances.formats.format import Format, one_host
from numaplace.instances.hostmemory import Free, HostReading
from numaplace.instances.hostparts import CpuFacts, default_name, finish_host, pcpus_by_node
from numaplace.instances.ranges import parse_ids, parse_whole
from numaplace.instances.reading import located, naming_file
from numaplace.models.errors import InputError
from numaplace.models.topology import DISTANCE_MAX, MIB_MAX, PCPUS_MAX, NumaNode

_FIELD = re.compile(r"node\s+(\d{1,9})\s+([a-z ]+?)\s*:(.*)", re.ASCII)
_HEADER = re.compile(r"node((?:\s+\d{1,9})+)\s*", re.ASCII)
_ROW = re.compile(r"(\d{1,9}):(.*)", re.ASCII)
_AVAILABLE = re.compile(r"available:\s*(\d{1,9})\s+nodes?\s*\(([^)]*)\)\s*", re.ASCII)
_MEGABYTES = re.compile(r"(-?\d{1,20})\s*MB", re.ASCII)


@dataclass(slots=True)
class _NumactlText:
    """What the lines told so far."""

    cpus: dict[int, frozenset[int]] = field(default_factory=dict)
    size_mib: dict[int, int] = field(default_factory=dict)
    free_mib: dict[int, int] = field(default_factory=dict)
    columns: tuple[int, ...] = ()
    distances: dict[tuple[int, int], float] = field(default_factory=dict)
    available: frozenset[int] | None = None
    unread: int = 0
    named: int = 0


def sniff(head: str, path: Path) -> bool:
    """Tell whether a file that starts with `head` looks like numactl's text."""
    return re.search(r"^\s*available:\s*\d+ nodes?", head, re.MULTILINE) is not None


@naming_file
def read_host(path: Path) -> HostReading:
    """Read a host from ``numactl --hardware``; `InputError` if there is none."""
    text = _NumactlText()
    for line, content in enumerate(read_text(path).splitlines(), start=1):
        with located(str(path), line):
            _read_line(content.strip(), text)
    ids = sorted(set(text.cpus) | set(text.size_mib))
    if not ids:
        raise InputError("numactl", "", "holds no line 'node 0 cpus: ...'")
    if text.available is not None and text.available != set(ids):
        reason = f"names nodes {sorted(text.available)}, but nodes {ids} are described"
        raise InputError("numactl", "available", f"{reason:.300}")
    facts = [
        CpuFacts(id=cpu, node=node, core=cpu, socket=node)
        for node, cpus in text.cpus.items()
        for cpu in cpus
    ]
    pcpus = pcpus_by_node(facts)
    notes = [
        "numactl tells no cores and sockets: each CPU is taken as a core, each node as a socket",
        *[f"{text.unread} lines are not understood: left out"] * bool(text.unread),
    ]
    for node in ids:
        if node not in text.size_mib:
            notes.append(f"node {node}: its size is not told: it has no memory")
    return finish_host(
        default_name(path),
        [NumaNode(n, pcpus.get(n, ()), memory_mib=text.size_mib.get(n, 0)) for n in ids],
        notes,
        distances=text.distances,
        free={node: Free(mib) for node, mib in text.free_mib.items()},
    )


def _read_line(content: str, text: _NumactlText) -> None:
    if match := _AVAILABLE.fullmatch(content):
        text.available = _ids(match[2], "available")
    elif match := _FIELD.fullmatch(content):
        node = parse_whole(match[1], thing="numactl", field="node")
        _read_field(node, match[2], match[3].strip(), text)
    elif match := _HEADER.fullmatch(content):
        text.columns = tuple(int(word) for word in match[1].split())
    elif match := _ROW.fullmatch(content):
        _read_row(int(match[1]), match[2].split(), text)
    elif content.startswith(("node distances:", "No distance information")):
        text.columns = ()
    elif content.startswith(("available", "node ")):
        raise InputError("numactl", "", f"{content!r:.60} is not understood")
    elif content:
        text.unread += 1


def _read_field(node: int, name: str, value: str, text: _NumactlText) -> None:
    thing = f"node {node}"
    if name == "cpus":
        if node in text.cpus:
            raise InputError(thing, "cpus", "occurs twice")
        listed = re.sub(r"\(\d+\)\s*$", "", value)  # --cpu-compress ends with the count
        text.cpus[node] = _ids(",".join(re.split(r"[,\s]+", listed.strip())), thing)
        text.named += len(text.cpus[node])
        if text.named > PCPUS_MAX:
            raise InputError(thing, "cpus", f"are more than {PCPUS_MAX} with those before")
    elif name in ("size", "free") and value != "<not available>":
        known = text.size_mib if name == "size" else text.free_mib
        match = _MEGABYTES.fullmatch(value)
        if node in known or match is None:
            reason = f"{value!r:.60} is not like '64329 MB'" if match is None else "occurs twice"
            raise InputError(thing, name, reason)
        known[node] = parse_whole(match[1], thing=thing, field=name, high=MIB_MAX)
    elif name not in ("size", "free"):
        text.unread += 1


def _read_row(node: int, words: list[str], text: _NumactlText) -> None:
    thing = f"node {node}"
    if not text.columns:
        raise InputError(thing, "distances", "come before the line that numbers the columns")
    if len(words) != len(text.columns):
        reason = f"has {len(words)} values for {len(text.columns)} nodes"
        raise InputError(thing, "distances", reason)
    if node not in text.columns or (node, node) in text.distances:
        reason = "occurs twice" if node in text.columns else "is a row without a column"
        raise InputError(thing, "distances", reason)
    for column, word in zip(text.columns, words, strict=True):
        text.distances[node, column] = parse_whole(
            word, thing=thing, field="distances", high=DISTANCE_MAX
        )


def _ids(value: str, thing: str) -> frozenset[int]:
    return parse_ids(value, thing=thing, field="cpus", exclusions=False)


NUMACTL = Format(
    *("numactl", "numactl --hardware", __doc__), sniff=sniff, read_hosts=one_host(read_host)
)
