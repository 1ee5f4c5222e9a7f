"""The stages and the terms of `numaplace.models.cost` in CP-SAT, under the same names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from numaplace.models import rates
from numaplace.models.cores import node_llcs
from numaplace.models.cost import Term
from numaplace.models.relations import Cooperation, Scope
from numaplace.models.units import MILLI, ceil_div, to_micro
from numaplace.models.vm import CpuPolicy, Vm
from numaplace.solver.cpsat.variables import ZERO, Linear, Variables
from numaplace.solver.levels import levels_of
from numaplace.solver.prepare import Option


class Objective:
    """Builds linear expressions of the objective.

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

    def value(self) -> Linear:
        """Value of the VMs placed, in thousandths."""
        return sum(
            self.instance.value_milli(vm) * self.vars.placed[vm.name] for vm in self.instance.vms
        )

    def hosts(self) -> Linear:
        """Hosts that run a VM."""
        used = [self.model.new_bool_var(f"{host.name} used") for host in self.instance.hosts]
        for on_host in self.vars.on_host.values():
            for host, literal in on_host.items():
                self.model.add_implication(literal, used[host])
        return sum(used)

    def balance(self) -> Linear:
        """CPU load of the fullest host, in thousandths of its threads."""
        load: dict[int, list[tuple[str, Linear]]] = defaultdict(list)
        for option, cell in self.vars.cell.items():
            vm, vcpus = self.instance.vm(option.vm), self.prepared.kind_of(option).vcpus
            host = self.prepared.place_of(option).host_index
            load[host].append((option.vm, rates.load_milli(vm, vcpus) * cell))
        total = sum(rates.load_milli(vm, vm.vcpus) + vm.vcpus for vm in self.instance.vms)
        fullest = self.model.new_int_var(0, total, "load of the fullest host")
        for host, loads in load.items():
            threads = max(1, self.instance.hosts[host].threads)
            for alive in self.instance.instants:
                terms = [milli for name, milli in loads if name in alive]
                if terms:
                    self.model.add(sum(terms) <= threads * fullest)
        return fullest

    def loss(self) -> Linear:
        """Sum of all terms in micro-vCPU."""
        return sum(self.terms().values())

    def terms(self) -> dict[Term, Linear]:
        """Every term in micro-vCPU."""
        functions: dict[Term, Callable[[], list[Linear]]] = {
            Term.REMOTE_MEMORY: self.remote_memory,
            Term.SPLIT_GUEST: self.split_guest,
            Term.PAGE_SHARING: self.page_sharing,
            Term.NODE_AFFINITY: self.node_affinity,
            Term.DEVICE: self.device,
            Term.COOPERATION: self.cooperation,
            Term.COMPETITION: self.competition,
            Term.CPU_CONTENTION: self.cpu_contention,
            Term.BANDWIDTH_CONTENTION: self.bandwidth_contention,
            Term.BALLOONING: self.ballooning,
            Term.MIGRATION: self.migration,
        }
        return {term: sum(function()) for term, function in functions.items()}

    def remote_memory(self) -> list[Linear]:
        """Own blocks on other nodes, at their rate."""
        found: list[Linear] = []
        for option in self.vars.cell:
            vm, kind = self.instance.vm(option.vm), self.prepared.kind_of(option)
            home = self.prepared.place_of(option)
            cell_mib = kind.blocks * self.instance.form(vm.name).block_mib
            for at, blocks in self.vars.blocks_on(option).items():
                place = self.instance.places[at]
                rate = rates.memory_rate(self.instance, vm, kind.vcpus, cell_mib, home, place)
                if rate:
                    found.append(rate * blocks)
        return found

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
        block_mib = self.instance.form(vm.name).block_mib
        found: list[Linear] = []
        partners: dict[tuple[Option, int], list[Linear]] = defaultdict(list)
        for i, a in enumerate(options):
            for b in options[i + 1 :]:
                if a.place == b.place:
                    continue
                kinds = self.prepared.kind_of(a), self.prepared.kind_of(b)
                sizes = [(kind.vcpus, kind.blocks * block_mib) for kind in kinds]
                at = self.prepared.place_of(a), self.prepared.place_of(b)
                rate = rates.split_rate(self.instance, vm, sizes[0], sizes[1], *at)
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

    def page_sharing(self) -> list[Linear]:
        """Reads of copies on other nodes."""
        found: list[Linear] = []
        for (option, at), read in self.vars.read.items():
            vm, kind = self.instance.vm(option.vm), self.prepared.kind_of(option)
            home, copy = self.prepared.place_of(option), self.instance.places[at]
            rate = rates.sharing_rate(self.instance, vm, kind.vcpus, home, copy)
            if rate:
                found.append(rate * read)
        return found

    def node_affinity(self) -> list[Linear]:
        """Cells outside the soft set."""
        found: list[Linear] = []
        for option, cell in self.vars.cell.items():
            vm, kind = self.instance.vm(option.vm), self.prepared.kind_of(option)
            rate = rates.affinity_rate(vm, kind.vcpus, self.prepared.place_of(option).node.id)
            if rate:
                found.append(rate * cell)
        return found

    def device(self) -> list[Linear]:
        """Functions at their distance from the cell that serves them."""
        return [o.rate * functions for o, functions in self.vars.device.items() if o.rate]

    def cooperation(self) -> list[Linear]:
        """Distance of pairs, by levels where distances are a tree, by products elsewhere."""
        found: list[Linear] = []
        for pair in self.instance.cooperations:
            a, b = self.instance.vm(pair.first), self.instance.vm(pair.second)
            if a.overlaps(b):
                single = self.instance.form(a.name).max_cells == 1
                single = single and self.instance.form(b.name).max_cells == 1
                by_levels = self._cooperation_by_levels(pair) if single else None
                found += self._cooperation_by_products(pair) if by_levels is None else by_levels
        return found

    def _cooperation_by_levels(self, pair: Cooperation) -> list[Linear] | None:
        at_a, at_b = self.vars.at[pair.first], self.vars.at[pair.second]
        vcpus = self.instance.vm(pair.first).vcpus, self.instance.vm(pair.second).vcpus
        places = sorted(at_a.keys() | at_b.keys())
        price = {
            (i, j): rates.cooperation_rate(
                self.instance, pair, vcpus, (self.instance.places[i], self.instance.places[j])
            )
            for i in places
            for j in places
        }
        levels = levels_of(places, price)
        if levels is None:
            return None
        found: list[Linear] = []
        both_placed = self.vars.placed[pair.first] + self.vars.placed[pair.second] - 1
        for depth, level in enumerate(levels):
            same: list[Linear] = []
            for cluster in level.clusters:
                in_a = [at_a[i] for i in sorted(cluster) if i in at_a]
                in_b = [at_b[i] for i in sorted(cluster) if i in at_b]
                if in_a and in_b:
                    meet = self.model.new_bool_var(f"{pair.first} meets {pair.second}")
                    self.model.add(sum(in_a) >= meet)
                    self.model.add(sum(in_b) >= meet)
                    same.append(meet)
            name = f"{pair.first} - {pair.second} apart at level {depth}"
            parted = self.model.new_bool_var(name)
            self.model.add(parted >= both_placed - sum(same))
            found.append(level.step * parted)
        return found

    def _cooperation_by_products(self, pair: Cooperation) -> list[Linear]:
        """Transport form: products of options, whose shares of vCPUs add up to one."""
        found: list[Linear] = []
        names = pair.first, pair.second
        whole = [self.instance.vm(name).vcpus for name in names]
        placed = [self.vars.placed[name] for name in names]
        sums: dict[tuple[int, Option], list[Linear]] = defaultdict(list)
        for a in self.prepared.options[pair.first]:
            for b in self.prepared.options[pair.second]:
                vcpus = self.prepared.kind_of(a).vcpus, self.prepared.kind_of(b).vcpus
                at = self.prepared.place_of(a), self.prepared.place_of(b)
                rate = rates.cooperation_rate(self.instance, pair, vcpus, at)
                both = self._product(a, b)
                sums[0, a].append(vcpus[1] * both)
                sums[1, b].append(vcpus[0] * both)
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
        groups = self.prepared.core_groups(place)
        if vm.cpu_policy is CpuPolicy.DEDICATED and len(groups) > 1:
            return [
                (-1 - place.position if group.llc is None else group.llc, self._uses(option, g))
                for g, group in enumerate(groups)
            ]
        cell = self.vars.cell[option]
        return [(llc, cell) for llc in sorted(node_llcs(place.node)) or [-1 - place.position]]

    def _uses(self, option: Option, g: int) -> Linear:
        """Literal: a dedicated cell takes cores of a group."""
        used = self.model.new_bool_var(f"{option.vm}@{option.place} uses group {g}")
        vcpus = self.prepared.kind_of(option).vcpus
        self.model.add(self.vars.cores[option, g] <= vcpus * used)
        return used

    def cpu_contention(self) -> list[Linear]:
        """Convex loss of each node's load: an epigraph of its lines, at the worst instant."""
        found: list[Linear] = []
        for place in self.instance.places:
            curve = rates.contention(place)
            loads = [
                (o.vm, rates.load_milli(self.instance.vm(o.vm), self.prepared.kind_of(o).vcpus), o)
                for o in self.vars.options_at(place)
            ]
            most = sum(load for _, load, _ in loads)
            if curve.loss(most) == 0:
                continue
            loss = self.model.new_int_var(0, curve.loss(most), f"contention on {place}")
            for alive in self.instance.instants:
                load = sum(milli * self.vars.cell[o] for name, milli, o in loads if name in alive)
                for slope, offset in curve.lines():
                    if slope:
                        self.model.add(loss >= slope * load + offset)
            found.append(loss)
        return found

    def bandwidth_contention(self) -> list[Linear]:
        """Demand beyond a node's bandwidth, at the worst instant, rounded up to micro-vCPU."""
        price = rates.bandwidth_price(self.instance)
        demand: dict[int, list[tuple[str, Linear]]] = defaultdict(list)
        most: dict[int, int] = defaultdict(int)
        for option in self.vars.cell:
            vm = self.instance.vm(option.vm)
            per_block = rates.demand_per_block(self.instance, vm)
            if per_block:
                for at, blocks in self.vars.blocks_on(option).items():
                    demand[at].append((vm.name, per_block * blocks))
                    most[at] += per_block * self.prepared.kind_of(option).blocks
        found: list[Linear] = []
        for at, users in sorted(demand.items()):
            place = self.instance.places[at]
            limit = place.host.node_bandwidth_mbps(place.position)
            worst = rates.bandwidth_loss(self.instance, place, most[at])
            if limit is None or not worst:
                continue
            loss = self.model.new_int_var(0, worst, f"bandwidth on {place}")
            for alive in self.instance.instants:
                used = sum(milli for name, milli in users if name in alive)
                self.model.add(MILLI * loss >= price * (used - limit * MILLI))
            found.append(loss)
        return found

    def ballooning(self) -> list[Linear]:
        """Blocks taken away."""
        return [
            rates.balloon_rate(self.instance, self.instance.vm(option.vm)) * taken
            for option, taken in self.vars.balloon.items()
        ]

    def migration(self) -> list[Linear]:
        """Memory copied from where it is now, rounded up to micro-vCPU once a VM."""
        if self.instance.current is None:
            return []
        return [self._moved(vm) for vm in self.instance.vms if vm.name in self.instance.current]

    def _moved(self, vm: Vm) -> Linear:
        assert self.instance.current is not None
        old = self.instance.current.placements[vm.name]
        before = old.memory_by_node()
        local, network = rates.move_rates_nano(self.instance, vm)
        block_mib = self.instance.form(vm.name).block_mib
        lies: dict[int, list[Linear]] = defaultdict(list)
        for option in self.prepared.options[vm.name]:
            for at, blocks in self.vars.blocks_on(option).items():
                lies[at].append(block_mib * blocks)
        nano: list[Linear] = []
        for at, parts in sorted(lies.items()):
            place = self.instance.places[at]
            if place.host.name != old.host:
                nano.append(network * sum(parts))
                continue
            here = before.get(place.node.id, 0)
            moved = self.model.new_int_var(0, vm.memory_mib, f"MiB of {vm.name} moved to {place}")
            self.model.add(moved >= sum(parts) - here)
            nano.append(local * moved)
        most = ceil_div(max(local, network) * vm.memory_mib, rates.NANO_PER_MICRO)
        loss = self.model.new_int_var(0, most, f"migration of {vm.name}")
        self.model.add(rates.NANO_PER_MICRO * loss >= sum(nano, ZERO))
        return loss
