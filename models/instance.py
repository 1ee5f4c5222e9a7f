"""An instance: hosts, VMs, relations, prices, and where everything is now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Annotated, ClassVar

from numaplace.models.errors import NAME_LENGTH_MAX, InputError, check_unique
from numaplace.models.fields import Size, checked, thing_of
from numaplace.models.forms import VmForm, make_form
from numaplace.models.plan import Plan
from numaplace.models.prices import DEFAULT_PRICES, Prices, check_worst_loss
from numaplace.models.relations import (
    Apart,
    Competition,
    Cooperation,
    Scope,
    SharingGroup,
    Together,
)
from numaplace.models.topology import HOSTS_MAX, Host, NumaNode
from numaplace.models.units import MILLI, PageSize, to_milli
from numaplace.models.vm import VMS_MAX, Vm, kind_of

COMMENT_MAX = 10_000


class Between(StrEnum):
    """What is optimised after the value of the placed VMs and before the loss."""

    NOTHING = "nothing"
    FEWEST_HOSTS = "fewest_hosts"
    BALANCE = "balance"


@dataclass(frozen=True, slots=True)
class Place:
    """A node of a host as solvers number it.

    `index` counts the nodes of all hosts in order; `position` is the index within the host.
    """

    index: int
    host_index: int
    position: int
    host: Host
    node: NumaNode

    def __str__(self) -> str:
        return f"{self.host.name}/{self.node.id}"


@dataclass(frozen=True)
class Instance:
    """A planning problem: hosts, VMs, relations, prices, and where everything is now.

    Raises
    ------
    InputError
        If a name is unknown or used twice, or a value is impossible.
    """

    THING: ClassVar[str] = "instance"

    hosts: Annotated[tuple[Host, ...], Size(1, HOSTS_MAX), "Machines, with unique names."]
    vms: Annotated[tuple[Vm, ...], Size(0, VMS_MAX, "VMs"), "VMs, with unique names."] = ()
    cooperations: Annotated[tuple[Cooperation, ...], "VMs that talk."] = ()
    competitions: Annotated[tuple[Competition, ...], "VMs in each other's way."] = ()
    togethers: Annotated[tuple[Together, ...], "VMs on the very same nodes, host or label."] = ()
    aparts: Annotated[tuple[Apart, ...], "VMs of which no two share a node, host or label."] = ()
    sharing: Annotated[tuple[SharingGroup, ...], "VMs with equal pages."] = ()
    prices: Annotated[Prices, "Prices of migration, ballooning and bandwidth."] = DEFAULT_PRICES
    between: Annotated[Between, "What is optimised between value and loss."] = Between.NOTHING
    current: Annotated[Plan | None, "Where VMs are now; not given: nothing runs yet."] = None
    name: Annotated[str, Size(0, NAME_LENGTH_MAX), "For people."] = ""
    comment: Annotated[str, Size(0, COMMENT_MAX, "lines"), "For people."] = ""

    def __post_init__(self) -> None:
        checked(self)
        check_unique("instance", "hosts", [host.name for host in self.hosts])
        check_unique("instance", "vms", [vm.name for vm in self.vms])
        self._check_relations()
        self._check_sharing()
        self._check_sets()
        self._check_current()
        for vm in self.vms:
            self.form(vm.name)
        check_worst_loss(self.prices, self.hosts, self.vms, self.cooperations, self.competitions)

    def _check_relations(self) -> None:
        pairs: tuple[Cooperation | Competition, ...] = (*self.cooperations, *self.competitions)
        for pair in pairs:
            self._check_known(thing_of(pair), "first", [pair.first])
            self._check_known(thing_of(pair), "second", [pair.second])
        for group in (*self.togethers, *self.aparts):
            self._check_known(thing_of(group), "vms", group.vms)

    def _check_sharing(self) -> None:
        check_unique("instance", "sharing groups", [group.name for group in self.sharing])
        owner: dict[str, str] = {}
        for group in self.sharing:
            thing = thing_of(group)
            self._check_known(thing, "vms", group.vms)
            for name in group.vms:
                vm = self.vm(name)
                if name in owner:
                    raise InputError(thing, "vms", f"VM {name!r} is in group {owner[name]!r} too")
                owner[name] = group.name
                if group.shared_mib >= vm.memory_least_mib:
                    reason = (
                        f"{group.shared_mib} must be less than VM {name!r} keeps, "
                        f"{vm.memory_least_mib} MiB"
                    )
                    raise InputError(thing, "shared_mib", reason)
                if vm.page_size is not PageSize.SMALL:
                    reason = f"VM {name!r} has {vm.page_size} pages; only 4K pages can be shared"
                    raise InputError(thing, "vms", reason)
                if vm.cells:
                    reason = f"VM {name!r} has explicit guest NUMA cells, which cannot share pages"
                    raise InputError(thing, "vms", reason)

    def _check_sets(self) -> None:
        known = {host.name: frozenset(node.id for node in host.nodes) for host in self.hosts}
        everywhere = frozenset[int]().union(*known.values())
        for machine in self.hosts:
            for word in Scope:
                if word in machine.labels:
                    reason = f"{word.value!r} is no key: as a scope it means the {word} itself"
                    raise InputError(thing_of(machine), "labels", reason)
        for vm in self.vms:
            thing = thing_of(vm)
            if vm.allowed_hosts is not None:
                for host in sorted(vm.allowed_hosts - known.keys()):
                    raise InputError(thing, "allowed_hosts", f"host {host!r} does not exist")
                nodes = frozenset[int]().union(*(known[host] for host in vm.allowed_hosts))
            else:
                nodes = everywhere
            for field in ("hard_nodes", "soft_nodes", "memory_nodes"):
                for node in sorted((getattr(vm, field) or frozenset()) - nodes):
                    raise InputError(thing, field, f"node {node} exists on none of its hosts")

    def _check_current(self) -> None:
        if self.current is None:
            return
        self._check_known("current plan", "placements", self.current.placements)
        for name, placement in self.current.placements.items():
            thing = f"current plan, VM {name!r}"
            if placement.host not in self.host_index:
                raise InputError(thing, "host", f"host {placement.host!r} does not exist")
            host = self.host(placement.host)
            for node in sorted(placement.nodes | placement.memory_by_node().keys()):
                if node not in host.position:
                    raise InputError(thing, "node", f"node {node} is not on host {host.name!r}")

    def _check_known(self, thing: str, field: str, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.vm_index:
                raise InputError(thing, field, f"VM {name!r} does not exist")

    @cached_property
    def vm_index(self) -> dict[str, int]:
        """Index in `vms` by name."""
        return {vm.name: index for index, vm in enumerate(self.vms)}

    @cached_property
    def host_index(self) -> dict[str, int]:
        """Index in `hosts` by name."""
        return {host.name: index for index, host in enumerate(self.hosts)}

    def vm(self, name: str) -> Vm:
        """Return the VM of that name."""
        return self.vms[self.vm_index[name]]

    def host(self, name: str) -> Host:
        """Return the host of that name."""
        return self.hosts[self.host_index[name]]

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Nodes of all hosts, in order of host and node id."""
        places: list[Place] = []
        for h, host in enumerate(self.hosts):
            for position, node in enumerate(host.nodes):
                places.append(Place(len(places), h, position, host, node))
        return tuple(places)

    @cached_property
    def place_of(self) -> dict[tuple[str, int], Place]:
        """Place by (host name, node id)."""
        return {(place.host.name, place.node.id): place for place in self.places}

    @cached_property
    def host_places(self) -> tuple[tuple[Place, ...], ...]:
        """Places of each host."""
        places: list[list[Place]] = [[] for _ in self.hosts]
        for place in self.places:
            places[place.host_index].append(place)
        return tuple(tuple(group) for group in places)

    def r(self, a: Place, b: Place) -> float:
        """Relative distance of two places, at least 1; other hosts are a network factor away."""
        if a.host_index != b.host_index:
            return max(a.host.network_factor, b.host.network_factor)
        return a.host.relative[a.position][b.position]

    def allowed_hosts(self, vm: Vm) -> list[Host]:
        """Hosts that may run `vm`."""
        if vm.allowed_hosts is None:
            return list(self.hosts)
        return [host for host in self.hosts if host.name in vm.allowed_hosts]

    @cached_property
    def _domains(self) -> dict[str, tuple[int, ...]]:
        return {}

    def domains(self, scope: str) -> tuple[int, ...]:
        """Domain of each host by number, in a scope of whole hosts.

        That is the index of the first host with its label; without the label, its own.
        """
        if scope not in self._domains:
            first: dict[str | int, int] = {}
            labels = (host.labels.get(scope, index) for index, host in enumerate(self.hosts))
            found = tuple(first.setdefault(label, index) for index, label in enumerate(labels))
            self._domains[scope] = found
        return self._domains[scope]

    @property
    def scoped(self) -> tuple[Together | Apart | Competition | Cooperation, ...]:
        """All relations that have a scope."""
        talks = (pair for pair in self.cooperations if pair.scope is not None)
        return (*self.togethers, *self.aparts, *self.competitions, *talks)

    @property
    def scopes(self) -> set[str]:
        """Scopes of all relations."""
        return {str(relation.scope) for relation in self.scoped}

    def check_scopes(self) -> None:
        """Raise `InputError` if the scope of a relation is no word and no label of any host."""
        known = {*Scope, *(key for host in self.hosts for key in host.labels)}
        for relation in self.scoped:
            if relation.scope not in known:
                reason = f"no host has a label {relation.scope!r}, and it is not 'node' or 'host'"
                raise InputError(thing_of(relation), "scope", reason)

    @cached_property
    def group_of(self) -> dict[str, SharingGroup]:
        """Sharing group by name of member."""
        return {name: group for group in self.sharing for name in group.vms}

    @cached_property
    def _forms(self) -> dict[str, VmForm]:
        return {}

    @cached_property
    def _host_kinds(self) -> dict[tuple[tuple[NumaNode, ...], float], list[Host]]:
        kinds: dict[tuple[tuple[NumaNode, ...], float], list[Host]] = {}
        # Hosts that were counted out of one have the same nodes, which are long to compare.
        same: dict[tuple[int, float], list[Host]] = {}
        for host in self.hosts:
            key = id(host.nodes), host.vcpu_overcommit
            if key not in same:
                same[key] = kinds.setdefault((host.nodes, host.vcpu_overcommit), [])
            same[key].append(host)
        return kinds

    @cached_property
    def _forms_of_kinds(self) -> dict[tuple[object, ...], VmForm]:
        return {}

    def form(self, name: str) -> VmForm:
        """Blocks and shapes of a VM, worked out on first use; VMs of one kind have the same."""
        form = self._forms.get(name)
        if form is None:
            vm = self.vm(name)
            group = self.group_of.get(name)
            shared_mib = group.shared_mib if group else 0
            copy_mib = shared_mib if group and not group.across_nodes else 0
            key = kind_of(vm), shared_mib, copy_mib
            form = self._forms_of_kinds.get(key)
            if form is None:
                form = make_form(vm, shared_mib, self._kinds_for(vm), copy_mib=copy_mib)
                self._forms_of_kinds[key] = form
            self._forms[name] = form
        return form

    def keep_forms(self, forms: Mapping[str, VmForm]) -> None:
        """Take blocks and shapes of VMs, by name, from an instance that this one is a part of."""
        self._forms.update(forms)

    def _kinds_for(self, vm: Vm) -> list[Host]:
        """One host of each kind that may run a VM."""
        allowed = vm.allowed_hosts
        kinds = (
            next((h for h in hosts if allowed is None or h.name in allowed), None)
            for hosts in self._host_kinds.values()
        )
        return [host for host in kinds if host is not None]

    def value_milli(self, vm: Vm) -> int:
        """What placing `vm` is worth, in thousandths."""
        return vm.vcpus * MILLI if vm.value is None else to_milli(vm.value)

    @cached_property
    def total_value_milli(self) -> int:
        """What a plan that places every VM is worth, in thousandths."""
        return sum(self.value_milli(vm) for vm in self.vms)

    @cached_property
    def instants(self) -> tuple[frozenset[str], ...]:
        """Names of the VMs alive at each instant that matters.

        Capacity is tightest when a VM has just started: these are the maximal sets of VMs alive
        together (maximal cliques of an interval graph). One set without start and end times.
        """
        if all(vm.start is None and vm.end is None for vm in self.vms):
            return (frozenset(vm.name for vm in self.vms),)
        starts = sorted({vm.start for vm in self.vms if vm.start is not None})
        first: list[int | None] = [None] if any(vm.start is None for vm in self.vms) else []
        sets: list[frozenset[str]] = []
        for start in [*first, *starts]:
            alive = frozenset(vm.name for vm in self.vms if _alive(vm, start))
            if sets and sets[-1] <= alive:
                sets[-1] = alive
            elif not (sets and alive <= sets[-1]):
                sets.append(alive)
        return tuple(sets)


def _alive(vm: Vm, instant: int | None) -> bool:
    """Tell whether `vm` exists at `instant`; None is before every stated start."""
    if instant is None:
        return vm.start is None
    return (vm.start is None or vm.start <= instant) and (vm.end is None or instant < vm.end)
