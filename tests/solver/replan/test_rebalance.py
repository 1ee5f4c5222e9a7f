"""Rebalance: the best plan of a budget by brute force, never worse than before, a valid way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from numaplace.instances.catalog import load_catalog
from numaplace.models.cost import evaluate
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.moves import Budget, Spent, StepKind, Transition, spent_on, steps_between
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.prices import Prices
from numaplace.models.relations import Cooperation
from numaplace.models.result import SolveStatus
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.verify import violations
from numaplace.models.vm import Cell, CpuPolicy, GuestNuma, MemoryMode, Vm
from numaplace.report.tables.moves import rebalance_views
from numaplace.solver.cpsat.solve import solve_cpsat
from numaplace.solver.params import SolveParams
from numaplace.solver.placing.stay import keep_in_place, staying
from numaplace.solver.replan.rebalance import Rebalanced, lasting, rebalance, trade_off
from numaplace.tests.strategies import random_small_instance

GIB = 1024
QUICK = SolveParams(time_limit_s=10.0, workers=1)
FEW = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def host(name: str, nodes: int = 2, mib: int = 8 * GIB, cpus: int = 4) -> Host:
    """A host of equal nodes."""
    return Host(
        name,
        tuple(
            NumaNode(n, tuple(PCpu(cpus * n + c, core=cpus * n + c) for c in range(cpus)), mib)
            for n in range(nodes)
        ),
    )


def at(host_name: str, home: int, vcpus: int, memory: dict[int, int]) -> Placement:
    """A VM of one cell."""
    return Placement(host_name, (PlacedCell(home, vcpus, tuple(sorted(memory.items()))),))


def checked(instance: Instance, found: Rebalanced) -> Plan:
    """Check all that must be true of any outcome; return its plan."""
    plan = found.result.plan
    assert plan is not None
    assert instance.current is not None
    assert violations(found.instance, plan) == []
    steps = [one.step for one in found.steps]
    assert Transition(found.instance, instance.current, plan).check(steps) == []
    assert found.spent == spent_on(instance, steps)
    assert found.budget.allows(found.spent)
    assert set(instance.current.placements) <= set(plan.placements)
    if found.stay is not None:
        before, after = evaluate(found.instance, found.stay), evaluate(found.instance, plan)
        key = (-after.value_milli, after.loss_micro)
        assert key <= (-before.value_milli, before.loss_micro)
    return plan


# ---- brute force --------------------------------------------------------------------------------


def placements_of(instance: Instance, vm: Vm) -> Iterator[Placement | None]:
    """Every placement of a VM of one cell in whole blocks, and none."""
    form = instance.form(vm.name)
    yield None
    for one in instance.hosts:
        ids = [node.id for node in one.nodes]
        for home in ids:
            for parts in product(range(form.blocks + 1), repeat=len(ids)):
                lies = {n: k * form.block_mib for n, k in zip(ids, parts, strict=True) if k}
                strict = vm.memory_mode is MemoryMode.STRICT
                if sum(parts) == form.blocks and not (strict and set(lies) != {home}):
                    yield at(one.name, home, vm.vcpus, lies)


def best_key(instance: Instance, budget: Budget) -> tuple[int, int] | None:
    """Value and loss of the best plan within the budget, ways not looked at."""
    best: tuple[int, int] | None = None
    assert instance.current is not None
    for chosen in product(*(placements_of(instance, vm) for vm in instance.vms)):
        pairs = zip(instance.vms, chosen, strict=True)
        plan = Plan({vm.name: placement for vm, placement in pairs if placement is not None})
        steps = steps_between(instance, instance.current, plan)
        if not set(instance.current.placements) <= set(plan.placements):
            continue
        if not budget.allows(spent_on(instance, steps)) or violations(instance, plan):
            continue
        cost = evaluate(instance, plan)
        key = (-cost.value_milli, cost.loss_micro)
        best = key if best is None else min(best, key)
    return best


@st.composite
def tiny(draw: st.DrawFn) -> tuple[Instance, Budget]:
    """Two or three VMs of two blocks on up to two hosts, one of them maybe new; and a budget."""
    hosts = tuple(host(f"h{h}", 2, 8 * GIB) for h in range(draw(st.integers(1, 2))))
    vms, placements = [], {}
    for number in range(draw(st.integers(2, 3))):
        gib = draw(st.sampled_from([2, 4, 6]))
        mode = draw(st.sampled_from([MemoryMode.STRICT, MemoryMode.PREFERRED]))
        vcpus = draw(st.integers(1, 3))
        vm = Vm(f"v{number}", vcpus, gib * GIB, memory_mode=mode, block_mib=gib * GIB // 2)
        vms.append(vm)
        if number == 0 or draw(st.booleans()):
            home, there = draw(st.integers(0, 1)), draw(st.sampled_from(hosts))
            away = home if mode is MemoryMode.STRICT else draw(st.integers(0, 1))
            had = draw(st.sampled_from([gib, gib, gib, gib - 1, gib + 1]))  # since resized
            ran = draw(st.sampled_from([vcpus, vcpus, max(1, vcpus - 1), vcpus + 1]))
            placements[vm.name] = at(there.name, home, ran, {away: had * GIB})
    pairs = [("v0", "v1")] if draw(st.booleans()) else []
    instance = Instance(
        hosts,
        tuple(vms),
        cooperations=tuple(Cooperation(a, b, draw(st.sampled_from([0.1, 1.0]))) for a, b in pairs),
        prices=Prices(horizon_s=draw(st.sampled_from([10.0, 3600.0]))),
        current=Plan(placements),
    )
    limits = {
        "mib": st.sampled_from([None, 0, 2 * GIB, 5 * GIB]),
        "moves": st.sampled_from([None, 0, 1, 2]),
        "seconds": st.sampled_from([None, 0.0, 2.0, 4.5]),
    }
    return instance, Budget(**{name: draw(limit) for name, limit in limits.items()})


@FEW
@given(tiny())
def test_brute_force_finds_nothing_better(case: tuple[Instance, Budget]) -> None:
    """Value and loss are the best of all plans within the budget; if moves are left out, bounds."""
    instance, budget = case
    found = rebalance(instance, budget, QUICK)
    best = best_key(instance, budget)
    if found.result.plan is None:
        assert best is None or found.left_out
        return
    plan = checked(instance, found)
    cost = evaluate(instance, plan)
    assert best is not None
    if found.left_out:
        assert (-cost.value_milli, cost.loss_micro) >= best
    else:
        assert found.result.status is SolveStatus.OPTIMAL
        assert (-cost.value_milli, cost.loss_micro) == best


@settings(FEW, max_examples=120)
@given(tiny())
def test_cpsat_keeps_to_the_budget(case: tuple[Instance, Budget]) -> None:
    """What it plans costs no more than the budget, and no plan within it is better."""
    instance, budget = case
    assert instance.current is not None
    needed = instance.current.placements
    vms = tuple(replace(vm, required=vm.name in needed) for vm in instance.vms)
    result = solve_cpsat(replace(instance, vms=vms), QUICK, budget)
    best = best_key(instance, budget)
    if result.plan is None:
        assert (result.status, best) == (SolveStatus.INFEASIBLE, None)
        return
    steps = steps_between(instance, instance.current, result.plan)
    assert budget.allows(spent_on(instance, steps))
    assert result.cost is not None
    assert (-result.cost.value_milli, result.cost.loss_micro) == best


@pytest.mark.parametrize("seed", range(12))
def test_every_feature(seed: int) -> None:
    """Random instances with any feature: what comes out is valid, whatever the current plan is."""
    instance = random_small_instance(500 + seed, max_nodes=3, max_vms=5)
    if instance.current is None:
        instance = replace(instance, current=Plan())
    found = rebalance(instance, Budget(moves=2), QUICK)
    if found.result.plan is not None:
        plan = found.result.plan
        assert violations(found.instance, plan) == []
        steps = [one.step for one in found.steps]
        assert Transition(found.instance, instance.current or Plan(), plan).check(steps) == []
        assert found.budget.allows(found.spent)
    else:
        assert found.result.reasons or found.result.status is SolveStatus.UNKNOWN


# ---- what operators ask -------------------------------------------------------------------------


def test_catalogue_instance_in_full() -> None:
    """The memory of one VM and half of another move home; the third starts."""
    instance = load_catalog("re-planning")
    found = rebalance(instance, None, QUICK)
    plan = checked(instance, found)
    assert found.result.status is SolveStatus.OPTIMAL
    assert found.spent.mib == 6144
    assert found.lasting_micro == lasting(instance, plan) == 0


def test_a_larger_budget_is_never_worse() -> None:
    """The trade-off curve falls, its points are valid, and its last has no budget."""
    instance = load_catalog("re-planning")
    points = trade_off(instance, replace(QUICK, time_limit_s=12.0), points=4)
    losses = [point.result.cost.loss_micro for point in points if point.result.cost]
    assert losses == sorted(losses, reverse=True)
    assert points[0].spent.mib == 0
    assert points[-1].budget == Budget()
    for point in points:
        checked(instance, point)


def test_moves_must_pay_back() -> None:
    """A gain that takes longer than the horizon to pay for the copy is left alone."""
    vm = Vm("x", 2, 4 * GIB, memory_intensity=0.3)
    current = Plan({"x": at("a", 0, 2, {1: 4 * GIB})})
    instance = Instance((host("a"),), (vm,), current=current)
    short = replace(instance, prices=Prices(horizon_s=1.0, slowed_share=1.0))
    # The vCPUs may follow the memory: that costs nothing, so forbid it.
    pinned = replace(short, vms=(replace(vm, hard_nodes=frozenset({0})),))
    assert rebalance(pinned, None, QUICK).spent.mib == 0
    long = replace(pinned, prices=Prices(horizon_s=3600.0))
    assert rebalance(long, None, QUICK).spent.mib == 4 * GIB
    assert rebalance(short, None, QUICK).spent.mib == 0


def test_vms_that_run_stay_placed() -> None:
    """A new VM worth more does not push out one that runs."""
    vms = (Vm("old", 4, 8 * GIB, value=1), Vm("new", 4, 8 * GIB, value=100))
    instance = Instance((host("a", 1),), vms, current=Plan({"old": at("a", 0, 4, {0: 8 * GIB})}))
    plan = checked(instance, rebalance(instance, None, QUICK))
    assert set(plan.placements) == {"old"}


def test_room_is_made_for_a_vm_that_comes() -> None:
    """Two half-empty nodes become one empty one, if the budget allows the move."""
    vms = (*(Vm(f"v{n}", 1, 4 * GIB) for n in range(2)),)
    strict = Vm("wide", 3, 8 * GIB, memory_mode=MemoryMode.STRICT)
    current = Plan({f"v{n}": at("a", n, 1, {n: 4 * GIB}) for n in range(2)})
    instance = Instance((host("a"),), (*vms, strict), current=current)
    found = rebalance(instance, Budget(moves=1), QUICK)
    assert "wide" in checked(instance, found)
    assert [one.step.vm for one in found.steps][-1] == "wide"
    none = rebalance(instance, Budget(moves=0), QUICK)
    assert "wide" not in checked(instance, none)
    assert none.result.status is SolveStatus.OPTIMAL


def test_impossible_moves_are_left_out_and_told() -> None:
    """The best plan needs a swap without room: nothing moves, the reason is given."""
    vms = tuple(
        Vm(name, 2, 6 * GIB, memory_mode=MemoryMode.STRICT, soft_nodes=frozenset({node}))
        for name, node in (("x", 1), ("y", 0))
    )
    current = Plan({"x": at("a", 0, 2, {0: 6 * GIB}), "y": at("a", 1, 2, {1: 6 * GIB})})
    instance = Instance((host("a"),), vms, current=current)
    found = rebalance(instance, None, QUICK)
    assert checked(instance, found) == current
    assert found.result.status is SolveStatus.FEASIBLE
    assert "no VM can make room in between" in found.left_out[0]
    assert (found.lasting_micro, found.best_micro) == (200_000, 0)
    text = Console(width=200)
    with text.capture() as shown:
        for view in rebalance_views(found):
            text.print(view)
    assert "moves worth 0.2 vCPUs cannot be made, see below" in shown.get()
    assert "worth moving" not in shown.get()


def test_no_current_plan() -> None:
    """Without one there is nothing to rebalance."""
    with pytest.raises(InputError, match="current"):
        rebalance(Instance((host("a"),), ()), None, QUICK)


def test_overfull_hosts_are_emptied() -> None:
    """A current plan that breaks a rule is mended; where the budget forbids, it is told."""
    vms = tuple(Vm(name, 1, 6 * GIB, memory_mode=MemoryMode.STRICT) for name in "xy")
    current = Plan({name: at("a", 0, 1, {0: 6 * GIB}) for name in "xy"})
    instance = Instance((host("a"),), vms, current=current)
    found = rebalance(instance, None, QUICK)
    assert found.stay is None
    checked(instance, found)
    assert found.spent.moves == 1
    none = rebalance(instance, Budget(moves=0), QUICK)
    assert none.result.status is SolveStatus.INFEASIBLE
    assert "within the budget: as things are, node 0 of host 'a': 12288 MiB" in (
        reason := none.result.reasons[0]
    )
    assert "without it, 1 move of 6144 MiB in 6.1 s would do" in reason


@pytest.mark.parametrize("budget", [None, Budget(moves=1)])
def test_what_conflicts_whatever_moves_is_told(budget: Budget | None) -> None:
    """Two VMs of 3 vCPUs that may run on one host of 4 only: the cause is not the budget."""
    only = frozenset({"b"})
    vms = tuple(Vm(name, 3, GIB, allowed_hosts=only) for name in "xy")
    current = Plan({"x": at("a", 0, 3, {0: GIB}), "y": at("b", 0, 3, {0: GIB})})
    instance = Instance((host("a", 1), host("b", 1)), vms, current=current)
    found = rebalance(instance, budget, QUICK)
    assert found.result.status is SolveStatus.INFEASIBLE
    assert found.result.reasons == (
        "VMs x, y cannot all be placed: vCPU capacity of b/0 [shared_cpus]",
    )


def test_time_is_kept_with_the_curve_and_all_its_points() -> None:
    """Points share the time; what is left for none is still a valid plan."""
    instance = load_catalog("re-planning")
    began = time.monotonic()
    points = trade_off(instance, replace(QUICK, time_limit_s=1.0), points=4)
    assert time.monotonic() - began < 2.5
    for point in points:
        checked(instance, point)


@pytest.mark.parametrize(("vcpus", "gib"), [(4, 6), (3, 4), (1, 4), (2, 1), (1, 1)])
def test_a_vm_that_is_resized_where_it_is_moves_nothing(vcpus: int, gib: int) -> None:
    """It has run with 2 vCPUs and 4 GiB; a budget of nothing allows any size that fits."""
    current = Plan({"x": at("a", 0, 2, {0: 4 * GIB})})
    vm = Vm("x", vcpus, gib * GIB, memory_mode=MemoryMode.STRICT)
    instance = Instance((host("a"),), (vm,), current=current)
    found = rebalance(instance, Budget(0, 0, 0.0), QUICK)
    plan = checked(instance, found)
    assert found.stay is not None
    assert plan.placements["x"].vcpus_by_node() == {0: vcpus}
    assert plan.placements["x"].memory_by_node() == {0: gib * GIB}
    assert [one.step.kind for one in found.steps] == [StepKind.RESIZE]
    assert found.spent == Spent()


def test_another_vm_makes_room_for_one_that_grows_in_place() -> None:
    """Web's 4 GiB move, db's new ones do not; db cannot grow before web has gone."""
    current = Plan({"db": at("a", 0, 2, {0: 4 * GIB}), "web": at("a", 0, 1, {0: 4 * GIB})})
    db = Vm("db", 2, 8 * GIB, memory_mode=MemoryMode.STRICT)
    instance = Instance((host("a"),), (db, Vm("web", 1, 4 * GIB)), current=current)
    found = rebalance(instance, Budget(4 * GIB, 1), QUICK)
    checked(instance, found)
    assert [(one.step.vm, one.step.kind) for one in found.steps] == [
        ("web", StepKind.WITHIN),
        ("db", StepKind.RESIZE),
    ]
    assert found.spent == Spent(4 * GIB, 1, 4_096_000)


def test_a_vm_that_grew_gets_its_memory() -> None:
    """Its current placement breaks its size; the new one has it all."""
    current = Plan({"x": at("a", 0, 2, {0: 2 * GIB}), "y": at("a", 0, 1, {0: 4 * GIB})})
    vms = (Vm("x", 2, 6 * GIB), Vm("y", 1, 4 * GIB))
    instance = Instance((host("a"),), vms, current=current)
    plan = checked(instance, rebalance(instance, None, QUICK))
    assert sum(plan.placements["x"].memory_by_node().values()) == 6 * GIB


def test_pcpus_of_vms_that_do_not_move_stay() -> None:
    """Counting pCPUs, CP-SAT numbers them anew; who does not move keeps those it has."""
    vms = tuple(Vm(name, 1, GIB, cpu_policy=CpuPolicy.DEDICATED) for name in "xyz")
    cells = {"x": (0, 3), "y": (0, 0), "z": (1, 6)}
    current = Plan(
        {
            name: Placement("a", (PlacedCell(node, 1, ((node, GIB),), (pcpu,)),))
            for name, (node, pcpu) in cells.items()
        }
    )
    instance = Instance(
        (host("a"),), vms, cooperations=(Cooperation("x", "z", 5.0),), current=current
    )
    found = rebalance(instance, Budget(moves=1), QUICK)
    plan = checked(instance, found)
    assert [one.step.vm for one in found.steps] in (["x"], ["z"])
    assert plan.placements["y"] == current.placements["y"]


def test_guests_keep_their_cells() -> None:
    """Unequal cells of a guest's topology move as they are."""
    guest = Vm(
        "x", 3, 6 * GIB, guest_numa=GuestNuma.EXPLICIT, cells=(Cell(2, 4 * GIB), Cell(1, 2 * GIB))
    )
    cells = (PlacedCell(0, 2, ((0, 4 * GIB),)), PlacedCell(3, 1, ((3, 2 * GIB),)))
    far = replace(
        host("a", 4),
        distances=((10, 12, 32, 32), (12, 10, 32, 32), (32, 32, 10, 12), (32, 32, 12, 10)),
    )
    instance = Instance((far,), (guest,), current=Plan({"x": Placement("a", cells)}))
    plan = checked(instance, rebalance(instance, None, QUICK))
    sizes = {(cell.vcpus, cell.total_mib) for cell in plan.placements["x"].cells}
    assert sizes == {(2, 4 * GIB), (1, 2 * GIB)}


def test_vcpus_that_change_nodes_are_a_move() -> None:
    """Two cells of a guest that change places copy nothing by node, and are a move."""
    guest = Vm(
        "x",
        3,
        4 * GIB,
        guest_numa=GuestNuma.EXPLICIT,
        cells=(Cell(2, 2 * GIB), Cell(1, 2 * GIB)),
        soft_nodes=frozenset({1}),
    )
    cells = (PlacedCell(0, 2, ((0, 2 * GIB),)), PlacedCell(1, 1, ((1, 2 * GIB),)))
    instance = Instance((host("a"),), (guest,), current=Plan({"x": Placement("a", cells)}))
    none = rebalance(instance, Budget(moves=0), QUICK)
    assert checked(instance, none) == instance.current
    assert none.left_out == ()
    one = rebalance(instance, Budget(moves=1), QUICK)
    assert {cell.node: cell.vcpus for cell in checked(instance, one).placements["x"].cells} == {
        0: 1,
        1: 2,
    }


# ---- plans that move little ---------------------------------------------------------------------


def test_staying() -> None:
    """The current plan with those that came if they fit; None if it breaks a rule."""
    instance = load_catalog("re-planning")
    plan = staying(instance)
    assert plan is not None
    assert instance.current is not None
    assert set(plan.placements) == {"db", "web", "batch1"}
    small = replace(instance, vms=(*instance.vms, Vm("small", 1, GIB)))
    more = staying(small)
    assert more is not None
    assert set(more.placements) == {"db", "web", "batch1", "small"}
    assert all(plan.placements[n] == p for n, p in instance.current.placements.items())
    larger = Plan({"db": at("old", 0, 4, {0: 99 * GIB})})
    shrunk = staying(replace(instance, current=larger))
    assert shrunk is not None
    assert shrunk.placements["db"].memory_by_node() == {0: 8 * GIB}
    crowded = Plan({name: at("old", 0, 4, {0: 8 * GIB}) for name in ("db", "web", "batch1")})
    assert staying(replace(instance, current=crowded)) is None


def test_less_than_a_block_is_no_move() -> None:
    """A running VM with odd pages is not moved by a few MiB to fit the solver's blocks."""
    vm = Vm("x", 2, 4 * GIB, block_mib=512)
    current = Plan({"x": at("a", 0, 2, {0: 4 * GIB - 100, 1: 100})})
    instance = Instance((host("a"),), (vm,), current=current, prices=Prices(horizon_s=1.0))
    assert keep_in_place(instance, Plan({"x": at("a", 0, 2, {0: 4 * GIB})})) == current
