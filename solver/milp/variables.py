"""Decision variables of the MILP formulation, in the words of the problem.

Where CP-SAT needs a literal (a VM uses a node, a VM is on a host) a linear programme takes the
sum of the choices, so only true choices are columns here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pulp

from numaplace.models.relations import SharingGroup
from numaplace.models.vm import CpuPolicy, Vm
from numaplace.solver.formulation.prepare import DeviceOption, Option, Prepared, most_cores

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
        self.lies: dict[str, dict[int, Linear]] = {}
        self.taken: dict[str, Linear] = {}
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
            if vm.name in prepared.loose_vms:
                self._loose_pages(vm)
            else:
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
        self.prepared.until.check()
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

    def _loose_pages(self, vm: Vm) -> None:
        """Blocks of a VM of one cell by node, wherever its vCPUs run, and blocks taken away."""
        form = self.instance.form(vm.name)
        self.lies[vm.name] = {
            at.index: self.integer("lies", self.prepared.most_blocks(vm, form.blocks, at))
            for at in self.prepared.loose_places(vm)
        }
        if form.balloon_blocks:
            self.taken[vm.name] = self.integer("taken", form.balloon_blocks)

    def _pages(self, vm: Vm) -> None:
        """Blocks of each cell on each node, and those that ballooning takes."""
        form = self.instance.form(vm.name)
        for option in self.prepared.options[vm.name]:
            if self.prepared.fixed_pages(option):
                continue
            blocks = self.prepared.kind_of(option).blocks
            places = self.prepared.page_places(vm, self.prepared.place_of(option))
            self.pages[option] = {
                at.index: self.integer("pages", self.prepared.most_blocks(vm, blocks, at))
                for at in places
            }
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
        for place in self.prepared.copy_places(group):
            self.copy[group.name, place.index] = self.binary("copy")
        for option, at in self.prepared.copy_reads(group):
            # Each cell reads the cheapest copy: whole by itself.
            self.read[option, at] = self.real("read", 1)

    def blocks_on(self, option: Option) -> dict[int, Linear]:
        """Blocks of an option's cell by place index, for a VM whose pages are not loose."""
        if option in self.pages:
            return self.pages[option]
        cell = self.cell[option]
        return {at: blocks * cell for at, blocks in self.prepared.fixed_blocks(option).items()}

    def lying(self, name: str) -> Iterator[tuple[int, Linear]]:
        """Place index and blocks of all cells of a VM, as far as they may be."""
        if name in self.lies:
            yield from self.lies[name].items()
            return
        for option in self.prepared.options[name]:
            yield from self.blocks_on(option).items()
