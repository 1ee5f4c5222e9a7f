"""Moves: what a step copies and takes, the states on the way, what is wrong with a sequence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from numaplace.models.cost import Term, evaluate
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.moves import (
    Budget,
    Spent,
    Step,
    StepKind,
    Transition,
    spent_on,
    step_us,
    steps_between,
)
from numaplace.models.plan import PlacedCell, Placement, Plan, SharedCopy, TakenDevice
from numaplace.models.prices import Prices
from numaplace.models.relations import SharingGroup
from numaplace.models.topology import Device, Host, NumaNode, PCpu
from numaplace.models.verify import Rule, violations
from numaplace.models.vm import CpuPolicy, DeviceRequest, Vm

GIB = 1024


def host(name: str, nodes: int = 2, mib: int = 8 * GIB, cpus: int = 4) -> Host:
    """A host of equal nodes."""
    return Host(
        name,
        tuple(
            NumaNode(n, tuple(PCpu(cpus * n + c, core=cpus * n + c) for c in range(cpus)), mib)
            for n in range(nodes)
        ),
    )


def at(host_name: str, home: int, mib: int, vcpus: int = 2, **memory: int) -> Placement:
    """A VM of one cell; `memory` as n0=..., all at home unless given."""
    parts = {int(key[1:]): value for key, value in memory.items()} or {home: mib}
    return Placement(host_name, (PlacedCell(home, vcpus, tuple(sorted(parts.items()))),))


def two_vms(mib: int = 4 * GIB) -> Instance:
    """Two VMs on two hosts of two nodes."""
    return Instance((host("a"), host("b")), (Vm("x", 2, mib), Vm("y", 2, mib)))


def test_kinds_and_what_they_copy() -> None:
    """Only pages that lie where they did not are copied; on another host all are."""
    here = at("a", 0, 4096)
    assert Step("x", None, here).kind is StepKind.START
    assert Step("x", None, here).mib == 0
    assert Step("x", here, replace(here, devices=(TakenDevice("nic", "0:0"),))).kind is (
        StepKind.REPIN
    )
    half = Step("x", here, at("a", 1, 0, n0=1024, n1=3072))
    assert (half.kind, half.mib, half.is_move) == (StepKind.WITHIN, 3072, True)
    only_vcpus = Step("x", here, at("a", 1, 0, n0=4096))
    assert (only_vcpus.mib, only_vcpus.is_move) == (0, True)
    away = Step("x", here, at("b", 0, 4096))
    assert (away.kind, away.mib) == (StepKind.ACROSS, 4096)


def test_what_grows_or_shrinks_in_place_is_no_move() -> None:
    """Of a VM that was smaller only what it had counts, of one that was larger what it keeps."""
    small, large = at("a", 0, 2048), at("a", 0, 0, 3, n0=4096, n1=2048)
    grown, shrunk = Step("x", small, at("a", 0, 4096, 3)), Step("x", large, at("a", 0, 1024))
    for step in (grown, shrunk, Step("x", small, at("a", 0, 0, n0=2048, n1=2048))):
        assert (step.kind, step.mib, step.is_move) == (StepKind.RESIZE, 0, False)
    cases = [
        (small, at("a", 0, 0, n0=1536, n1=2560), 512),
        (small, at("a", 1, 4096), 2048),
        (small, at("b", 0, 4096), 2048),
        (large, at("a", 0, 0, n0=1024, n1=3072), 1024),
        (large, at("b", 0, 4096), 4096),
    ]
    for before, after, mib in cases:
        step = Step("x", before, after)
        assert (step.mib, step.is_move) == (mib, True)
    vcpus = Placement("a", (PlacedCell(0, 2), PlacedCell(1, 2)))
    for counts, moves in (((3, 3), False), ((1, 1), False), ((3, 1), True), ((1, 4), True)):
        cells = tuple(PlacedCell(node, count) for node, count in enumerate(counts))
        assert Step("x", vcpus, Placement("a", cells)).is_move is moves
    alone = Step("x", vcpus, Placement("a", (PlacedCell(0, 4),)))
    assert alone.is_move


def test_copied_memory_is_what_migration_costs() -> None:
    """A step's MiB are those the cost's migration term prices."""
    for after, rate in ((at("a", 1, 4096), 1000.0), (at("b", 0, 4096), 500.0)):
        prices = Prices(copy_mib_per_s=1000.0, network_mib_per_s=500.0, horizon_s=100.0)
        before = Plan({"x": at("a", 0, 4096)})
        instance = replace(two_vms(), prices=prices, current=before)
        step = Step("x", before.placements["x"], after)
        seconds = step_us(instance, step) / 1e6
        assert seconds == pytest.approx(4096 / rate)
        micro = evaluate(instance, Plan({"x": after})).terms[Term.MIGRATION]
        assert micro == pytest.approx(1e6 * 0.5 * 2 * seconds / 100, abs=1)


def test_budget_counts_mib_moves_and_seconds() -> None:
    """Each limit holds alone; starts cost nothing."""
    instance = two_vms()
    here = at("a", 0, 4096)
    spent = spent_on(instance, [Step("x", here, at("a", 1, 4096)), Step("y", None, here)])
    assert spent == Spent(4096, 1, 4_096_000)
    assert Budget().allows(spent)
    assert Budget(4096, 1, 4.096).allows(spent)
    assert not Budget(mib=4095).allows(spent)
    assert not Budget(moves=0).allows(spent)
    assert not Budget(seconds=4.0).allows(spent)
    for wrong in ({"mib": -1}, {"moves": -1}, {"seconds": float("nan")}):
        with pytest.raises(InputError, match="budget"):
            Budget(**wrong)


def test_pages_take_memory_on_both_sides_while_they_are_copied() -> None:
    """A swap of two VMs that fill their nodes to 3/4 has no room: neither can go first."""
    instance = two_vms(6 * GIB)
    before = Plan({"x": at("a", 0, 6144), "y": at("a", 1, 6144)})
    after = Plan({"x": at("a", 1, 6144), "y": at("a", 0, 6144)})
    assert violations(instance, before) == violations(instance, after) == []
    course = Transition(instance, before, after)
    steps = steps_between(instance, before, after)
    wrong = course.check(steps)
    assert any("during step 1" in text and "12288 MiB" in text for text in wrong)
    bounced = [
        Step("x", before.placements["x"], at("b", 0, 6144), bounce=True),
        Step("y", before.placements["y"], after.placements["y"]),
        Step("x", at("b", 0, 6144), after.placements["x"]),
    ]
    assert course.check(bounced) == []
    assert spent_on(instance, bounced).mib == 3 * 6144


def test_pages_that_stay_are_counted_once() -> None:
    """Of a VM that spreads over a second node, the pages that stay are not doubled."""
    instance = two_vms(8 * GIB)
    before, after = at("a", 0, 8192), at("a", 1, 0, n0=4096, n1=4096)
    course = Transition(instance, Plan({"x": before}), Plan({"x": after}))
    step = Step("x", before, after)
    state = course.during(Plan({"x": before}), step)
    assert state.plan.placements["x"].memory_by_node() == {0: 8192, 1: 4096}
    assert state.plan.placements["x"].nodes == {1}  # vCPUs first
    assert course.check([step]) == []


def test_a_vm_that_changes_hosts_takes_both() -> None:
    """While it is copied, vCPUs and pCPUs are taken on both hosts."""
    vms = (Vm("x", 4, GIB, cpu_policy=CpuPolicy.DEDICATED), Vm("y", 4, GIB))
    instance = Instance((host("a", 1), host("b", 1)), vms)
    there = Placement("a", (PlacedCell(0, 4, ((0, GIB),), (0, 1, 2, 3)),))
    gone = Placement("b", (PlacedCell(0, 4, ((0, GIB),), (0, 1, 2, 3)),))
    before = Plan({"x": there, "y": at("b", 0, GIB, 4)})
    course = Transition(instance, before, Plan({"x": gone, "y": at("a", 0, GIB, 4)}))
    step = Step("x", there, gone)
    faults = course.faults(course.during(before, step))
    assert {fault.rule for fault in faults} == {Rule.SHARED_CPUS}
    alone = Transition(instance, Plan({"x": there}), Plan({"x": gone}))
    assert alone.check([step]) == []


def test_devices_are_held_until_the_end_of_a_step() -> None:
    """Two VMs cannot exchange their only functions within a host."""
    devices = (Device("0000:01:00.0", "nic", frozenset({0})), Device("0000:02:00.0", "nic"))
    vms = tuple(Vm(name, 1, GIB, devices=(DeviceRequest("nic"),)) for name in ("x", "y"))
    instance = Instance((replace(host("a"), devices=devices),), vms)
    first, second = (
        Placement("a", (PlacedCell(0, 1, ((0, GIB),)),), (TakenDevice("nic", d.address),))
        for d in devices
    )
    before, after = Plan({"x": first, "y": second}), Plan({"x": second, "y": first})
    course = Transition(instance, before, after)
    wrong = course.check(steps_between(instance, before, after))
    assert any("during step 1" in text and "functions" in text for text in wrong)


def test_copies_of_shared_pages_are_there_before_and_after() -> None:
    """Both the old and the new copy take memory until the last step is done."""
    vms = (Vm("x", 2, 4 * GIB), Vm("y", 2, 4 * GIB))
    group = SharingGroup("g", ("x", "y"), GIB)
    instance = Instance((host("a"),), vms, sharing=(group,))
    own = 3 * GIB
    before = Plan({v: at("a", 0, own) for v in "xy"}, (SharedCopy("g", "a", (0,)),))
    after = Plan({v: at("a", 1, own) for v in "xy"}, (SharedCopy("g", "a", (1,)),))
    course = Transition(instance, before, after)
    assert course.start().plan.copies == (SharedCopy("g", "a", (0, 1)),)
    assert course.check(steps_between(instance, before, after)) == []


def test_what_the_current_plan_breaks_is_excused_until_it_moves() -> None:
    """An overfull node may be emptied VM by VM; a new fault elsewhere is none that is excused."""
    instance = Instance((host("a"),), tuple(Vm(name, 2, 6 * GIB) for name in "xy"))
    before = Plan({"x": at("a", 0, 6144), "y": at("a", 0, 6144)})
    after = Plan({"x": at("a", 0, 6144), "y": at("a", 1, 6144)})
    assert Transition(instance, before, after).check(steps_between(instance, before, after)) == []
    worse = Plan({"x": at("a", 1, 6144), "y": at("a", 1, 6144)})
    assert Transition(instance, before, worse).check(steps_between(instance, before, worse))


def test_a_sequence_must_begin_and_end_where_it_says() -> None:
    """Steps that do not follow one another, or stop short of the plan, are told."""
    instance = two_vms()
    before, after = Plan({"x": at("a", 0, 4096)}), Plan({"x": at("a", 1, 4096)})
    course = Transition(instance, before, after)
    assert course.check([]) == ["the steps do not lead to the new plan"]
    wrong = course.check([Step("x", at("b", 0, 4096), at("a", 1, 4096))])
    assert "step 1: VM 'x' is not where the step begins" in wrong


def test_twins_do_not_clash_with_names() -> None:
    """A VM may be called what the copy of another one would be."""
    instance = Instance((host("a"), host("b")), (Vm("x", 2, GIB), Vm("x (arriving)", 2, GIB)))
    before = Plan({"x": at("a", 0, GIB), "x (arriving)": at("a", 1, GIB)})
    after = Plan({"x": at("b", 0, GIB), "x (arriving)": at("a", 1, GIB)})
    assert Transition(instance, before, after).check(steps_between(instance, before, after)) == []
