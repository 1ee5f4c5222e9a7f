"""The stages and the terms of `numaplace.models.cost` as sums over a program, under the same names.

Every sum is in the integers of the specification. Where the specification rounds (up, to a
micro-vCPU) a whole variable does; all other losses are whole by themselves once the choices are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product

from numaplace.models import rates
from numaplace.models.cost import ALL, Term
from numaplace.models.instance import Place
from numaplace.models.result import Stage
from numaplace.models.units import MICRO, MILLI
from numaplace.models.vm import CpuPolicy
from numaplace.solver.formulation.moved import Migration
from numaplace.solver.formulation.option import (
    Option,
    crowd,
    load_milli,
    memory_rate,
    sharing_rate,
    whole_cores,
)
from numaplace.solver.formulation.products import Products
from numaplace.solver.formulation.program import Kind, Terms, joined, scaled
from numaplace.solver.formulation.variables import RowWriter, Variables


class Objective(RowWriter):
    """Builds the sums of the objective; the loss is the sum of the terms in `wanted`."""

    def __init__(self, variables: Variables, wanted: frozenset[Term] = ALL) -> None:
        super().__init__(variables)
        self.wanted = wanted
        self.moved = Migration(variables)
        self.stages: dict[Stage, Callable[[], Terms]] = {
            Stage.VALUE: self.value,
            Stage.HOSTS: self.hosts,
            Stage.BALANCE: self.balance,
            Stage.LOSS: self.loss,
        }

    def value(self) -> Terms:
        """Value of the VMs placed, in thousandths."""
        worth = ((vm, self.instance.value_milli(vm)) for vm in self.instance.vms)
        return [(self.vars.placed[vm.name], value) for vm, value in worth if value]

    def hosts(self) -> Terms:
        """Hosts that run a VM."""
        used = [self.program.variable() for _ in self.instance.hosts]
        for on_host in self.vars.on_host.values():
            for host, on in on_host.items():
                self.program.at_most([*on, (used[host], -1)], 0)
        return [(host, 1) for host in used]

    def balance(self) -> Terms:
        """CPU load of the fullest host, in thousandths of its threads."""
        loads: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
        for option, cell in self.vars.cell.items():
            host = option.place.host_index
            loads[host].append((option.vm, cell, load_milli(self.instance, option)))
        times = self.prepared.times
        most = (sum(milli * times(o) for o, _, milli in parts) for parts in loads.values())
        fullest = self.program.variable(max(most, default=0))
        for host, parts in loads.items():
            threads = max(1, self.instance.hosts[host].threads)
            for alive in self.instance.instants:
                load = [(cell, milli) for name, cell, milli in parts if name in alive]
                if load:
                    self.program.at_most([*load, (fullest, -threads)], 0)
        return [(fullest, 1)]

    def loss(self) -> Terms:
        """Sum of the terms in micro-vCPU."""
        return joined(self.terms().values())

    def terms(self) -> dict[Term, Terms]:
        """Every term that is wanted, in micro-vCPU, without zeros."""
        products = Products(self.vars)
        functions: dict[Term, Callable[[], Terms]] = {
            Term.REMOTE_MEMORY: self.remote_memory,
            Term.SPLIT_GUEST: products.split_guest,
            Term.PAGE_SHARING: self.page_sharing,
            Term.NODE_AFFINITY: self.node_affinity,
            Term.DEVICE: self.device,
            Term.COOPERATION: products.cooperation,
            Term.COMPETITION: products.competition,
            Term.CPU_CONTENTION: self.cpu_contention,
            Term.BANDWIDTH_CONTENTION: self.bandwidth_contention,
            Term.BALLOONING: self.ballooning,
            Term.MIGRATION: self.moved.losses,
        }
        return {
            term: [(variable, rate) for variable, rate in function() if rate]
            for term, function in functions.items()
            if term in self.wanted
        }

    def page_sharing(self) -> Terms:
        """Reads of copies on other nodes."""
        reads = self.vars.read.items()
        return [(read, sharing_rate(self.instance, *choice)) for choice, read in reads]

    def node_affinity(self) -> Terms:
        """Cells outside the soft set."""
        return [
            (cell, rates.affinity_rate(self.instance.vm(o.vm), o.cell.vcpus, o.place.node.id))
            for o, cell in self.vars.cell.items()
        ]

    def device(self) -> Terms:
        """Functions at their distance from the cell that serves them."""
        return [(functions, option.rate) for option, functions in self.vars.device.items()]

    def ballooning(self) -> Terms:
        """Blocks taken away."""
        taken = [(option.vm, blocks) for option, blocks in self.vars.balloon.items()]
        taken += self.vars.taken.items()
        price = partial(rates.balloon_rate, self.instance)
        return [(blocks, price(self.instance.vm(name))) for name, blocks in taken]

    def remote_memory(self) -> Terms:
        """Own blocks on other nodes, at their rate."""
        found: Terms = []
        for option in self.vars.cell:
            if option.vm not in self.vars.lies:
                for at, blocks in self.vars.blocks_on(option).items():
                    found += scaled(
                        blocks, memory_rate(self.instance, option, option.place_index, at)
                    )
        for name in self.vars.lies:
            for host in self.prepared.hosts_of[name]:
                found += self._loose_memory(name, host)
        return found

    def _loose_memory(self, name: str, host: int) -> Terms:
        """Loss of loose pages on a host: blocks outside the home's cluster, level by level.

        ``out[C] >= blocks x[C] - p[C] - taken`` for each cluster C. What distances are above their
        tree: ``more >= sum_j rest(i,j) p[j]`` if the home is i.
        """
        tree = self.prepared.host_tree(host)
        price = partial(memory_rate, self.instance, self.prepared.options[name][0])
        at, lies = self.vars.at[name], self.vars.lies[name]
        blocks = self.instance.form(name).blocks
        taken = [(self.vars.taken[name], -1)] if name in self.vars.taken else []
        found: Terms = []
        for step, level in zip(tree.steps(price), tree.levels, strict=True):
            for cluster in level.clusters if step else ():
                homes = joined(scaled(at[i], blocks) for i in sorted(cluster) if i in at)
                if homes:
                    pages = [(lies[j], -1) for j in sorted(cluster) if j in lies]
                    out = self.program.part(blocks)
                    self.program.at_most([*homes, *pages, *taken, (out, -1)], 0)
                    found.append((out, step))
        rest = tree.rest(price)
        for i in sorted(at.keys() & set(tree.places)) if rest else ():
            far = [(lies[j], rest[i, j]) for j in lies if (i, j) in rest]
            if far:
                most = blocks * max(rate for _, rate in far)
                more = self.program.part(most, unit=MICRO)
                self.program.at_most([*far, *scaled(at[i], most), (more, -1)], most)
                found.append((more, 1))
        return found

    def cpu_contention(self) -> Terms:
        """Least loss of those who share cores: an epigraph of its lines, at the worst instant."""
        found = [
            (cell, rates.siblings_loss(self.instance.vm(o.vm), o.cell.vcpus, o.place))
            for o, cell in self.vars.cell.items()
        ]
        for index, options in sorted(self.vars.options_at.items()):
            curve = rates.contention(self.instance.places[index])
            crowds = {o: crowd(self.instance, o) for o in options}
            pins = self._core_users(options)
            worst = curve.loss(self._most(crowds))
            times = {o: self.prepared.times(o.vm) for o in pins}
            worst = max(worst, sum(MILLI * o.cell.vcpus * crowds[o][1] * times[o] for o in pins))
            if not worst:
                continue
            loss = self.program.part(worst, unit=MICRO)
            for alive in self.instance.instants:
                here = {o: crowds[o] for o in options if o.vm in alive}
                if curve.loss(self._most(here)):
                    for price in curve.bends(s for _, s in here.values()):
                        load = [
                            (self.vars.cell[o], milli * curve.weight(price, s))
                            for o, (milli, s) in here.items()
                        ]
                        self.program.at_most([*load, (loss, -1)], curve.offset(price))
                self._share_cores([o for o in pins if o.vm in alive], loss)
            found.append((loss, 1))
        return found

    def _most(self, crowds: Mapping[Option, tuple[int, int]]) -> Mapping[int, int]:
        """Loads by crowding of all cells there may be."""
        times = self.prepared.times
        return rates.by_crowding((milli * times(o.vm), s) for o, (milli, s) in crowds.items())

    def _core_users(self, options: list[Option]) -> list[Option]:
        """Dedicated cells of a node if its pins may have to share cores that others leave idle.

        That is where caches, or cores that VMs take whole, leave those of single threads less than
        the node: else the node's own lines say what they share.
        """
        dedicated = [o for o in options if self.instance.vm(o.vm).cpu_policy is CpuPolicy.DEDICATED]
        whole = sum(whole_cores(self.instance.vm(o.vm)) for o in dedicated)
        if len(dedicated) == whole:
            return []
        groups = self.prepared.core_groups(dedicated[0].place)
        threads = any(group.threads_per_core > 1 for group in groups)
        return dedicated if threads and (whole or len(groups) > 1) else []

    def _share_cores(self, options: list[Option], loss: int) -> None:
        """Single threads of each core group share the cores that whole ones leave there.

        Cores that whole ones take at any time are none of theirs.
        """
        lost: Terms = []
        for g, group in enumerate(self.prepared.core_groups(options[0].place)) if options else ():
            curve, taken = rates.Contention(group.num_cores, group.num_threads), []
            single: list[tuple[Terms, int]] = []
            for option in options:
                cores = scaled(self.vars.cores[option, g], MILLI)
                if whole_cores(self.instance.vm(option.vm)):
                    taken += cores
                else:
                    single.append((cores, crowd(self.instance, option)[1]))
            border = self.vars.border.get((options[0].place_index, g))
            if border is not None:
                taken = [(border, MILLI)]
            most = group.num_threads * MILLI * max((s for _, s in single), default=0)
            part = self.program.part(most, unit=MICRO)
            for price in curve.bends(s for _, s in single):
                threads = joined(scaled(cores, curve.weight(price, s)) for cores, s in single)
                row = [*threads, *scaled(taken, price), (part, -1)]
                self.program.at_most(row, curve.offset(price))
            lost.append((part, 1))
        if lost:
            self.program.at_most([*lost, (loss, -1)], 0)

    def bandwidth_contention(self) -> Terms:
        """Demand beyond a node's bandwidth, at the worst instant, rounded up to micro-vCPU."""
        demand: dict[int, list[tuple[str, int, Terms]]] = defaultdict(list)
        most: dict[int, int] = defaultdict(int)
        for vm in self.instance.vms:
            per_block = rates.demand_per_block(self.instance, vm)
            for at, blocks in self.vars.lying(vm.name) if per_block else ():
                demand[at].append((vm.name, per_block, blocks))
                blocks_most = self.prepared.times(vm.name) * self.instance.form(vm.name).blocks
                most[at] += per_block * blocks_most
        found: Terms = []
        for at in sorted(demand):
            place = self.instance.places[at]
            worst = rates.bandwidth_loss(self.instance, place, most[at])
            if worst:
                found.append((self._excess(place, demand[at], worst), 1))
        return found

    def _excess(self, place: Place, users: list[tuple[str, int, Terms]], worst: int) -> int:
        """Priced excess of one node; whole by itself if every block's price is."""
        known = rates.bandwidth(self.instance, place)
        assert known is not None
        lines = known.lines()
        if all(price * each % scale == 0 for price, scale, _ in lines for _, each, _ in users):
            loss = self.program.part(worst, unit=MICRO)
        else:
            loss = self.program.variable(worst, Kind.ROUNDED)
        for alive, (price, scale, most) in product(self.instance.instants, lines):
            here = ((blocks, each) for name, each, blocks in users if name in alive)
            used = joined(scaled(blocks, price * each) for blocks, each in here)
            if used:
                self.program.at_most([*used, (loss, -scale)], most)
        return loss
