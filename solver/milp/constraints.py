"""The rules of `numaplace.models.verify` as rows of the MILP, under the same names.

Written for a strong relaxation: a choice is bounded by the choice it depends on (``cut``, ``cell``,
``copy``) rather than by a large constant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

import pulp

from numaplace.models.cores import CoreGroup
from numaplace.models.instance import Place
from numaplace.models.relations import Scope
from numaplace.models.units import MILLI, PageSize
from numaplace.models.vm import CpuPolicy, ThreadPolicy
from numaplace.solver.formulation.prepare import Option, whole_cores
from numaplace.solver.milp.rows import add_at_most
from numaplace.solver.milp.variables import Linear, Variables


class Constraints:
    """Adds one rule after the other to a problem.

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

    def add_all(self) -> None:
        """Add every rule.

        `allowed_hosts`, `hard_nodes`, `memory_nodes` and `device_locality` hold by the choice of
        options.
        """
        self.required_vms()
        self.cells()
        self.distinct_nodes()
        self.memory_amount()
        self.memory_capacity()
        self.shared_cpus()
        self.dedicated_cpus()
        self.device_count()
        self.device_functions()
        self.together()
        self.apart()
        self.shared_pages()

    def _at_most(self, parts: list[Linear], limit: int) -> None:
        add_at_most(self.problem, pulp.lpSum(parts), limit)

    def required_vms(self) -> None:
        """Every required VM is placed."""
        for vm in self.instance.vms:
            if vm.required:
                self.vars.placed[vm.name].lowBound = 1

    def cells(self) -> None:
        """A placed VM has all cells of one shape on one host.

        ``sum_i x[s,t,i] = count[t] cut[s,h]`` over the nodes i of host h, and ``sum cut = placed``.
        """
        members: dict[tuple[str, int, int, int], list[Linear]] = defaultdict(list)
        for option, cell in self.vars.cell.items():
            host = self.prepared.place_of(option).host_index
            members[option.vm, option.shape, host, option.kind].append(cell)
        for (name, s, host, t), found in members.items():
            count = self.instance.form(name).shapes[s].types[t].count
            self.problem += pulp.lpSum(found) == count * self.vars.cut[name, s, host]
        cuts: dict[str, list[Linear]] = defaultdict(list)
        for (name, _, _), cut in self.vars.cut.items():
            cuts[name].append(cut)
        for vm in self.instance.vms:
            self.problem += pulp.lpSum(cuts[vm.name]) == self.vars.placed[vm.name]

    def distinct_nodes(self) -> None:
        """A node has one cell of a shape at most: ``sum_t x[s,t,i] <= cut[s,h]``."""
        shares: dict[tuple[str, int, int], list[Linear]] = defaultdict(list)
        for option, cell in self.vars.cell.items():
            if self.prepared.shape_of(option).num_cells > 1:
                shares[option.vm, option.shape, option.place].append(cell)
        for (name, s, place), found in shares.items():
            cut = self.vars.cut[name, s, self.instance.places[place].host_index]
            self.problem += pulp.lpSum(found) <= cut

    def memory_amount(self) -> None:
        """A cell's blocks are on some node or ballooned away; ballooning has its limit."""
        self._loose_amount()
        for option, pages in self.vars.pages.items():
            blocks, cell = self.prepared.kind_of(option).blocks, self.vars.cell[option]
            taken = self.vars.balloon.get(option, 0)
            self.problem += pulp.lpSum([*pages.values(), taken]) == blocks * cell
            for variable in [*pages.values(), *([taken] if option in self.vars.balloon else [])]:
                if variable.upBound < blocks:
                    self.problem += variable <= variable.upBound * cell
        ballooned: dict[str, list[Linear]] = defaultdict(list)
        for option, taken in self.vars.balloon.items():
            ballooned[option.vm].append(taken)
        for name, parts in ballooned.items():
            limit = self.instance.form(name).balloon_blocks
            self.problem += pulp.lpSum(parts) <= limit * self.vars.placed[name]

    def _loose_amount(self) -> None:
        """All blocks of a loose VM are on its host: ``sum_j p[j] + taken = blocks``."""
        for name, lies in self.vars.lies.items():
            blocks, on_host = self.instance.form(name).blocks, self.vars.on_host[name]
            total = pulp.lpSum([*lies.values(), self.vars.taken.get(name, 0)])
            self.problem += total == blocks * self.vars.placed[name]
            for host in sorted(on_host) if len(on_host) > 1 else ():
                here = [p for j, p in lies.items() if self.instance.places[j].host_index == host]
                self.problem += pulp.lpSum(here) <= blocks * on_host[host]

    def memory_capacity(self) -> None:
        """Each node's page pools hold what lies on it, at every instant."""
        lies: dict[tuple[int, PageSize], list[tuple[frozenset[str], Linear]]] = defaultdict(list)
        for vm in self.instance.vms:
            block_mib = self.instance.form(vm.name).block_mib
            for place, blocks in self.vars.lying(vm.name):
                lies[place, vm.page_size].append((frozenset({vm.name}), block_mib * blocks))
        for group in self.instance.sharing:
            for (name, place), copy in self.vars.copy.items():
                if name == group.name:
                    mib = group.shared_mib * copy
                    lies[place, PageSize.SMALL].append((frozenset(group.vms), mib))
        for (place, page_size), parts in sorted(lies.items()):
            pool = self.instance.places[place].node.pool_mib(page_size)
            for alive in self.instance.instants:
                self._at_most([mib for users, mib in parts if users & alive], pool)

    def shared_cpus(self) -> None:
        """Shared vCPUs obey the overcommit ratio on the pCPUs no dedicated VM holds."""
        for index, options in self.vars.options_at.items():
            place = self.instance.places[index]
            ratio = round(place.host.vcpu_overcommit * MILLI)
            shared = [o for o in options if not self._dedicated(o)]
            for alive in self.instance.instants if shared else ():
                used = [
                    MILLI * self.prepared.kind_of(o).vcpus * self.vars.cell[o]
                    for o in shared
                    if o.vm in alive
                ]
                held = [
                    ratio * self._threads_held(o)
                    for o in options
                    if self._dedicated(o) and o.vm in alive
                ]
                self._at_most(used + held, ratio * place.node.threads)

    def _dedicated(self, option: Option) -> bool:
        return self.instance.vm(option.vm).cpu_policy is CpuPolicy.DEDICATED

    def _threads_held(self, option: Option) -> Linear:
        """PCPUs a dedicated cell keeps from shared vCPUs."""
        whole = whole_cores(self.instance.vm(option.vm))
        groups = self.prepared.core_groups(self.prepared.place_of(option))
        return pulp.lpSum(
            (group.threads_per_core if whole else 1) * self.vars.cores[option, g]
            for g, group in enumerate(groups)
        )

    def dedicated_cpus(self) -> None:
        """Cells take the cores they need; those of each group suffice at every instant."""
        self._cores_needed()
        for index, options in self.vars.options_at.items():
            dedicated = [o for o in options if self._dedicated(o)]
            for g, group in enumerate(self.prepared.core_groups(self.instance.places[index])):
                self._group_capacity(g, group, dedicated)

    def _cores_needed(self) -> None:
        """A cell that may use several core groups takes what its vCPUs need of them together."""
        options = dict.fromkeys(option for option, _ in self.vars.free_cores)
        for option in options:
            vm, cell = self.instance.vm(option.vm), self.vars.cell[option]
            groups = self.prepared.core_groups(self.prepared.place_of(option))
            require = vm.thread_policy is ThreadPolicy.REQUIRE
            serves: list[Linear] = []
            for g, group in enumerate(groups):
                cores = self.vars.free_cores[option, g]
                self.problem += cores <= cores.upBound * cell
                serves.append((group.threads_per_core if require else 1) * cores)
            wanted = self.prepared.kind_of(option).vcpus * cell
            served = pulp.lpSum(serves)
            self.problem += served >= wanted if require else served == wanted

    def _group_capacity(self, g: int, group: CoreGroup, options: list[Option]) -> None:
        """Whole cores and single threads come from disjoint cores, fixed over time."""
        whole = [o for o in options if whole_cores(self.instance.vm(o.vm))]
        single = [o for o in options if not whole_cores(self.instance.vm(o.vm))]
        k = group.threads_per_core
        border: Linear = None
        if whole and single and len(self.instance.instants) > 1:
            border = self.vars.integer("whole_cores", group.num_cores)
        for alive in self.instance.instants if options else ():
            cores = [self.vars.cores[o, g] for o in whole if o.vm in alive]
            threads = [self.vars.cores[o, g] for o in single if o.vm in alive]
            if border is None:
                self._at_most([k * n for n in cores] + threads, group.num_threads)
            else:
                self._at_most([*cores, -border], 0)
                self._at_most([*threads, k * border], group.num_threads)

    def device_count(self) -> None:
        """Each request is answered, functions served by a cell: ``u[home] <= count at[home]``."""
        served: dict[tuple[str, int], list[Linear]] = defaultdict(list)
        by_home: dict[tuple[str, int, int], list[Linear]] = defaultdict(list)
        for option, functions in self.vars.device.items():
            served[option.vm, option.request].append(functions)
            by_home[option.vm, option.request, option.home].append(functions)
        for (name, index, home), parts in by_home.items():
            count = self.instance.vm(name).devices[index].count
            self.problem += pulp.lpSum(parts) <= count * self.vars.at[name][home]
        for vm in self.instance.vms:
            for index, request in enumerate(vm.devices):
                wanted = request.count * self.vars.placed[vm.name]
                self.problem += pulp.lpSum(served[vm.name, index]) == wanted

    def device_functions(self) -> None:
        """No device gives more functions than it has, at every instant."""
        taken: dict[tuple[int, str], list[tuple[str, Linear]]] = defaultdict(list)
        for option, functions in self.vars.device.items():
            host = self.instance.places[option.home].host_index
            taken[host, option.address].append((option.vm, functions))
        for (host, address), users in sorted(taken.items(), key=lambda item: item[0]):
            device = next(d for d in self.instance.hosts[host].devices if d.address == address)
            for alive in self.instance.instants:
                self._at_most([n for name, n in users if name in alive], device.functions)

    def together(self) -> None:
        """Of two VMs of a group that are both placed, each is where the other is."""
        for group in self.instance.togethers:
            for a, b in self._overlapping(group.vms):
                where_a, where_b = self._where(a, group.scope), self._where(b, group.scope)
                for key in sorted(where_a.keys() | where_b.keys()):
                    here_a, here_b = where_a.get(key, 0), where_b.get(key, 0)
                    self._at_most([here_a, -here_b, self.vars.placed[b]], 1)
                    self._at_most([here_b, -here_a, self.vars.placed[a]], 1)

    def _overlapping(self, vms: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        for a, b in combinations(vms, 2):
            if self.instance.vm(a).overlaps(self.instance.vm(b)):
                yield a, b

    def apart(self) -> None:
        """At most one VM of a group that exists at an instant uses a node (or host)."""
        for group in self.instance.aparts:
            for alive in self.instance.instants:
                users: dict[int, list[Linear]] = defaultdict(list)
                for name in group.vms:
                    if name in alive:
                        for key, uses in self._where(name, group.scope).items():
                            users[key].append(uses)
                for uses_all in users.values():
                    if len(uses_all) > 1:
                        self._at_most(uses_all, 1)

    def _where(self, name: str, scope: Scope) -> dict[int, Linear]:
        return self.vars.on_host[name] if scope is Scope.HOST else self.vars.at[name]

    def shared_pages(self) -> None:
        """Members of a sharing group find a copy on each cell's node, or on the host if allowed."""
        for group in self.instance.sharing:
            for name in group.vms:
                if not group.across_nodes:
                    for place, at in self.vars.at[name].items():
                        copy = self.vars.copy.get((group.name, place))
                        self._at_most([at] if copy is None else [at, -copy], 0)
                    continue
                for option in self.prepared.options[name]:
                    self._read_one(group.name, option, self.prepared.place_of(option))

    def _read_one(self, group: str, option: Option, home: Place) -> None:
        """A cell reads one copy of its group."""
        reads = {
            at.index: self.vars.read[option, at.index]
            for at in self.instance.host_places[home.host_index]
            if (option, at.index) in self.vars.read
        }
        self.problem += pulp.lpSum(reads.values()) == self.vars.cell[option]
        for at, read in reads.items():
            self.problem += read <= self.vars.copy[group, at]
