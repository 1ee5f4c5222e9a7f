"""An instance out of files of hosts and files of VMs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from numaplace.instances.files import STDIN
from numaplace.instances.formats.document.records import NUMAPLACE
from numaplace.instances.formats.registry import holds_vms, host_format, vm_format
from numaplace.instances.hostmemory import as_asked
from numaplace.instances.import_source import ImportSource, Names, SameNames, source_files
from numaplace.instances.present import (
    Origin,
    as_pinned,
    present_plan,
    read_all_found,
    with_domains,
)
from numaplace.instances.reading import Reading, located, together
from numaplace.instances.shapes import make_host
from numaplace.models.errors import InputError, check_int
from numaplace.models.instance import Instance
from numaplace.models.locality import unlabelled
from numaplace.models.topology import HOSTS_MAX, MIB_MAX, Host, NumaNode
from numaplace.models.vm import VMS_MAX

RELATIONS = ("cooperations", "competitions", "togethers", "aparts", "sharing")


@dataclass(frozen=True, slots=True)
class HostOptions:
    """What host files do not tell; None leaves it as it is."""

    reserve_mib: int | None = None  # kept on each node with pCPUs and memory, on top of the file's
    memory_mib: int | None = None  # of each node, for formats without it (lscpu)
    vcpu_overcommit: float | None = None  # this and the next two: as in `Host`
    smt_yield: float | None = None
    network_factor: float | None = None
    free_memory: bool = False  # take the memory that is free now, not all there is
    gpu_memory: bool = False  # keep nodes whose memory is a GPU's

    def __post_init__(self) -> None:
        for name in ("reserve_mib", "memory_mib"):
            if getattr(self, name) is not None:
                check_int("host options", name, getattr(self, name), 0, MIB_MAX)


def import_instance(
    host_sources: Sequence[ImportSource],
    vm_sources: Sequence[ImportSource] = (),
    *,
    options: HostOptions | None = None,
    assumed: Mapping[str, float] = MappingProxyType({}),
    same_names: SameNames = SameNames.ERROR,
    keep_pins: bool = False,
    name: str = "",
) -> Reading[Instance]:
    """Read hosts and VMs from files and combine them.

    Relations come from sources that are instances, if the VMs keep their names. Where VMs are
    pinned to is where they run now, the current plan.

    Parameters
    ----------
    host_sources, vm_sources
        Where hosts and VMs come from.
    options
        What host files do not tell.
    assumed
        Values for fields of VMs (`assumed.ASSUMABLE`) that the format of their file cannot tell.
    same_names
        What to do if a name occurs twice.
    keep_pins
        Whether VMs must stay on the nodes that their files pin them to.
    name
        Name of the instance.

    Raises
    ------
    InputError
        For a faulty file, a name that occurs twice, or an instance that makes no sense.
    """
    stdin = [source for source in (*host_sources, *vm_sources) if source.path == STDIN]
    if len(stdin) > 1:
        raise InputError("source", "", "standard input can be read only once", file=str(STDIN))
    notes: list[str] = []
    options = options or HostOptions()
    untold_hosts: set[str] = set()
    hosts = _hosts(host_sources, options, same_names, notes, untold_hosts)
    if not hosts:
        raise InputError("import", "hosts", "no host file is given")
    pattern = _pattern(hosts, notes)
    origins: list[Origin] = []
    kept = pattern if keep_pins else None
    relations = _vms(vm_sources, kept, same_names, notes, origins, dict(assumed))
    found = read_all_found(origins, pattern) if pattern else {}
    vms = as_pinned(origins, found, pattern, keep_pins, notes)
    bare = any(
        host.name in untold_hosts and not any(node.reserved_mib for node in host.nodes)
        for host in hosts
    )
    hosts = with_domains(hosts, origins, notes)
    instance = Instance(hosts=hosts, vms=vms, name=name, **relations)
    vms, current = present_plan(instance, found, notes)
    given = {*assumed, *(field for field, value in asdict(options).items() if value is not None)}
    untold = {vm.name for each in origins if not each.format.tells_use for vm in each.vms}
    given |= set() if bare else {"reserve_mib"}
    notes += misfits(instance)
    notes += assumptions(instance, untold_vms=untold, untold_hosts=untold_hosts, given=given)
    return Reading(replace(instance, vms=vms, current=current), together(notes))


# -- hosts -----------------------------------------------------------------------------------------


def _hosts(
    sources: Sequence[ImportSource],
    options: HostOptions,
    same_names: SameNames,
    notes: list[str],
    untold: set[str],
) -> tuple[Host, ...]:
    """Hosts of all sources; the names of those whose files tell no overcommit go to `untold`."""
    names = Names("host", same_names, HOSTS_MAX)
    hosts: list[Host] = []
    for source in sources:
        with located(str(source.path)):
            for host in read_hosts(source, options, notes):
                named = names.copies(_with_options(host, options), source.count, source.path, notes)
                hosts += named
                if source.shape or host_format(source.path, source.format) is not NUMAPLACE:
                    untold.update(each.name for each in named)
    return tuple(hosts)


def read_hosts(source: ImportSource, options: HostOptions, notes: list[str]) -> list[Host]:
    """Return the hosts of a file with the memory that is asked for; remarks go to `notes`."""
    if source.shape is not None:
        name = f"{source.path}-" if source.count > 1 else str(source.path)
        return [make_host(source.shape, name)]
    read = host_format(source.path, source.format).read_hosts
    assert read
    with located(str(source.path)):
        readings = [
            as_asked(each, free=options.free_memory, gpu_memory=options.gpu_memory)
            for each in read(source.path, options.memory_mib)
        ]
    told = dict.fromkeys(note for reading in readings for note in reading.notes)
    notes += [f"{source.path}: {note}" for note in told]
    return [reading.item for reading in readings]


def _with_options(host: Host, options: HostOptions) -> Host:
    given: dict[str, Any] = {
        field: getattr(options, field)
        for field in ("vcpu_overcommit", "smt_yield", "network_factor")
        if getattr(options, field) is not None
    }
    if options.reserve_mib:
        given["nodes"] = tuple(_reserved(host, node, options.reserve_mib) for node in host.nodes)
    return replace(host, **given) if given else host


def _reserved(host: Host, node: NumaNode, mib: int) -> NumaNode:
    if not node.pcpus or not node.memory_mib:
        return node
    try:
        return replace(node, reserved_mib=node.reserved_mib + mib)
    except InputError as error:
        thing = f"host {host.name!r:.80}, {error.thing}"
        raise InputError(thing, "reserve_mib", error.reason) from None


def _pattern(hosts: Sequence[Host], notes: list[str]) -> Host | None:
    """Return the host that tells on which node a pCPU is; None if hosts differ in that."""
    layouts = {tuple((node.id, node.pcpus) for node in host.nodes) for host in hosts}
    if len(layouts) == 1:
        return hosts[0]
    notes.append("hosts number their pCPUs differently: pCPUs of VM files say nothing about nodes")
    return None


# -- VMs -------------------------------------------------------------------------------------------


def _vms(
    sources: Sequence[ImportSource],
    host: Host | None,
    same_names: SameNames,
    notes: list[str],
    origins: list[Origin],
    assumed: dict[str, Any],
) -> Mapping[str, Any]:
    """Read VMs, file by file, into `origins`; return their relations.

    VMs whose format cannot tell it get what is `assumed`.
    """
    names = Names("VM", same_names, VMS_MAX)
    relations: dict[str, tuple[Any, ...]] = {}
    for source in _each_file(sources, notes):
        found = vm_format(source.path, source.format)
        if found is NUMAPLACE:
            from numaplace.instances.formats.document.io import read_instance  # slow to import

            instance = read_instance(source.path)
            reading = Reading(instance.vms)
        else:
            instance = None
            assert found.read_vms
            reading = found.read_vms(source.path, host)
        notes += [f"{source.path}: {note}" for note in reading.notes]
        with located(str(source.path)):
            named = [
                vm
                for each in reading.item
                for vm in names.copies(each, source.count, source.path, notes)
            ]
        if not found.tells_use:
            named = [replace(vm, **assumed) for vm in named]
        once = zip(reading.item, named, strict=False) if source.count == 1 else ()
        names_now = {old.name: vm.name for old, vm in once}
        origins.append(Origin(found, source.path, names_now, tuple(named)))
        if instance is not None:
            kept = [vm.name for vm in named] == [vm.name for vm in instance.vms]
            notes += [f"{source.path}: {note}" for note in _take(instance, relations, kept)]
    return relations


def _each_file(sources: Sequence[ImportSource], notes: list[str]) -> Iterator[ImportSource]:
    """Sources file by file: of a folder those that hold VMs, of a pattern all it matches."""
    for source in sources:
        files = source_files(source.path, partial(holds_vms, name=source.format))
        notes += files.notes
        yield from (replace(source, path=path) for path in files.item)


def _take(instance: Instance, relations: dict[str, tuple[Any, ...]], kept: bool) -> Iterator[str]:
    """Add the relations of an instance whose VMs kept their names; tell what is left out."""
    for field in RELATIONS:
        found: tuple[Any, ...] = getattr(instance, field)
        if found and kept:
            relations[field] = (*relations.get(field, ()), *found)
        elif found:
            yield f"{field} are left out: the VMs have other names now"
    if instance.current is not None:
        yield "the current plan is left out"
    if instance.prices != Instance.prices or instance.between != Instance.between:
        yield "prices and what is optimised in between are left out"


ASSUMABLE = ("utilisation", "memory_intensity")
"""Fields of `Vm` that no configuration of a hypervisor tells."""


def assumptions(
    instance: Instance,
    *,
    untold_vms: Collection[str],
    untold_hosts: Collection[str],
    given: Collection[str],
) -> Iterator[str]:
    """Say which defaults stand for what no file told.

    `untold_vms` and `untold_hosts` are names from files of formats that cannot tell, `given` is
    what was asked for or told all the same: fields of `Vm`, `Host` and `HostOptions`.
    """
    parts: list[str] = []
    if untold_vms:
        some = instance.vm(min(untold_vms))
        told = [f"{key} {getattr(some, key):g}" for key in ASSUMABLE if key not in given]
        parts += [f"{', '.join(told)} (--assume KEY=VALUE)"] if told else []
    hosts = [host for host in instance.hosts if host.name in untold_hosts]
    if hosts and "vcpu_overcommit" not in given:
        parts.append(f"{hosts[0].vcpu_overcommit:g} shared vCPU(s) per pCPU at most (--overcommit)")
    if hosts and "reserve_mib" not in given:
        parts.append("no memory kept for the hypervisor (--reserve)")
    if parts:
        yield f"assumed, as no file tells it: {'; '.join(parts)}"


def misfits(instance: Instance) -> Iterator[str]:
    """Say which devices no host has, which labels hosts lack, how much memory is rounded up."""
    yield from unlabelled(instance)
    has = [device for host in instance.hosts for device in host.devices]
    answered: dict[str, bool] = {}
    for vm in instance.vms:
        for request in vm.devices:
            kind = request.kind
            if kind not in answered:
                answered[kind] = any(device.answers(kind) for device in has)
            if not answered[kind]:
                yield (
                    f"VM {vm.name!r}: wants {kind!r}, but no host file tells of one, so that it "
                    "fits nowhere: add it to the devices of a host, or take the wish away"
                )
    rounding = {vm.name: instance.form(vm.name).rounding_mib for vm in instance.vms}
    most = max(rounding, key=rounding.__getitem__, default="")
    if most and rounding[most]:
        count = sum(map(bool, rounding.values()))
        yield (
            f"memory of {count} VM{'s' * (count > 1)} is rounded up to be placed in equal blocks, "
            f"that of {most!r} by {rounding[most]} MiB"
        )
