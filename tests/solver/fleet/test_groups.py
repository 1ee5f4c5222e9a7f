"""Fleets of groups by tables: the bound is one, plans are valid, and most small ones are proven."""

import random
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest

from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.relations import Apart, Competition, Cooperation
from numaplace.models.result import SolveStatus
from numaplace.models.verify import violations
from numaplace.models.vm import CpuPolicy, Vm
from numaplace.solver.deadline import NEVER, Deadline
from numaplace.solver.fleet.group_solve import solve_groups
from numaplace.solver.fleet.groups import fleet_of
from numaplace.solver.fleet.tables import HostTable, TableItem
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.tests.builders import make_host

QUIET = SolveParams(time_limit_s=30, workers=1, explain=False)


def small_fleet(seed: int, *, alike: bool) -> Instance:
    """Return two or three hosts with up to nine VMs in groups; if `alike`, all as busy."""
    rng = random.Random(seed)
    nodes, threads, cores = rng.choice((1, 2, 2)), rng.choice((1, 2)), rng.choice((2, 3))
    first = make_host("a", nodes, threads=threads, cores=cores, distance=rng.choice((12.0, 21.0)))
    hosts = [replace(first, name=name) for name in "abc"[: rng.choice((2, 2, 3))]]
    if rng.random() < 0.3:
        hosts[1] = make_host("b", 2, threads=1, cores=rng.choice((2, 4)))
    busy, waits = ((1.0,), (0.3,)) if alike else ((0.7, 1.0), (0.0, 0.6))
    vms, talks, size = [], [], rng.choice((2, 3))
    for group in range(rng.choice((1, 2, 3))):
        names = [f"vm{group}-{k}" for k in range(size)]
        for name in names:
            load, vcpus = (rng.choice(busy), rng.choice(waits)), rng.choice((1, 1, 2, 3))
            vms.append(Vm(name, vcpus, 64 * vcpus, utilisation=load[0], memory_intensity=load[1]))
        scope = rng.choice((None, None, None, "host"))
        weights = 0.01, 0.2, 1.0
        talks += [Cooperation(a, b, rng.choice(weights), scope) for a, b in pairwise(names)]
    pairs = {tuple(rng.sample([vm.name for vm in vms], 2)) for _ in range(rng.choice((0, 1, 2)))}
    scopes = "node", "host", "llc"
    rivals = tuple(Competition(a, b, 0.3, rng.choice(scopes)) for a, b in sorted(pairs))
    return Instance(tuple(hosts), tuple(vms), tuple(talks), rivals)


@pytest.mark.parametrize(("alike", "least"), [(True, 0.8), (False, 0.2)])
def test_bound_is_below_and_plan_above_the_optimum(alike: bool, least: float) -> None:
    proven = tried = 0
    for seed in range(40):
        instance = small_fleet(seed, alike=alike)
        fleet, best = fleet_of(instance, NEVER), solve(instance, "cpsat", QUIET)
        assert best.status is SolveStatus.OPTIMAL
        assert best.cost is not None
        if fleet is None or best.cost.value_milli < instance.total_value_milli:
            continue  # a VM wider than a node has two cells
        found = solve_groups(fleet, Deadline.after(30.0), rounds=6)
        assert found is not None
        assert violations(instance, found.plan) == []
        assert len(found.plan) == len(instance.vms), seed
        lost = evaluate(instance, found.plan).loss_micro
        assert found.bound <= best.cost.loss_micro <= lost, seed
        tried, proven = tried + 1, proven + (lost == found.bound)
    assert tried >= 15
    assert proven >= least * tried


@pytest.mark.parametrize("seed", range(60))
def test_a_table_is_what_enumeration_finds(seed: int) -> None:
    rng = random.Random(seed)
    sizes = rng.randint(1, 6), rng.randint(0, 6)
    items = []
    for _ in range(rng.randint(1, 4)):
        takes = {(rng.randint(0, sizes[0]), rng.randint(0, sizes[1])) for _ in range(4)} - {(0, 0)}
        options = ((a, b, -rng.randint(1, 50), n) for n, (a, b) in enumerate(sorted(takes)))
        items.append(TableItem(tuple(options)))
    ends = [np.cumsum([0, *(rng.randint(0, 9) for _ in range(size))]) for size in sizes]
    end = (ends[0][:, None] + ends[1][None, :]).astype(np.int64)
    weights = {}
    for chosen in product(*[[None, *item.options] for item in items]):
        a, b = (sum(option[node] for option in chosen if option) for node in (0, 1))
        if a <= sizes[0] and b <= sizes[1]:
            key = tuple((g, option[3]) for g, option in enumerate(chosen) if option)
            weights[key] = sum(option[2] for option in chosen if option) + int(end[a, b])
    table = HostTable(items, end, NEVER)
    assert table.least == min(weights.values())
    wanted = [g for g, item in enumerate(items) if item.options]
    found = dict(zip(wanted, table.through_each(wanted, NEVER), strict=True))
    for g, (weight, chosen) in found.items():
        assert weight == min(w for key, w in weights.items() if g in dict(key))
        assert weights[tuple(sorted(chosen))] == weight
        assert g in dict(chosen)


def test_what_has_more_to_it_is_no_fleet_of_groups() -> None:
    instance = small_fleet(0, alike=True)
    vm, other = instance.vms[:2]

    def with_first(**changes: object) -> Instance:
        vms = (replace(vm, **changes), *instance.vms[1:])  # type: ignore[arg-type]
        return replace(instance, vms=vms)

    assert fleet_of(instance, NEVER) is not None
    for changed in (
        with_first(cpu_policy=CpuPolicy.DEDICATED),
        with_first(memory_mib=4096),
        with_first(start=1),
        with_first(hard_nodes=frozenset({0})),
        replace(instance, aparts=(Apart((vm.name, other.name)),)),
        replace(instance, cooperations=(), competitions=()),
    ):
        assert fleet_of(changed, NEVER) is None


def test_equal_groups_change_places_to_avoid_a_rival() -> None:
    """Of two kinds with two groups each, no rivals share a node though tables know no names."""
    hosts = tuple(make_host(name, 1, cores=4) for name in "ab")
    vms = tuple(Vm(f"{kind}{n}{k}", 1, 64) for kind in "xy" for n in (0, 1) for k in (0, 1))
    vms += (Vm("z", 1, 64, utilisation=0.5),)
    talks = tuple(Cooperation(f"{kind}{n}0", f"{kind}{n}1", 1.0) for kind in "xy" for n in (0, 1))
    hosts = (*hosts, make_host("c", 1, cores=1))
    for rival in ("y00", "y10"):
        instance = Instance(hosts, vms, talks, (Competition("x00", rival, 0.5),))
        result = solve(instance, "patterns", QUIET)
        assert result.status is SolveStatus.OPTIMAL
        assert result.cost is not None
        assert result.cost.loss_micro == 0


def test_a_stopped_solve_hands_over_what_it_has() -> None:
    fleet = fleet_of(small_fleet(1, alike=True), NEVER)
    assert fleet is not None
    assert solve_groups(fleet, Deadline.after(30.0, lambda: True)) is None
    late = replace(QUIET, deadline=Deadline.after(0.0))
    result = solve(small_fleet(1, alike=True), "patterns", late)
    assert result.status in (SolveStatus.FEASIBLE, SolveStatus.OPTIMAL)
