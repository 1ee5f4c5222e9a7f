"""Hosts from libvirt's capabilities (``virsh capabilities``).

Format: libvirt's "Host and guest capabilities" page. Told are cores, caches, memory, pages,
distances and HMAT, not what memory is free, nor devices. CPUs that are offline are listed without
their socket and core.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

from numaplace.instances.files import read_text
from numaplace.instances.formats.libvirt.size import KIB, MIB, attribute_bytes, text_bytes
from numaplace.instances.hostmemory import HostReading
from numaplace.instances.hostparts import (
    THREADS_MAX,
    CpuFacts,
    default_name,
    finish_host,
    pcpus_by_node,
    sized_node,
    without_base,
)
from numaplace.instances.ranges import IDS_MAX, format_ids
from numaplace.instances.reading import naming_file
from numaplace.instances.xmlfile import (
    at_element,
    attribute,
    child,
    error_at,
    ids_attribute,
    parse_xml,
    real_attribute,
    whole_attribute,
    whole_text,
)
from numaplace.models.topology import DISTANCE_MAX, MIB_MAX, PCPUS_MAX, NumaNode

_KIB_MAX = MIB_MAX * 1024
Values = dict[tuple[int, int], float]


def sniff(head: str, path: Path) -> bool:
    """Tell whether a file that starts with `head` looks like libvirt's capabilities."""
    return "<capabilities" in head


@naming_file
def read_host(path: Path) -> HostReading:
    """Read a host from libvirt's capabilities; `InputError` if there is none."""
    root = parse_xml(read_text(path), str(path), roots=("capabilities",))
    host = child(root, "host")
    topology = child(host, "topology")
    elements = child(topology, "cells").findall("cell")
    _check_count(child(topology, "cells"), elements)
    if not elements:
        raise error_at(child(topology, "cells"), "", "has no <cell> in it")
    notes: list[str] = []
    caches = _cache_banks(host)
    nodes: dict[int, NumaNode] = {}
    cpus: list[CpuFacts] = []
    told = topology.find("cells/cell/cpus/cpu[@core_id]") is not None
    for element in elements:
        node = _node(element, notes)
        if node.id in nodes:
            raise error_at(element, "id", f"cell {node.id} occurs twice")
        nodes[node.id] = node
        cpus += _cpus(element, node.id, caches, told, notes)
    pcpus = pcpus_by_node(cpus)
    latency, bandwidth = _interconnects(topology, set(nodes), notes)
    return finish_host(
        default_name(path),
        [replace(node, pcpus=pcpus.get(key, ())) for key, node in nodes.items()],
        notes,
        distances=_distances(elements, set(nodes)),
        latency_ns=latency,
        bandwidth_mbps=bandwidth,
    )


def _check_count(parent: Element, children: list[Element]) -> None:
    if parent.get("num") is not None:
        told = whole_attribute(parent, "num", 0, PCPUS_MAX)
        if told != len(children):
            raise error_at(parent, "num", f"is {told}, but {len(children)} are listed")


def _node(element: Element, notes: list[str]) -> NumaNode:
    """Return the node that a ``<cell>`` is, without its CPUs."""
    number = whole_attribute(element, "id")
    memory = element.find("memory")
    memory_mib = 0 if memory is None else text_bytes(memory) // MIB
    if memory is None:
        notes.append(f"cell {number} tells no memory: it has none")
    counts: dict[int, int] = {}
    for pages in element.findall("pages"):
        whole_attribute(pages, "size", 1, _KIB_MAX)
        counts[attribute_bytes(pages, "size") // KIB] = whole_text(pages, 0, _KIB_MAX)
    if element.find("cache") is not None:
        notes.append(f"cell {number}: memory-side caches are not modelled: left out")
    with at_element(element):
        return sized_node(number, memory_mib, without_base(counts), notes)


def _cpus(
    cell: Element, node: int, caches: dict[int, Hashable], told: bool, notes: list[str]
) -> list[CpuFacts]:
    """Return the CPUs of a cell; where cores are `told` at all, one without a core is offline."""
    parent = cell.find("cpus")
    elements = [] if parent is None else parent.findall("cpu")
    if parent is not None:
        _check_count(parent, elements)
    offline = [e for e in elements if told and not e.get("core_id")]
    if offline:
        ids = format_ids(whole_attribute(element, "id") for element in offline)
        notes.append(f"CPUs {ids} are offline: left out")
    if elements and not told:
        notes.append(
            f"cell {node} tells no cores: each CPU is taken as a core, the cell as a socket"
        )
    online = [e for e in elements if not told or e.get("core_id")]
    return [_cpu(element, node, caches) for element in online]


def _cpu(element: Element, node: int, caches: dict[int, Hashable]) -> CpuFacts:
    number = whole_attribute(element, "id")
    core: Hashable = number
    socket = node
    if element.get("core_id") is not None:
        socket = whole_attribute(element, "socket_id")
        group = (element.get("die_id"), element.get("cluster_id"))
        core = ("core", node, socket, group, whole_attribute(element, "core_id"))
    siblings = element.get("siblings")
    if siblings is not None:  # core_id may repeat within a package, siblings never lie
        threads = ids_attribute(element, "siblings")
        if number not in threads or len(threads) > THREADS_MAX:
            reason = f"{siblings!r:.60} is no list of the threads of one core with CPU {number}"
            raise error_at(element, "siblings", reason)
        core = ("siblings", min(threads))
    return CpuFacts(number, node, core, socket, caches.get(number))


def _cache_banks(host: Element) -> dict[int, Hashable]:
    """Return the last-level cache of each CPU, where the host tells its cache banks."""
    banks = [
        (whole_attribute(bank, "level", 1, 16), bank)
        for bank in host.findall("cache/bank")
        if bank.get("type", "both") != "code"
    ]
    last = max((level for level, _ in banks), default=0)
    caches: dict[int, Hashable] = {}
    named = 0
    for level, bank in banks:
        if level == last:
            key = whole_attribute(bank, "id")
            cpus = ids_attribute(bank, "cpus")
            if (named := named + len(cpus)) > IDS_MAX:
                raise error_at(bank, "cpus", f"are more than {IDS_MAX} with those before")
            caches.update(dict.fromkeys(cpus, key))
    return caches


def _distances(elements: list[Element], ids: set[int]) -> Values:
    distances: Values = {}
    for element in elements:
        here = whole_attribute(element, "id")
        for sibling in element.findall("distances/sibling"):
            there = whole_attribute(sibling, "id")
            if there not in ids:
                raise error_at(sibling, "id", f"names cell {there}, which does not exist")
            distances[here, there] = whole_attribute(sibling, "value", 0, DISTANCE_MAX)
    return distances


def _interconnects(topology: Element, ids: set[int], notes: list[str]) -> tuple[Values, Values]:
    """Return latency in ns and bandwidth in MB/s (HMAT), ``access`` or ``read``."""
    latency: Values = {}
    bandwidth: Values = {}
    left_out = 0
    for element in [e for parent in topology.iter("interconnects") for e in parent]:
        kind = attribute(element, "type")
        if element.tag not in ("latency", "bandwidth") or element.get("cache") is not None:
            left_out += 1
            continue
        pair = (whole_attribute(element, "initiator"), whole_attribute(element, "target"))
        for field, number in zip(("initiator", "target"), pair, strict=True):
            if number not in ids:
                raise error_at(element, field, f"names cell {number}, which does not exist")
        if kind == "write":
            continue
        if element.tag == "latency":
            latency[pair] = real_attribute(element, "value", 0, DISTANCE_MAX)
        else:
            bandwidth[pair] = attribute_bytes(element, "value") / MIB
    if left_out:
        notes.append(f"{left_out} interconnects to memory-side caches are left out")
    return latency, bandwidth
