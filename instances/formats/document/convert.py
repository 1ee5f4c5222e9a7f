"""From documents to instances and plans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from numaplace.instances.formats.document.faults import Source
from numaplace.instances.formats.document.json_text import Path
from numaplace.instances.formats.document.schema import (
    Document,
    HostDoc,
    InstanceDoc,
    NodeDoc,
    PlacementDoc,
    PlanBodyDoc,
    VmDoc,
)
from numaplace.instances.ranges import parse_ids
from numaplace.models.errors import InputError, check_int, check_name, check_unique
from numaplace.models.instance import HOSTS_MAX, VMS_MAX, Instance
from numaplace.models.plan import PlacedCell, Placement, Plan, SharedCopy, TakenDevice
from numaplace.models.prices import Prices
from numaplace.models.relations import (
    Apart,
    Competition,
    Cooperation,
    Scope,
    SharingGroup,
    Together,
)
from numaplace.models.topology import Device, Host, NumaNode, PCpu
from numaplace.models.vm import Cell, DeviceRequest, Vm

T = TypeVar("T", Host, Vm)


def instance_from(doc: InstanceDoc, source: Source) -> Instance:
    """Return the instance of a document; `InputError` with the line if it makes no sense."""
    _check_text(doc, source)
    _check_count(doc.hosts, "hosts", HOSTS_MAX, source)
    _check_count(doc.vms, "vms", VMS_MAX, source)
    hosts: list[Host] = []
    for index, host_doc in enumerate(doc.hosts):
        with source.element("hosts", index):
            hosts += _copies(_host(host_doc, ("hosts", index), source), host_doc.count)
    vms: list[Vm] = []
    for index, vm_doc in enumerate(doc.vms):
        with source.element("vms", index):
            vms += _copies(_vm(vm_doc), vm_doc.count)
    relations = _relations(doc, source)
    current = None if doc.current is None else plan_from(doc.current, source, ("current",))
    try:
        return Instance(
            hosts=tuple(hosts),
            vms=tuple(vms),
            **relations,
            prices=Prices(**_values(doc.prices)),
            between=doc.between,
            current=current,
            name=doc.name,
            comment=doc.comment,
        )
    except InputError as error:
        raise source.fault(error, *_path_of(doc, error)) from None


def plan_from(doc: PlanBodyDoc, source: Source, path: Path = ()) -> Plan:
    """Return the plan of a document that stands at `path` of its source."""
    placements: dict[str, Placement] = {}
    for name, placement in doc.placements.items():
        where = (*path, "placements", name)
        with source.element(*where, within=f"placement of VM {name!r:.80}"):
            check_name("plan", "VM", name)
            placements[name] = _placement(placement)
    copies = []
    for index, copy in enumerate(doc.copies):
        with source.element(*path, "copies", index):
            check_unique(f"copies of {copy.group!r:.80}", "nodes", copy.nodes)
            copies.append(SharedCopy(copy.group, copy.host, tuple(copy.nodes)))
    return Plan(placements, tuple(copies))


def _values(doc: Document, *without: str) -> dict[str, Any]:
    return {name: getattr(doc, name) for name in type(doc).model_fields if name not in without}


def _check_text(doc: InstanceDoc, source: Source) -> None:
    """Names and comments reach terminals, so they hold no control characters."""
    with source.element("name"):
        if doc.name:
            check_name("instance", "name", doc.name)
    for line in doc.comment.splitlines():
        if not line.replace("\t", " ").isprintable():
            error = InputError("instance", "comment", "holds unprintable characters")
            raise source.fault(error, "comment")


def _check_count(docs: Sequence[HostDoc | VmDoc], key: str, most: int, source: Source) -> None:
    total = 0
    for index, doc in enumerate(docs):
        total += doc.count or 1
        with source.element(key, index):
            check_int("instance", f"number of {key}", total, 0, most)


def _copies(item: T, count: int | None) -> Iterable[T]:
    """Return the host or VM itself, or `count` of them with a number after the name."""
    if count is None:
        return [item]
    return [replace(item, name=f"{item.name}{number}") for number in range(1, count + 1)]


def _set(thing: str, field: str, items: Iterable[Any] | None) -> frozenset[Any] | None:
    if items is None:
        return None
    items = list(items)
    check_unique(thing, field, items)
    return frozenset(items)


# -- hosts -----------------------------------------------------------------------------------------


def _host(doc: HostDoc, path: Path, source: Source) -> Host:
    thing = f"host {doc.name!r:.80}"
    nodes = []
    first = first_free_pcpu(doc.nodes)
    for index, node_doc in enumerate(doc.nodes):
        with source.element(*path, "nodes", index, within=thing):
            nodes.append(_node(node_doc, *first))
        threads = node_doc.cores or 0
        first = first[0] + threads * node_doc.threads_per_core, first[1] + threads
    devices = []
    for index, device in enumerate(doc.devices):
        with source.element(*path, "devices", index, within=thing):
            ids = _set(f"device {device.address!r:.80}", "nodes", device.nodes)
            devices.append(Device(nodes=ids or frozenset(), **_values(device, "nodes")))
    matrices: dict[str, Any] = {
        name: tuple(tuple(row) for row in getattr(doc, name))
        for name in ("distances", "latency_ns", "bandwidth_mbps")
    }
    plain = _values(doc, "count", "nodes", "devices", *matrices)
    return Host(nodes=tuple(nodes), devices=tuple(devices), **matrices, **plain)


def first_free_pcpu(nodes: Iterable[NodeDoc]) -> tuple[int, int]:
    """Return the pCPU and the core number above all those that nodes list."""
    listed = [pcpu for node in nodes for pcpu in node.pcpus]
    pcpu = max((pcpu.id for pcpu in listed), default=-1) + 1
    return pcpu, max((pcpu.core for pcpu in listed), default=-1) + 1


def _node(doc: NodeDoc, first_pcpu: int, first_core: int) -> NumaNode:
    thing = f"node {doc.id}"
    counted = ("cores", "threads_per_core", "cores_per_llc")
    plain = _values(doc, "pcpus", "socket", *counted)
    if doc.cores is None:
        given = [name for name in counted if name in doc.model_fields_set]
        if given and getattr(doc, given[0]) is not None:
            raise InputError(thing, given[0], "goes only with cores")
        pcpus = tuple(PCpu(**_values(pcpu)) for pcpu in doc.pcpus)
        return NumaNode(pcpus=pcpus, socket=doc.socket, **plain)
    if doc.pcpus:
        raise InputError(thing, "cores", "goes not with a list of pcpus: give one of both")
    pcpus = counted_pcpus(doc, first_pcpu, first_core)
    return NumaNode(pcpus=pcpus, **plain)


def counted_pcpus(doc: NodeDoc, first_pcpu: int, first_core: int) -> tuple[PCpu, ...]:
    """Return the pCPUs of a node that gives their number only.

    Last-level caches are numbered by their first core, which makes them unique on the host.
    """
    cores, threads = doc.cores or 0, doc.threads_per_core
    return tuple(
        PCpu(
            id=first_pcpu + core * threads + thread,
            core=first_core + core,
            socket=doc.socket or 0,
            llc=first_core + core - core % doc.cores_per_llc if doc.cores_per_llc else None,
        )
        for core in range(cores)
        for thread in range(threads)
    )


# -- VMs and relations -----------------------------------------------------------------------------


def _vm(doc: VmDoc) -> Vm:
    thing = f"VM {doc.name!r:.80}"
    sets = ("memory_nodes", "hard_nodes", "soft_nodes", "allowed_hosts")
    try:
        cells = tuple(Cell(**_values(cell)) for cell in doc.cells)
        devices = tuple(DeviceRequest(**_values(request)) for request in doc.devices)
    except InputError as error:
        raise InputError(f"{thing}, {error.thing}", error.field, error.reason) from None
    chosen: dict[str, Any] = {name: _set(thing, name, getattr(doc, name)) for name in sets}
    return Vm(
        cells=cells,
        devices=devices,
        **_values(doc, "count", "cells", "devices", *sets),
        **chosen,
    )


def _relations(doc: InstanceDoc, source: Source) -> dict[str, Any]:
    makers: dict[str, Any] = {
        "cooperations": lambda item: Cooperation(**_values(item)),
        "competitions": lambda item: Competition(**_values(item)),
        "togethers": lambda item: Together(tuple(item.vms), Scope(item.scope)),
        "aparts": lambda item: Apart(tuple(item.vms), Scope(item.scope)),
        "sharing": lambda item: SharingGroup(vms=tuple(item.vms), **_values(item, "vms")),
    }
    made: dict[str, Any] = {}
    for key, make in makers.items():
        items = []
        for index, item in enumerate(getattr(doc, key)):
            with source.element(key, index):
                items.append(make(item))
        made[key] = tuple(items)
    return made


def _placement(doc: PlacementDoc) -> Placement:
    cells = tuple(
        PlacedCell(
            node=cell.node,
            vcpus=cell.vcpus,
            memory_mib=tuple(sorted((int(node), mib) for node, mib in cell.memory_mib.items())),
            pcpus=tuple(cell.pcpus),
            size_mib=cell.size_mib,
            vcpu_sets=tuple(
                parse_ids(ids, thing="placed cell", field="vcpu_sets", exclusions=False)
                for ids in cell.vcpu_sets
            ),
        )
        for cell in doc.cells
    )
    devices = tuple(TakenDevice(**_values(device)) for device in doc.devices)
    return Placement(doc.host, cells, devices)


# -- where an instance's faults stand --------------------------------------------------------------


def _path_of(doc: InstanceDoc, error: InputError) -> Path:
    """Return the path of the element that a fault of the whole instance is about."""
    if error.thing == "instance" and error.field in ("hosts", "vms"):
        seen: set[str] = set()
        for index, item in enumerate(getattr(doc, error.field)):
            if item.name in seen:
                return (error.field, index)
            seen.add(item.name)
        return (error.field,)
    things: dict[str, Path] = {"prices": ("prices",)}
    for index, vm in enumerate(doc.vms):
        things[f"VM {vm.name!r}"] = ("vms", index)
    for word, key in (("cooperation", "cooperations"), ("competition", "competitions")):
        for index, pair in enumerate(getattr(doc, key)):
            things.setdefault(f"{word} of {pair.first!r} and {pair.second!r}", (key, index))
    for word, key in (("together", "togethers"), ("apart", "aparts")):
        for index, group in enumerate(getattr(doc, key)):
            things.setdefault(f"{word} of {', '.join(group.vms)!r:.80}", (key, index))
    for index, sharing in enumerate(doc.sharing):
        things[f"sharing group {sharing.name!r}"] = ("sharing", index)
    for name in doc.current.placements if doc.current else ():
        things[f"current plan, VM {name!r}"] = ("current", "placements", name)
    return (*things.get(error.thing, ()), error.field)
