"""The stages and the terms of `numaplace.models.cost` in CP-SAT, under the same names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial

from numaplace.models import rates
from numaplace.models.cost import Term
from numaplace.models.units import MILLI, ceil_div
from numaplace.models.vm import Vm
from numaplace.solver.cpsat.migration import Migration
from numaplace.solver.cpsat.pairs import Pairs
from numaplace.solver.cpsat.variables import ZERO, Linear, Variables
from numaplace.solver.formulation.linear_terms import LinearTerms
from numaplace.solver.formulation.option_rates import load_milli, memory_rate


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
        self.moved = Migration(variables)

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
            host = self.prepared.place_of(option).host_index
            load[host].append((option.vm, load_milli(self.prepared, option) * cell))
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
        linear, pairs = LinearTerms(self.prepared, self.vars), Pairs(self.vars)
        functions: dict[Term, Callable[[], list[Linear]]] = {
            Term.REMOTE_MEMORY: self.remote_memory,
            Term.SPLIT_GUEST: pairs.split_guest,
            Term.PAGE_SHARING: linear.page_sharing,
            Term.NODE_AFFINITY: linear.node_affinity,
            Term.DEVICE: linear.device,
            Term.COOPERATION: pairs.cooperation,
            Term.COMPETITION: pairs.competition,
            Term.CPU_CONTENTION: self.cpu_contention,
            Term.BANDWIDTH_CONTENTION: self.bandwidth_contention,
            Term.BALLOONING: linear.ballooning,
            Term.MIGRATION: self.migration,
        }
        return {term: sum(function()) for term, function in functions.items()}

    def remote_memory(self) -> list[Linear]:
        """Own blocks on other nodes, at their rate."""
        found: list[Linear] = []
        for option in self.vars.cell:
            if option.vm in self.vars.lies:
                continue
            for at, blocks in self.vars.blocks_on(option).items():
                rate = memory_rate(self.prepared, option, option.place, at)
                if rate:
                    found.append(rate * blocks)
        for name in self.vars.lies:
            for host in self.prepared.hosts_of[name]:
                found += self._loose_memory(self.instance.vm(name), host)
        return found

    def _loose_memory(self, vm: Vm, host: int) -> list[Linear]:
        """Loss of loose pages on a host: blocks outside the home's cluster, level by level.

        ``out[C] >= blocks x[C] - p[C] - taken`` for each cluster C. What distances are above their
        tree: ``more >= sum_j rest(i,j) p[j]`` if the home is i.
        """
        tree = self.prepared.host_tree(host)
        price = partial(memory_rate, self.prepared, self.prepared.options[vm.name][0])
        on_host = {place.index for place in self.instance.host_places[host]}
        at = {i: x for i, x in self.vars.at[vm.name].items() if i in on_host}
        lies = {j: p for j, p in self.vars.lies[vm.name].items() if j in on_host}
        blocks = self.instance.form(vm.name).blocks
        taken = self.vars.taken.get(vm.name, ZERO)

        found: list[Linear] = []
        for step, level in zip(tree.steps(price), tree.levels, strict=True):
            for cluster in level.clusters if step else ():
                homes = [at[i] for i in sorted(cluster) if i in at]
                pages = [lies[j] for j in sorted(cluster) if j in lies]
                if homes:
                    out = self.model.new_int_var(0, blocks, f"blocks of {vm.name} out of cluster")
                    self.model.add(out >= blocks * sum(homes) - sum(pages) - taken)
                    found.append(step * out)
        rest = tree.rest(price)
        for i, x in at.items():
            rates_of = {j: rest[i, j] for j in lies if (i, j) in rest}
            if rates_of:
                most = blocks * max(rates_of.values())
                more = self.model.new_int_var(0, most, f"more for {vm.name}@{i}")
                far = sum(rate * lies[j] for j, rate in rates_of.items())
                self.model.add(more >= far - most * (1 - x))
                found.append(more)
        return found

    def cpu_contention(self) -> list[Linear]:
        """Convex loss of each node's load: an epigraph of its lines, at the worst instant."""
        found: list[Linear] = []
        for place in self.instance.places:
            curve = rates.contention(place)
            loads = [(o.vm, load_milli(self.prepared, o), o) for o in self.vars.options_at(place)]
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
        for vm in self.instance.vms:
            per_block = rates.demand_per_block(self.instance, vm)
            if per_block:
                for at, parts in self.vars.pages_of(vm.name).items():
                    demand[at].append((vm.name, per_block * sum(parts)))
                    most[at] += per_block * self.instance.form(vm.name).blocks
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

    def migration(self) -> list[Linear]:
        """Memory copied from where it is now, rounded up to micro-vCPU once a VM."""
        if self.instance.current is None:
            return []
        return [self._moved(vm) for vm in self.instance.vms if vm.name in self.instance.current]

    def _moved(self, vm: Vm) -> Linear:
        local, network = rates.move_rates_nano(self.instance, vm)
        copied = self.moved.copied(vm)
        nano = local * copied.local + network * copied.network
        own_mib = self.instance.form(vm.name).own_mib
        most = ceil_div(max(local, network) * own_mib, rates.NANO_PER_MICRO)
        loss = self.model.new_int_var(0, most, f"migration of {vm.name}")
        self.model.add(rates.NANO_PER_MICRO * loss >= nano)
        return loss
