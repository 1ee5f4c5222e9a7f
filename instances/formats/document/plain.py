"""From instances and plans to plain values of dicts, lists, words and numbers, ready for JSON.

Fields that have their default are left out; nodes and series of equal hosts or VMs are written in
the short form where it says the same: a file holds what a person would have written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from typing import Any

from numaplace.instances.formats.document.convert import counted_pcpus
from numaplace.instances.formats.document.schema import INSTANCE_FORMAT, PLAN_FORMAT, NodeDoc
from numaplace.instances.ranges import format_ids
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Plan
from numaplace.models.topology import Host, NumaNode

Plain = dict[str, Any]
_FIRST = ("name", "comment")


def instance_to_dict(instance: Instance) -> Plain:
    """Return an instance as a document (``numaplace-instance/1``)."""
    values = _fields(instance)
    first = {key: values.pop(key) for key in _FIRST if key in values}
    values["hosts"] = _counted_series([_host(host) for host in instance.hosts])
    values["vms"] = _counted_series(values["vms"])
    return {"format": INSTANCE_FORMAT, **first, **values}


def plan_to_dict(plan: Plan) -> Plain:
    """Return a plan as a document (``numaplace-plan/1``)."""
    return {"format": PLAN_FORMAT, **_plan(plan)}


def _plan(plan: Plan) -> Plain:
    placements = {name: _plain(placement) for name, placement in plan.placements.items()}
    copies = {"copies": [_plain(copy) for copy in plan.copies]} if plan.copies else {}
    return {"placements": placements, **copies}


def _fields(item: Any) -> Plain:
    """Return the fields of a dataclass that do not have their default."""
    result: Plain = {}
    for field in fields(item):
        value = getattr(item, field.name)
        if field.default is MISSING or value != field.default:
            result[field.name] = _plain(value)
    return result


def _plain(value: object) -> Any:
    if isinstance(value, Plan):
        return _plan(value)
    if isinstance(value, PlacedCell):
        memory = {str(node): mib for node, mib in value.memory_mib}
        sets = [format_ids(ids) for ids in value.vcpu_sets]
        own = {"memory_mib": memory, "vcpu_sets": sets}
        return _fields(value) | {name: told for name, told in own.items() if told}
    if is_dataclass(value):
        return _fields(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _counted_series(items: list[Plain]) -> list[Plain]:
    """Write neighbours that are equal but for names ending in 1, 2, 3... as one with a count."""
    result: list[Plain] = []
    start = 0
    while start < len(items):
        name = items[start]["name"]
        prefix, last = name[:-1], start + 1
        if name.endswith("1") and prefix.strip():
            wanted = dict(items[start])
            while last < len(items):
                wanted["name"] = f"{prefix}{last - start + 1}"
                if items[last] != wanted:
                    break
                last += 1
        count = last - start
        named = {"name": prefix, "count": count} if count > 1 else {"name": name}
        result.append({**named, **items[start], **named})
        start = last
    return result


def _host(host: Host) -> Plain:
    counted = _counted_nodes(host)
    return _fields(host) | ({"nodes": counted} if counted is not None else {})


def _counted_nodes(host: Host) -> list[Plain] | None:
    """Return the nodes with numbers of cores in place of pCPUs; None if that says less."""
    nodes: list[Plain] = []
    first_pcpu = first_core = 0
    for node in host.nodes:
        plain = _fields(node)
        if node.pcpus:
            counted = _counted(node)
            doc = NodeDoc.model_validate(counted | {"id": node.id})
            if node.socket is not None or counted_pcpus(doc, first_pcpu, first_core) != node.pcpus:
                return None
            del plain["pcpus"]
            plain = {"id": plain.pop("id"), **counted, **plain}
            first_pcpu += node.threads
            first_core += node.cores
        nodes.append(plain)
    return nodes


def _counted(node: NumaNode) -> Plain:
    """Return the counts that the pCPUs of a node could be made of."""
    counted: Plain = {"cores": node.cores}
    if node.threads > node.cores:
        counted["threads_per_core"] = min(8, node.threads // node.cores)
    llcs = {pcpu.llc for pcpu in node.pcpus}
    if None not in llcs:
        counted["cores_per_llc"] = -(-node.cores // len(llcs))
    if node.pcpus[0].socket:
        counted["socket"] = node.pcpus[0].socket
    return counted
