"""Decision variables of the CP-SAT formulation, in the words of the problem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ortools.sat.python import cp_model

from numaplace.models.instance import Place
from numaplace.models.relations import SharingGroup
from numaplace.models.vm import CpuPolicy, Vm
from numaplace.solver.formulation.prepare import DeviceOption, Option, Prepared, most_cores

Linear = cp_model.LinearExpr | int
ZERO: Linear = 0


class Variables:
    """Variables of all families; those that only some instances need are made on first use.

    Parameters
    ----------
    model
        Model that owns the variables.
    prepared
        Choices of the instance.
    """

    def __init__(self, model: cp_model.CpModel, prepared: Prepared) -> None:
        self.model = model
        self.prepared = prepared
        self.instance = prepared.instance
        self.placed = {vm.name: model.new_bool_var(f"placed {vm.name}") for vm in self.instance.vms}
        self.cell: dict[Option, cp_model.IntVar] = {}
        self.cut: dict[tuple[str, int, int], cp_model.IntVar] = {}
        self.at: dict[str, dict[int, cp_model.IntVar]] = {}
        self.on_host: dict[str, dict[int, cp_model.IntVar]] = {}
        self.lies: dict[str, dict[int, cp_model.IntVar]] = {}
        self.taken: dict[str, cp_model.IntVar] = {}
        self.pages: dict[Option, dict[int, cp_model.IntVar]] = {}
        self.balloon: dict[Option, cp_model.IntVar] = {}
        self.device: dict[DeviceOption, cp_model.IntVar] = {}
        self.copy: dict[tuple[str, int], cp_model.IntVar] = {}
        self.read: dict[tuple[Option, int], cp_model.IntVar] = {}
        self.cores: dict[tuple[Option, int], Linear] = {}
        self.free_cores: dict[tuple[Option, int], cp_model.IntVar] = {}
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

    def _place(self, vm: Vm) -> None:
        """Options, shape and host of a VM; a choice of one is `placed` itself."""
        options = self.prepared.options[vm.name]
        by_place: dict[int, list[cp_model.IntVar]] = defaultdict(list)
        shape_host: set[tuple[int, int]] = set()
        for option in options:
            place = self.prepared.place_of(option)
            name = f"{vm.name}@{place}"
            if self.prepared.instance.form(vm.name).max_cells > 1:
                name += f" shape {option.shape} type {option.kind}"
            self.cell[option] = self.model.new_bool_var(name)
            by_place[option.place].append(self.cell[option])
            shape_host.add((option.shape, place.host_index))
        for shape, host in sorted(shape_host):
            if len(shape_host) == 1:
                self.cut[vm.name, shape, host] = self.placed[vm.name]
            else:
                name = f"{vm.name} in shape {shape} on host {host}"
                self.cut[vm.name, shape, host] = self.model.new_bool_var(name)
        self.at[vm.name] = {
            place: self._either(found, f"{vm.name} uses {self.instance.places[place]}")
            for place, found in sorted(by_place.items())
        }
        self.on_host[vm.name] = {
            host: self._either(
                [self.cut[vm.name, s, h] for s, h in sorted(shape_host) if h == host],
                f"{vm.name} on {self.instance.hosts[host].name}",
            )
            for host in self.prepared.hosts_of[vm.name]
        }

    def _either(self, literals: list[cp_model.IntVar], name: str) -> cp_model.IntVar:
        """Return a literal that is the sum of `literals`, of which one at most is true."""
        if len(literals) == 1:
            return literals[0]
        either = self.model.new_bool_var(name)
        self.model.add(sum(literals) == either)
        return either

    def _loose_pages(self, vm: Vm) -> None:
        """Blocks of a VM of one cell by node, wherever its vCPUs run, and blocks taken away."""
        form = self.instance.form(vm.name)
        self.lies[vm.name] = {
            at.index: self.model.new_int_var(
                0, self.prepared.most_blocks(vm, form.blocks, at), f"blocks of {vm.name} on {at}"
            )
            for at in self.prepared.loose_places(vm)
        }
        if form.balloon_blocks:
            name = f"balloon of {vm.name}"
            self.taken[vm.name] = self.model.new_int_var(0, form.balloon_blocks, name)

    def _pages(self, vm: Vm) -> None:
        """Blocks that are not where the vCPUs are: on another node, or taken by ballooning."""
        form = self.instance.form(vm.name)
        for option in self.prepared.options[vm.name]:
            if self.prepared.fixed_pages(option):
                continue
            blocks = self.prepared.kind_of(option).blocks
            home = self.prepared.place_of(option)
            self.pages[option] = {
                at.index: self.model.new_int_var(
                    0,
                    self.prepared.most_blocks(vm, blocks, at),
                    f"blocks of {vm.name}@{home} on {at}",
                )
                for at in self.prepared.page_places(vm, home)
                if at.index != option.place
            }
            if form.balloon_blocks:
                most = min(blocks, form.balloon_blocks)
                name = f"balloon of {vm.name}@{home}"
                self.balloon[option] = self.model.new_int_var(0, most, name)

    def _devices(self, vm: Vm) -> None:
        for option in self.prepared.device_options[vm.name]:
            count = vm.devices[option.request].count
            name = f"{option.address} for {vm.name}@{self.instance.places[option.home]}"
            self.device[option] = self.model.new_int_var(0, count, name)

    def _cores(self, vm: Vm) -> None:
        """Cores (or threads) a dedicated cell takes of each core group; fixed if there is one."""
        for option in self.prepared.options[vm.name]:
            groups = self.prepared.core_groups(self.prepared.place_of(option))
            vcpus = self.prepared.kind_of(option).vcpus
            for g, group in enumerate(groups):
                most = most_cores(vm, vcpus, group)
                if len(groups) == 1:
                    self.cores[option, g] = most * self.cell[option]
                    continue
                name = f"cores of {vm.name}@{self.prepared.place_of(option)} in group {g}"
                taken = self.model.new_int_var(0, most, name)
                self.cores[option, g] = self.free_cores[option, g] = taken

    def _copies(self, group: SharingGroup) -> None:
        for place in self.prepared.copy_places(group):
            name = f"copy of {group.name} on {place}"
            self.copy[group.name, place.index] = self.model.new_bool_var(name)
        for option, at in self.prepared.copy_reads(group):
            name = f"{option.vm}@{option.place} reads {at}"
            self.read[option, at] = self.model.new_bool_var(name)

    def pages_of(self, name: str) -> dict[int, list[Linear]]:
        """Blocks of a VM by place index, in parts that add up."""
        if name in self.lies:
            return {at: [blocks] for at, blocks in self.lies[name].items()}
        parts: dict[int, list[Linear]] = defaultdict(list)
        for option in self.prepared.options[name]:
            for at, blocks in self.blocks_on(option).items():
                parts[at].append(blocks)
        return parts

    def blocks_on(self, option: Option) -> dict[int, Linear]:
        """Blocks of an option's cell by place index, for a VM whose pages are not loose."""
        cell = self.cell[option]
        if option not in self.pages:
            fixed = self.prepared.fixed_blocks(option)
            return {at: blocks * cell for at, blocks in fixed.items()}
        on: dict[int, Linear] = dict(self.pages[option])
        vm = self.instance.vm(option.vm)
        places = self.prepared.page_places(vm, self.prepared.place_of(option))
        if any(at.index == option.place for at in places):
            on[option.place] = self.prepared.kind_of(option).blocks * cell - self.away(option)
        return on

    def away(self, option: Option) -> Linear:
        """Blocks of an option's cell that are not on its own node."""
        return sum(self.pages[option].values()) + self.balloon.get(option, ZERO)

    def options_at(self, place: Place) -> Iterable[Option]:
        """Options at a place."""
        return self._options_by_place.get(place.index, ())

    @property
    def _options_by_place(self) -> dict[int, list[Option]]:
        if not hasattr(self, "_by_place"):
            self._by_place: dict[int, list[Option]] = defaultdict(list)
            for option in self.cell:
                self._by_place[option.place].append(option)
        return self._by_place
