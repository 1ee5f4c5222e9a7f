"""Instance data as the formulations need it: choices that exist, with impossible ones left out.

Both formulations read the same `Prepared`, so a choice pruned here is pruned for both; the
brute-force oracle of the tests does not use it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property

from numaplace.models.cores import CoreGroup, core_groups, node_llcs
from numaplace.models.forms import CellType, Shape, VmForm, node_takes
from numaplace.models.instance import Instance, Place
from numaplace.models.locality import is_local
from numaplace.models.pages import interleaved_blocks, page_nodes
from numaplace.models.rates import device_rate
from numaplace.models.relations import Scope, SharingGroup
from numaplace.models.units import PageSize, ceil_div
from numaplace.models.vm import CpuPolicy, DevicePolicy, DeviceRequest, MemoryMode, ThreadPolicy, Vm
from numaplace.solver.deadline import NEVER, Deadline
from numaplace.solver.formulation.tree import DistanceTree, talk_tree, tree_below


@dataclass(frozen=True, slots=True)
class Option:
    """A cell of type `kind` of a VM's shape at a place; the key of the main decision.

    Cells of a VM are on distinct nodes, so a type is at one place at most once.
    """

    vm: str
    shape: int
    kind: int
    place: int


@dataclass(frozen=True, slots=True)
class DeviceOption:
    """Functions of a device for a request (by index) of a VM, served by its cell at `home`."""

    vm: str
    request: int
    home: int
    address: str
    rate: int


class Prepared:
    """Choices of an instance.

    Parameters
    ----------
    instance
        The instance.
    until
        When it is too late to work out more: `OutOfTimeError` is raised then.
    """

    def __init__(self, instance: Instance, until: Deadline = NEVER) -> None:
        self.instance = instance
        self.until = until
        self._fits: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        self._page_places: dict[tuple[object, ...], list[Place]] = {}
        self._page_rooms: dict[tuple[object, ...], int] = {}
        self._host_trees: dict[int, DistanceTree] = {}

    @cached_property
    def options(self) -> dict[str, tuple[Option, ...]]:
        """Where cells of each VM may go, in order of shape, type and place."""
        return {vm.name: self._options_of(vm) for vm in self.until.each(self.instance.vms)}

    def _options_of(self, vm: Vm) -> tuple[Option, ...]:
        found = [
            Option(vm.name, s, t, places[position].index)
            for places in self.instance.host_places
            for s, t, position in self.fits(vm, places[0].host_index)
        ]
        return tuple(sorted(found, key=lambda o: (o.shape, o.kind, o.place)))

    @property
    def num_choices(self) -> int:
        """Count options, and pages of each on other nodes, without making them."""
        total = 0
        for vm in self.until.each(self.instance.vms):
            spread = self.instance.form(vm.name).max_cells > 1
            for host, count in self.hosts_to_try(vm).items():
                cells = self.fits(vm, host)
                pages = len(self.instance.host_places[host]) if spread else 0
                total += count * len(cells) * (1 + pages)
        return total

    def fits(self, vm: Vm, host_index: int) -> list[tuple[int, int, int]]:
        """Shapes, types of cell and positions of a host that an empty host of its kind takes."""
        name = self.instance.hosts[host_index].name
        if vm.allowed_hosts is not None and name not in vm.allowed_hosts:
            return []
        like = self.like_host[host_index]
        key = self.like_vm[vm.name], like
        if key not in self._fits:
            form = self.instance.form(vm.name)
            places = self.instance.host_places[like]
            found = [
                (s, t, place.position)
                for s, shape in enumerate(form.shapes)
                for t, kind in enumerate(shape.types)
                for place in places
                if self._may_be(vm, kind, form, place)
            ]
            whole = _complete(found, form)
            at = [places[position] for position in sorted({cell[2] for cell in whole})]
            self._fits[key] = whole if self._serves(vm, form, at) else []
        return self._fits[key]

    def _serves(self, vm: Vm, form: VmForm, homes: list[Place]) -> bool:
        """Tell whether an empty host has memory and devices for a whole VM, near these homes."""
        least_mib = (form.blocks - form.balloon_blocks) * form.block_mib
        return self.host_room_mib(vm, homes) >= least_mib and all(
            functions_near(request, homes) >= request.count for request in vm.devices
        )

    def host_room_mib(self, vm: Vm, homes: list[Place]) -> int:
        """Memory of an empty host that may hold pages of cells at these homes."""
        pools = {at.index: at for home in homes for at in self.page_places(vm, home)}
        return sum(at.node.pool_mib(vm.page_size) for at in pools.values())

    def possible(self, vm: Vm) -> bool:
        """Tell whether there is a choice of place for a VM: if not, no plan has it."""
        return any(self.fits(vm, host) for host in self.hosts_to_try(vm))

    def hosts_to_try(self, vm: Vm) -> dict[int, int]:
        """Hosts that may run a VM and differ in what they take, with the number of each."""
        if vm.allowed_hosts is None:
            return Counter(self.like_host)
        return {self.instance.host_index[name]: 1 for name in sorted(vm.allowed_hosts)}

    @cached_property
    def possible_value_milli(self) -> int:
        """What a plan that places every VM that fits anywhere alone is worth, in thousandths."""
        vms = self.until.each(self.instance.vms)
        return sum(self.instance.value_milli(vm) for vm in vms if self.possible(vm))

    @cached_property
    def like_vm(self) -> dict[str, int]:
        """Of each VM, the index of the first that fits where it does, on hosts allowed to both."""
        first: dict[tuple[object, ...], int] = {}
        found: dict[str, int] = {}
        for index, vm in enumerate(self.until.each(self.instance.vms)):
            group = self.instance.group_of.get(vm.name)
            key = (
                self.instance.form(vm.name),
                (vm.cpu_policy, vm.thread_policy, vm.hard_nodes, vm.devices),
                (vm.page_size, vm.memory_mode, vm.memory_nodes, vm.balloon_mib),
                None if group is None else group.name,
            )
            found[vm.name] = first.setdefault(key, index)
        return found

    @cached_property
    def like_host(self) -> list[int]:
        """Of each host, the first that takes the same cells: alike but for name and distances."""
        first: dict[tuple[object, ...], int] = {}
        return [
            first.setdefault((host.nodes, host.devices, host.vcpu_overcommit), index)
            for index, host in enumerate(self.instance.hosts)
        ]

    def _may_be(self, vm: Vm, kind: CellType, form: VmForm, place: Place) -> bool:
        if vm.hard_nodes is not None and place.node.id not in vm.hard_nodes:
            return False
        if not node_takes(vm, kind.vcpus, place.node, place.host):
            return False
        if kind.blocks * form.block_mib - vm.balloon_mib > self.page_room_mib(vm, place):
            return False
        group = self.instance.group_of.get(vm.name)
        own_copy = group is not None and not group.across_nodes
        if own_copy and group and place.node.pool_mib(vm.page_size) < group.shared_mib:
            return False
        near = [d for d in vm.devices if d.policy is not DevicePolicy.PREFERRED]
        if form.max_cells == 1:
            return all(
                self._device_near(request_kind=d.kind, policy=d.policy, at=place) for d in near
            )
        return True

    def _device_near(self, request_kind: str, policy: DevicePolicy, at: Place) -> bool:
        devices = [device for device in at.host.devices if device.answers(request_kind)]
        return any(is_local(device, policy, at) for device in devices)

    def page_room_mib(self, vm: Vm, home: Place) -> int:
        """Memory of the empty places that may hold pages of a cell at `home`."""
        key = _page_key(vm, home)
        if key not in self._page_rooms:
            places = self.page_places(vm, home)
            self._page_rooms[key] = sum(at.node.pool_mib(vm.page_size) for at in places)
        return self._page_rooms[key]

    def page_places(self, vm: Vm, home: Place) -> list[Place]:
        """Places that may hold pages of a cell at `home`."""
        key = _page_key(vm, home)
        if key not in self._page_places:
            nodes = page_nodes(vm, home.host, home.node.id)
            of_host = self.instance.host_places[home.host_index]
            self._page_places[key] = [of_host[home.host.position[node]] for node in nodes]
        return self._page_places[key]

    def kind_of(self, option: Option) -> CellType:
        """Return the cell type of an option."""
        return self.shape_of(option).types[option.kind]

    def shape_of(self, option: Option) -> Shape:
        """Return the shape of an option."""
        return self.instance.form(option.vm).shapes[option.shape]

    def place_of(self, option: Option) -> Place:
        """Return the place of an option."""
        return self.instance.places[option.place]

    @cached_property
    def hosts_of(self) -> dict[str, tuple[int, ...]]:
        """Indices of the hosts each VM may go to."""
        return {
            name: tuple(sorted({self.place_of(option).host_index for option in options}))
            for name, options in self.options.items()
        }

    @cached_property
    def homes_of(self) -> dict[str, tuple[int, ...]]:
        """Indices of the places each VM's cells may go to."""
        return {
            name: tuple(sorted({option.place for option in options}))
            for name, options in self.options.items()
        }

    def fixed_pages(self, option: Option) -> bool:
        """Tell whether an option leaves no choice of where its pages go."""
        vm = self.instance.vm(option.vm)
        if vm.memory_mode is MemoryMode.INTERLEAVE:
            return True
        return len(self.page_places(vm, self.place_of(option))) == 1 and vm.balloon_mib == 0

    def fixed_blocks(self, option: Option) -> dict[int, int]:
        """Blocks by place index, where there are any, of an option whose pages are fixed."""
        vm, blocks = self.instance.vm(option.vm), self.kind_of(option).blocks
        places = self.page_places(vm, self.place_of(option))
        if vm.memory_mode is not MemoryMode.INTERLEAVE:
            return {places[0].index: blocks} if blocks else {}
        even = interleaved_blocks([place.node.id for place in places], blocks)
        return {at.index: even[at.node.id] for at in places if even.get(at.node.id)}

    @cached_property
    def loose_vms(self) -> frozenset[str]:
        """VMs of one cell whose pages may lie on the same nodes wherever their vCPUs run."""
        return frozenset(
            vm.name
            for vm in self.instance.vms
            if self.instance.form(vm.name).max_cells == 1
            and vm.memory_mode is not MemoryMode.INTERLEAVE
            and (vm.memory_mode is not MemoryMode.STRICT or vm.memory_nodes is not None)
            and any(not self.fixed_pages(option) for option in self.options[vm.name])
        )

    def loose_places(self, vm: Vm) -> list[Place]:
        """Places that may hold pages of a loose VM."""
        home_of = {self.place_of(o).host_index: self.place_of(o) for o in self.options[vm.name]}
        return [at for home in home_of.values() for at in self.page_places(vm, home)]

    def most_blocks(self, vm: Vm, blocks: int, at: Place) -> int:
        """How many of `blocks` blocks of a VM fit on an empty place."""
        return min(blocks, at.node.pool_mib(vm.page_size) // self.instance.form(vm.name).block_mib)

    def copy_places(self, group: SharingGroup) -> list[Place]:
        """Places where a copy of a group's pages fits, and some member can use it."""
        homes = {home for name in group.vms for home in self.homes_of[name]}
        hosts = {self.instance.places[home].host_index for home in homes}
        return [
            place
            for place in self.instance.places
            if place.host_index in hosts
            and (group.across_nodes or place.index in homes)
            and place.node.pool_mib(PageSize.SMALL) >= group.shared_mib
        ]

    def copy_reads(self, group: SharingGroup) -> list[tuple[Option, int]]:
        """Options of a group's members with each place whose copy they may read.

        None if every cell reads the copy of its own node.
        """
        if not group.across_nodes:
            return []
        copies = self.copy_places(group)
        return [
            (option, at.index)
            for name in group.vms
            for option in self.options[name]
            for at in copies
            if at.host_index == self.place_of(option).host_index
        ]

    def host_tree(self, host_index: int) -> DistanceTree:
        """Return the tree of relative distances between the nodes of a host."""
        if host_index not in self._host_trees:
            at = {place.index: place for place in self.instance.host_places[host_index]}
            self._host_trees[host_index] = tree_below(
                list(at), lambda i, j: self.instance.r(at[i], at[j]), self.until
            )
        return self._host_trees[host_index]

    @cached_property
    def talk_tree(self) -> DistanceTree:
        """Tree of distances for VMs that talk, between all places that run vCPUs."""
        return talk_tree(self.instance, self.until)

    @cached_property
    def device_options(self) -> dict[str, tuple[DeviceOption, ...]]:
        """Devices that answer each VM's requests, by the place of the cell they serve."""
        found: dict[str, tuple[DeviceOption, ...]] = {}
        for vm in self.until.each(self.instance.vms):
            found[vm.name] = tuple(
                DeviceOption(
                    vm.name,
                    index,
                    home,
                    device.address,
                    device_rate(self.instance, request, self.instance.places[home], device),
                )
                for index, request in enumerate(vm.devices)
                for home in self.homes_of[vm.name]
                for device in self.instance.places[home].host.devices
                if device.functions
                and device.answers(request.kind)
                and is_local(device, request.policy, self.instance.places[home])
            )
        return found

    @cached_property
    def llc_vms(self) -> frozenset[str]:
        """Dedicated VMs whose last-level caches matter."""
        return frozenset(
            name
            for pair in self.instance.competitions
            for name in (pair.first, pair.second)
            if pair.scope is Scope.LLC and self.instance.vm(name).cpu_policy is CpuPolicy.DEDICATED
        )

    def core_groups(self, place: Place) -> tuple[CoreGroup, ...]:
        """Core groups of a place; caches tell cores apart only where somebody's cost asks."""
        by_llc = bool(self.llc_vms) and len(node_llcs(place.node)) > 1
        return core_groups(place.node, by_llc=by_llc)


def functions_near(request: DeviceRequest, homes: list[Place]) -> int:
    """Count the functions of a host that answer a request and are near enough to some home."""
    return sum(
        device.functions
        for device in (homes[0].host.devices if homes else ())
        if device.answers(request.kind)
        and any(is_local(device, request.policy, home) for home in homes)
    )


def most_cores(vm: Vm, vcpus: int, group: CoreGroup) -> int:
    """Cores (or threads, if a VM takes those) of a group that `vcpus` dedicated vCPUs can use.

    If an option's node has one group, that is what its cell takes: options that do not fit an
    empty node are none.
    """
    if not whole_cores(vm):
        return min(vcpus, group.num_threads)
    if vm.thread_policy is ThreadPolicy.ISOLATE:
        return min(vcpus, group.num_cores)
    if group.threads_per_core < 2:
        return 0
    return min(ceil_div(vcpus, group.threads_per_core), group.num_cores)


def whole_cores(vm: Vm) -> bool:
    """Tell whether a VM takes whole cores."""
    return vm.cpu_policy is CpuPolicy.DEDICATED and vm.thread_policy is not ThreadPolicy.PREFER


def _page_key(vm: Vm, home: Place) -> tuple[object, ...]:
    """What tells where the pages of a cell at `home` may lie."""
    own_node_only = vm.memory_mode is MemoryMode.STRICT and vm.memory_nodes is None
    where = home.index if own_node_only else -1
    return home.host_index, vm.page_size, vm.memory_nodes, where


def _complete(found: list[tuple[int, int, int]], form: VmForm) -> list[tuple[int, int, int]]:
    """Leave out cells (shape, type, position) of a shape that one host has not enough nodes for.

    Neither for some type of it alone, nor, as cells are on distinct nodes, for all together.
    """
    nodes = Counter((s, t) for s, t, _ in found)
    used: dict[int, set[int]] = defaultdict(set)
    for s, _, position in found:
        used[s].add(position)
    whole = {
        s
        for s, shape in enumerate(form.shapes)
        if len(used[s]) >= shape.num_cells
        and all(nodes[s, t] >= kind.count for t, kind in enumerate(shape.types))
    }
    return [cell for cell in found if cell[0] in whole]
