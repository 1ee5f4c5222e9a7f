"""Terms of two cells or two VMs: products of choices, in forms with a strong relaxation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial

from numaplace.models.cores import node_llcs
from numaplace.models.rates import competition_price, parted_price
from numaplace.models.relations import Cooperation, Scope
from numaplace.models.units import MICRO
from numaplace.models.vm import CpuPolicy, Vm
from numaplace.solver.formulation.option import Option, cooperation_rate, split_rate, talk_rate
from numaplace.solver.formulation.program import Terms, joined, scaled
from numaplace.solver.formulation.tree import Level
from numaplace.solver.formulation.variables import RowWriter, Variables

Domain = tuple[int, int]
LevelForm = Callable[[Cooperation, Level], Terms]


class Products(RowWriter):
    """Builds the terms that multiply two places."""

    def __init__(self, variables: Variables) -> None:
        super().__init__(variables)
        self._uses: dict[tuple[Option, int], int] = {}

    def _product(self, a: Option, b: Option, *bounds: Option) -> int:
        """Return the product of two options.

        With literals it is exact by itself; without, at most each of `bounds`, and the caller's
        sums make it the product.
        """
        both, cell = self.program.part(self.prepared.times(a.vm)), self.vars.cell
        for option in (a, b) if self.program.literals else bounds:
            self.program.at_most([(both, 1), (cell[option], -1)], 0)
        if self.program.literals:
            self.program.at_most([(cell[a], 1), (cell[b], 1), (both, -1)], 1)
        return both

    def split_guest(self) -> Terms:
        """Pairs of cells of one VM, in reformulation-linearisation (RLT) form.

        The rows of `cells` times each option: an option taken has ``count[t]`` partners of type t
        (one less of its own type).
        """
        groups: dict[tuple[str, int, int], list[Option]] = defaultdict(list)
        for option in self.vars.cell:
            if option.shape.num_cells > 1:
                host = option.place.host_index
                groups[option.vm, option.shape_index, host].append(option)
        return joined(self._split_pairs(options) for options in groups.values())

    def _split_pairs(self, options: list[Option]) -> Terms:
        pairs = [(a, b) for i, a in enumerate(options) for b in options[i + 1 :]]
        priced = {
            (a, b): split_rate(self.instance, a, b)
            for a, b in pairs
            if a.place_index != b.place_index
        }
        if not any(priced.values()):
            return []
        partners: dict[tuple[Option, int], Terms] = defaultdict(list)
        found: Terms = []
        for (a, b), rate in priced.items():
            both = self._product(a, b, a, b)
            partners[a, b.type_index].append((both, 1))
            partners[b, a.type_index].append((both, 1))
            found.append((both, rate))
        types = options[0].shape.types
        for option in options:
            for t, kind in enumerate(types):
                others = kind.count - (option.type_index == t)
                if others or partners[option, t]:
                    taken = [(self.vars.cell[option], -others)]
                    self.program.equal([*partners[option, t], *taken], 0)
        return found

    def cooperation(self) -> Terms:
        """Distance of pairs: levels of the tree of distances for VMs of one cell, else transport.

        Where distances are no tree, levels with a rest above them serve a search with literals; in
        a relaxation they are weaker and slower than the transport.
        """
        found: Terms = []
        for pair in self.instance.cooperations:
            a, b = self.instance.vm(pair.first), self.instance.vm(pair.second)
            if not (a.overlaps(b) and self.vars.at[a.name] and self.vars.at[b.name]):
                continue
            if pair.scope is not None:
                found += self._parted_in(pair, pair.scope)
                continue
            single = all(self.instance.form(vm.name).max_cells == 1 for vm in (a, b))
            if single and self.program.literals:
                found += [*self._levels(pair, self._meeting), *self._rest(pair)]
            elif single and self.prepared.talk_tree.exact:
                found += self._levels(pair, self._parted)
            else:
                found += self._transport(pair)
        return found

    def _levels(self, pair: Cooperation, parting: LevelForm) -> Terms:
        """A step for every level that parts two VMs of one cell."""
        tree, price = self.prepared.talk_tree, partial(talk_rate, self.instance, pair)
        return joined(
            scaled(parting(pair, level), step)
            for step, level in zip(tree.steps(price), tree.levels, strict=True)
            if step
        )

    def _inside(self, name: str, cluster: frozenset[int]) -> Terms:
        at = self.vars.at[name]
        return joined(at[i] for i in sorted(cluster) if i in at)

    def _meeting(self, pair: Cooperation, level: Level) -> Terms:
        """``parted >= 1 - sum_C meet[C]`` with ``meet[C] <= a[C], b[C]``."""
        parted = self.program.part()
        meets: Terms = []
        for cluster in level.clusters:
            inside = [self._inside(name, cluster) for name in (pair.first, pair.second)]
            if all(inside):
                meets.append((self.program.variable(), 1))
                for some in inside:
                    self.program.at_least([*some, (meets[-1][0], -1)], 0)
        placed = [(self.vars.placed[name], -1) for name in (pair.first, pair.second)]
        self.program.at_least([(parted, 1), *meets, *placed], -1)
        return [(parted, 1)]

    def _parted_in(self, pair: Cooperation, scope: str) -> Terms:
        """As `_meeting`, with the domains of a scope as clusters."""
        parted, names = self.program.part(), (pair.first, pair.second)
        a, b = (self.in_domains(name, scope) for name in names)
        meets = {key: self.program.part() for key in a if key in b}
        for key, meet in meets.items():
            for inside in (a[key], b[key]):
                self.program.at_least([*inside, (meet, -1)], 0)
        placed = [(self.vars.placed[name], -1) for name in names]
        self.program.at_least([(parted, 1), *((m, 1) for m in meets.values()), *placed], -1)
        return [(parted, parted_price(pair))]

    def _rest(self, pair: Cooperation) -> Terms:
        """What distances are above their tree: ``more >= sum_j rest(i,j) b[j]`` if a is on i."""
        at_a, at_b = self.vars.at[pair.first], self.vars.at[pair.second]
        rest = self.prepared.talk_tree.rest(partial(talk_rate, self.instance, pair))
        found: Terms = []
        for i, x in at_a.items() if rest else ():
            far = {j: rest[i, j] for j in at_b if (i, j) in rest}
            if far:
                most = max(far.values())
                more = self.program.part(most, unit=MICRO)
                beyond = joined(scaled(at_b[j], rate) for j, rate in far.items())
                self.program.at_most([*beyond, *scaled(x, most), (more, -1)], most)
                found.append((more, 1))
        return found

    def _parted(self, pair: Cooperation, level: Level) -> Terms:
        """What the first VM has in each cluster beyond the second; together 1 if it parts them.

        ``over[c] >= first[c] - second[c] - excused[c]`` for each cluster, where all excuses
        together are 1 if the second VM is not placed, else 0.
        """
        over: Terms = []
        excuses: Terms = []
        for cluster in level.clusters:
            first, second = (self._inside(name, cluster) for name in (pair.first, pair.second))
            if first:
                over.append((self.program.part(), 1))
                excuses.append((self.program.part(), 1))
                beyond = [(over[-1][0], -1), (excuses[-1][0], -1)]
                self.program.at_most([*first, *scaled(second, -1), *beyond], 0)
        self.program.at_most([*excuses, (self.vars.placed[pair.second], 1)], 1)
        return over

    def _transport(self, pair: Cooperation) -> Terms:
        """Products of options of two VMs: each option of one ships the vCPUs of the other.

        If both VMs are placed, all vCPUs of the other meet an option that is taken. If the other
        has several cells, no product may exceed an option of it, or one cell would do for all.
        """
        names = pair.first, pair.second
        priced = {
            (a, b): cooperation_rate(self.instance, pair, a, b)
            for a in self.prepared.options[pair.first]
            for b in self.prepared.options[pair.second]
        }
        if not any(priced.values()):
            return []
        several = [self.instance.form(name).max_cells > 1 for name in names]
        shipped: dict[tuple[int, Option], Terms] = defaultdict(list)
        found: Terms = []
        for (a, b), rate in priced.items():
            bounds = ([a] if several[1] else []) + ([b] if several[0] else [])
            both = self._product(a, b, *bounds)
            shipped[0, a].append((both, b.cell.vcpus))
            shipped[1, b].append((both, a.cell.vcpus))
            found.append((both, rate))
        for (side, option), parts in shipped.items():
            other, cell = names[1 - side], self.vars.cell[option]
            whole = self.instance.vm(other).vcpus
            self.program.at_most([*parts, (cell, -whole)], 0)
            taken = [(cell, -whole), (self.vars.placed[other], -whole)]
            self.program.at_least([*parts, *taken], -whole)
        return found

    def competition(self) -> Terms:
        """Pairs that meet in hosts, a node or a last-level cache: ``meet >= a + b - 1``.

        For two VMs of one cell that is the convex hull: nothing tighter exists for a pair.
        """
        found: Terms = []
        for pair in self.instance.competitions:
            a, b = self.instance.vm(pair.first), self.instance.vm(pair.second)
            price = competition_price(pair)
            if not price or not a.overlaps(b):
                continue
            users_a, users_b = self._users(a, pair.scope), self._users(b, pair.scope)
            common = sorted(users_a.keys() & users_b.keys())
            if common:
                meet = self.program.part()
                for key in common:
                    for x in users_a[key]:
                        for y in users_b[key]:
                            self.program.at_most([*x, *y, (meet, -1)], 1)
                found.append((meet, price))
        return found

    def _users(self, vm: Vm, scope: str) -> dict[Domain, list[Terms]]:
        """Sums, 0 or 1, that put a VM into hosts, a node or a cache, by that domain."""
        if scope == Scope.NODE:
            return {(place, 0): [at] for place, at in self.vars.at[vm.name].items()}
        if scope != Scope.LLC:
            return {(number, 0): [on] for number, on in self.in_domains(vm.name, scope).items()}
        found: dict[Domain, list[Terms]] = defaultdict(list)
        for option in self.prepared.options[vm.name]:
            for domain, uses in self._caches(vm, option):
                found[option.place.host_index, domain].append([(uses, 1)])
        return found

    def _caches(self, vm: Vm, option: Option) -> list[tuple[int, int]]:
        """Caches an option may use; a node of unknown caches is one domain, -1 - position."""
        place, cell = option.place, self.vars.cell[option]
        llcs = sorted(node_llcs(place.node))
        if vm.cpu_policy is not CpuPolicy.DEDICATED or len(llcs) < 2:
            return [(llc, cell) for llc in llcs or [-1 - place.position]]
        return [
            (group.llc, self._uses_group(option, g))
            for g, group in enumerate(self.prepared.core_groups(place))
            if group.llc is not None
        ]

    def _uses_group(self, option: Option, g: int) -> int:
        """1 if a dedicated cell takes cores of a group (and then whenever that costs nothing)."""
        if (option, g) not in self._uses:
            uses, cores = self.program.variable(), self.vars.free_cores[option, g]
            self.program.at_most([(cores, 1), (uses, -self.program.upper[cores])], 0)
            self._uses[option, g] = uses
        return self._uses[option, g]
