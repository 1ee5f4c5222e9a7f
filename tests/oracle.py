"""The best plan of a tiny instance by exhaustive search: the yardstick of every solver.

It knows `numaplace.models` only. Memory is placed in whole blocks, as solvers place it. Whole plans
are judged by `violations` and `evaluate`; parts of a plan are cut off by what is true of every
larger plan:

- Rules of one VM, capacities, and rules of two VMs stay broken when VMs are added. Not so
  `required_vms`, and `shared_pages` as long as copies are still to be chosen.
- No term is negative. Adding a VM adds its own items and those of its pairs and never lowers the
  load of a node, so the loss so far and what the VMs to come lose by themselves is a lower bound.
  Contention of a node counts at its worst instant, hence is not part of "by themselves": VMs
  that never meet do not add up. Copies only add items.
- Hosts used and the fullest host's load never fall.
- pCPUs of a node that differ in number only (same thread count, same holders so far and, where
  caches are asked for, same cache) are interchangeable: one choice of each orbit is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, combinations, pairwise, permutations, product

from numaplace.models.cost import Cost, Term, evaluate
from numaplace.models.instance import Between, Instance
from numaplace.models.pages import interleaved_blocks, page_nodes
from numaplace.models.plan import PlacedCell, Placement, Plan, SharedCopy, TakenDevice
from numaplace.models.relations import Scope, SharingGroup
from numaplace.models.topology import Host
from numaplace.models.verify import RULES, Rule, violations
from numaplace.models.vm import CpuPolicy, MemoryMode, Vm

OF_TWO_VMS = (
    Rule.MEMORY_CAPACITY,
    Rule.SHARED_CPUS,
    Rule.DEVICE_FUNCTIONS,
    Rule.APART,
    Rule.TOGETHER,
    Rule.DEDICATED_CPUS,
)
OF_ONE_VM = tuple(
    rule
    for rule in RULES
    if rule not in (Rule.REQUIRED_VMS, Rule.SHARED_PAGES, Rule.DEDICATED_CPUS)
)
NOT_SEPARABLE = (Term.CPU_CONTENTION, Term.BANDWIDTH_CONTENTION)


@dataclass(frozen=True)
class OracleResult:
    """The best value, then hosts or balance (None if neither is asked for), then loss."""

    value_milli: int
    between: int | None
    loss_micro: int
    plan: Plan


@dataclass(frozen=True)
class Option:
    """A place for one VM, pCPUs left open, and what it loses there by itself."""

    placement: Placement
    loss: int


def brute_force(instance: Instance) -> OracleResult | None:
    """Return the best plan of a tiny instance, None if no plan obeys the rules."""
    options = {vm.name: _options(instance, vm) for vm in instance.vms}
    subsets: dict[int, list[frozenset[str]]] = {}
    for names in _subsets(sorted(options)):
        placed = frozenset(names)
        if all(vm.name in placed for vm in instance.vms if vm.required):
            value = sum(instance.value_milli(instance.vm(name)) for name in placed)
            subsets.setdefault(value, []).append(placed)
    for value in sorted(subsets, reverse=True):
        # Leaving out a VM that is worth nothing never costs anything.
        least = [s for s in subsets[value] if not any(other < s for other in subsets[value])]
        found = _best(instance, options, least)
        if found is not None:
            cost = evaluate(instance, found)
            return OracleResult(value, between_of(instance, cost), cost.loss_micro, found)
    return None


def between_of(instance: Instance, cost: Cost) -> int | None:
    """Return the objective between value and loss, None if there is none."""
    if instance.between is Between.FEWEST_HOSTS:
        return cost.hosts_used
    return cost.imbalance_permille if instance.between is Between.BALANCE else None


def _best(
    instance: Instance, options: dict[str, list[Option]], subsets: list[frozenset[str]]
) -> Plan | None:
    """Return the best plan that places exactly the VMs of one of `subsets`."""
    plan: Plan | None = None
    limit: int | None = None
    if instance.between is not Between.NOTHING:
        first = _Search(instance, options, lambda cost: between_of(instance, cost) or 0, None)
        for names in subsets:
            first.run(names, separable=False)
        if first.plan is None:
            return None
        plan, limit = first.plan, first.score
    search = _Search(instance, options, lambda cost: cost.loss_micro, limit)
    if plan is not None:
        search.plan, search.score = plan, evaluate(instance, plan).loss_micro
    for names in subsets:
        search.run(names, separable=True)
    return search.plan


class _Search:
    """Depth-first search for the plan of lowest `score` whose `between_of` is within `limit`."""

    def __init__(
        self,
        instance: Instance,
        options: dict[str, list[Option]],
        score_of: Callable[[Cost], int],
        limit: int | None,
    ) -> None:
        self.instance, self.options, self.score_of, self.limit = instance, options, score_of, limit
        self.plan: Plan | None = None
        self.score: int | None = None
        self.by_cache = any(pair.scope == Scope.LLC for pair in instance.competitions)

    def run(self, names: frozenset[str], *, separable: bool) -> None:
        """Search plans that place exactly the VMs `names`."""
        order = sorted(names, key=lambda name: len(self.options[name]))
        if all(self.options[name] for name in order):
            least = [self.options[name][0].loss if separable else 0 for name in order]
            rest = [sum(least[depth:]) for depth in range(len(order) + 1)]
            self._extend(order, rest, {}, 0, separable)

    def _extend(
        self,
        order: list[str],
        rest: list[int],
        placed: dict[str, Placement],
        score: int,
        separable: bool,
    ) -> None:
        depth = len(placed)
        if depth == len(order):
            self._finish(placed)
            return
        name = order[depth]
        for option in self.options[name]:
            own = option.loss if separable else 0
            if self._too_bad(score + own + rest[depth + 1]):
                return
            for placement in _pinned(self.instance, name, option.placement, placed, self.by_cache):
                more = {**placed, name: placement}
                plan = Plan(more, tuple(_certain_copies(self.instance, more)))
                if _breaks(self.instance, plan, OF_TWO_VMS):
                    continue
                cost = evaluate(self.instance, plan)
                so_far = self.score_of(cost)
                if self._too_bad(so_far + rest[depth + 1]) or self._beyond(cost):
                    continue
                if _copies_fit(self.instance, plan):
                    self._extend(order, rest, more, so_far, separable)

    def _finish(self, placed: dict[str, Placement]) -> None:
        certain = tuple(_certain_copies(self.instance, placed))
        choices = [
            [SharedCopy(group.name, host, nodes) for nodes in _subsets(_ids(self.instance, host))]
            for group, host in _open_copies(self.instance, placed)
        ]
        for copies in product(*choices):
            plan = Plan(placed, certain + copies)
            cost = evaluate(self.instance, plan)
            score = self.score_of(cost)
            if self._too_bad(score) or self._beyond(cost) or violations(self.instance, plan):
                continue
            self.plan, self.score = plan, score

    def _too_bad(self, score: int) -> bool:
        return self.score is not None and score >= self.score

    def _beyond(self, cost: Cost) -> bool:
        between = between_of(self.instance, cost)
        return self.limit is not None and between is not None and between > self.limit


def _breaks(instance: Instance, plan: Plan, rules: Iterable[Rule]) -> bool:
    return any(True for rule in rules for _ in RULES[rule](instance, plan))


def _subsets(items: Iterable) -> Iterator[tuple]:
    items = list(items)
    return chain.from_iterable(combinations(items, size) for size in range(len(items) + 1))


def _ids(instance: Instance, host: str) -> list[int]:
    return [node.id for node in instance.host(host).nodes]


def _options(instance: Instance, vm: Vm) -> list[Option]:
    """Return every way to place `vm` alone, best first."""
    found: list[Option] = []
    for host in instance.hosts:
        for cells in _layouts(instance, vm, host):
            for devices in _devices(vm, host):
                placement = Placement(host.name, cells, devices)
                plan = Plan({vm.name: placement})
                if not _breaks(instance, plan, OF_ONE_VM):
                    terms = evaluate(instance, plan).terms
                    loss = sum(terms[term] for term in terms if term not in NOT_SEPARABLE)
                    found.append(Option(placement, loss))
    return sorted(found, key=lambda option: option.loss)


def _layouts(instance: Instance, vm: Vm, host: Host) -> Iterator[tuple[PlacedCell, ...]]:
    """Yield cells on nodes and their pages, for each shape; equal cells in one order only."""
    form = instance.form(vm.name)
    ids = [node.id for node in host.nodes]
    if vm.hard_nodes is not None:
        ids = [node for node in ids if node in vm.hard_nodes]
    for shape in form.shapes:
        sizes = shape.cells()
        for homes in permutations(ids, len(sizes)):
            pairs = list(zip(sizes, homes, strict=True))
            if any(a[0] == b[0] and a[1] > b[1] for a, b in pairwise(pairs)):
                continue
            choices = [_cell_pages(instance, vm, host, *pair) for pair in pairs]
            for cells in product(*choices):
                missing = sum(cell.nominal_mib - cell.total_mib for cell in cells)
                if missing <= vm.balloon_mib:
                    yield cells


def _cell_pages(
    instance: Instance, vm: Vm, host: Host, size: tuple[int, int], home: int
) -> list[PlacedCell]:
    """Return a cell of (vCPUs, blocks) on `home` with every distribution of its pages."""
    form = instance.form(vm.name)
    vcpus, blocks = size
    nodes = page_nodes(vm, host, home)
    if vm.memory_mode is MemoryMode.INTERLEAVE:
        spreads = [interleaved_blocks(nodes, blocks)]
    else:
        most = [host.nodes[host.position[n]].pool_mib(vm.page_size) for n in nodes]
        ranges = [range(min(blocks, mib // form.block_mib) + 1) for mib in most]
        spreads = [
            dict(zip(nodes, counts, strict=True))
            for counts in product(*ranges)
            if blocks - form.balloon_blocks <= sum(counts) <= blocks
        ]
    return [
        PlacedCell(
            home,
            vcpus,
            tuple((node, count * form.block_mib) for node, count in spread.items() if count),
            (),
            blocks * form.block_mib,
        )
        for spread in spreads
    ]


def _devices(vm: Vm, host: Host) -> Iterator[tuple[TakenDevice, ...]]:
    """Yield every way to answer the requests of `vm` with functions of the host's devices."""
    answers = [
        [
            tuple(
                TakenDevice(request.kind, device.address, count)
                for device, count in zip(able, counts, strict=True)
                if count
            )
            for able in [[device for device in host.devices if device.answers(request.kind)]]
            for counts in product(*(range(min(d.functions, request.count) + 1) for d in able))
            if sum(counts) == request.count
        ]
        for request in vm.devices
    ]
    for taken in product(*answers):
        yield tuple(chain.from_iterable(taken))


def _pinned(
    instance: Instance,
    name: str,
    placement: Placement,
    placed: dict[str, Placement],
    by_cache: bool,
) -> Iterator[Placement]:
    """Yield `placement` with pCPUs for a dedicated VM, interchangeable choices once."""
    if instance.vm(name).cpu_policy is CpuPolicy.SHARED:
        yield placement
        return
    holders: dict[int, str] = {}
    for other, there in sorted(placed.items()):
        for cell in there.cells if there.host == placement.host else ():
            for pcpu in cell.pcpus:
                holders[pcpu] = f"{holders.get(pcpu, '')} {other}"
    host = instance.host(placement.host)
    choices: list[list[PlacedCell]] = []
    for cell in placement.cells:
        threads = host.nodes[host.position[cell.node]].pcpus
        orbits: dict[tuple, PlacedCell] = {}
        for taken in combinations(threads, cell.vcpus):
            cores: dict[int, list[tuple]] = {}
            for pcpu in threads:
                cache = pcpu.llc if by_cache and pcpu.llc is not None else -1
                kind = (cache, holders.get(pcpu.id, ""), pcpu in taken)
                cores.setdefault(pcpu.core, []).append(kind)
            orbit = tuple(sorted(tuple(sorted(core)) for core in cores.values()))
            if orbit not in orbits:
                orbits[orbit] = replace(cell, pcpus=tuple(pcpu.id for pcpu in taken))
        choices.append(list(orbits.values()))
    for cells in product(*choices):
        yield replace(placement, cells=cells)


def _members_by_host(
    placed: dict[str, Placement] | Plan, group: SharingGroup
) -> dict[str, set[int]]:
    """Nodes of the placed members of `group`, by host."""
    placements = placed.placements if isinstance(placed, Plan) else placed
    nodes: dict[str, set[int]] = {}
    for name in group.vms:
        if name in placements:
            nodes.setdefault(placements[name].host, set()).update(placements[name].nodes)
    return nodes


def _certain_copies(instance: Instance, placed: dict[str, Placement]) -> Iterator[SharedCopy]:
    """Yield copies that groups without sharing across nodes need; more would not help them."""
    for group in instance.sharing:
        if not group.across_nodes:
            for host, nodes in sorted(_members_by_host(placed, group).items()):
                yield SharedCopy(group.name, host, tuple(sorted(nodes)))


def _open_copies(
    instance: Instance, placed: dict[str, Placement] | Plan
) -> list[tuple[SharingGroup, str]]:
    """Groups and hosts that need a copy on some node."""
    return [
        (group, host)
        for group in instance.sharing
        if group.across_nodes
        for host in sorted(_members_by_host(placed, group))
    ]


def _copies_fit(instance: Instance, plan: Plan) -> bool:
    """Tell whether each copy whose node is open fits at least somewhere."""
    return all(
        any(
            not _breaks(
                instance,
                Plan(plan.placements, (*plan.copies, SharedCopy(group.name, host, (node,)))),
                (Rule.MEMORY_CAPACITY,),
            )
            for node in _ids(instance, host)
        )
        for group, host in _open_copies(instance, plan)
    )
