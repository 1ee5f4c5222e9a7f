"""Old topologies on other hosts: by hand, against the cost, and against exhaustive search."""

from __future__ import annotations

from itertools import product

import pytest

from numaplace.models.cost import evaluate
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.rates import by_crowding, contention, crowd, slowdown
from numaplace.models.topology import Host
from numaplace.models.vm import Cell, Vm
from numaplace.solver.compare.guest_moved import Mapped, best_mapping, what_if
from numaplace.solver.compare.guest_numa import even_cells, guest_choices, with_cells
from numaplace.solver.params import SolveParams
from numaplace.tests.builders import make_host, make_instance, make_node

PARAMS = SolveParams(time_limit_s=20, workers=1, explain=False)


def ring(nodes: int, **node: int) -> Host:
    """A host whose distances grow with the steps around a ring."""
    steps = [[min((a - b) % nodes, (b - a) % nodes) for b in range(nodes)] for a in range(nodes)]
    slit = tuple(tuple(10.0 + 7 * far for far in row) for row in steps)
    return Host("ring", tuple(make_node(n, **node) for n in range(nodes)), slit)


def test_a_larger_node_takes_all_cells() -> None:
    """Cells that were apart are together: nothing is lost, and being told is no harm."""
    vm = Vm("vm", 6, 2048)
    mapped = best_mapping(make_host(nodes=2, cores=8), vm, even_cells(vm, 2))
    assert mapped is not None and mapped.loss_micro == 0 and len(set(mapped.nodes)) == 1


def test_one_told_cell_split_in_two_by_hand() -> None:
    """A guest that was told nothing reads half its memory at distance 20."""
    vm = Vm("vm", 6, 2048, memory_intensity=0.5)
    mapped = best_mapping(make_host(nodes=2), vm, even_cells(vm, 1))
    assert mapped is not None and sorted(mapped.nodes) == [0, 1]
    assert mapped.loss_micro == pytest.approx(6 * 0.5 / 3 * 1e6, abs=2)


def test_two_told_cells_split_in_four_by_hand() -> None:
    """Half of a told cell's accesses within it go to its other half, the rest is spread evenly.

    4 nodes of 2 cores: of a vCPU's accesses 0.8 / 2 go to the other half of its cell, and of the
    0.2 that are spread a quarter stays.
    """
    vm = Vm("vm", 8, 2048, memory_intensity=0.5)
    mapped = best_mapping(make_host(nodes=4, cores=2), vm, even_cells(vm, 2))
    assert mapped is not None and len(set(mapped.nodes)) == 4
    assert mapped.loss_micro == pytest.approx(8 / 3 * (0.8 / 2 + 0.2 * 3 / 4) * 1e6, abs=12)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_cells_on_nodes_of_their_own_lose_what_the_cost_says(count: int) -> None:
    """The generalised terms are those of the specification, to the last digit."""
    host = ring(5, cores=2, memory_mib=4096)
    vm = Vm("vm", 2 * count, 1024 * count, memory_intensity=0.45, utilisation=0.9)
    cells = even_cells(vm, count)
    mapped = best_mapping(host, vm, cells)
    assert mapped is not None and len(set(mapped.nodes)) == len(mapped.parts) == count
    told = with_cells(vm, cells, told=True)
    placed = tuple(
        PlacedCell(node, part.vcpus, ((node, part.memory_mib),))
        for part, node in zip(mapped.parts, mapped.nodes, strict=True)
    )
    plan = Plan({"vm": Placement("ring", placed)})
    assert evaluate(make_instance(told, host=host), plan).loss_micro == mapped.loss_micro


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("nodes", [2, 3, 4])
@pytest.mark.parametrize("vcpus", [5, 6, 8])
def test_against_exhaustive_search(count: int, nodes: int, vcpus: int) -> None:
    """No other nodes for the same parts lose less."""
    host = ring(nodes, cores=3, threads=2, memory_mib=1024)
    vm = Vm("vm", vcpus, 1536, memory_intensity=0.6)
    told = even_cells(vm, count)
    mapped = best_mapping(host, vm, told)
    losses = [
        loss
        for at in product(range(nodes), repeat=len(mapped.parts) if mapped else 0)
        if mapped and (loss := _loss(host, vm, told, mapped, at)) is not None
    ]
    assert mapped is not None and mapped.proven
    assert mapped.loss_micro == pytest.approx(min(losses), abs=40)


def _loss(
    host: Host, vm: Vm, told: tuple[Cell, ...], mapped: Mapped, at: tuple[int, ...]
) -> float | None:
    """Loss of one mapping from the definition; None if it does not fit."""
    g = vm.guest_locality if len(told) > 1 else 0.0
    lost = 0.0
    for a, i in zip(mapped.parts, at, strict=True):
        for b, j in zip(mapped.parts, at, strict=True):
            share = (1 - g) * b.memory_mib / vm.memory_mib
            share += g * b.memory_mib / told[b.cell].memory_mib * (a.cell == b.cell)
            lost += a.vcpus * share * slowdown(vm.memory_intensity, host.relative[i][j])
    lost *= 1e6
    for place in make_instance(host=host).places:
        here = [part for part, n in zip(mapped.parts, at, strict=True) if n == place.position]
        if sum(part.memory_mib for part in here) > place.node.memory_mib:
            return None
        vcpus = sum(part.vcpus for part in here)
        if vcpus > place.node.threads:
            return None
        lost += contention(place).loss(by_crowding([crowd(vm, vcpus, place)]))
    return lost


def test_a_host_too_small_takes_nothing() -> None:
    vm = Vm("vm", 6, 2048)
    assert best_mapping(make_host(nodes=1), vm, even_cells(vm, 1)) is None
    answer = guest_choices(make_instance(vm), vm, PARAMS)
    moved = what_if(make_host(nodes=1), answer)
    assert moved.right is None
    assert [moved.wrong_micro(at) for at in range(len(answer.choices))] == [None] * 3


def test_being_wrong_costs_what_the_right_topology_would_save() -> None:
    """Two told cells on a host of four small nodes: each is split, four would have been right."""
    vm = Vm("vm", 8, 2048, memory_intensity=0.5)
    answer = guest_choices(make_instance(vm), vm, PARAMS)
    moved = what_if(make_host(nodes=4, cores=2), answer)
    told_two = next(n for n, c in enumerate(answer.choices) if c.told and len(c.cells) == 2)
    right = 8 / 3 * 0.2 * 3 / 4
    assert moved.right is not None
    assert moved.right.loss_micro == pytest.approx(right * 1e6, abs=12)
    wrong = 8 / 3 * (0.8 / 2 + 0.2 * 3 / 4) - right
    assert moved.wrong_micro(told_two) == pytest.approx(wrong * 1e6, abs=24)
    same = what_if(make_host(nodes=2), answer)
    assert same.wrong_micro(told_two) == 0
