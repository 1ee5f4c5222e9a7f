"""Terms of pairs of cells: products of choices, in forms with a strong relaxation."""

from __future__ import annotations

from collections import defaultdict
from functools import partial

import pulp

from numaplace.models.cores import node_llcs
from numaplace.models.relations import Cooperation, Scope
from numaplace.models.units import to_micro
from numaplace.models.vm import CpuPolicy, Vm
from numaplace.solver.formulation.option_rates import cooperation_rate, split_rate, talk_rate
from numaplace.solver.formulation.prepare import Option
from numaplace.solver.formulation.tree import Level
from numaplace.solver.milp.variables import Linear, Variables

Domain = tuple[int, int]


class Pairs:
    """Builds the terms of pairs.

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
        self._uses: dict[tuple[Option, int], Linear] = {}

    def _part(self, *bounds: Option) -> Linear:
        """Return a part in [0, 1] of options; the caller's sums make it their product."""
        both = self.vars.real("both", 1)
        for option in bounds:
            self.problem += both <= self.vars.cell[option]
        return both

    def split_guest(self) -> list[Linear]:
        """Pairs of cells of one VM, in reformulation-linearisation (RLT) form.

        The rows of `cells` times each option: an option taken has ``count[t]`` partners of type t
        (one less of its own type).
        """
        groups: dict[tuple[str, int, int], list[Option]] = defaultdict(list)
        for option in self.vars.cell:
            if self.prepared.shape_of(option).num_cells > 1:
                host = self.prepared.place_of(option).host_index
                groups[option.vm, option.shape, host].append(option)
        found: list[Linear] = []
        for options in groups.values():
            found += self._split_pairs(options)
        return found

    def _split_pairs(self, options: list[Option]) -> list[Linear]:
        pairs = [(a, b) for i, a in enumerate(options) for b in options[i + 1 :]]
        priced = {(a, b): split_rate(self.prepared, a, b) for a, b in pairs if a.place != b.place}
        if not any(priced.values()):
            return []
        partners: dict[tuple[Option, int], list[Linear]] = defaultdict(list)
        found: list[Linear] = []
        for (a, b), rate in priced.items():
            both = self._part(a, b)
            partners[a, b.kind].append(both)
            partners[b, a.kind].append(both)
            found.append(rate * both)
        types = self.prepared.shape_of(options[0]).types
        for option in options:
            for t, kind in enumerate(types):
                others = kind.count - (option.kind == t)
                if others or partners[option, t]:
                    total = pulp.lpSum(partners[option, t])
                    self.problem += total == others * self.vars.cell[option]
        return found

    def cooperation(self) -> list[Linear]:
        """Distance of pairs, by levels where distances are a tree, as a transport elsewhere."""
        found: list[Linear] = []
        for pair in self.instance.cooperations:
            a, b = self.instance.vm(pair.first), self.instance.vm(pair.second)
            if not (a.overlaps(b) and self.vars.at[a.name] and self.vars.at[b.name]):
                continue
            single = all(self.instance.form(vm.name).max_cells == 1 for vm in (a, b))
            if single and self.prepared.talk_tree.exact:
                found += self._by_levels(pair)
            else:
                found += self._transport(pair)
        return found

    def _by_levels(self, pair: Cooperation) -> list[Linear]:
        """A step for every level of the tree of distances that parts two VMs of one cell.

        Where distances are no tree, levels and a rest above them (as in CP-SAT) are weaker and
        slower here than the transport.
        """
        tree, price = self.prepared.talk_tree, partial(talk_rate, self.prepared, pair)
        found: list[Linear] = []
        for step, level in zip(tree.steps(price), tree.levels, strict=True):
            if step:
                found += [step * over for over in self._parted(pair, level)]
        return found

    def _parted(self, pair: Cooperation, level: Level) -> list[Linear]:
        """What the first VM has in each cluster beyond the second; together 1 if it parts them.

        ``over[c] >= first[c] - second[c] - excused[c]`` for each cluster, where all excuses
        together are 1 if the second VM is not placed, else 0.
        """
        at_a, at_b = self.vars.at[pair.first], self.vars.at[pair.second]
        over: list[Linear] = []
        excuses: list[Linear] = []
        for cluster in level.clusters:
            first = pulp.lpSum(at_a[i] for i in sorted(cluster) if i in at_a)
            second = pulp.lpSum(at_b[i] for i in sorted(cluster) if i in at_b)
            if first:
                over.append(self.vars.real("over", 1))
                excuses.append(self.vars.real("excused", 1))
                self.problem += first - second - excuses[-1] <= over[-1]
        self.problem += pulp.lpSum(excuses) + self.vars.placed[pair.second] <= 1
        return over

    def _transport(self, pair: Cooperation) -> list[Linear]:
        """Products of options of two VMs: each option of one ships the vCPUs of the other.

        If both VMs are placed, all vCPUs of the other meet an option that is taken. If the other
        has several cells, no product may exceed an option of it, or one cell would do for all.
        """
        names = pair.first, pair.second
        priced = {
            (a, b): cooperation_rate(self.prepared, pair, a, b)
            for a in self.prepared.options[pair.first]
            for b in self.prepared.options[pair.second]
        }
        if not any(priced.values()):
            return []
        several = [self.instance.form(name).max_cells > 1 for name in names]
        shipped: dict[tuple[int, Option], list[Linear]] = defaultdict(list)
        found: list[Linear] = []
        for (a, b), rate in priced.items():
            both = self._part(*[a] * several[1], *[b] * several[0])
            shipped[0, a].append(self.prepared.kind_of(b).vcpus * both)
            shipped[1, b].append(self.prepared.kind_of(a).vcpus * both)
            found.append(rate * both)
        for (side, option), parts in shipped.items():
            other, cell = names[1 - side], self.vars.cell[option]
            whole, total = self.instance.vm(other).vcpus, pulp.lpSum(parts)
            self.problem += total <= whole * cell
            self.problem += total >= whole * (cell + self.vars.placed[other] - 1)
        return found

    def competition(self) -> list[Linear]:
        """Pairs that meet in a host, a node or a last-level cache: ``meet >= a + b - 1``.

        For two VMs of one cell that is the convex hull: nothing tighter exists for a pair.
        """
        found: list[Linear] = []
        for pair in self.instance.competitions:
            a, b = self.instance.vm(pair.first), self.instance.vm(pair.second)
            price = to_micro(pair.weight)
            if not price or not a.overlaps(b):
                continue
            users_a, users_b = self._users(a, pair.scope), self._users(b, pair.scope)
            common = sorted(users_a.keys() & users_b.keys())
            if common:
                meet = self.vars.real("meet", 1)
                for key in common:
                    for x in users_a[key]:
                        for y in users_b[key]:
                            self.problem += x + y - meet <= 1
                found.append(price * meet)
        return found

    def _users(self, vm: Vm, scope: Scope) -> dict[Domain, list[Linear]]:
        """Expressions, 0 or 1, that put a VM into a host, a node or a cache, by that domain."""
        if scope is Scope.HOST:
            return {(host, 0): [on] for host, on in self.vars.on_host[vm.name].items()}
        if scope is Scope.NODE:
            return {(place, 0): [at] for place, at in self.vars.at[vm.name].items()}
        found: dict[Domain, list[Linear]] = defaultdict(list)
        for option in self.prepared.options[vm.name]:
            for domain, uses in self._caches(vm, option):
                found[self.prepared.place_of(option).host_index, domain].append(uses)
        return found

    def _caches(self, vm: Vm, option: Option) -> list[tuple[int, Linear]]:
        """Caches an option may use; a node of unknown caches is one domain, -1 - position."""
        place, cell = self.prepared.place_of(option), self.vars.cell[option]
        llcs = sorted(node_llcs(place.node))
        if vm.cpu_policy is not CpuPolicy.DEDICATED or len(llcs) < 2:
            return [(llc, 1 * cell) for llc in llcs or [-1 - place.position]]
        return [
            (group.llc, self._uses_group(option, g))
            for g, group in enumerate(self.prepared.core_groups(place))
            if group.llc is not None
        ]

    def _uses_group(self, option: Option, g: int) -> Linear:
        """1 if a dedicated cell takes cores of a group (and then whenever that costs nothing)."""
        if (option, g) not in self._uses:
            uses, cores = self.vars.binary("uses"), self.vars.free_cores[option, g]
            self.problem += cores <= cores.upBound * uses
            self._uses[option, g] = uses
        return 1 * self._uses[option, g]
