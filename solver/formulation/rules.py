"""The rules of `numaplace.models.verify` as rows of a program, under the same names.

Written for a strong relaxation: a choice is bounded by the choice it depends on (``cut``, ``cell``,
``copy``) rather than by a large constant. `allowed_hosts`, `hard_nodes`, `memory_nodes` and
`device_locality` hold by the choice of options.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations

from numaplace.models.cores import CoreGroup
from numaplace.models.instance import Place
from numaplace.models.relations import Scope
from numaplace.models.units import MILLI, PageSize
from numaplace.models.verify import Rule
from numaplace.models.vm import CpuPolicy, ThreadPolicy
from numaplace.solver.formulation.option import Option, whole_cores
from numaplace.solver.formulation.program import Terms, joined, scaled
from numaplace.solver.formulation.variables import RowWriter

Used = list[tuple[frozenset[str], Terms]]
"""VMs, and what is used while one of them exists."""


class Rules(RowWriter):
    """Adds one rule after the other to a program."""

    def add_all(self) -> None:
        """Add every rule."""
        self.cells()
        self.distinct_nodes()
        self.required_vms()
        self.memory_amount()
        self.memory_capacity()
        self.dedicated_cpus()
        self.shared_cpus()
        self.device_count()
        self.device_functions()
        self.together()
        self.apart()
        self.shared_pages()

    def cells(self) -> None:
        """A placed VM has all cells of one shape on one host.

        ``sum_i x[s,t,i] = count[t] cut[s,h]`` over the nodes i of host h, and ``sum cut = placed``.
        """
        members: dict[tuple[str, int, int, int], Terms] = defaultdict(list)
        for option, cell in self.vars.cell.items():
            host = option.place.host_index
            members[option.vm, option.shape_index, host, option.type_index].append((cell, 1))
        for (name, s, host, t), found in members.items():
            count = self.instance.form(name).shapes[s].types[t].count
            self.program.equal([*found, (self.vars.cut[name, s, host], -count)], 0)
        cuts: dict[str, Terms] = defaultdict(list)
        for (name, _, _), cut in self.vars.cut.items():
            cuts[name].append((cut, 1))
        for name, placed in self.vars.placed.items():
            if cuts[name] != [(placed, 1)]:
                self.program.equal([*cuts[name], (placed, -1)], 0)

    def distinct_nodes(self) -> None:
        """A node has one cell of a shape at most: ``sum_t x[s,t,i] <= cut[s,h]``.

        With literals, the one of `at` says so.
        """
        shares: dict[tuple[str, int, int], Terms] = defaultdict(list)
        for option, cell in self.vars.cell.items() if not self.program.literals else ():
            if option.shape.num_cells > 1:
                shares[option.vm, option.shape_index, option.place_index].append((cell, 1))
        for (name, s, place_index), found in shares.items():
            cut = self.vars.cut[name, s, self.instance.places[place_index].host_index]
            self.program.at_most([*found, (cut, -1)], 0)

    def required_vms(self) -> None:
        """Every required VM is placed."""
        for vm in self.instance.vms:
            if vm.required:
                placed = [(self.vars.placed[vm.name], 1)]
                self.program.at_least(placed, 1, Rule.REQUIRED_VMS, vm.name)

    def memory_amount(self) -> None:
        """A cell's blocks are on some node or ballooned away; ballooning has its limit."""
        self._loose_amount()
        for option in self.vars.pages:
            blocks, cell = option.cell.blocks, self.vars.cell[option]
            away = [*self.vars.away(option), (cell, -blocks)]
            at_home = self.program.literals and self.vars.lives_at_home(option)
            self.program.row(away, None if at_home else 0, 0)
            for variable, _ in away[:-1]:
                most = min(blocks, self.program.upper[variable])
                if most < blocks or at_home:
                    self.program.at_most([(variable, 1), (cell, -most)], 0)
        ballooned: dict[str, Terms] = defaultdict(list)
        for option, taken in self.vars.balloon.items():
            ballooned[option.vm].append((taken, 1))
        for name, parts in ballooned.items():
            limit = self.instance.form(name).balloon_blocks
            self.program.at_most([*parts, (self.vars.placed[name], -limit)], 0)

    def _loose_amount(self) -> None:
        """All blocks of a loose VM are on its host: ``sum_j p[j] + taken = blocks``."""
        for name, lies in self.vars.lies.items():
            blocks, on_host = self.instance.form(name).blocks, self.vars.on_host[name]
            taken = [(self.vars.taken[name], 1)] if name in self.vars.taken else []
            total = [*((part, 1) for part in lies.values()), *taken]
            self.program.equal([*total, (self.vars.placed[name], -blocks)], 0)
            for host in sorted(on_host) if len(on_host) > 1 else ():
                places = self.instance.places
                here = [(p, 1) for j, p in lies.items() if places[j].host_index == host]
                self.program.at_most([*here, *scaled(on_host[host], -blocks)], 0)

    def memory_capacity(self) -> None:
        """Each node's page pools hold what lies on it, at every instant."""
        lies: dict[tuple[int, PageSize], Used] = defaultdict(list)
        for vm in self.instance.vms:
            block_mib, alone = self.instance.form(vm.name).block_mib, frozenset({vm.name})
            for at, blocks in self.vars.lying(vm.name):
                lies[at, vm.page_size].append((alone, scaled(blocks, block_mib)))
        members = {group.name: group for group in self.instance.sharing}
        for (name, at), copy in self.vars.copy.items():
            mib = [(copy, members[name].shared_mib)]
            lies[at, PageSize.SMALL].append((frozenset(members[name].vms), mib))
        for at, page_size in sorted(lies):
            place = self.instance.places[at]
            pool, on = place.node.pool_mib(page_size), f"{place} {page_size}"
            self._enough(lies[at, page_size], pool, Rule.MEMORY_CAPACITY, on)

    def _enough(self, parts: Used, most: int, rule: Rule, on: str) -> None:
        """At each instant, the parts whose users exist then are no more than there is."""
        for alive in self.instance.instants:
            used = joined(terms for users, terms in parts if users & alive)
            if used:
                self.program.at_most(used, most, rule, on)

    def dedicated_cpus(self) -> None:
        """Cells take the cores they need; those of each group suffice at every instant."""
        self._cores_needed()
        for index in sorted(self.vars.options_at):
            place = self.instance.places[index]
            dedicated = [o for o in self.vars.options_at[index] if self._dedicated(o)]
            for g, group in enumerate(self.prepared.core_groups(place)) if dedicated else ():
                self._group_capacity(place, g, group, dedicated)

    def _dedicated(self, option: Option) -> bool:
        return self.instance.vm(option.vm).cpu_policy is CpuPolicy.DEDICATED

    def _cores_needed(self) -> None:
        """A cell that may use several core groups takes what its vCPUs need of them together."""
        served: dict[Option, Terms] = defaultdict(list)
        for (option, g), cores in self.vars.free_cores.items():
            group = self.prepared.core_groups(option.place)[g]
            cell = self.vars.cell[option]
            most = self.program.upper[cores] // self.prepared.times(option.vm)
            self.program.at_most([(cores, 1), (cell, -most)], 0)
            served[option].append((cores, group.threads_per_core if self._requires(option) else 1))
        for option, amounts in served.items():
            vcpus, cell = option.cell.vcpus, self.vars.cell[option]
            more = None if self._requires(option) else 0
            self.program.row([*amounts, (cell, -vcpus)], 0, more)

    def _requires(self, option: Option) -> bool:
        return self.instance.vm(option.vm).thread_policy is ThreadPolicy.REQUIRE

    def _group_capacity(
        self, place: Place, g: int, group: CoreGroup, options: list[Option]
    ) -> None:
        """Whole cores and single threads come from disjoint cores, fixed over time."""
        rule, on = Rule.DEDICATED_CPUS, str(place)
        whole = [o for o in options if whole_cores(self.instance.vm(o.vm))]
        single = [o for o in options if not whole_cores(self.instance.vm(o.vm))]
        k = group.threads_per_core
        border = None
        if whole and single and len(self.instance.instants) > 1:
            border = self.program.variable(group.num_cores)
            self.vars.border[place.index, g] = border
        for alive in self.instance.instants:
            cores = joined(self.vars.cores[o, g] for o in whole if o.vm in alive)
            threads = joined(self.vars.cores[o, g] for o in single if o.vm in alive)
            if border is None:
                self.program.at_most([*scaled(cores, k), *threads], group.num_threads, rule, on)
            else:
                self.program.at_most([*cores, (border, -1)], 0, rule, on)
                self.program.at_most([*threads, (border, k)], group.num_threads, rule, on)

    def shared_cpus(self) -> None:
        """Shared vCPUs obey the overcommit ratio on the pCPUs no dedicated VM holds."""
        for index in sorted(self.vars.options_at):
            place, options = self.instance.places[index], self.vars.options_at[index]
            if all(self._dedicated(option) for option in options):
                continue
            ratio = place.host.ratio_milli
            parts = [(frozenset({o.vm}), self._kept(o, ratio)) for o in options]
            self._enough(parts, ratio * place.node.threads, Rule.SHARED_CPUS, str(place))

    def _kept(self, option: Option, ratio: int) -> Terms:
        """What a cell keeps from shared vCPUs: its vCPUs, or its pCPUs by `ratio` if dedicated."""
        if not self._dedicated(option):
            return [(self.vars.cell[option], MILLI * option.cell.vcpus)]
        whole = whole_cores(self.instance.vm(option.vm))
        groups = self.prepared.core_groups(option.place)
        return joined(
            scaled(self.vars.cores[option, g], ratio * (group.threads_per_core if whole else 1))
            for g, group in enumerate(groups)
        )

    def device_count(self) -> None:
        """Each request is answered, functions served by a cell: ``sum u[home] <= count at[home]``.

        That they are near enough (`device_locality`) is in the choices.
        """
        served: dict[tuple[str, int], Terms] = defaultdict(list)
        by_home: dict[tuple[str, int, int], Terms] = defaultdict(list)
        for option, functions in self.vars.device.items():
            served[option.vm, option.request].append((functions, 1))
            by_home[option.vm, option.request, option.home].append((functions, 1))
        for (name, index, home), parts in by_home.items():
            count = self.instance.vm(name).devices[index].count
            self.program.at_most([*parts, *scaled(self.vars.at[name][home], -count)], 0)
        for vm in self.instance.vms:
            for index, request in enumerate(vm.devices):
                wanted = (self.vars.placed[vm.name], -request.count)
                subject = f"{vm.name} {request.kind}"
                self.program.equal([*served[vm.name, index], wanted], 0, Rule.DEVICE_COUNT, subject)

    def device_functions(self) -> None:
        """No device gives more functions than it has, at every instant."""
        taken: dict[tuple[int, str], Used] = defaultdict(list)
        for option, functions in self.vars.device.items():
            on = self.instance.places[option.home].host_index
            taken[on, option.address].append((frozenset({option.vm}), [(functions, 1)]))
        for index, address in sorted(taken):
            host, users = self.instance.hosts[index], taken[index, address]
            device = next(d for d in host.devices if d.address == address)
            subject = f"{host.name} {address}"
            self._enough(users, device.functions, Rule.DEVICE_FUNCTIONS, subject)

    def together(self) -> None:
        """Of two VMs of a group that are both placed, each is where the other is."""
        for group in self.instance.togethers:
            for a, b in self._overlapping(group.vms):
                where = self._where(a, group.scope), self._where(b, group.scope)
                for key in sorted(where[0].keys() | where[1].keys()):
                    here_a, here_b = (found.get(key, []) for found in where)
                    for one, other, placed in ((here_a, here_b, b), (here_b, here_a, a)):
                        both = [*one, *scaled(other, -1), (self.vars.placed[placed], 1)]
                        self.program.at_most(both, 1, Rule.TOGETHER, f"{a}, {b}")

    def _overlapping(self, vms: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        for a, b in combinations(vms, 2):
            if self.instance.vm(a).overlaps(self.instance.vm(b)):
                yield a, b

    def apart(self) -> None:
        """VMs of one part of a group at most that exist at an instant use a node (host, label)."""
        for group in self.instance.aparts:
            for alive in self.instance.instants:
                users: dict[int, list[Terms]] = defaultdict(list)
                for part in group.parts:
                    some = [name for name in part if name in alive]
                    for key, uses in self._some_where(some, group.scope).items():
                        users[key].append(uses)
                for found in users.values():
                    if len(found) > 1:
                        self.program.at_most(joined(found), 1, Rule.APART, ", ".join(group.vms))

    def _some_where(self, names: list[str], scope: str) -> dict[int, Terms]:
        """1 if some of these VMs use a place or domain, at least: ``some >= where[v]``."""
        users: dict[int, list[Terms]] = defaultdict(list)
        for name in names:
            for key, uses in self._where(name, scope).items():
                users[key].append(uses)
        found: dict[int, Terms] = {}
        for key, of_each in users.items():
            found[key] = of_each[0] if len(of_each) == 1 else [(self.program.part(), 1)]
            for uses in of_each if len(of_each) > 1 else ():
                self.program.at_most([*uses, *scaled(found[key], -1)], 0)
        return found

    def _where(self, name: str, scope: str) -> dict[int, Terms]:
        return self.vars.at[name] if scope == Scope.NODE else self.in_domains(name, scope)

    def shared_pages(self) -> None:
        """Members of a sharing group find a copy on each cell's node, or on the host if allowed."""
        for group in self.instance.sharing:
            for name in group.vms:
                if group.across_nodes:
                    self._read_one(group.name, self.prepared.options[name])
                    continue
                for at, uses in self.vars.at[name].items():
                    copy = self._copied(group.name, at)
                    self.program.at_most([*uses, *copy], 0, Rule.SHARED_PAGES, group.name)

    def _copied(self, group: str, place_index: int) -> Terms:
        copy = self.vars.copy.get((group, place_index))
        return [] if copy is None else [(copy, -1)]

    def _read_one(self, group: str, options: Iterable[Option]) -> None:
        """A cell reads one copy of its group."""
        for option in options:
            places = [at.index for at in self.instance.host_places[option.place.host_index]]
            reads = {at: self.vars.read.get((option, at)) for at in places}
            found = {at: read for at, read in reads.items() if read is not None}
            chosen = [*((read, 1) for read in found.values()), (self.vars.cell[option], -1)]
            self.program.equal(chosen, 0, Rule.SHARED_PAGES, group)
            for at, read in found.items():
                self.program.at_most([(read, 1), *self._copied(group, at)], 0)
