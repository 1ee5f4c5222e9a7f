"""The rules of `numaplace.models.verify` as CP-SAT constraints, under the same names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

from ortools.sat.python import cp_model

from numaplace.models.cores import CoreGroup
from numaplace.models.instance import Place
from numaplace.models.relations import Scope
from numaplace.models.units import MILLI, PageSize
from numaplace.models.verify import Rule
from numaplace.models.vm import CpuPolicy, ThreadPolicy
from numaplace.solver.cpsat.variables import Linear, Variables
from numaplace.solver.formulation.prepare import Option, whole_cores


class Constraints:
    """Adds one rule after the other to a model.

    Parameters
    ----------
    variables
        Variables of the model.
    assumed
        Whether each rule can be switched off: every constraint of (rule, subject) then holds only
        if its literal in `switches` is true. Used to explain why nothing fits.
    """

    def __init__(self, variables: Variables, *, assumed: bool = False) -> None:
        self.vars = variables
        self.model = variables.model
        self.prepared = variables.prepared
        self.instance = variables.instance
        self.assumed = assumed
        self.switches: dict[tuple[Rule, str], cp_model.IntVar] = {}

    def add_all(self) -> None:
        """Add every rule. `allowed_hosts` and `hard_nodes` hold by the choice of options."""
        self.cells()
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

    def _add(
        self, rule: Rule, subject: str, holds: cp_model.BoundedLinearExpression | bool
    ) -> None:
        """Add a constraint of a rule; one that is trivially true may come as a bool."""
        if isinstance(holds, bool):
            if holds:
                return
            constraint = self.model.add_bool_or([])
        else:
            constraint = self.model.add(holds)
        if self.assumed:
            if (rule, subject) not in self.switches:
                self.switches[rule, subject] = self.model.new_bool_var(f"{rule} {subject}")
            constraint.only_enforce_if(self.switches[rule, subject])

    def cells(self) -> None:
        """A placed VM has all cells of one shape on one host, at distinct nodes.

        ``sum_i x[s,t,i] = count[t] cut[s,h]`` over the nodes i of host h, and ``sum cut = placed``.
        """
        for vm in self.instance.vms:
            cuts: list[cp_model.IntVar] = []
            members: dict[tuple[int, int, int], list[cp_model.IntVar]] = defaultdict(list)
            for option in self.prepared.options[vm.name]:
                host = self.prepared.place_of(option).host_index
                members[option.shape, option.kind, host].append(self.vars.cell[option])
            for s, shape in enumerate(self.instance.form(vm.name).shapes):
                for host in self.prepared.hosts_of[vm.name]:
                    cut = self.vars.cut.get((vm.name, s, host))
                    if cut is None:
                        continue
                    cuts.append(cut)
                    for t, kind in enumerate(shape.types):
                        self.model.add(sum(members[s, t, host]) == kind.count * cut)
            if cuts != [self.vars.placed[vm.name]]:
                self.model.add(sum(cuts) == self.vars.placed[vm.name])

    def required_vms(self) -> None:
        """Place every required VM."""
        for vm in self.instance.vms:
            if vm.required:
                self._add(Rule.REQUIRED_VMS, vm.name, self.vars.placed[vm.name] == 1)

    def memory_amount(self) -> None:
        """No more blocks are away from a cell's node than it has; ballooning has its limit.

        Loose pages: ``sum_j p[j] + taken = blocks placed``, on the VM's own host.
        """
        self._loose_amount()
        for option, spill in self.vars.pages.items():
            cell = self.vars.cell[option]
            blocks = self.prepared.kind_of(option).blocks
            vm = self.instance.vm(option.vm)
            home = self.prepared.place_of(option)
            here = any(p.index == option.place for p in self.prepared.page_places(vm, home))
            away = self.vars.away(option)
            self.model.add(away <= blocks * cell if here else away == blocks * cell)
            for variable in spill.values():
                self.model.add(variable <= blocks * cell)
        for vm in self.instance.vms:
            taken = [
                self.vars.balloon[option]
                for option in self.prepared.options[vm.name]
                if option in self.vars.balloon
            ]
            limit = self.instance.form(vm.name).balloon_blocks
            if len(taken) > 1 and limit:
                self.model.add(sum(taken) <= limit)

    def _loose_amount(self) -> None:
        for name, lies in self.vars.lies.items():
            blocks = self.instance.form(name).blocks
            total = sum(lies.values()) + self.vars.taken.get(name, 0)
            self.model.add(total == blocks * self.vars.placed[name])
            on_host = self.vars.on_host[name]
            for at, part in lies.items() if len(on_host) > 1 else ():
                self.model.add(part <= blocks * on_host[self.instance.places[at].host_index])

    def memory_capacity(self) -> None:
        """Each node's page pools hold what lies on it, at every instant."""
        lies: dict[tuple[int, PageSize], list[tuple[str, Linear]]] = defaultdict(list)
        for vm in self.instance.vms:
            block_mib = self.instance.form(vm.name).block_mib
            for place, parts in self.vars.pages_of(vm.name).items():
                lies[place, vm.page_size].append((vm.name, block_mib * sum(parts)))
        shared: dict[int, list[tuple[frozenset[str], Linear]]] = defaultdict(list)
        for group in self.instance.sharing:
            for (name, place), copy in self.vars.copy.items():
                if name == group.name:
                    shared[place].append((frozenset(group.vms), group.shared_mib * copy))
        keys = set(lies) | {(place, PageSize.SMALL) for place in shared}
        for place, page_size in sorted(keys):
            pool = self.instance.places[place].node.pool_mib(page_size)
            for alive in self.instance.instants:
                used = [mib for name, mib in lies[place, page_size] if name in alive]
                if page_size is PageSize.SMALL:
                    used += [mib for members, mib in shared[place] if members & alive]
                if used:
                    subject = f"{self.instance.places[place]} {page_size}"
                    self._add(Rule.MEMORY_CAPACITY, subject, sum(used) <= pool)

    def dedicated_cpus(self) -> None:
        """Cores and threads of each core group suffice, at every instant."""
        self._spread_over_groups()
        for place in self.instance.places:
            options = [o for o in self.vars.options_at(place) if self._dedicated(o)]
            if options:
                for g, group in enumerate(self.prepared.core_groups(place)):
                    self._group_capacity(place, g, group, options)

    def _dedicated(self, option: Option) -> bool:
        return self.instance.vm(option.vm).cpu_policy is CpuPolicy.DEDICATED

    def _spread_over_groups(self) -> None:
        """A cell that may use several core groups takes what its vCPUs need of them together."""
        taken: dict[Option, list[Linear]] = defaultdict(list)
        for (option, g), cores in self.vars.free_cores.items():
            vm, vcpus = self.instance.vm(option.vm), self.prepared.kind_of(option).vcpus
            group = self.prepared.core_groups(self.prepared.place_of(option))[g]
            cell = self.vars.cell[option]
            self.model.add(cores <= vcpus * cell)
            require = vm.thread_policy is ThreadPolicy.REQUIRE
            taken[option].append(group.threads_per_core * cores if require else cores)
        for option, amounts in taken.items():
            vm, vcpus = self.instance.vm(option.vm), self.prepared.kind_of(option).vcpus
            total, wanted = sum(amounts), vcpus * self.vars.cell[option]
            require = vm.thread_policy is ThreadPolicy.REQUIRE
            self.model.add(total >= wanted if require else total == wanted)

    def _group_capacity(
        self, place: Place, g: int, group: CoreGroup, options: list[Option]
    ) -> None:
        """Whole cores and single threads come from disjoint cores, fixed over time."""
        whole = [o for o in options if whole_cores(self.instance.vm(o.vm))]
        single = [o for o in options if not whole_cores(self.instance.vm(o.vm))]
        pool: Linear = group.num_cores
        if whole and single and len(self.instance.instants) > 1:
            pool = self.model.new_int_var(0, group.num_cores, f"whole cores of {place} group {g}")
        subject = str(place)
        for alive in self.instance.instants:
            cores = sum(self.vars.cores[o, g] for o in whole if o.vm in alive)
            threads = sum(self.vars.cores[o, g] for o in single if o.vm in alive)
            k = group.threads_per_core
            if len(self.instance.instants) == 1 or not whole:
                self._add(Rule.DEDICATED_CPUS, subject, k * cores + threads <= group.num_threads)
            else:
                self._add(Rule.DEDICATED_CPUS, subject, cores <= pool)
                if single:
                    free = group.num_threads - k * pool
                    self._add(Rule.DEDICATED_CPUS, subject, threads <= free)

    def shared_cpus(self) -> None:
        """Shared vCPUs obey the overcommit ratio on the pCPUs no dedicated VM holds."""
        for place in self.instance.places:
            options = list(self.vars.options_at(place))
            shared = [o for o in options if not self._dedicated(o)]
            if not shared:
                continue
            ratio = round(place.host.vcpu_overcommit * MILLI)
            for alive in self.instance.instants:
                wanted = [
                    MILLI * self.prepared.kind_of(o).vcpus * self.vars.cell[o]
                    for o in shared
                    if o.vm in alive
                ]
                held = [
                    self._threads_held(o) for o in options if self._dedicated(o) and o.vm in alive
                ]
                free = place.node.threads - sum(held)
                if wanted:
                    self._add(Rule.SHARED_CPUS, str(place), sum(wanted) <= ratio * free)

    def _threads_held(self, option: Option) -> Linear:
        """PCPUs a dedicated cell keeps from shared vCPUs."""
        whole = whole_cores(self.instance.vm(option.vm))
        groups = self.prepared.core_groups(self.prepared.place_of(option))
        return sum(
            (group.threads_per_core if whole else 1) * self.vars.cores[option, g]
            for g, group in enumerate(groups)
        )

    def device_count(self) -> None:
        """Each request is answered, by devices near enough (`device_locality` is in the choices).

        Functions are served by a cell of the VM: ``u[home] <= count at[home]``.
        """
        for vm in self.instance.vms:
            served: dict[int, list[cp_model.IntVar]] = defaultdict(list)
            for option in self.prepared.device_options[vm.name]:
                functions = self.vars.device[option]
                served[option.request].append(functions)
                count = vm.devices[option.request].count
                self.model.add(functions <= count * self.vars.at[vm.name][option.home])
            for index, request in enumerate(vm.devices):
                wanted = request.count * self.vars.placed[vm.name]
                subject = f"{vm.name} {request.kind}"
                self._add(Rule.DEVICE_COUNT, subject, sum(served[index]) == wanted)

    def device_functions(self) -> None:
        """No device gives more functions than it has, at every instant."""
        taken: dict[tuple[int, str], list[tuple[str, cp_model.IntVar]]] = defaultdict(list)
        for option, functions in self.vars.device.items():
            host = self.instance.places[option.home].host_index
            taken[host, option.address].append((option.vm, functions))
        for (host, address), users in sorted(taken.items()):
            device = next(d for d in self.instance.hosts[host].devices if d.address == address)
            for alive in self.instance.instants:
                used = [functions for name, functions in users if name in alive]
                subject = f"{self.instance.hosts[host].name} {address}"
                if used:
                    self._add(Rule.DEVICE_FUNCTIONS, subject, sum(used) <= device.functions)

    def together(self) -> None:
        """Two VMs of a group that are both placed use the same nodes (or host)."""
        for group in self.instance.togethers:
            for a, b in self._overlapping(group.vms):
                at_a, at_b = self._where(a, group.scope), self._where(b, group.scope)
                for key in sorted(at_a.keys() | at_b.keys()):
                    here_a, here_b = at_a.get(key, 0), at_b.get(key, 0)
                    subject = f"{a}, {b}"
                    placed_a, placed_b = self.vars.placed[a], self.vars.placed[b]
                    self._add(Rule.TOGETHER, subject, here_a - here_b <= 1 - placed_b)
                    self._add(Rule.TOGETHER, subject, here_b - here_a <= 1 - placed_a)

    def apart(self) -> None:
        """At most one VM of a group that exists at an instant uses a node (or host)."""
        for group in self.instance.aparts:
            for alive in self.instance.instants:
                members = [name for name in group.vms if name in alive]
                users: dict[int, list[cp_model.IntVar]] = defaultdict(list)
                for name in members:
                    for key, literal in self._where(name, group.scope).items():
                        users[key].append(literal)
                for literals in users.values():
                    if len(literals) > 1:
                        self._add(Rule.APART, ", ".join(group.vms), sum(literals) <= 1)

    def _overlapping(self, vms: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        for a, b in combinations(vms, 2):
            if self.instance.vm(a).overlaps(self.instance.vm(b)):
                yield a, b

    def _where(self, name: str, scope: Scope) -> dict[int, cp_model.IntVar]:
        return self.vars.on_host[name] if scope is Scope.HOST else self.vars.at[name]

    def shared_pages(self) -> None:
        """Members of a sharing group find a copy on each cell's node, or on the host if allowed."""
        for group in self.instance.sharing:
            for name in group.vms:
                for place, at in self.vars.at[name].items():
                    copy = self.vars.copy.get((group.name, place), 0)
                    if not group.across_nodes:
                        self._add(Rule.SHARED_PAGES, group.name, at <= copy)
                for option in self.prepared.options[name] if group.across_nodes else ():
                    self._read_one(group.name, option)

    def _read_one(self, group: str, option: Option) -> None:
        """A cell reads one copy of its group."""
        reads = {at: read for (o, at), read in self._reads_of(option)}
        self._add(Rule.SHARED_PAGES, group, sum(reads.values()) == self.vars.cell[option])
        for at, read in reads.items():
            self.model.add(read <= self.vars.copy[group, at])

    def _reads_of(self, option: Option) -> Iterator[tuple[tuple[Option, int], cp_model.IntVar]]:
        host = self.prepared.place_of(option).host_index
        for place in self.instance.host_places[host]:
            key = (option, place.index)
            if key in self.vars.read:
                yield key, self.vars.read[key]
