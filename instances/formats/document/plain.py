"""From instances and plans to plain values of dicts, lists, words and numbers, ready for JSON.

Fields that have their default are left out; nodes and series of equal hosts or VMs are written in
the short form where it says the same: a file holds what a person would have written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import is_dataclass, replace
from enum import Enum
from typing import Any

from numaplace.instances.formats.document.short import INSTANCE_FORMAT, PLAN_FORMAT, TOLD, Cores
from numaplace.models.fields import fields_of
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import StageResult
from numaplace.models.topology import Host, NumaNode

Plain = dict[str, Any]
_FIRST = ("name", "comment")


def instance_to_dict(instance: Instance) -> Plain:
    """Return an instance as a document (``numaplace-instance/1``)."""
    values = _fields(instance)
    first = {key: values.pop(key) for key in _FIRST if key in values}
    values["hosts"] = _counted_series([_host(host) for host in instance.hosts])
    values["vms"] = _counted_series(values.get("vms", []))
    return {"format": INSTANCE_FORMAT, **first, **values}


def plan_to_dict(plan: Plan) -> Plain:
    """Return a plan as a document (``numaplace-plan/1``)."""
    return {"format": PLAN_FORMAT, "placements": {}, **_fields(plan)}


def _fields(item: Any) -> Plain:
    """Return the fields of a model that do not have their default."""
    result: Plain = {}
    model: Any = type(item)
    for name, declared in fields_of(model).items():
        value = getattr(item, name)
        if value is not declared.default and value != declared.default:
            told = TOLD.get((model, name))
            result[name] = plain(value) if told is None else told.write(value)
    return result


def plain(value: object) -> Any:
    """Return a value of a model's field as documents hold it."""
    if isinstance(value, StageResult):
        return {**_fields(value), "gap": value.gap}
    if is_dataclass(value):
        return _fields(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
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
        told = _fields(node)
        if node.pcpus:
            cores, socket = _counted(node), node.pcpus[0].socket
            if node.socket is not None or cores.pcpus(socket, first_pcpu, first_core) != node.pcpus:
                return None
            del told["pcpus"]
            package = {"socket": socket} if socket else {}
            told = {"id": told.pop("id"), **_fields(cores), **package, **told}
            first_pcpu += node.threads
            first_core += node.cores
        nodes.append(told)
    return nodes


def _counted(node: NumaNode) -> Cores:
    """Return the counts that the pCPUs of a node could be made of."""
    llcs = {pcpu.llc for pcpu in node.pcpus}
    shared = None if None in llcs else -(-node.cores // len(llcs))
    return Cores(node.cores, min(8, node.threads // node.cores), shared)


def instance_digest(instance: Instance) -> str:
    """Return the SHA-256 of an instance's canonical JSON; name and comment do not count."""
    document = instance_to_dict(replace(instance, name="", comment=""))
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
