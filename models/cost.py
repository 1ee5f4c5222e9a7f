"""The cost of a plan, term by term, in exact integers: the one definition of the objective.

Nothing here knows a solver. A plan that breaks rules has a cost as well, as long as it names only
things that exist.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import TypeVar

from numaplace.models import rates
from numaplace.models.cores import node_llcs
from numaplace.models.instance import Instance, Place
from numaplace.models.locality import domain_of, is_local
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.relations import Competition, Cooperation, Scope
from numaplace.models.units import ceil_div, to_vcpus
from numaplace.models.vm import CpuPolicy, ThreadPolicy, Vm


class Term(StrEnum):
    """Terms of the loss."""

    REMOTE_MEMORY = "remote_memory"
    SPLIT_GUEST = "split_guest"
    PAGE_SHARING = "page_sharing"
    NODE_AFFINITY = "node_affinity"
    DEVICE = "device"
    COOPERATION = "cooperation"
    COMPETITION = "competition"
    CPU_CONTENTION = "cpu_contention"
    BANDWIDTH_CONTENTION = "bandwidth_contention"
    BALLOONING = "ballooning"
    MIGRATION = "migration"


@dataclass(frozen=True, slots=True)
class CostItem:
    """Loss in micro-vCPU that one subject (a VM, a pair, a node) has by one term."""

    term: Term
    subject: str
    micro: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Value and loss of a plan."""

    value_milli: int  # of the VMs placed, in thousandths
    hosts_used: int  # that run a VM
    imbalance_permille: int  # CPU load of the fullest host, in thousandths of its threads
    items: tuple[CostItem, ...]  # every loss above zero

    @property
    def terms(self) -> dict[Term, int]:
        """Loss in micro-vCPU by term, all terms in order."""
        sums = dict.fromkeys(Term, 0)
        for item in self.items:
            sums[item.term] += item.micro
        return sums

    @property
    def loss_micro(self) -> int:
        """Loss of the whole plan in micro-vCPU."""
        return sum(item.micro for item in self.items)

    @property
    def loss_vcpus(self) -> float:
        """Loss of the whole plan in vCPUs."""
        return to_vcpus(self.loss_micro)


Located = list[tuple[Vm, Placement, list[tuple[Place, PlacedCell]]]]
Items = Iterator[tuple[str, int]]
Where = tuple[Vm, list[tuple[Place, PlacedCell]]]
Pair = TypeVar("Pair", Cooperation, Competition)


def evaluate(instance: Instance, plan: Plan) -> Cost:
    """Work out the cost of `plan`.

    Raises
    ------
    KeyError
        If the plan names a VM, host, node or device that does not exist (the verifier's first
        rule tells in words).
    """
    located = _locate(instance, plan)
    items = [
        CostItem(term, subject, micro)
        for term, function in TERMS.items()
        for subject, micro in function(instance, plan, located)
        if micro
    ]
    value = sum(instance.value_milli(vm) for vm, _, _ in located)
    hosts = {placement.host for _, placement, _ in located}
    return Cost(value, len(hosts), _imbalance_permille(instance, located), tuple(items))


def _locate(instance: Instance, plan: Plan) -> Located:
    located: Located = []
    for name, placement in plan.placements.items():
        cells = [(instance.place_of[placement.host, c.node], c) for c in placement.cells]
        located.append((instance.vm(name), placement, cells))
    located.sort(key=lambda entry: instance.vm_index[entry[0].name])
    return located


def _imbalance_permille(instance: Instance, located: Located) -> int:
    parts = [
        (vm.name, place.host_index, rates.load_milli(vm, cell.vcpus))
        for vm, _, cells in located
        for place, cell in cells
    ]
    threads = [max(1, host.threads) for host in instance.hosts]
    return max((ceil_div(milli, threads[h]) for h, milli in _worst(instance, parts)), default=0)


def _worst(instance: Instance, parts: list[tuple[str, int, int]]) -> list[tuple[int, int]]:
    """Indices, ascending, and the most that VMs add up to there at an instant.

    A part is the name of a VM, an index, and an amount.
    """
    worst: dict[int, int] = defaultdict(int)
    for alive in instance.instants:
        sums: dict[int, int] = defaultdict(int)
        for name, index, amount in parts:
            if name in alive:
                sums[index] += amount
        for index, amount in sums.items():
            worst[index] = max(worst[index], amount)
    return sorted(worst.items())


def remote_memory(instance: Instance, plan: Plan, located: Located) -> Items:
    """Own pages of a cell on other nodes than its vCPUs."""
    for vm, placement, cells in located:
        block_mib = instance.form(vm.name).block_mib
        loss = 0
        for home, cell in cells:
            for node, mib in cell.memory_mib:
                at = instance.place_of[placement.host, node]
                rate = rates.memory_rate(instance, vm, cell.vcpus, cell.nominal_mib, home, at)
                loss += (rate * mib + block_mib // 2) // block_mib
        yield vm.name, loss


def split_guest(instance: Instance, plan: Plan, located: Located) -> Items:
    """Accesses between the cells of one VM."""
    for vm, _, cells in located:
        loss = 0
        for (at_a, a), (at_b, b) in combinations(cells, 2):
            sizes = (a.vcpus, a.nominal_mib), (b.vcpus, b.nominal_mib)
            loss += rates.split_rate(instance, vm, *sizes, at_a, at_b)
        yield vm.name, loss


def page_sharing(instance: Instance, plan: Plan, located: Located) -> Items:
    """Reads of a sharing group's pages on the nearest copy."""
    copies = {(copy.group, copy.host): copy.nodes for copy in plan.copies}
    for vm, placement, cells in located:
        group = instance.group_of.get(vm.name)
        nodes = copies.get((group.name, placement.host)) if group else None
        if nodes:
            places = [instance.place_of[placement.host, node] for node in nodes]
            yield (
                vm.name,
                sum(
                    min(rates.sharing_rate(instance, vm, cell.vcpus, home, at) for at in places)
                    for home, cell in cells
                ),
            )


def node_affinity(instance: Instance, plan: Plan, located: Located) -> Items:
    """Run vCPUs outside the soft set."""
    for vm, _, cells in located:
        if vm.soft_nodes is not None:
            yield vm.name, sum(rates.affinity_rate(vm, c.vcpus, c.node) for _, c in cells)


def device(instance: Instance, plan: Plan, located: Located) -> Items:
    """Reach each device function from the nearest cell that satisfies its policy."""
    for vm, placement, cells in located:
        if not placement.devices:
            continue
        requests = {request.kind: request for request in vm.devices}
        devices = {dev.address: dev for dev in instance.host(placement.host).devices}
        loss = 0
        for taken in placement.devices:
            request = requests.get(taken.request)
            if request is not None:
                found = devices[taken.address]
                homes = [home for home, _ in cells]
                able = [home for home in homes if is_local(found, request.policy, home)]
                near = [rates.device_rate(instance, request, h, found) for h in able or homes]
                loss += min(near) * taken.functions
        yield vm.name, loss


def cooperation(instance: Instance, plan: Plan, located: Located) -> Items:
    """Distance between VMs that talk, while both exist."""
    for pair, first, second in _met(instance.cooperations, located):
        if pair.scope is None:
            loss = sum(
                rates.cooperation_rate(instance, pair, (a.vcpus, b.vcpus), (at_a, at_b))
                for at_a, a in first[1]
                for at_b, b in second[1]
            )
        else:
            meet = _domains(*first, pair.scope) & _domains(*second, pair.scope)
            loss = 0 if meet else rates.parted_price(pair)
        yield f"{pair.first} - {pair.second}", loss


def competition(instance: Instance, plan: Plan, located: Located) -> Items:
    """VMs that meet where they get in each other's way."""
    for pair, a, b in _met(instance.competitions, located):
        if _domains(*a, pair.scope) & _domains(*b, pair.scope):
            yield f"{pair.first} - {pair.second}", rates.competition_price(pair)


def _met(pairs: Iterable[Pair], located: Located) -> Iterator[tuple[Pair, Where, Where]]:
    """Pairs of VMs that are placed and exist at the same time, with where each is."""
    where = {vm.name: (vm, cells) for vm, _, cells in located}
    for pair in pairs:
        a, b = where.get(pair.first), where.get(pair.second)
        if a is not None and b is not None and a[0].overlaps(b[0]):
            yield pair, a, b


def _domains(
    vm: Vm, cells: list[tuple[Place, PlacedCell]], scope: str
) -> frozenset[tuple[str, int]]:
    """Labels, hosts, nodes or caches a VM uses; a node of unknown caches is one domain.

    Caches count from 0 within a host, nodes of unknown caches as -1 - position.
    """
    if scope == Scope.NODE:
        return frozenset((place.host.name, place.position) for place, _ in cells)
    if scope != Scope.LLC:
        return frozenset(domain_of(place.host, scope) for place, _ in cells)
    used: set[tuple[str, int]] = set()
    for place, cell in cells:
        llcs = node_llcs(place.node)
        if llcs and vm.cpu_policy is CpuPolicy.DEDICATED and cell.pcpus:
            held = set(cell.pcpus)
            llcs = frozenset(p.llc for p in place.node.pcpus if p.id in held and p.llc is not None)
        domains = llcs or {-1 - place.position}
        used |= {(place.host.name, domain) for domain in domains}
    return frozenset(used)


def cpu_contention(instance: Instance, plan: Plan, located: Located) -> Items:
    """Load of a node beyond its cores, or what its pins share of cores, at the worst instant.

    A VM that requires whole cores loses by its own siblings besides, whatever else is there.
    """
    worst: dict[int, int] = defaultdict(int)
    for alive in instance.instants:
        load: dict[int, Counter[int]] = defaultdict(Counter)
        held: dict[int, dict[int, int]] = defaultdict(dict)
        for vm, _, cells in located:
            if vm.name in alive:
                for place, cell in cells:
                    milli, crowding = rates.crowd(vm, cell.vcpus, place)
                    load[place.index][crowding] += milli
                    if vm.thread_policy is ThreadPolicy.PREFER:
                        held[place.index].update(dict.fromkeys(cell.pcpus, crowding))
        for index, parts in load.items():
            place = instance.places[index]
            crowded = rates.contention(place).loss(parts)
            pinned = rates.pinned_loss(place.node, held[index])
            worst[index] = max(worst[index], crowded, pinned)
    for index in sorted(worst):
        yield str(instance.places[index]), worst[index]
    for vm, _, cells in located:
        yield vm.name, sum(rates.siblings_loss(vm, cell.vcpus, place) for place, cell in cells)


def bandwidth_contention(instance: Instance, plan: Plan, located: Located) -> Items:
    """Bandwidth demanded of a node's memory beyond what it has, at the worst instant."""
    parts: list[tuple[str, int, int]] = []
    for vm, placement, _ in located:
        if vm.bandwidth_mbps:
            block_mib = instance.form(vm.name).block_mib
            per_block = rates.demand_per_block(instance, vm)
            for node, mib in placement.memory_by_node().items():
                index = instance.place_of[placement.host, node].index
                parts.append((vm.name, index, per_block * mib // block_mib))
    for index, milli in _worst(instance, parts):
        place = instance.places[index]
        yield str(place), rates.bandwidth_loss(instance, place, milli)


def ballooning(instance: Instance, plan: Plan, located: Located) -> Items:
    """Memory taken away."""
    for vm, _, cells in located:
        block_mib = instance.form(vm.name).block_mib
        taken_mib = sum(cell.nominal_mib - cell.total_mib for _, cell in cells)
        if taken_mib:
            yield vm.name, ceil_div(rates.balloon_rate(instance, vm) * taken_mib, block_mib)


def migration(instance: Instance, plan: Plan, located: Located) -> Items:
    """Memory that must be copied from where it is now."""
    if instance.current is None:
        return
    for vm, placement, _ in located:
        old = instance.current.placements.get(vm.name)
        if old is None:
            continue
        local, network = rates.move_rates_nano(instance, vm)
        rate = local if old.host == placement.host else network
        nano = rate * placement.copied_mib(old)
        yield vm.name, rates.moved_loss(nano)


TERMS: dict[Term, Callable[[Instance, Plan, Located], Items]] = {
    Term(loss.__name__): loss
    for loss in (
        *(remote_memory, split_guest, page_sharing, node_affinity, device),
        *(cooperation, competition, cpu_contention, bandwidth_contention, ballooning, migration),
    )
}

ALL = frozenset(Term)

MUTUAL = frozenset({Term.PAGE_SHARING, Term.COOPERATION, Term.COMPETITION})
SUMMED = frozenset({Term.CPU_CONTENTION, Term.BANDWIDTH_CONTENTION})
OWN = ALL - MUTUAL - SUMMED
"""Terms of a VM that no other VM changes; those of VMs with each other, and of all on a node."""

UNSEEN = frozenset({Term.NODE_AFFINITY, Term.MIGRATION})
"""Terms that a simulation of the plan cannot show: a wish, and what is over once it is made."""

DISTURBING = frozenset({Term.MIGRATION, Term.BALLOONING})
"""Terms by which VMs that run give way."""
