"""Differences of two plans, worked out by hand."""

from __future__ import annotations

import pytest

from numaplace.models.cost import Term, evaluate
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.vm import CpuPolicy, Vm
from numaplace.solver.replan.diff import Change, Difference, differences
from numaplace.tests.builders import make_host, make_instance


def at(
    node: int, *memory: tuple[int, int], host: str = "host", size: int | None = None
) -> Placement:
    return Placement(host, (PlacedCell(node, 2, memory, (), size),))


HERE = at(0, (0, 1024))


@pytest.mark.parametrize(
    ("after", "change", "moved", "ballooned"),
    [
        (at(1, (1, 1024)), Change.MOVES, 1024, 0),
        (at(1, (0, 1024)), Change.MOVES, 0, 0),
        (at(0, (0, 256), (1, 768)), Change.MOVES, 768, 0),
        (at(0, (0, 512), size=1024), Change.CHANGES, 0, 512),
        (at(0, (1, 512), size=1024), Change.MOVES, 512, 512),
        (at(0, (0, 1024), host="other"), Change.MOVES, 1024, 0),
        (at(0, (0, 1536)), Change.CHANGES, 0, 0),
    ],
)
def test_a_vm_elsewhere(after: Placement, change: Change, moved: int, ballooned: int) -> None:
    """Memory copied is what the term migration prices."""
    hosts = (make_host(), make_host("other"))
    vm = Vm("vm", 2, 1024, memory_min_mib=512)
    instance = make_instance(vm, current=Plan({"vm": HERE}))
    instance = type(instance)(hosts, (vm,), current=Plan({"vm": HERE}))
    plan = Plan({"vm": after})
    (found,) = differences(instance, Plan({"vm": HERE}), plan)
    assert found == Difference("vm", change, HERE, after, moved, ballooned)
    assert (evaluate(instance, plan).terms[Term.MIGRATION] > 0) == (moved > 0)


def test_memory_given_back_is_no_move() -> None:
    """A balloon that deflates where it is copies nothing from elsewhere."""
    small, whole = at(0, (0, 512), size=1024), HERE
    instance = make_instance(Vm("vm", 2, 1024, memory_min_mib=512))
    (found,) = differences(instance, Plan({"vm": small}), Plan({"vm": whole}))
    assert (found.change, found.ballooned_mib) == (Change.CHANGES, -512)


def test_start_go_stay_and_other_pcpus() -> None:
    """In the order of the instance; who stays is not named."""
    names = ("goes", "starts", "stays", "pinned", "never")
    vms = [Vm(name, 2, 1024) for name in names]
    vms[3] = Vm("pinned", 2, 1024, cpu_policy=CpuPolicy.DEDICATED)
    held = [Placement("host", (PlacedCell(0, 2, ((0, 1024),), p),)) for p in ((0, 1), (0, 2))]
    before = Plan({"goes": HERE, "stays": HERE, "pinned": held[0]})
    after = Plan({"starts": HERE, "stays": HERE, "pinned": held[1]})
    found = differences(make_instance(*vms), before, after)
    assert [(d.vm, d.change) for d in found] == [
        ("goes", Change.GOES),
        ("starts", Change.STARTS),
        ("pinned", Change.CHANGES),
    ]
