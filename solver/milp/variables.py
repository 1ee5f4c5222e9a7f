"""Decision variables of the MILP formulation, in the words of the problem.

Where CP-SAT needs a literal (a VM uses a node, a VM is on a host) a linear programme takes the
sum of the choices, so only true choices are columns here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pulp

from numaplace.models.cores import CoreGroup
from numaplace.models.pages import interleaved_blocks
from numaplace.models.relations import SharingGroup
from numaplace.models.units import PageSize, ceil_div
from numaplace.models.vm import CpuPolicy, MemoryMode, ThreadPolicy, Vm
from numaplace.solver.prepare import DeviceOption, Option, Prepared, whole_cores

# PuLP ships no types: a variable, an affine expression or a number.
Linear = Any


class Variables:
    """Variables of all families.

    Parameters
    ----------
    problem
        Problem that owns the variables.
    prepared
        Choices of the instance.
    """

    def __init__(self, problem: Linear, prepared: Prepared) -> None:
        self.problem = problem
        self.prepared = prepared
        self.instance = prepared.instance
        self._count = 0
        self.placed = {vm.name: self.binary("placed") for vm in self.instance.vms}
        self.cell: dict[Option, Linear] = {}
        self.cut: dict[tuple[str, int, int], Linear] = {}
        self.at: dict[str, dict[int, Linear]] = {}
        self.on_host: dict[str, dict[int, Linear]] = {}
        self.pages: dict[Option, dict[int, Linear]] = {}
        self.balloon: dict[Option, Linear] = {}
        self.device: dict[DeviceOption, Linear] = {}
        self.copy: dict[tuple[str, int], Linear] = {}
        self.read: dict[tuple[Option, int], Linear] = {}
        self.cores: dict[tuple[Option, int], Linear] = {}
        self.free_cores: dict[tuple[Option, int], Linear] = {}
        self.options_at: dict[int, list[Option]] = defaultdict(list)
        for vm in self.instance.vms:
            self._place(vm)
            self._pages(vm)
            self._devices(vm)
            if vm.cpu_policy is CpuPolicy.DEDICATED:
                self._cores(vm)
        for group in self.instance.sharing:
            self._copies(group)

    def binary(self, family: str) -> Linear:
        """Return a new variable that is 0 or 1."""
        return self.integer(family, 1)

    def integer(self, family: str, most: int) -> Linear:
        """Return a new integer variable in [0, most]."""
        return self._new(family, most, pulp.LpInteger)

    def real(self, family: str, most: float) -> Linear:
        """Return a new continuous variable in [0, most]."""
        return self._new(family, most, pulp.LpContinuous)

    def _new(self, family: str, most: float, category: str) -> Linear:
        # PuLP sorts columns by name and takes no odd letters: a number keeps order and is safe.
        self._count += 1
        return self.problem.add_variable(f"x{self._count:08d}_{family}", 0, most, category)

    def _place(self, vm: Vm) -> None:
        """Options and shapes of a VM; where it is, and on which host, are sums of them."""
        by_place: dict[int, list[Linear]] = defaultdict(list)
        by_host: dict[int, list[Linear]] = defaultdict(list)
        for option in self.prepared.options[vm.name]:
            self.cell[option] = self.binary("cell")
            self.options_at[option.place].append(option)
            by_place[option.place].append(self.cell[option])
            key = (vm.name, option.shape, self.prepared.place_of(option).host_index)
            if key not in self.cut:
                self.cut[key] = self.binary("cut")
                by_host[key[2]].append(self.cut[key])
        self.at[vm.name] = {i: pulp.lpSum(found) for i, found in sorted(by_place.items())}
        self.on_host[vm.name] = {h: pulp.lpSum(found) for h, found in sorted(by_host.items())}

    def _pages(self, vm: Vm) -> None:
        """Blocks of each cell on each node, and those that ballooning takes."""
        form = self.instance.form(vm.name)
        for option in self.prepared.options[vm.name]:
            if self.prepared.fixed_pages(option):
                continue
            blocks = self.prepared.kind_of(option).blocks
            places = self.prepared.page_places(vm, self.prepared.place_of(option))
            fits = {at.index: at.node.pool_mib(vm.page_size) // form.block_mib for at in places}
            self.pages[option] = {i: self.integer("pages", min(blocks, fits[i])) for i in fits}
            if form.balloon_blocks:
                self.balloon[option] = self.integer("balloon", min(blocks, form.balloon_blocks))

    def _devices(self, vm: Vm) -> None:
        for option in self.prepared.device_options[vm.name]:
            self.device[option] = self.integer("device", vm.devices[option.request].count)

    def _cores(self, vm: Vm) -> None:
        """Cores (or threads) a dedicated cell takes of each core group; fixed if there is one."""
        for option in self.prepared.options[vm.name]:
            groups = self.prepared.core_groups(self.prepared.place_of(option))
            vcpus = self.prepared.kind_of(option).vcpus
            for g, group in enumerate(groups):
                if len(groups) == 1:
                    self.cores[option, g] = most_cores(vm, vcpus, group) * self.cell[option]
                else:
                    taken = self.integer("cores", most_cores(vm, vcpus, group))
                    self.cores[option, g] = self.free_cores[option, g] = taken

    def _copies(self, group: SharingGroup) -> None:
        homes = {place for name in group.vms for place in self.prepared.homes_of[name]}
        for host in sorted({self.instance.places[home].host_index for home in homes}):
            for place in self.instance.host_places[host]:
                useful = group.across_nodes or place.index in homes
                if useful and place.node.pool_mib(PageSize.SMALL) >= group.shared_mib:
                    self.copy[group.name, place.index] = self.binary("copy")
        for name in group.vms if group.across_nodes else ():
            for option in self.prepared.options[name]:
                for at in self.instance.host_places[self.prepared.place_of(option).host_index]:
                    if (group.name, at.index) in self.copy:
                        # Each cell reads the cheapest copy: whole by itself.
                        self.read[option, at.index] = self.real("read", 1)

    def blocks_on(self, option: Option) -> dict[int, Linear]:
        """Blocks of an option's cell by place index."""
        if option in self.pages:
            return self.pages[option]
        vm, kind = self.instance.vm(option.vm), self.prepared.kind_of(option)
        places = self.prepared.page_places(vm, self.prepared.place_of(option))
        cell = self.cell[option]
        if vm.memory_mode is MemoryMode.INTERLEAVE:
            even = interleaved_blocks([place.node.id for place in places], kind.blocks)
            return {at.index: even[at.node.id] * cell for at in places if at.node.id in even}
        return {places[0].index: kind.blocks * cell} if kind.blocks else {}

    def lying(self, name: str) -> Iterator[tuple[int, Linear]]:
        """Place index and blocks of all cells of a VM, as far as they may be."""
        for option in self.prepared.options[name]:
            yield from self.blocks_on(option).items()


def most_cores(vm: Vm, vcpus: int, group: CoreGroup) -> int:
    """Cores (or threads, for a VM that takes those) of a group that `vcpus` can use at most."""
    if not whole_cores(vm):
        return min(vcpus, group.num_threads)
    if vm.thread_policy is ThreadPolicy.ISOLATE:
        return min(vcpus, group.num_cores)
    if group.threads_per_core < 2:
        return 0
    return min(ceil_div(vcpus, group.threads_per_core), group.num_cores)
