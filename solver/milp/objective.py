"""The stages and the terms of `numaplace.models.cost` as linear expressions, under the same names.

Every expression is in the integers of the specification. Where the specification rounds (up, to a
micro-vCPU) an integer variable does; all other losses are whole by themselves once the choices
are, so their variables are continuous, in vCPUs, which keeps rows and tolerances near 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial

import pulp

from numaplace.models import rates
from numaplace.models.cost import Term
from numaplace.models.instance import Place
from numaplace.models.units import MICRO, MILLI, ceil_div
from numaplace.models.vm import Vm
from numaplace.solver.formulation.linear_terms import LinearTerms
from numaplace.solver.formulation.option_rates import load_milli, memory_rate
from numaplace.solver.milp.pairs import Pairs
from numaplace.solver.milp.variables import Linear, Variables

ELSEWHERE = -1
"""No node of a host."""


class Objective:
    """Builds linear expressions of the objective.

    Parameters
    ----------
    variables
        Variables of the problem.
    """

    def __init__(self, variables: Variables) -> None:
        self.vars = variables
        self.problem = variables.problem
        self.prepared = variables.prepared
        self.instance = variables.instance

    def value(self) -> Linear:
        """Value of the VMs placed, in thousandths."""
        return pulp.lpSum(
            self.instance.value_milli(vm) * self.vars.placed[vm.name] for vm in self.instance.vms
        )

    def hosts(self) -> Linear:
        """Hosts that run a VM."""
        used = {h: self.vars.binary("used") for h in range(len(self.instance.hosts))}
        for on_host in self.vars.on_host.values():
            for host, on in on_host.items():
                self.problem += on <= used[host]
        return pulp.lpSum(used.values())

    def balance(self) -> Linear:
        """CPU load of the fullest host, in thousandths of its threads."""
        loads: dict[int, list[tuple[str, Linear]]] = defaultdict(list)
        most: dict[int, int] = defaultdict(int)
        for option, cell in self.vars.cell.items():
            host = self.prepared.place_of(option).host_index
            milli = load_milli(self.prepared, option)
            loads[host].append((option.vm, milli * cell))
            most[host] += milli
        threads = {h: max(1, self.instance.hosts[h].threads) for h in loads}
        fullest = self.vars.integer("fullest", max((most[h] for h in loads), default=0))
        for host, parts in loads.items():
            for alive in self.instance.instants:
                load = pulp.lpSum(milli for name, milli in parts if name in alive)
                if load:
                    self.problem += load <= threads[host] * fullest
        return 1 * fullest

    def loss(self) -> Linear:
        """Sum of all terms in micro-vCPU."""
        return pulp.lpSum(self.terms().values())

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
        return {term: pulp.lpSum(function()) for term, function in functions.items()}

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
                found += self._loose_memory(name, host)
        return found

    def _loose_memory(self, name: str, host: int) -> list[Linear]:
        """Loss of loose pages on a host: blocks outside the home's cluster, level by level.

        ``out[C] >= blocks x[C] - p[C] - taken`` for each cluster C. What distances are above their
        tree: ``more >= sum_j rest(i,j) p[j]`` if the home is i.
        """
        tree = self.prepared.host_tree(host)
        price = partial(memory_rate, self.prepared, self.prepared.options[name][0])
        at, lies = self.vars.at[name], self.vars.lies[name]
        blocks = self.instance.form(name).blocks
        taken = self.vars.taken.get(name, 0)
        found: list[Linear] = []
        for step, level in zip(tree.steps(price), tree.levels, strict=True):
            for cluster in level.clusters if step else ():
                homes = [at[i] for i in sorted(cluster) if i in at]
                if homes:
                    pages = [lies[j] for j in sorted(cluster) if j in lies]
                    out = self.vars.real("out", blocks)
                    inside = pulp.lpSum([*pages, taken])
                    self.problem += blocks * pulp.lpSum(homes) - inside <= out
                    found.append(step * out)
        rest = tree.rest(price)
        for i in sorted(at.keys() & set(tree.places)):
            far = {j: rest[i, j] for j in lies if (i, j) in rest}
            if far:
                most = blocks * max(far.values()) / MICRO
                more = self.vars.real("more", most)
                total = pulp.lpSum((rate / MICRO) * lies[j] for j, rate in far.items())
                self.problem += total + most * at[i] - more <= most
                found.append(MICRO * more)
        return found

    def cpu_contention(self) -> list[Linear]:
        """Convex loss of each node's load: an epigraph of its lines, at the worst instant."""
        found: list[Linear] = []
        for index, options in self.vars.options_at.items():
            curve = rates.contention(self.instance.places[index])
            milli = {o: load_milli(self.prepared, o) for o in options}
            worst = curve.loss(sum(milli.values()))
            if not worst:
                continue
            loss = self.vars.real("contention", worst / MICRO)
            for alive in self.instance.instants:
                here = [o for o in options if o.vm in alive]
                if curve.loss(sum(milli[o] for o in here)):
                    for slope, offset in curve.lines():
                        if not slope:
                            continue
                        load = ((slope * milli[o] / MICRO) * self.vars.cell[o] for o in here)
                        self.problem += pulp.lpSum(load) - loss <= -offset / MICRO
            found.append(MICRO * loss)
        return found

    def bandwidth_contention(self) -> list[Linear]:
        """Demand beyond a node's bandwidth, at the worst instant, rounded up to micro-vCPU."""
        demand: dict[int, list[tuple[str, int, Linear]]] = defaultdict(list)
        most: dict[int, int] = defaultdict(int)
        for vm in self.instance.vms:
            per_block = rates.demand_per_block(self.instance, vm)
            for at, blocks in self.vars.lying(vm.name) if per_block else ():
                demand[at].append((vm.name, per_block, blocks))
                most[at] += per_block * self.instance.form(vm.name).blocks
        found: list[Linear] = []
        for at, users in sorted(demand.items(), key=lambda item: item[0]):
            place = self.instance.places[at]
            if rates.bandwidth_loss(self.instance, place, most[at]):
                found.append(self._excess(place, users, most[at]))
        return found

    def _excess(self, place: Place, users: list[tuple[str, int, Linear]], most: int) -> Linear:
        """Priced excess of one node; whole by itself if every block's price is."""
        limit = place.host.node_bandwidth_mbps(place.position)
        assert limit is not None
        price = rates.bandwidth_price(self.instance)
        worst = rates.bandwidth_loss(self.instance, place, most)
        if all(price * per_block % MILLI == 0 for _, per_block, _ in users):
            unit, loss = MICRO, self.vars.real("bandwidth", worst / MICRO)
        else:
            unit, loss = 1, self.vars.integer("bandwidth", worst)
        for alive in self.instance.instants:
            used = [
                (price * per_block / MILLI / unit) * blocks
                for name, per_block, blocks in users
                if name in alive
            ]
            if used:
                self.problem += pulp.lpSum(used) - loss <= price * limit / unit
        return unit * loss

    def migration(self) -> list[Linear]:
        """Memory copied from where it is now, rounded up to micro-vCPU once a VM."""
        if self.instance.current is None:
            return []
        return [self._moved(vm) for vm in self.instance.vms if vm.name in self.instance.current]

    def _moved(self, vm: Vm) -> Linear:
        """Loss of one VM: what it had and has elsewhere on its host, all it keeps on another.

        Of a VM that is no larger than it was, nodes get what is copied; else they give it up.
        """
        assert self.instance.current is not None
        old, form = self.instance.current.placements[vm.name], self.instance.form(vm.name)
        local, network = rates.move_rates_nano(self.instance, vm)
        lay = {node: mib / form.block_mib for node, mib in old.memory_by_node().items()}
        had, least = sum(lay.values()), form.blocks - form.balloon_blocks
        host = self.instance.host_index[old.host]
        stays = self.vars.on_host[vm.name].get(host, 0)
        lies: dict[int, list[Linear]] = defaultdict(list)
        for at, blocks in self.vars.lying(vm.name):
            place = self.instance.places[at]
            lies[place.node.id if place.host_index == host else ELSEWHERE].append(blocks)
        here = {node: pulp.lpSum(parts) for node, parts in sorted(lies.items())}
        away = here.pop(ELSEWHERE, pulp.lpSum([]))
        if had >= form.blocks:
            got = [
                self._no_less(mib - min(lay.get(node, 0), form.blocks) * stays, form.blocks)
                for node, mib in here.items()
            ]
            copied = pulp.lpSum(got), away
        else:
            gave = [self._no_less(b * stays - here.get(n, 0), form.blocks) for n, b in lay.items()]
            leaves = had * (self.vars.placed[vm.name] - stays)
            copied = pulp.lpSum(gave), leaves
            if had > least:
                shrinks, less = self.vars.binary("shrinks"), self.vars.real("less", had - least)
                self.problem += less <= (had - least) * shrinks
                room = (form.blocks - had) * (1 - shrinks)
                has = pulp.lpSum(here.values()) + away
                self.problem += less + has <= had * self.vars.placed[vm.name] + room
                copied = tuple(self._no_less(part - less, form.blocks) for part in copied)
        nano = form.block_mib * (local * copied[0] + network * copied[1])
        most = ceil_div(max(local, network) * form.own_mib, rates.NANO_PER_MICRO)
        loss = self.vars.integer("migration", most)
        self.problem += nano * (1 / rates.NANO_PER_MICRO) <= loss
        return 1 * loss

    def _no_less(self, least: Linear, most: float) -> Linear:
        """Return a new variable in [0, most] that is no less than an expression."""
        moved = self.vars.real("moved", most)
        self.problem += least <= moved
        return moved
