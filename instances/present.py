"""Where imported VMs run now, as their files pin them, and which hold pCPUs of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from numaplace.instances.formats.read_placement import Found, placement_of, read_found
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan
from numaplace.models.topology import Host
from numaplace.models.vm import CpuPolicy, GuestNuma, Vm

_SHOWN_MAX = 5
_SETS = ("hard_nodes", "soft_nodes", "memory_nodes")


@dataclass(frozen=True, slots=True)
class Origin:
    """A file of VMs, the name of its format, and the VMs' names there and in the instance."""

    kind: str
    path: Path
    names: Mapping[str, str]


def read_all_found(origins: Iterable[Origin], host: Host) -> dict[str, Found]:
    """Return what files say of where their VMs run, by the VMs' names in the instance."""
    return {
        origin.names[name]: found
        for origin in origins
        for name, found in read_found(origin.kind, origin.path, host).items()
        if name in origin.names
    }


def as_pinned(
    vms: Sequence[Vm], found: Mapping[str, Found], host: Host, keep_pins: bool, notes: list[str]
) -> tuple[Vm, ...]:
    """Return VMs as their pins say.

    A VM is dedicated if each vCPU is pinned to one pCPU of `host` that no other VM is pinned to.
    Pins, and bindings of memory, restrict a VM only if `keep_pins`.
    """
    users = Counter(p for each in found.values() for p in frozenset[int]().union(*each.pins))
    exist = {pcpu.id for node in host.nodes for pcpu in node.pcpus}
    result: list[Vm] = []
    own: list[str] = []
    freed: list[str] = []
    for vm in vms:
        said = found.get(vm.name)
        if said is not None:
            if said.own and exist.issuperset(said.own) and all(users[p] == 1 for p in said.own):
                vm = replace(vm, cpu_policy=CpuPolicy.DEDICATED)
                own.append(vm.name)
            if not keep_pins and (said.pins or any(getattr(vm, name) for name in _SETS)):
                vm = replace(vm, hard_nodes=None, soft_nodes=None, memory_nodes=None)
                freed.append(vm.name)
        result.append(vm)
    if own:
        reason = "each vCPU is pinned to a pCPU that no other pinned VM may use: dedicated"
        notes.append(f"{_named(own)}: {reason}")
    if freed:
        reason = "what its file pins it to is where it runs now, not where it must: --keep-pins"
        notes.append(f"{_named(freed)}: {reason}")
    return tuple(result)


def present_plan(
    instance: Instance, found: Mapping[str, Found], notes: list[str]
) -> tuple[tuple[Vm, ...], Plan | None]:
    """Return the VMs, cut into as many cells as they have now, and where they run, if told."""
    pinned = [name for name, said in found.items() if said.pins]
    if len(instance.hosts) > 1 and pinned:
        reason = "on which of several hosts it runs is not told, so no current plan is made"
        notes.append(f"{_named(pinned)}: {reason}")
    if len(instance.hosts) > 1 or not pinned:
        return instance.vms, None
    host = instance.hosts[0]
    placements: dict[str, Placement] = {}
    vms = list(instance.vms)
    for name in pinned:
        vm = instance.vm(name)
        try:
            reading = placement_of(instance, vm, host, found[name])
        except InputError as error:
            notes.append(f"VM {name!r:.80}: where it runs now is not kept: {error.reason}")
            continue
        notes += reading.notes
        placements[name] = reading.item
        cells = len(reading.item.cells)
        if cells > 1 and vm.guest_numa is not GuestNuma.EXPLICIT:
            vms[instance.vm_index[name]] = replace(vm, max_cells=cells)
    unbound = [name for name in placements if not found[name].bound]
    if unbound:
        reason = "nothing binds its memory: taken to lie on the nodes of its vCPUs"
        notes.append(f"{_named(unbound)}: {reason}")
    return tuple(vms), Plan(placements) if placements else None


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_MAX} more" if len(names) > _SHOWN_MAX else ""
    return f"VM{'s' * (len(names) > 1)} {', '.join(map(repr, names[:_SHOWN_MAX]))}{more}"
