"""Distances, latency and bandwidth in hwloc's XML."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from numaplace.instances.ranges import parse_bits, parse_whole
from numaplace.instances.xmlfile import (
    attribute,
    error_at,
    place_of,
    real_attribute,
    whole_attribute,
)
from numaplace.models.topology import DISTANCE_MAX, MIB_MAX, NODES_MAX

Values = dict[tuple[int, int], float]

_MEANS_LATENCY = 4  # HWLOC_DISTANCES_KIND_MEANS_LATENCY; version 2.0 writes no name


@dataclass(frozen=True, slots=True)
class NodeIndex:
    """How hwloc names the nodes of a host."""

    by_gp: Mapping[str | None, int]  # number of the node by its ``gp_index``
    in_order: tuple[int, ...]  # numbers of all node objects in hwloc's logical order
    pcpus: Mapping[int, int]  # of each node that is kept, bit by bit


def read_distances(
    root: Element, machine: Element, index: NodeIndex, notes: list[str]
) -> Values | None:
    """Return the distances between nodes, None if the file tells none."""
    found: list[Values] = []
    for element in root.findall("distances2"):
        if element.get("type") == "NUMANode" and _is_latency(element):
            found.append(_distances2(element, index))
    for element in machine.findall("distances"):
        if whole_attribute(element, "nbobjs", 1, NODES_MAX) == len(index.in_order):
            found.append(_distances1(element, index))
        else:
            notes.append("a distance matrix of objects that are no NUMA nodes is left out")
    if len(found) > 1:
        notes.append("there are several distance matrices of the nodes: the first is taken")
    return found[0] if found else None


def _is_latency(element: Element) -> bool:
    name = element.get("name")
    if name is None:
        return bool(whole_attribute(element, "kind") & _MEANS_LATENCY)
    return name == "NUMALatency"


def _distances2(element: Element, index: NodeIndex) -> Values:
    size = whole_attribute(element, "nbobjs", 1, NODES_MAX)
    names = _words(element, "indexes")
    values = _words(element, "u64values")
    if len(names) != size:
        raise error_at(element, "indexes", f"holds {len(names)} objects, nbobjs says {size}")
    if len(values) != size * size:
        reason = f"holds {len(values)} values, {size} x {size} objects need {size * size}"
        raise error_at(element, "u64values", reason)
    ids = [_node(element, name, index) for name in names]
    if len(set(ids)) != size:
        raise error_at(element, "indexes", "names a node twice")
    numbers = [
        parse_whole(value, high=DISTANCE_MAX, **place_of(element, "u64values")) for value in values
    ]
    return _pairs(ids, [float(number) for number in numbers])


def _distances1(element: Element, index: NodeIndex) -> Values:
    """Read hwloc 1's matrix: values are relative, in units of ``latency_base``."""
    size = len(index.in_order)
    base = real_attribute(element, "latency_base", 0.0, DISTANCE_MAX)
    values = [
        round(base * real_attribute(value, "value", 0.0, DISTANCE_MAX), 3)
        for value in element.findall("latency")
    ]
    if len(values) != size * size:
        reason = f"holds {len(values)} values, {size} x {size} objects need {size * size}"
        raise error_at(element, "latency", reason)
    return _pairs(index.in_order, values)


def _words(element: Element, tag: str) -> list[str]:
    return list(itertools.chain(*((part.text or "").split() for part in element.findall(tag))))


def _pairs(ids: list[int] | tuple[int, ...], values: list[float]) -> Values:
    return dict(zip(itertools.product(ids, ids), values, strict=True))


def _node(element: Element, name: str, index: NodeIndex) -> int:
    if element.get("indexing", "os") == "gp":
        number = index.by_gp.get(name)
    else:
        number = int(name) if name.isascii() and name.isdigit() and len(name) < 20 else None
    if number is None or number not in index.in_order:
        raise error_at(element, "indexes", f"{name!r:.40} is no NUMANode of the file")
    return number


def read_memattrs(root: Element, index: NodeIndex, notes: list[str]) -> tuple[Values, Values]:
    """Return latency in ns and bandwidth in MB/s by (initiator, target) node."""
    latency: Values = {}
    bandwidth: Values = {}
    for name, values in (
        ("Latency", latency),
        ("ReadLatency", latency),
        ("Bandwidth", bandwidth),
        ("ReadBandwidth", bandwidth),
    ):
        for element in root.findall("memattr"):
            if element.get("name") == name and not values:
                _memattr(element, index, values, notes)
    return latency, bandwidth


def _memattr(element: Element, index: NodeIndex, values: Values, notes: list[str]) -> None:
    unread = 0
    for part in element.findall("memattr_value"):
        target = index.by_gp.get(attribute(part, "target_obj_gp_index"))
        value = whole_attribute(part, "value", 0, MIB_MAX)
        cpuset = part.get("initiator_cpuset")
        if part.get("target_obj_type", "NUMANode") != "NUMANode" or cpuset is None:
            unread += 1
            continue
        if target is None:
            raise error_at(part, "target_obj_gp_index", "names no NUMANode of the file")
        initiators, infinite = parse_bits(cpuset, **place_of(part, "initiator_cpuset"))
        if infinite:
            initiators |= -1 << 32 * cpuset.count(",")
        for node, pcpus in index.pcpus.items():
            if pcpus & initiators and value:
                values[node, target] = float(value)
    if unread:
        notes.append(f"{unread} values of {element.get('name')} without a CPU set: left out")
