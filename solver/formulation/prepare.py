"""Choices that an instance leaves: options, pages, devices, copies, core groups.

Both forms of the program read the same `Prepared`, so a choice pruned here is pruned for both; the
brute-force oracle of the tests does not use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from numaplace.models.cores import CoreGroup, core_groups, node_llcs
from numaplace.models.instance import Instance, Place
from numaplace.models.locality import is_local
from numaplace.models.pages import interleaved_blocks
from numaplace.models.rates import device_rate
from numaplace.models.relations import Scope, SharingGroup
from numaplace.models.units import PageSize
from numaplace.models.vm import CpuPolicy, MemoryMode, Vm
from numaplace.solver.deadline import NEVER, Deadline
from numaplace.solver.formulation.empty_hosts import EmptyHosts
from numaplace.solver.formulation.option import DeviceOption, Option
from numaplace.solver.formulation.tree import DistanceTree, talk_tree, tree_below


class Prepared(EmptyHosts):
    """Choices of an instance. Work that is late raises `OutOfTimeError`.

    `count` has the VMs that stand for several equal ones, with how many: the choices are then
    made for all of them together. Such a VM is in no relation and runs nowhere yet.
    """

    def __init__(
        self, instance: Instance, until: Deadline = NEVER, count: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(instance, until)
        self._count = count or {}
        self._host_trees: dict[int, DistanceTree] = {}

    def times(self, name: str) -> int:
        """Return how many equal VMs a VM stands for."""
        return self._count.get(name, 1)

    @cached_property
    def options(self) -> dict[str, tuple[Option, ...]]:
        """Where cells of each VM may go, in order of shape, type and place."""
        return {vm.name: self._options_of(vm) for vm in self.until.each(self.instance.vms)}

    def _options_of(self, vm: Vm) -> tuple[Option, ...]:
        shapes = self.instance.form(vm.name).shapes
        found = [
            Option(vm.name, s, t, at[i].index, shapes[s], shapes[s].types[t], at[i])
            for at in self.instance.host_places
            for s, t, i in self.fits(vm, at[0].host_index)
        ]
        return tuple(sorted(found, key=lambda o: (o.shape_index, o.type_index, o.place_index)))

    @cached_property
    def hosts_of(self) -> dict[str, tuple[int, ...]]:
        """Indices of the hosts each VM may go to."""
        options = self.options.items()
        return {name: tuple(sorted({o.place.host_index for o in found})) for name, found in options}

    @cached_property
    def homes_of(self) -> dict[str, tuple[int, ...]]:
        """Indices of the places each VM's cells may go to."""
        options = self.options.items()
        return {name: tuple(sorted({o.place_index for o in found})) for name, found in options}

    def fixed_pages(self, option: Option) -> bool:
        """Tell whether an option leaves no choice of where its pages go."""
        vm = self.instance.vm(option.vm)
        if vm.memory_mode is MemoryMode.INTERLEAVE:
            return True
        return len(self.page_places(vm, option.place)) == 1 and vm.balloon_mib == 0

    def fixed_blocks(self, option: Option) -> dict[int, int]:
        """Blocks by place index, where there are any, of an option whose pages are fixed."""
        vm, blocks = self.instance.vm(option.vm), option.cell.blocks
        places = self.page_places(vm, option.place)
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
            and self.times(vm.name) == 1
            and vm.memory_mode is not MemoryMode.INTERLEAVE
            and (vm.memory_mode is not MemoryMode.STRICT or vm.memory_nodes is not None)
            and any(not self.fixed_pages(option) for option in self.options[vm.name])
        )

    def loose_places(self, vm: Vm) -> list[Place]:
        """Places that may hold pages of a loose VM."""
        home_of = {o.place.host_index: o.place for o in self.options[vm.name]}
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
            if at.host_index == option.place.host_index
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
            if pair.scope == Scope.LLC and self.instance.vm(name).cpu_policy is CpuPolicy.DEDICATED
        )

    def core_groups(self, place: Place) -> tuple[CoreGroup, ...]:
        """Core groups of a place; caches tell cores apart only where somebody's cost asks."""
        by_llc = bool(self.llc_vms) and len(node_llcs(place.node)) > 1
        return core_groups(place.node, by_llc=by_llc)
