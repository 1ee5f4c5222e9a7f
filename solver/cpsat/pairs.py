"""Terms of two cells or two VMs in CP-SAT: split guests, cooperation, competition."""

from __future__ import annotations

from collections import defaultdict
from functools import partial

from ortools.sat.python import cp_model

from numaplace.models.cores import node_llcs
from numaplace.models.relations import Cooperation, Scope
from numaplace.models.units import to_micro
from numaplace.models.vm import CpuPolicy, Vm
from numaplace.solver.cpsat.variables import ZERO, Linear, Variables
from numaplace.solver.formulation.option_rates import cooperation_rate, split_rate, talk_rate
from numaplace.solver.formulation.prepare import Option


class Pairs:
    """Builds the terms that multiply two places.

    Parameters
    ----------
    variables
        Variables of the model.
    """

    def __init__(self, variables: Variables) -> None:
        self.vars = variables
        self.model = variables.model
        self.prepared = variables.prepared
        self.instance = variables.instance

    def split_guest(self) -> list[Linear]:
        """Pairs of cells of one VM: products of options, linked by how many cells there are."""
        found: list[Linear] = []
        for vm in self.instance.vms:
            for s, shape in enumerate(self.instance.form(vm.name).shapes):
                if shape.num_cells > 1:
                    for host in self.prepared.hosts_of[vm.name]:
                        found += self._split_pairs(vm, s, host)
        return found

    def _split_pairs(self, vm: Vm, shape: int, host: int) -> list[Linear]:
        options = [
            o
            for o in self.prepared.options[vm.name]
            if o.shape == shape and self.prepared.place_of(o).host_index == host
        ]
        found: list[Linear] = []
        partners: dict[tuple[Option, int], list[Linear]] = defaultdict(list)
        for i, a in enumerate(options):
            for b in options[i + 1 :]:
                if a.place == b.place:
                    continue
                rate = split_rate(self.prepared, a, b)
                both = self._product(a, b)
                partners[a, b.kind].append(both)
                partners[b, a.kind].append(both)
                if rate:
                    found.append(rate * both)
        if not found:
            return []
        types = self.instance.form(vm.name).shapes[shape].types
        for (option, kind), products in partners.items():
            others = types[kind].count - (option.kind == kind)
            self.model.add(sum(products) == others * self.vars.cell[option])
        return found

    def _product(self, a: Option, b: Option) -> Linear:
        """Return a literal that is true if and only if both options are taken."""
        x, y = self.vars.cell[a], self.vars.cell[b]
        both = self.model.new_bool_var(f"{x.name} & {y.name}")
        self.model.add_implication(both, x)
        self.model.add_implication(both, y)
        self.model.add_bool_or([both, ~x, ~y])
        return both

    def cooperation(self) -> list[Linear]:
        """Distance of pairs, by levels of the tree of distances where both VMs are one cell."""
        found: list[Linear] = []
        for pair in self.instance.cooperations:
            a, b = self.instance.vm(pair.first), self.instance.vm(pair.second)
            if a.overlaps(b):
                cells = [self.instance.form(name).max_cells for name in (a.name, b.name)]
                by_levels = cells == [1, 1]
                found += (
                    self._cooperation_by_levels(pair)
                    if by_levels
                    else self._cooperation_by_products(pair)
                )
        return found

    def _cooperation_by_levels(self, pair: Cooperation) -> list[Linear]:
        """A step for every level that parts the VMs, and what distances are above their tree.

        ``parted >= 1 - sum_C meet[C]`` with ``meet[C] <= a[C], b[C]``; if a runs on i,
        ``more >= sum_j rest(i,j) b[j]``.
        """
        at_a, at_b = self.vars.at[pair.first], self.vars.at[pair.second]
        tree, price = self.prepared.talk_tree, partial(talk_rate, self.prepared, pair)
        both_placed = self.vars.placed[pair.first] + self.vars.placed[pair.second] - 1
        found: list[Linear] = []
        for depth, (step, level) in enumerate(zip(tree.steps(price), tree.levels, strict=True)):
            if step:
                name = f"{pair.first} - {pair.second} parted at level {depth}"
                parted = self.model.new_bool_var(name)
                meet = [self._meet(at_a, at_b, cluster) for cluster in level.clusters]
                self.model.add(parted >= both_placed - sum(meet))
                found.append(step * parted)
        rest = tree.rest(price)
        for i, x in at_a.items():
            far = {j: rest[i, j] for j in at_b if (i, j) in rest}
            if far:
                most = max(far.values())
                more = self.model.new_int_var(0, most, f"more for {pair.first}@{i} - {pair.second}")
                beyond = sum(rate * at_b[j] for j, rate in far.items())
                self.model.add(more >= beyond - most * (1 - x))
                found.append(more)
        return found

    def _meet(
        self,
        at_a: dict[int, cp_model.IntVar],
        at_b: dict[int, cp_model.IntVar],
        cluster: frozenset[int],
    ) -> Linear:
        """Literal that can be true only if both VMs are in the cluster."""
        in_a = [at_a[i] for i in sorted(cluster) if i in at_a]
        in_b = [at_b[i] for i in sorted(cluster) if i in at_b]
        if not in_a or not in_b:
            return ZERO
        meet = self.model.new_bool_var("meet")
        self.model.add(sum(in_a) >= meet)
        self.model.add(sum(in_b) >= meet)
        return meet

    def _cooperation_by_products(self, pair: Cooperation) -> list[Linear]:
        """Transport form: products of options, whose shares of vCPUs add up to one."""
        found: list[Linear] = []
        names = pair.first, pair.second
        whole = [self.instance.vm(name).vcpus for name in names]
        placed = [self.vars.placed[name] for name in names]
        sums: dict[tuple[int, Option], list[Linear]] = defaultdict(list)
        for a in self.prepared.options[pair.first]:
            for b in self.prepared.options[pair.second]:
                rate = cooperation_rate(self.prepared, pair, a, b)
                both = self._product(a, b)
                sums[0, a].append(self.prepared.kind_of(b).vcpus * both)
                sums[1, b].append(self.prepared.kind_of(a).vcpus * both)
                if rate:
                    found.append(rate * both)
        if not found:
            return []
        for (side, option), products in sums.items():
            cell, other = self.vars.cell[option], 1 - side
            total = sum(products)
            self.model.add(total <= whole[other] * cell)
            self.model.add(total >= whole[other] * (cell + placed[other] - 1))
        return found

    def competition(self) -> list[Linear]:
        """Pairs that meet in a host, a node or a last-level cache."""
        found: list[Linear] = []
        for pair in self.instance.competitions:
            a, b = self.instance.vm(pair.first), self.instance.vm(pair.second)
            price = to_micro(pair.weight)
            users_a, users_b = self._users(a, pair.scope), self._users(b, pair.scope)
            common = sorted(users_a.keys() & users_b.keys())
            if price and common and a.overlaps(b):
                meet = self.model.new_bool_var(f"{a.name} competes with {b.name}")
                for key in common:
                    for x in users_a[key]:
                        for y in users_b[key]:
                            self.model.add(meet >= x + y - 1)
                found.append(price * meet)
        return found

    def _users(self, vm: Vm, scope: Scope) -> dict[tuple[int, int], list[Linear]]:
        """Literals that put a VM into a host, a node or a cache, by that domain."""
        if scope is Scope.HOST:
            return {(h, 0): [literal] for h, literal in self.vars.on_host[vm.name].items()}
        if scope is Scope.NODE:
            return {(place, 0): [literal] for place, literal in self.vars.at[vm.name].items()}
        found: dict[tuple[int, int], list[Linear]] = defaultdict(list)
        for option in self.prepared.options[vm.name]:
            for domain, literal in self._caches(vm, option):
                place = self.prepared.place_of(option)
                found[place.host_index, domain].append(literal)
        return found

    def _caches(self, vm: Vm, option: Option) -> list[tuple[int, Linear]]:
        place = self.prepared.place_of(option)
        llcs = sorted(node_llcs(place.node))
        if vm.cpu_policy is CpuPolicy.DEDICATED and len(llcs) > 1:
            return [
                (group.llc, self._uses(option, g))
                for g, group in enumerate(self.prepared.core_groups(place))
                if group.llc is not None
            ]
        cell = self.vars.cell[option]
        return [(llc, cell) for llc in llcs or [-1 - place.position]]

    def _uses(self, option: Option, g: int) -> Linear:
        """Literal: a dedicated cell takes cores of a group."""
        used = self.model.new_bool_var(f"{option.vm}@{option.place} uses group {g}")
        vcpus = self.prepared.kind_of(option).vcpus
        self.model.add(self.vars.cores[option, g] <= vcpus * used)
        return used
