"""Small random valid instances that between them use every feature of the models.

One generator (`build_instance`) asks a source of choices for whole numbers; hypothesis is one
source (`instances`), a seeded `random.Random` another (`random_small_instance`). Blocks are chosen
so large that each VM has one to four of them: a brute force can enumerate the plans, whose number
`plans_at_most` bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb, perm, prod

from hypothesis import strategies as st

from numaplace.models.instance import Between, Instance
from numaplace.models.plan import PlacedCell, Placement, Plan, SharedCopy, TakenDevice
from numaplace.models.prices import Prices
from numaplace.models.relations import (
    Apart,
    Competition,
    Cooperation,
    Scope,
    SharingGroup,
    Together,
)
from numaplace.models.topology import Host
from numaplace.models.units import PageSize
from numaplace.models.vm import MemoryMode, Vm
from numaplace.tests.choices import Choices, DrawnChoices, SeededChoices, chance, of, some
from numaplace.tests.random_hosts import UNIT_MIB, random_host
from numaplace.tests.random_vms import WEIGHTS, random_vm, with_odd_memory

OF_HOSTS = (
    "bandwidth bare devices distances gaps labels latency llc network overcommit pages reserved smt"
)
OF_VMS = (
    "allowed_hosts automatic balloon dedicated explicit hard memory_nodes modes odd required soft "
    "split times utilisation values"
)
OF_INSTANCES = "apart between competition cooperation current prices sharing together"
FEATURES = frozenset(f"{OF_HOSTS} {OF_VMS} {OF_INSTANCES}".split())
"""Names for `features`; without any, hosts and VMs are plain and memory is strict."""


@dataclass(frozen=True)
class Limits:
    """Sizes of an instance; `max_plans` bounds `plans_at_most` (one VM is always kept)."""

    max_hosts: int = 2
    max_nodes: int = 3
    max_vms: int = 4
    max_blocks: int = 4
    max_plans: int = 20_000
    features: frozenset[str] = FEATURES

    def __post_init__(self) -> None:
        unknown = self.features - FEATURES
        assert not unknown, f"unknown features: {sorted(unknown)}"


@st.composite
def instances(
    draw: st.DrawFn,
    max_hosts: int = 2,
    max_nodes: int = 3,
    max_vms: int = 4,
    max_blocks: int = 4,
    max_plans: int = 20_000,
    features: frozenset[str] = FEATURES,
) -> Instance:
    """Small valid instances; `max_nodes` is per host, `features` a subset of `FEATURES`."""
    limits = Limits(max_hosts, max_nodes, max_vms, max_blocks, max_plans, features)
    return build_instance(DrawnChoices(draw), limits)


def random_small_instance(
    seed: int,
    max_hosts: int = 2,
    max_nodes: int = 3,
    max_vms: int = 4,
    max_blocks: int = 4,
    max_plans: int = 20_000,
    features: frozenset[str] = FEATURES,
) -> Instance:
    """Return the small random valid instance of that seed."""
    limits = Limits(max_hosts, max_nodes, max_vms, max_blocks, max_plans, features)
    return build_instance(SeededChoices(seed), limits)


def build_instance(c: Choices, limits: Limits) -> Instance:
    """Build an instance out of choices."""
    features = limits.features
    num_hosts = c.integer(1, limits.max_hosts)
    hosts = tuple(random_host(c, f"h{h}", limits.max_nodes, features) for h in range(num_hosts))
    num_vms = max(c.integer(1, limits.max_vms), c.integer(1, limits.max_vms))
    vms = [random_vm(c, f"v{v}", hosts, limits.max_blocks, features) for v in range(num_vms)]

    def too_many(vms: Sequence[Vm], sharing: tuple[SharingGroup, ...]) -> bool:
        return plans_at_most(Instance(hosts, tuple(vms), sharing=sharing)) > limits.max_plans

    while len(vms) > 1 and too_many(vms, ()):
        vms.pop()
    larger, sharing = _sharing(c, vms, features)
    if not too_many(larger, sharing):
        vms = larger
    else:
        sharing = ()
    instance = Instance(
        hosts=hosts,
        vms=tuple(vms),
        cooperations=tuple(
            Cooperation(first, second, of(c, WEIGHTS))
            for first, second in _pairs(c, vms, "cooperation" in features)
        ),
        competitions=tuple(
            Competition(first, second, of(c, WEIGHTS), of(c, tuple(Scope)))
            for first, second in _pairs(c, vms, "competition" in features)
        ),
        togethers=tuple(
            Together(names, of(c, (Scope.NODE, Scope.HOST)))
            for names in _group(c, vms, 10 * ("together" in features))
        ),
        aparts=tuple(
            Apart(names, of(c, (Scope.NODE, Scope.HOST)))
            for names in _group(c, vms, 15 * ("apart" in features))
        ),
        sharing=sharing,
        prices=_prices(c) if "prices" in features else Prices(),
        between=of(c, tuple(Between)) if "between" in features else Between.NOTHING,
        current=_current(c, Instance(hosts, tuple(vms), sharing=sharing))
        if chance(c, 30 * ("current" in features))
        else None,
    )
    if "odd" in features:
        odd = [with_odd_memory(c, vm, instance.form(vm.name).blocks) for vm in instance.vms]
        instance = replace(instance, vms=tuple(odd))
    return _labelled(c, instance) if chance(c, 50 * ("labels" in features)) else instance


def plans_at_most(instance: Instance) -> int:
    """Bound the number of plans: ways to put each VM and each copy, capacity not looked at.

    Which pCPUs a dedicated VM holds is not counted.
    """
    ways = [1 + _ways(instance, vm) for vm in instance.vms]
    copies = [sum(2 ** len(host.nodes) for host in instance.hosts) for _ in instance.sharing]
    return prod(ways) * prod(copies)


def _ways(instance: Instance, vm: Vm) -> int:
    form = instance.form(vm.name)
    total = 0
    for host in instance.allowed_hosts(vm):
        size = len(host.nodes)
        free = vm.memory_mode is MemoryMode.PREFERRED or vm.memory_nodes is not None
        for shape in form.shapes:
            cells = shape.cells()
            spread = prod(
                comb(blocks + size, size) if free else 1 + form.balloon_blocks
                for _, blocks in cells
            )
            devices = prod(
                max(1, sum(d.answers(request.kind) for d in host.devices)) ** request.count
                for request in vm.devices
            )
            total += perm(size, len(cells)) * spread * devices
    return total


def _pairs(c: Choices, vms: Sequence[Vm], wanted: bool) -> list[tuple[str, str]]:
    names = [vm.name for vm in vms]
    pairs = [(a, b) for a in names for b in names if a != b]
    return [pair for pair in pairs if chance(c, 25 * wanted)]


def _group(c: Choices, vms: Sequence[Vm], percent: int) -> list[tuple[str, ...]]:
    names = [vm.name for vm in vms]
    if len(names) < 2 or not chance(c, percent):
        return []
    chosen = some(c, names) | {names[0]}
    return [tuple(sorted(chosen))] if len(chosen) > 1 else [(names[0], names[1])]


def _labelled(c: Choices, instance: Instance) -> Instance:
    """Put hosts into racks, and relations of whole hosts (and some others) into their scope."""
    numbers = range(len(instance.hosts))
    labels = [{"rack": of(c, "xy")} if n == 0 or chance(c, 60) else {} for n in numbers]

    def scope(of_now: str) -> str:
        return "rack" if of_now == Scope.HOST or chance(c, 30) else of_now

    return replace(
        instance,
        hosts=tuple(
            replace(h, labels=told) for h, told in zip(instance.hosts, labels, strict=True)
        ),
        cooperations=tuple(
            replace(p, scope=of(c, ("rack", "host"))) if chance(c, 50) else p
            for p in instance.cooperations
        ),
        competitions=tuple(replace(p, scope=scope(p.scope)) for p in instance.competitions),
        togethers=tuple(replace(g, scope=scope(g.scope)) for g in instance.togethers),
        aparts=tuple(
            replace(g, scope=scope(g.scope), domains=_domains(c, g.vms)) for g in instance.aparts
        ),
    )


def _domains(c: Choices, names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Of VMs apart, some in one or two domains."""
    sets: tuple[list[str], ...] = ([], [], [])
    for name in names:
        sets[c.integer(0, 2)].append(name)
    return tuple(map(tuple, filter(None, sets[:2])))


def _sharing(
    c: Choices, vms: list[Vm], features: frozenset[str]
) -> tuple[list[Vm], tuple[SharingGroup, ...]]:
    """Choose a sharing group and give its members the memory in common on top of their own."""
    able = [vm for vm in vms if vm.page_size is PageSize.SMALL and not vm.cells]
    groups = _group(c, able, 40 * ("sharing" in features))
    if not groups:
        return vms, ()
    shared = c.integer(1, 2) * UNIT_MIB
    across = chance(c, 65)
    larger = [_grown(vm, shared) if vm.name in groups[0] else vm for vm in vms]
    return larger, (SharingGroup("g0", groups[0], shared, across),)


def _grown(vm: Vm, mib: int) -> Vm:
    least = None if vm.memory_min_mib is None else vm.memory_min_mib + mib
    return replace(vm, memory_mib=vm.memory_mib + mib, memory_min_mib=least)


def _prices(c: Choices) -> Prices:
    return Prices(
        balloon_pressure=of(c, (0.5, 0.1, 2.0)),
        vcpus_per_mbps=of(c, (0.0002, 0.001, 0.0)),
        copy_mib_per_s=of(c, (1000.0, 250.0)),
        network_mib_per_s=of(c, (1000.0, 100.0)),
        slowed_share=of(c, (0.5, 1.0, 0.0)),
        horizon_s=of(c, (3600.0, 60.0, 5.0)),
    )


def _current(c: Choices, instance: Instance) -> Plan:
    """Return a plan whose cells have a shape of their VM, but which may break any capacity."""
    placements = {}
    for vm in instance.vms:
        if chance(c, 70):
            host = of(c, instance.allowed_hosts(vm))
            placement = _placement(c, instance, vm, host)
            placements[vm.name] = _resized(c, placement) if chance(c, 30) else placement
    copies = [
        SharedCopy(group.name, host, tuple(sorted({n for p in there for n in p.nodes})))
        for group in instance.sharing
        for host in sorted({placements[v].host for v in group.vms if v in placements})
        for there in [[placements[v] for v in group.vms if v in placements]]
        if all(p.host == host for p in there)
    ]
    return Plan(placements, tuple(copies))


def _resized(c: Choices, placement: Placement) -> Placement:
    """Return what a VM had when it was larger or smaller, in any part of a block."""
    share, more = of(c, (50, 75, 130, 200)), of(c, (0, 1, -1))
    cells = tuple(
        replace(
            cell,
            vcpus=max(1, cell.vcpus + more),
            memory_mib=tuple((node, mib * share // 100) for node, mib in cell.memory_mib),
            size_mib=None,
        )
        for cell in placement.cells
    )
    return replace(placement, cells=cells)


def _placement(c: Choices, instance: Instance, vm: Vm, host: Host) -> Placement:
    form = instance.form(vm.name)
    ids = [node.id for node in host.nodes]
    homes = list(ids)
    shapes = [shape for shape in form.shapes if shape.num_cells <= len(ids)] or form.shapes[:1]
    away = vm.memory_mode is MemoryMode.PREFERRED
    cells = []
    for vcpus, blocks in of(c, shapes).cells():
        home = of(c, homes or ids)
        homes = [node for node in homes if node != home]
        memory: dict[int, int] = {}
        taken_away = c.integer(0, min(blocks, form.balloon_blocks))
        for _ in range(blocks - taken_away):
            node = of(c, ids) if away and chance(c, 30) else home
            memory[node] = memory.get(node, 0) + form.block_mib
        size_mib = blocks * form.block_mib if taken_away else None
        cells.append(PlacedCell(home, vcpus, tuple(sorted(memory.items())), (), size_mib))
    taken = [
        TakenDevice(request.kind, device.address, request.count)
        for request in vm.devices
        for device in host.devices
        if device.answers(request.kind) and device.functions >= request.count
    ]
    return Placement(host.name, tuple(cells), tuple(taken[:1]))
