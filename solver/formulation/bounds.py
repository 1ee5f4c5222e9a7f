"""Lower bounds on the loss that symmetry does not weaken: one partition problem per level.

In the space of "VM v is on node i", identical nodes make every VM spread evenly over them a
relaxed solution of loss 0. Here the question is which VMs share a node, whichever it is. Distances
are lowered to the largest hierarchy below them; a cooperating pair then pays a step for every level
whose clusters do not hold both VMs, and the best partitions of all levels, found one by one,
cost together at most what the best plan costs.

`numaplace.solver.formulation.node_sets` has the sets of VMs that the finest level is partitioned
into.

All terms of the loss are at least 0, so everything left out (terms, VMs that may stay unplaced or
be cut into cells, rules, instants) only lowers the bound.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from numaplace.models import rates
from numaplace.models.cores import threads_a_core
from numaplace.models.instance import Instance, Place
from numaplace.models.relations import Scope
from numaplace.models.units import MILLI, PageSize
from numaplace.models.vm import CpuPolicy, MemoryMode, Vm
from numaplace.solver.deadline import NEVER, Deadline
from numaplace.solver.formulation.tree import talk_distance, talk_tree

Crowds = tuple[tuple[int, int], ...]
"""Load in milli-vCPU and crowding of each item."""


@dataclass(frozen=True, slots=True)
class Item:
    """A VM of one cell that every plan places, with what it takes of a node at least."""

    name: str
    vcpus: int
    memory_mib: int  # small pages that must lie somewhere and are best on its own node
    strict: bool  # they can lie nowhere else
    remote_rate: float  # loss in micro-vCPU per MiB on the nearest other node, at least


@dataclass(frozen=True, slots=True)
class Tier:
    """Clusters of places, and what each cooperating pair pays if none of them holds both VMs."""

    vcpus: tuple[int, ...]  # that fit into each cluster
    steps: tuple[int, ...]  # price in micro-vCPU of each pair of `Relaxation.pairs`


@dataclass(frozen=True, slots=True)
class Relaxation:
    """What is left of an instance: items, pairs of items, tiers from the nodes upwards."""

    items: tuple[Item, ...]
    pairs: tuple[tuple[int, int], ...]  # cooperating ones, as indices of items
    rivals: tuple[tuple[int, int, int], ...]  # competing ones, micro-vCPU if they share a node
    tiers: tuple[Tier, ...]  # the first one has single nodes
    memory_mib: int  # small pages of the roomiest node that runs VMs
    contentions: tuple[tuple[rates.Contention, Crowds], ...]  # of the nodes, with all items there


def relax(instance: Instance, sure: Collection[str], until: Deadline = NEVER) -> Relaxation:
    """Work out the relaxation for plans that place all of `sure`; `OutOfTimeError` if late."""
    homes = [place for place in instance.places if place.node.threads]
    names = _fullest_instant(instance, frozenset(sure))
    vms = [vm for vm in instance.vms if vm.name in names]
    index = {vm.name: i for i, vm in enumerate(vms)}
    cooperations = [c for c in instance.cooperations if c.first in index and c.second in index]
    cooperations = [c for c in cooperations if c.scope is None]  # others lose nothing at least
    room = {place.index: _vcpu_room(place, vms) for place in homes}
    heights = _heights(instance, homes, until)
    tiers: list[Tier] = []
    below = [0] * len(cooperations)
    for height, clusters in heights:
        prices = [rates.distance_loss(pair.weight, height) for pair in cooperations]
        steps = tuple(high - low for high, low in zip(prices, below, strict=True))
        tiers.append(Tier(tuple(sum(room[i] for i in cluster) for cluster in clusters), steps))
        below = prices
    return Relaxation(
        tuple(_item(instance, vm, homes) for vm in until.each(vms)),
        tuple((index[c.first], index[c.second]) for c in cooperations),
        tuple(
            (index[c.first], index[c.second], rates.competition_price(c))
            for c in instance.competitions
            if c.scope == Scope.NODE and c.first in index and c.second in index
        ),
        tuple(tiers),
        max((place.node.pool_mib(PageSize.SMALL) for place in homes), default=0),
        _contentions(homes, vms),
    )


def _contentions(homes: list[Place], vms: list[Vm]) -> tuple[tuple[rates.Contention, Crowds], ...]:
    """Return the curve of each kind of node, and what the VMs are to it."""
    kinds: dict[tuple[rates.Contention, float, int], Place] = {}
    for place in homes:
        key = (rates.contention(place), place.host.smt_yield, threads_a_core(place.node))
        kinds.setdefault(key, place)
    return tuple(
        (curve, tuple(rates.crowd(vm, vm.vcpus, place) for vm in vms))
        for (curve, _, _), place in kinds.items()
    )


def _fullest_instant(instance: Instance, sure: frozenset[str]) -> frozenset[str]:
    """Return the single-cell VMs of `sure` at the instant with most vCPUs."""
    whole = frozenset(name for name in sure if instance.form(name).max_cells == 1)
    return max(
        (alive & whole for alive in instance.instants),
        key=lambda names: sum(instance.vm(name).vcpus for name in names),
        default=frozenset(),
    )


def _vcpu_room(place: Place, vms: list[Vm]) -> int:
    """Upper limit of vCPUs on a node; beyond pCPUs only if shared vCPUs may be overcommitted."""
    ratio = place.host.ratio_milli
    if any(vm.cpu_policy is CpuPolicy.DEDICATED for vm in vms):
        ratio = max(ratio, MILLI)
    return ratio * place.node.threads // MILLI


def _item(instance: Instance, vm: Vm, homes: list[Place]) -> Item:
    form = instance.form(vm.name)
    near_home = vm.memory_mode is not MemoryMode.INTERLEAVE and vm.memory_nodes is None
    if not near_home or vm.page_size is not PageSize.SMALL:
        return Item(vm.name, vm.vcpus, 0, False, 0.0)
    own_mib = form.own_mib
    remote = [
        rates.memory_rate(instance, vm, vm.vcpus, own_mib, home, at) / form.block_mib
        for home in homes
        for at in instance.host_places[home.host_index]
        if at.index != home.index
    ]
    balloon = rates.balloon_rate(instance, vm) / form.block_mib
    rate = min([*remote, balloon] if form.balloon_blocks else remote, default=0.0)
    strict = vm.memory_mode is MemoryMode.STRICT
    least_mib = own_mib - vm.balloon_mib if strict else own_mib
    return Item(vm.name, vm.vcpus, least_mib, strict, 0.0 if strict else rate)


def _heights(
    instance: Instance, homes: list[Place], until: Deadline
) -> list[tuple[float, tuple[frozenset[int], ...]]]:
    """Return each level of the tree of distances, and its clusters; the first are single nodes."""
    found = [
        (talk_distance(instance, *level.pair), level.clusters)
        for level in talk_tree(instance, until).levels
    ]
    if not found or len(found[0][1]) < len(homes):
        found.insert(0, (1.0, tuple(frozenset({place.index}) for place in homes)))
    return found
