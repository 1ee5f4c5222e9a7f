"""The bound is never above the best loss, and it is no weaker than it should be."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from numaplace.models.instance import Instance
from numaplace.models.relations import Competition, Cooperation
from numaplace.models.topology import Host
from numaplace.models.vm import MemoryMode, Vm
from numaplace.solver.formulation.bounds import relax
from numaplace.solver.formulation.node_sets import (
    SetCosts,
    certified_bound,
    list_columns,
    promising_sets,
)
from numaplace.tests.builders import make_host, make_node

SIZES = (3, 2, 2, 2, 1, 1)


def _two_sockets() -> Host:
    """Four nodes of 3 cores, two a socket, distances 10, 12 and 32."""
    slit = tuple(
        tuple(10.0 if a == b else 12.0 if a // 2 == b // 2 else 32.0 for b in range(4))
        for a in range(4)
    )
    return Host("host", tuple(make_node(n, cores=3, socket=n // 2) for n in range(4)), slit)


def random_pairs(seed: int) -> Instance:
    """Six VMs, hard to pack, with random pairs."""
    rng = np.random.default_rng(seed)
    vms = tuple(Vm(f"vm{i}", vcpus, 256) for i, vcpus in enumerate(SIZES))
    pairs = [
        (vms[a].name, vms[b].name, round(float(rng.uniform(0.2, 2.0)), 2))
        for a, b in rng.permutation(list(combinations(range(len(vms)), 2)))[:9]
    ]
    return Instance(
        (_two_sockets(),),
        vms,
        tuple(Cooperation(*pair) for pair in pairs[:6]),
        tuple(Competition(*pair) for pair in pairs[6:]),
    )


def best_pair_loss(instance: Instance) -> int:
    """Least loss of the pairs over all assignments of VMs to nodes that fit."""
    rate = {(p.first, p.second): p.weight for p in instance.cooperations}
    rival = {(p.first, p.second): p.weight for p in instance.competitions}
    best = None
    for nodes in product(range(4), repeat=len(instance.vms)):
        load = np.bincount(nodes, weights=SIZES, minlength=4)
        if load.max() > 3:
            continue
        at = {vm.name: node for vm, node in zip(instance.vms, nodes, strict=True)}
        r = [
            weight * (0 if at[a] == at[b] else 0.2 if at[a] // 2 == at[b] // 2 else 2.2)
            for (a, b), weight in rate.items()
        ]
        met = [weight for (a, b), weight in rival.items() if at[a] == at[b]]
        loss = round(1e6 * (sum(r) + sum(met)))
        best = loss if best is None else min(best, loss)
    assert best is not None
    return best


def _finest(instance: Instance, multipliers: np.ndarray | None = None) -> int:
    """Bound of the finest tier alone."""
    relaxation = relax(instance, [vm.name for vm in instance.vms])
    columns = list_columns(SetCosts(relaxation))
    assert columns is not None
    if multipliers is None:
        multipliers = np.zeros(columns.num_items, dtype=np.int64)
    return certified_bound(columns, multipliers)


def test_tiers_of_two_sockets() -> None:
    """Nodes and sockets, their room, and the step from one to the other."""
    instance = random_pairs(0)
    relaxation = relax(instance, [vm.name for vm in instance.vms])
    assert [tier.vcpus for tier in relaxation.tiers] == [(3, 3, 3, 3), (6, 6)]
    weights = [pair.weight for pair in instance.cooperations]
    assert relaxation.tiers[0].steps == tuple(round(200_000 * w) for w in weights)
    assert relaxation.tiers[1].steps == tuple(round(2_000_000 * w) for w in weights)


def test_distances_are_lowered_to_a_hierarchy() -> None:
    """On a ring every node is as near as its neighbour, by a path of short legs."""
    ring = tuple(tuple((10.0, 16.0, 24.0, 16.0)[(a - b) % 4] for b in range(4)) for a in range(4))
    host = Host("ring", tuple(make_node(n) for n in range(4)), ring)
    vms = (Vm("a", 1, 256), Vm("b", 1, 256))
    instance = Instance((host,), vms, (Cooperation("a", "b", 1.0),))
    relaxation = relax(instance, ["a", "b"])
    assert [(len(tier.vcpus), tier.steps) for tier in relaxation.tiers] == [(4, (600_000,))]


@pytest.mark.parametrize("seed", range(6))
def test_any_multipliers_give_a_bound(seed: int) -> None:
    """No multipliers, however wrong, lift the bound above the best loss."""
    instance = random_pairs(seed)
    best = best_pair_loss(instance)
    rng = np.random.default_rng(seed)
    bounds = [
        _finest(instance, rng.integers(-(10**6), 10**6, len(SIZES)) // 2**shift)
        for shift in range(12)
    ]
    assert max(bounds) <= best


def test_columns_are_all_sets_that_fit() -> None:
    """Every set of at most 3 vCPUs is listed, once, with the loss it has on a node."""
    instance = random_pairs(1)
    relaxation = relax(instance, [vm.name for vm in instance.vms])
    columns = list_columns(SetCosts(relaxation))
    assert columns is not None
    listed = {
        tuple(int(item) for item in row): int(cost)
        for rows, costs in zip(columns.members, columns.costs, strict=True)
        for row, cost in zip(rows, costs, strict=True)
    }
    assert len(listed) == columns.count
    wanted = {
        chosen
        for size in range(1, 4)
        for chosen in combinations(range(len(SIZES)), size)
        if sum(SIZES[i] for i in chosen) <= 3
    }
    assert listed.keys() == wanted
    for chosen, cost in listed.items():
        names = {instance.vms[i].name for i in chosen}
        cut = sum(200_000 * p.weight for p in instance.cooperations if len(names & _ends(p)) == 1)
        met = sum(2_000_000 * p.weight for p in instance.competitions if _ends(p) <= names)
        assert cost == round(cut + met)


def _ends(pair: Cooperation | Competition) -> frozenset[str]:
    return frozenset({pair.first, pair.second})


def test_too_many_columns() -> None:
    """A list that would be too long is not made."""
    relaxation = relax(random_pairs(0), [f"vm{i}" for i in range(len(SIZES))])
    assert list_columns(SetCosts(relaxation), limit=5) is None


def test_memory_that_does_not_fit_costs() -> None:
    """Two VMs of 3/4 of a node each: together they spill, and then pay the nearest node."""
    host = make_host(nodes=2, distance=20.0, memory_mib=4096)
    vms = tuple(Vm(n, 1, 3072, memory_intensity=0.5) for n in ("a", "b"))
    relaxation = relax(Instance((host,), vms), ["a", "b"])
    columns = list_columns(SetCosts(relaxation))
    assert columns is not None
    # 2 of 6 GiB are remote, two thirds of one VM: 2/3 * 0.5 / 1.5 vCPUs, counted double.
    assert columns.costs[1][0] == pytest.approx(2 * 1e6 * 2 / 9, rel=1e-4)
    strict = tuple(replace(vm, memory_mode=MemoryMode.STRICT) for vm in vms)
    relaxation = relax(Instance((host,), strict), ["a", "b"])
    columns = list_columns(SetCosts(relaxation))
    assert columns is not None
    assert columns.count == 2


def test_unsure_vms_do_not_count() -> None:
    """A VM that may stay unplaced brings neither size nor pairs."""
    instance = random_pairs(2)
    relaxation = relax(instance, ["vm0", "vm1"])
    assert [item.name for item in relaxation.items] == ["vm0", "vm1"]
    assert all({a, b} <= {0, 1} for a, b in relaxation.pairs)


def test_promising_sets_are_real_and_the_best_is_among_them() -> None:
    """A wide beam finds the set of least reduced cost, and every reduced cost is right."""
    instance = random_pairs(3)
    data = SetCosts(relax(instance, [vm.name for vm in instance.vms]))
    columns = list_columns(data)
    assert columns is not None
    multipliers = np.random.default_rng(3).integers(0, 10**6, data.num_items)
    found = promising_sets(data, multipliers)
    for sets, reduced in found:
        for row, value in zip(sets, reduced, strict=True):
            items = np.nonzero(row)[0]
            assert data.vcpus[items].sum() <= data.room
            assert value == data.pairs_cost(items) - multipliers[items].sum()
    least = min(int(part.min()) for part in columns.reduced(multipliers))
    assert min(int(reduced.min()) for _, reduced in found) == least
