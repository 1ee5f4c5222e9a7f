"""Orders of moves: every state of 1,000 random sequences, circles, dead ends, what is impossible.

States are checked by `models.moves.Course` (the verifier), and their memory by hand.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import permutations

import pytest

from numaplace.models.cost import evaluate
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.moves import Step, StepKind, Transition, steps_between
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.verify import Rule, violations
from numaplace.models.vm import Cell, GuestNuma, MemoryMode, Vm
from numaplace.solver.deadline import NEVER, Deadline
from numaplace.solver.placing.placer import Placer
from numaplace.solver.placing.rules import best_fit, first_fit, greedy
from numaplace.solver.replan.sequence import Ordered, order_moves, priced
from numaplace.tests.strategies import random_small_instance

GIB = 1024
CASES = 125
"""Sequences a part; the first part of each kind is quick, the others are slow tests."""

PARTS = (0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, 8)))


def host(name: str, nodes: int, mib: int, cpus: int = 8) -> Host:
    """A host of equal nodes."""
    return Host(
        name,
        tuple(
            NumaNode(n, tuple(PCpu(cpus * n + c, core=cpus * n + c) for c in range(cpus)), mib)
            for n in range(nodes)
        ),
    )


def at(host_name: str, node: int, mib: int, vcpus: int = 1) -> Placement:
    """A VM of one cell, all memory local."""
    return Placement(host_name, (PlacedCell(node, vcpus, ((node, mib),)),))


# ---- random sequences ---------------------------------------------------------------------------


def random_plan(instance: Instance, rng: random.Random) -> Plan:
    """Place VMs on nodes by chance, all memory local, where they fit."""
    engine = Placer(instance)
    for vm in rng.sample(instance.vms, len(instance.vms)):
        for place in rng.sample(range(len(instance.places)), len(instance.places)):
            found = engine.find_at(vm, place)
            if found is not None and len(found.footprint.placement.memory_by_node()) == 1:
                engine.take(found)
                break
    return engine.plan()


def tight_case(seed: int, *, small: bool = False) -> tuple[Instance, Plan, Plan]:
    """One or two hosts that are nearly full, and two plans for them; VMs come, none goes."""
    rng = random.Random(seed)
    sizes = [2] if small else [rng.randint(2, 4) for _ in range(rng.randint(1, 2))]
    hosts = tuple(host(f"h{h}", nodes, 8 * GIB) for h, nodes in enumerate(sizes))
    room = 8 * sum(sizes) * rng.uniform(0.5, 1.0)
    vms: list[Vm] = []
    while room > 0 and not (small and len(vms) == 6):
        gib = rng.randint(1, 5)
        mode = rng.choice([MemoryMode.STRICT, MemoryMode.PREFERRED])
        vms.append(Vm(f"v{len(vms)}", 1, gib * GIB, memory_mode=mode, block_mib=GIB // 8))
        room -= gib
    instance = Instance(hosts, tuple(vms))
    before, after = random_plan(instance, rng), random_plan(instance, rng)
    stays = {name for name in before.placements if name in after}
    return instance, Plan({n: p for n, p in before.placements.items() if n in stays}), after


def rich_case(seed: int) -> tuple[Instance, Plan, Plan] | None:
    """An instance with every feature, and plans of two online rules in other orders."""
    instance = random_small_instance(seed, max_hosts=2, max_nodes=4, max_vms=6)
    rng = random.Random(seed)
    instance = replace(
        instance, current=None, vms=tuple(replace(vm, required=False) for vm in instance.vms)
    )
    plans = []
    for rule in rng.sample([greedy, first_fit, best_fit], 2):
        engine = Placer(instance, rule)
        for vm in rng.sample(instance.vms, len(instance.vms)):
            engine.add(vm)
        plans.append(engine.plan())
    before, after = plans
    kept = {name: where for name, where in before.placements.items() if name in after}
    start = Plan(kept, before.copies)
    return None if violations(instance, start) else (instance, start, after)


def memory_peaks(instance: Instance, before: Plan, steps: tuple[Step, ...]) -> None:
    """Follow the memory of every node by hand, both sides of each copy, without the verifier."""
    used: Counter[tuple[str, int]] = Counter()
    for placement in before.placements.values():
        for node, mib in placement.memory_by_node().items():
            used[placement.host, node] += mib
    for step in steps:
        old = {} if step.before is None else step.before.memory_by_node()
        same = step.before is not None and step.before.host == step.after.host
        for node, mib in step.after.memory_by_node().items():
            used[step.after.host, node] += max(0, mib - old.get(node, 0)) if same else mib
        for (name, node), mib in used.items():
            assert mib <= instance.place_of[name, node].node.memory_mib
        new = step.after.memory_by_node() if same else {}
        for node, mib in old.items():
            assert step.before is not None
            used[step.before.host, node] -= max(0, mib - new.get(node, 0))


def reached(before: Plan, after: Plan, ordered: Ordered) -> Plan:
    """Return the plan that the steps lead to, stuck VMs where they are."""
    placements = dict(before.placements)
    for step in ordered.steps:
        placements[step.vm] = step.after
    for name in after.placements:
        if name not in ordered.stuck:
            assert placements.get(name) == after.placements[name]
    return Plan(placements)


@pytest.mark.parametrize("part", PARTS)
def test_tight_sequences_are_valid_at_every_step(part: int) -> None:
    """Nearly full hosts: what is ordered is valid; little is stuck, and says why."""
    complete = 0
    for seed in range(part * CASES, (part + 1) * CASES):
        instance, before, after = tight_case(seed)
        ordered = order_moves(instance, before, after)
        target = reached(before, after, ordered)
        assert Transition(instance, before, target).check(ordered.steps) == []
        memory_peaks(instance, before, ordered.steps)
        assert len(ordered.reasons) == len(ordered.stuck)
        complete += not ordered.stuck
    assert complete >= 0.75 * CASES


@pytest.mark.parametrize("part", PARTS)
def test_rich_sequences_are_valid_at_every_step(part: int) -> None:
    """Every feature: devices, dedicated pCPUs, shared pages, cells, times, ballooning."""
    made = 0
    for seed in range(part * CASES, (part + 1) * CASES):
        case = rich_case(10_000 + seed)
        if case is None:
            continue
        instance, before, after = case
        ordered = order_moves(instance, before, after)
        assert len(ordered.reasons) == len(ordered.stuck)
        end = after if not ordered.stuck else reached(before, after, ordered)
        copies = after.copies if not ordered.stuck else ordered.copies
        course = Transition(instance, before, Plan(end.placements, copies))
        assert course.check(ordered.steps) == []
        made += bool(ordered.steps)
    assert made >= CASES / 4


# ---- circles ------------------------------------------------------------------------------------


def swap(instance: Instance) -> tuple[Plan, Plan]:
    """Two VMs that exchange their nodes."""
    sizes = [vm.memory_mib for vm in instance.vms[:2]]
    before = Plan({"x": at("a", 0, sizes[0]), "y": at("a", 1, sizes[1])})
    after = Plan({"x": at("a", 1, sizes[0]), "y": at("a", 0, sizes[1])})
    return before, after


def test_a_circle_is_broken_through_a_third_node() -> None:
    """The smaller VM makes room, and is copied twice."""
    vms = (Vm("x", 1, 6 * GIB), Vm("y", 1, 5 * GIB))
    instance = Instance((host("a", 3, 8 * GIB),), vms)
    before, after = swap(instance)
    ordered = order_moves(instance, before, after)
    assert ordered.stuck == ()
    assert [(step.vm, step.bounce) for step in ordered.steps] == [
        ("y", True),
        ("x", False),
        ("y", False),
    ]
    assert ordered.steps[0].after.nodes == {2}
    assert Transition(instance, before, after).check(ordered.steps) == []


def test_a_circle_is_broken_through_another_host() -> None:
    """Without a third node, another host will do."""
    vms = (Vm("x", 1, 6 * GIB), Vm("y", 1, 5 * GIB))
    instance = Instance((host("a", 2, 8 * GIB), host("b", 1, 8 * GIB)), vms)
    before, after = swap(instance)
    ordered = order_moves(instance, before, after)
    assert ordered.stuck == ()
    assert [step.kind for step in ordered.steps] == [
        StepKind.ACROSS,
        StepKind.WITHIN,
        StepKind.ACROSS,
    ]


def test_a_circle_without_room_is_reported() -> None:
    """No node, no host: both VMs are stuck, and told by what."""
    vms = (
        Vm("x", 1, 6 * GIB, memory_mode=MemoryMode.STRICT),
        Vm("y", 1, 5 * GIB, memory_mode=MemoryMode.STRICT),
    )
    instance = Instance((host("a", 2, 8 * GIB),), vms)
    before, after = swap(instance)
    ordered = order_moves(instance, before, after)
    assert (ordered.steps, set(ordered.stuck)) == ((), {"x", "y"})
    text = " ".join(ordered.reasons)
    assert "node 0 of host 'a': 11264 MiB in 4K pages are placed, 8192 are there" in text
    assert "no VM can make room" in text


def test_memory_alone_may_bounce() -> None:
    """Preferred memory: half of a VM's pages go ahead, a swap of 4.5 GiB on 8 GiB nodes works."""
    vms = (Vm("x", 1, 4608, block_mib=512), Vm("y", 1, 4608, block_mib=512))
    instance = Instance((host("a", 2, 8 * GIB),), vms)
    before, after = swap(instance)
    ordered = order_moves(instance, before, after)
    if not ordered.stuck:
        assert Transition(instance, before, after).check(ordered.steps) == []
        assert any(step.bounce for step in ordered.steps)


def test_a_dead_end_is_left() -> None:
    """The most gainful move would block the others if it came first."""
    vms = (Vm("big", 1, 3 * GIB), Vm("small", 1, GIB), Vm("mid", 4, 2 * GIB))
    instance = Instance((host("a", 3, 5 * GIB),), vms)
    before = Plan({"big": at("a", 1, 3072), "small": at("a", 2, 1024), "mid": at("a", 0, 2048, 4)})
    filler = Vm("filler", 1, 2 * GIB)
    instance = replace(instance, vms=(*vms, filler))
    full = Plan({**before.placements, "filler": at("a", 2, 2048)})
    after = Plan(
        {
            "big": at("a", 2, 3072),
            "small": at("a", 1, 1024),
            "mid": at("a", 1, 2048, 4),
            "filler": at("a", 2, 2048),
        }
    )
    ordered = order_moves(instance, full, after)
    assert ordered.stuck == ()
    assert not any(step.bounce for step in ordered.steps)
    assert Transition(instance, full, after).check(ordered.steps) == []


@pytest.mark.parametrize("seed", range(60))
def test_an_order_is_found_if_there_is_one(seed: int) -> None:
    """All orders tried: where one needs no bounce, none is made."""
    instance, before, target = tight_case(5000 + seed, small=True)
    steps = steps_between(instance, before, target)
    course = Transition(instance, before, target)
    exists = any(not course.check(order) for order in permutations(steps))
    ordered = order_moves(instance, before, target)
    if exists:
        assert ordered.stuck == ()
        assert not any(step.bounce for step in ordered.steps)
    else:
        assert ordered.stuck or any(step.bounce for step in ordered.steps)


def test_guest_numa_keeps_its_cells() -> None:
    """A guest with cells bounces, if it must, cell by cell, and keeps their sizes."""
    guest = Vm(
        "x", 2, 8 * GIB, guest_numa=GuestNuma.EXPLICIT, cells=(Cell(1, 5 * GIB), Cell(1, 3 * GIB))
    )
    instance = Instance((host("a", 3, 6 * GIB),), (guest,))

    def cut(first: int, second: int) -> Placement:
        cells = (
            PlacedCell(first, 1, ((first, 5 * GIB),)),
            PlacedCell(second, 1, ((second, 3 * GIB),)),
        )
        return Placement("a", cells)

    before, after = Plan({"x": cut(0, 1)}), Plan({"x": cut(1, 0)})
    ordered = order_moves(instance, before, after)
    assert Transition(instance, before, reached(before, after, ordered)).check(ordered.steps) == []
    for step in ordered.steps:
        assert not [
            v for v in violations(instance, Plan({"x": step.after})) if v.rule is Rule.CELLS
        ]


# ---- prices -------------------------------------------------------------------------------------


def test_gains_add_up() -> None:
    """The gains of all steps are the difference of the losses before and after."""
    for seed in range(20):
        instance, before, after = tight_case(seed)
        ordered = order_moves(instance, before, after)
        if ordered.stuck:
            continue
        steps = priced(instance, before, ordered.steps)
        gained = evaluate(instance, before).loss_micro - evaluate(instance, after).loss_micro
        assert sum(one.gain_micro for one in steps) == gained


def test_time_over() -> None:
    """Without any time, nothing is ordered, and the reason is no excuse."""
    instance, before, after = tight_case(1)
    ordered = order_moves(instance, before, after, Deadline.after(0.0))
    assert ordered.stuck
    assert all("VM " in reason for reason in ordered.reasons)
    with pytest.raises(InputError):
        Vm("", 1, 1)


def test_gains_that_there_is_no_time_for_are_none() -> None:
    """What steps copy is told all the same."""
    instance, before, after = tight_case(1)
    steps = order_moves(instance, before, after).steps
    timely, late = (priced(instance, before, steps, until) for until in (NEVER, Deadline.after(0)))
    assert [one.gain_micro for one in late] == [None] * len(steps)
    assert [one.copying_us for one in late] == [one.copying_us for one in timely]
