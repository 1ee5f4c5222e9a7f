"""Decisions of the formulation, in the words of the problem: each is a sum over a program."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from numaplace.models.relations import SharingGroup
from numaplace.models.vm import CpuPolicy, Vm
from numaplace.solver.formulation.option import DeviceOption, Option, most_cores
from numaplace.solver.formulation.prepare import Prepared
from numaplace.solver.formulation.program import Program, Terms, joined, scaled


class Variables:
    """Decisions of all families, over the choices of an instance, as variables and sums of them.

    With literals, pages at home are not among `pages`: they are what is left.
    """

    def __init__(self, program: Program, prepared: Prepared) -> None:
        self.program = program
        self.prepared = prepared
        self.instance = prepared.instance
        self.placed = {
            vm.name: program.variable(prepared.times(vm.name)) for vm in self.instance.vms
        }
        self.cell: dict[Option, int] = {}
        self.cut: dict[tuple[str, int, int], int] = {}  # by (VM, shape, host index): it has both
        self.at: dict[str, dict[int, Terms]] = {}  # 1 if a VM uses a place, by its index
        self.on_host: dict[str, dict[int, Terms]] = {}  # 1 if it uses a host, by its index
        self.lies: dict[str, dict[int, int]] = {}  # blocks by place index, of VMs of loose pages
        self.taken: dict[str, int] = {}  # blocks ballooned away from these
        self.pages: dict[Option, dict[int, int]] = {}  # blocks by place index, of others
        self.balloon: dict[Option, int] = {}  # blocks ballooned away from these
        self.device: dict[DeviceOption, int] = {}  # functions
        self.copy: dict[tuple[str, int], int] = {}  # by (group, place index)
        self.read: dict[tuple[Option, int], int] = {}  # by (who reads, place index of the copy)
        self.cores: dict[tuple[Option, int], Terms] = {}  # or threads, by (option, core group)
        self.free_cores: dict[tuple[Option, int], int] = {}  # those of them that are variables
        # Cores kept for whole ones over all time, by (place index, core group), if that matters.
        self.border: dict[tuple[int, int], int] = {}
        self.options_at: dict[int, list[Option]] = defaultdict(list)  # by place index
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
        """Options, shape and host of a VM; a choice of one shape and host is `placed` itself."""
        by_place: dict[int, list[Terms]] = defaultdict(list)
        times = self.prepared.times(vm.name)
        shape_host: set[tuple[int, int]] = set()
        for option in self.prepared.options[vm.name]:
            self.cell[option] = self.program.variable(times)
            self.options_at[option.place_index].append(option)
            by_place[option.place_index].append([(self.cell[option], 1)])
            shape_host.add((option.shape_index, option.place.host_index))
        by_host: dict[int, list[Terms]] = defaultdict(list)
        for shape, host in sorted(shape_host):
            only = len(shape_host) == 1
            cut = self.placed[vm.name] if only else self.program.variable(times)
            self.cut[vm.name, shape, host] = cut
            by_host[host].append([(cut, 1)])
        either = self.program.either
        self.at[vm.name] = {place: either(found) for place, found in sorted(by_place.items())}
        self.on_host[vm.name] = {host: either(found) for host, found in sorted(by_host.items())}

    def _loose_pages(self, vm: Vm) -> None:
        """Blocks of a VM of one cell by node, wherever its vCPUs run, and blocks taken away."""
        form = self.instance.form(vm.name)
        self.lies[vm.name] = {
            at.index: self.program.variable(self.prepared.most_blocks(vm, form.blocks, at))
            for at in self.prepared.loose_places(vm)
        }
        if form.balloon_blocks:
            self.taken[vm.name] = self.program.variable(form.balloon_blocks)

    def _pages(self, vm: Vm) -> None:
        """Blocks of each cell on each node, and those that ballooning takes."""
        form, times = self.instance.form(vm.name), self.prepared.times(vm.name)
        for option in self.prepared.options[vm.name]:
            if self.prepared.fixed_pages(option):
                continue
            blocks = times * option.cell.blocks
            self.pages[option] = {
                at.index: self.program.variable(self.prepared.most_blocks(vm, blocks, at))
                for at in self.prepared.page_places(vm, option.place)
                if at.index != option.place_index or not self.program.literals
            }
            if form.balloon_blocks:
                most = min(blocks, times * form.balloon_blocks)
                self.balloon[option] = self.program.variable(most)

    def _devices(self, vm: Vm) -> None:
        for option in self.prepared.device_options[vm.name]:
            count = vm.devices[option.request].count
            self.device[option] = self.program.variable(self.prepared.times(vm.name) * count)

    def _cores(self, vm: Vm) -> None:
        """Cores (or threads) a dedicated cell takes of each core group; fixed if there is one."""
        for option in self.prepared.options[vm.name]:
            groups, times = self.prepared.core_groups(option.place), self.prepared.times(vm.name)
            vcpus = option.cell.vcpus
            for g, group in enumerate(groups):
                most = most_cores(vm, vcpus, group)
                if len(groups) == 1:
                    self.cores[option, g] = [(self.cell[option], most)]
                else:
                    self.free_cores[option, g] = self.program.variable(most * times)
                    self.cores[option, g] = [(self.free_cores[option, g], 1)]

    def _copies(self, group: SharingGroup) -> None:
        for place in self.prepared.copy_places(group):
            self.copy[group.name, place.index] = self.program.variable()
        for option, at in self.prepared.copy_reads(group):
            # Each cell reads the cheapest copy: whole by itself.
            self.read[option, at] = self.program.part()

    def away(self, option: Option) -> Terms:
        """Blocks of an option's cell that are variables: with literals, those away from home."""
        taken = [(self.balloon[option], 1)] if option in self.balloon else []
        return [*((blocks, 1) for blocks in self.pages[option].values()), *taken]

    def lives_at_home(self, option: Option) -> bool:
        """Tell whether blocks of an option's cell may be on its own node."""
        vm, home = self.instance.vm(option.vm), option.place
        return any(at.index == option.place_index for at in self.prepared.page_places(vm, home))

    def blocks_on(self, option: Option) -> dict[int, Terms]:
        """Blocks of an option's cell by place index, for a VM whose pages are not loose."""
        cell = self.cell[option]
        if option not in self.pages:
            fixed = self.prepared.fixed_blocks(option)
            return {at: [(cell, blocks)] for at, blocks in fixed.items()}
        on: dict[int, Terms] = {at: [(blocks, 1)] for at, blocks in self.pages[option].items()}
        if self.program.literals and self.lives_at_home(option):
            blocks = option.cell.blocks
            on[option.place_index] = [(cell, blocks), *scaled(self.away(option), -1)]
        return on

    def lying(self, name: str) -> Iterator[tuple[int, Terms]]:
        """Place index and blocks of a VM, in parts that add up."""
        if name in self.lies:
            for at, blocks in self.lies[name].items():
                yield at, [(blocks, 1)]
            return
        for option in self.prepared.options[name]:
            yield from self.blocks_on(option).items()

    def blocks_at(self, name: str) -> dict[int, Terms]:
        """Blocks of a VM by place index."""
        parts: dict[int, list[Terms]] = defaultdict(list)
        for at, blocks in self.lying(name):
            parts[at].append(blocks)
        return {at: joined(parts[at]) for at in sorted(parts)}


class RowWriter:
    """What writes rows and sums over the variables of one program."""

    def __init__(self, variables: Variables) -> None:
        self.vars = variables
        self.program = variables.program
        self.prepared = variables.prepared
        self.instance = variables.instance

    def in_domains(self, name: str, scope: str) -> dict[int, Terms]:
        """1 if a VM uses a domain of a scope of whole hosts, by its number."""
        parts: dict[int, list[Terms]] = defaultdict(list)
        domains = self.instance.domains(scope)
        for host, on in self.vars.on_host[name].items():
            parts[domains[host]].append(on)
        return {domain: joined(on) for domain, on in parts.items()}
