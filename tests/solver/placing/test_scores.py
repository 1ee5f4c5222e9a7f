"""Scores of places: never above the exact loss, exact where they say so, nothing shut out."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations, product

from numaplace.models.forms import VmShape
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.prices import Prices
from numaplace.models.relations import Competition, Cooperation, Scope
from numaplace.models.topology import Device, Host, NumaNode, PCpu
from numaplace.models.units import MICRO
from numaplace.models.vm import (
    Cell,
    CpuPolicy,
    DevicePolicy,
    DeviceRequest,
    GuestNuma,
    MemoryMode,
    Vm,
)
from numaplace.solver.placing.build import Candidate, Home, build
from numaplace.solver.placing.cell_offer import CellOffer, places_for
from numaplace.solver.placing.occupancy import Occupancy
from numaplace.solver.placing.placer import Placer
from numaplace.tests.builders import make_host, make_node
from numaplace.tests.strategies import random_small_instance

SKEWED = Host(
    "h",
    tuple(make_node(n, cores=8, memory_mib=1024) for n in range(3)),
    ((10.0, 30.0, 20.0), (30.0, 10.0, 20.0), (25.0, 15.0, 10.0)),
)


def _states(seeds: range) -> Iterator[tuple[Occupancy, list[Vm]]]:
    """States with half of their VMs placed, and the VMs that are not."""
    for seed in seeds:
        instance = random_small_instance(seed, max_vms=6, max_plans=10**12)
        engine, rng = Placer(instance), random.Random(seed)
        for vm in rng.sample(instance.vms, len(instance.vms) // 2):
            engine.add(vm)
        yield engine.state, [vm for vm in instance.vms if vm.name not in engine]


def _built(
    state: Occupancy, vm: Vm, shape: VmShape, *, balloon: bool = False
) -> Iterator[tuple[Candidate, list[tuple[bool, int]]]]:
    """What can be built with the cells anywhere on a host, and the score of each cell there."""
    allowed, exactly = places_for(state, vm)
    cells = shape.cells()
    scores = {
        cell: CellOffer(state, vm, allowed, *cell, len(cells), balloon=balloon)
        for cell in set(cells)
    }
    for span in state.arrays.host_slice:
        usable = [place for place in range(span.start, span.stop) if allowed[place]]
        for at in permutations(usable, len(cells)):
            if exactly in (None, set(at)):
                homes = [Home(place, *cell) for place, cell in zip(at, cells, strict=True)]
                found = build(state, vm, homes, balloon=balloon)
                of = [(p, scores[cell]) for p, cell in zip(at, cells, strict=True)]
                if found is not None:
                    yield found, [(bool(s.fits[p]), int(s.loss[p])) for p, s in of]


def test_scores_of_cells_never_exceed_the_exact_loss() -> None:
    """Over all shapes and homes; what can be built is among what fits."""
    compared, several = 0, 0
    for state, vms in _states(range(800)):
        for vm, balloon in product(vms, (False, True)):
            for shape in state.instance.form(vm.name).shapes:
                for found, scored in _built(state, vm, shape, balloon=balloon):
                    assert sum(loss for _, loss in scored) <= found.loss
                    assert len(scored) > 1 or scored[0][0]
                    compared += 1
                    several += len(scored) > 1
    assert compared > 1500
    assert several > 150


def test_scores_of_a_vm_whose_pages_are_local_are_exact() -> None:
    """One shared cell, strict memory, no devices or shared pages: nothing is left out."""
    compared, positive = 0, 0
    for state, vms in _states(range(600)):
        for vm in vms:
            shape = state.instance.form(vm.name).shapes[0]
            strict = vm.memory_mode is MemoryMode.STRICT and vm.memory_nodes is None
            rest = vm.devices or vm.name in state.instance.group_of or shape.num_cells > 1
            if strict and vm.cpu_policy is CpuPolicy.SHARED and not rest:
                for found, [(_, loss)] in _built(state, vm, shape):
                    assert loss == found.loss
                    compared += 1
                    positive += loss > 0
    assert compared > 150
    assert positive > 50


def _scored(instance: Instance, placed: Plan, name: str) -> list[int]:
    """Scores of all places for a VM of one cell beside a plan."""
    engine = Placer(instance)
    engine.load_plan(placed)
    vm, form = instance.vm(name), instance.form(name)
    vcpus, blocks = form.shapes[0].cells()[0]
    allowed, _ = places_for(engine.state, vm)
    loss: list[int] = CellOffer(engine.state, vm, allowed, vcpus, blocks, 1).loss.tolist()
    return loss


def _at(node: int, vm: Vm) -> Placement:
    return Placement("h", (PlacedCell(node, vm.vcpus, ((node, vm.memory_mib),)),))


def test_talking_pays_the_mean_distance_by_the_share_of_vcpus() -> None:
    """Distances of 0 and 1 are 3 and 3, of 0 and 2 are 2 and 2.5; either VM may come first."""
    a, b = Vm("a", 2, 256), Vm("b", 1, 256)
    for pair in (("a", "b"), ("b", "a")):
        here = Instance((SKEWED,), (a, b), cooperations=(Cooperation(*pair, 0.5),))
        assert _scored(here, Plan({"a": _at(0, a)}), "b") == [0, MICRO, 625_000]


def test_pages_that_must_spill_pay_the_nearest_node() -> None:
    """Two of four blocks fit at home: r = 2, 2, 1.5 with mu = 0.5 lose 1/3, 1/3, 1/5 each."""
    full = [Vm(f"full{n}", 1, 512) for n in range(3)]
    vm = Vm("vm", 2, 1024, utilisation=0.6, memory_intensity=0.5, block_mib=256)
    here = Instance((SKEWED,), (*full, vm))
    placed = Plan({other.name: _at(n, other) for n, other in enumerate(full)})
    lost = 2 * 0.6 / 2
    assert _scored(here, placed, "vm") == [round(lost * s * MICRO) for s in (1 / 3, 1 / 3, 1 / 5)]


def test_pages_that_must_spill_of_a_guest_that_sees_its_cells() -> None:
    """One cell of two: g = 0.8 of its accesses are to its own 512 MiB, half of which spill."""
    full = [Vm(f"full{n}", 1, 768) for n in range(3)]
    vm = Vm(
        "vm",
        2,
        1024,
        utilisation=1.0,
        memory_intensity=0.5,
        block_mib=256,
        guest_numa=GuestNuma.EXPLICIT,
        cells=(Cell(1, 512),) * 2,
    )
    here = Instance((SKEWED,), (*full, vm))
    engine = Placer(here)
    engine.load_plan(Plan({other.name: _at(n, other) for n, other in enumerate(full)}))
    assert vm.locality == 0.8
    found = CellOffer(engine.state, vm, places_for(engine.state, vm)[0], 1, 2, 2).loss.tolist()
    lost = 0.2 * 256 / 1024 + 0.8 * 256 / 512
    assert found == [round(lost * s * MICRO) for s in (1 / 3, 1 / 3, 1 / 5)]


def test_moving_pays_for_what_is_not_there() -> None:
    """1024 MiB at 1000 MiB/s cost half of 2 vCPUs over 10 s; half of it is on node 1."""
    vm = Vm("vm", 2, 1024, utilisation=1.0, block_mib=512)
    hosts = (SKEWED, replace(make_host(nodes=1), name="g"))
    now = Plan({"vm": Placement("h", (PlacedCell(0, 2, ((0, 512), (1, 512))),))})
    here = Instance(hosts, (vm,), prices=Prices(horizon_s=10, network_mib_per_s=500), current=now)
    assert _scored(here, Plan({}), "vm") == [51_200, 51_200, 102_400, 204_800]


def test_rivals_affinity_and_devices_are_priced() -> None:
    """Soft node 1, a rival on node 2, a device on node 0."""
    nic = Device("0000:01:00.0", "nic", frozenset({0}), 2)
    rival = Vm("rival", 1, 256)
    vm = Vm(
        "vm",
        1,
        256,
        soft_nodes=frozenset({1}),
        soft_weight=0.25,
        devices=(DeviceRequest("nic", 2, weight=0.1),),
    )
    here = Instance(
        (replace(SKEWED, devices=(nic,)),),
        (rival, vm),
        competitions=(Competition("rival", "vm", 0.75, Scope.NODE),),
    )
    # r(1, 0) = 3 and r(2, 0) = 2.5.
    expected = [250_000, 2 * 200_000, 250_000 + 750_000 + 2 * 150_000]
    assert _scored(here, Plan({"rival": _at(2, rival)}), "vm") == expected


def test_a_dedicated_vm_may_dodge_a_rival_in_a_cache() -> None:
    """It can take pCPUs of the node's other cache: nothing is sure, so nothing is scored."""
    pcpus = tuple(PCpu(c, c, llc=c // 4) for c in range(8))
    host = Host("h", (NumaNode(0, pcpus, 1024),))
    own = CpuPolicy.DEDICATED
    rival, vm = (Vm(name, 2, 256, cpu_policy=own) for name in ("rival", "vm"))
    pair = (Competition("rival", "vm", 0.75, Scope.LLC),)
    here = Instance((host,), (rival, vm), competitions=pair)
    held = PlacedCell(0, 2, ((0, 256),), (0, 1))
    assert _scored(here, Plan({"rival": Placement("h", (held,))}), "vm") == [0]
    shared = replace(here, vms=(rival, replace(vm, cpu_policy=CpuPolicy.SHARED)))
    assert _scored(shared, Plan({"rival": Placement("h", (held,))}), "vm") == [750_000]


def test_a_rival_of_two_cells_is_met_on_both_nodes() -> None:
    """And on no third."""
    rival = Vm("rival", 2, 512, max_cells=2)
    vm = Vm("vm", 1, 256)
    pair = (Competition("rival", "vm", 0.75, Scope.NODE),)
    here = Instance((SKEWED,), (rival, vm), competitions=pair)
    cells = tuple(PlacedCell(node, 1, ((node, 256),)) for node in (0, 2))
    placed = Plan({"rival": Placement("h", cells)})
    assert _scored(here, placed, "vm") == [750_000, 0, 750_000]


def test_what_fits_nowhere_is_not_tried() -> None:
    """Overcommitted vCPUs, a device on another node, memory of the host less what balloons."""
    nic = Device("0000:01:00.0", "nic", frozenset({1}), 2)
    host = replace(SKEWED, devices=(nic,), vcpu_overcommit=1.5)
    near = DeviceRequest("nic", policy=DevicePolicy.REQUIRED)
    cases = [
        (Vm("vm", 12, 256), [True] * 3),
        (Vm("vm", 13, 256, max_cells=1), [False] * 3),
        (Vm("vm", 1, 256, devices=(near,)), [False, True, False]),
        (Vm("vm", 1, 3072, block_mib=1024), [True] * 3),
        (Vm("vm", 1, 4096, block_mib=1024), [False] * 3),
    ]
    for vm, fits in cases:
        state = Placer(Instance((host,), (vm,))).state
        blocks = state.instance.form("vm").blocks
        found = CellOffer(state, vm, places_for(state, vm)[0], vm.vcpus, blocks, 1)
        assert found.fits.tolist() == fits
