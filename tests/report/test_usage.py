"""What a plan uses of each node, the words for numbers, and exit codes."""

from __future__ import annotations

import pytest

from numaplace.commands.exit_codes import INFEASIBLE, NO_PLAN, OK, exit_code
from numaplace.models.cost import Cost
from numaplace.models.plan import Plan
from numaplace.models.result import Result, SolveStatus, Stage, StageResult
from numaplace.models.units import PageSize
from numaplace.models.vm import Vm
from numaplace.report.tables import words
from numaplace.report.tables.instances import node_table
from numaplace.report.tables.usage import MemoryUse, by_interest, host_uses
from numaplace.tests.builders import make_instance
from numaplace.tests.report.samples import NAMES, rich, sample


def test_use_of_a_node() -> None:
    """vCPUs, pages at home before pages away, shared copies, devices: as the plan says."""
    instance, plan = rich()
    (host,) = host_uses(instance, plan)
    first, second, memory_only = host.nodes
    assert [(use.vm, use.vcpus, use.pcpus) for use in first.cpu] == [
        ("a-database-with-a-very-long-name", 4, ()),
        ("pinned", 2, (0, 2)),
        ("huge", 1, ()),
        ("twin2", 1, ()),
    ]
    assert first.memory[2] == MemoryUse("huge", 1024, PageSize.HUGE_2M, 0)
    assert first.memory[-1] == MemoryUse("even", 1024, PageSize.SMALL, 1)
    assert second.memory[-1] == MemoryUse("twins", 512, PageSize.SMALL, shared=True)
    assert [first.away(use) for use in first.memory] == [False, False, False, True]
    assert all(memory_only.away(use) for use in memory_only.memory)
    assert second.devices[0].holders == (("web", 2),) and second.devices[0].taken == 2
    assert [use.device.kind for use in host.devices] == ["usb"]
    assert (host.vcpus, host.memory_mib) == (12, 32768)


@pytest.mark.parametrize("name", NAMES)
def test_use_adds_up_to_the_plan(name: str) -> None:
    """All vCPUs and all own memory of the VMs shown are on some node."""
    instance, plan = sample(name)
    everyone = frozenset(instance.vm_index)
    uses = host_uses(instance, plan, everyone)
    assert sum(use.vcpus for use in uses) == sum(
        cell.vcpus for p in plan.placements.values() for cell in p.cells
    )
    own = sum(m.mib for u in uses for n in u.nodes for m in n.memory if not m.shared)
    placed = plan.placements.values()
    assert own == sum(cell.total_mib for p in placed for cell in p.cells)
    assert len(node_table(instance, plan).plain()) == len(instance.places)


def test_hosts_that_run_vms_come_first() -> None:
    """Idle hosts are of least interest."""
    instance, plan = sample("fleet")
    order = by_interest(host_uses(instance, plan))
    busy = [use.vcpus > 0 for use in order]
    assert busy == sorted(busy, reverse=True) and len(order) == len(instance.hosts)


def test_a_proven_value_is_told_where_the_loss_has_no_bound() -> None:
    """Greedy knows that all are placed, and nothing of the loss."""
    stages = (StageResult(Stage.VALUE, 8, 8), StageResult(Stage.LOSS, 2, None))
    cost = Cost(8, 1, 0, ())
    result = Result("greedy", SolveStatus.FEASIBLE, Plan({}), cost, stages)
    assert words.proof_words(result) == "valid, value proven, no bound of loss"


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (words.memory(768), "768 MiB"),
        (words.memory(1536), "1.5 GiB"),
        (words.memory(2 * 1024 * 1024), "2 TiB"),
        (words.memory_of(512, 8192), "0.5/8 GiB"),
        (words.memory_of(5, 512), "5/512 MiB"),
        (words.loss(50_000), "0.05"),
        (words.loss(123_457), "0.123457"),
        (words.loss(12_345_678), "12.3457"),
        (words.value(26_000), "26"),
        (words.gap(None), "no bound"),
        (words.gap(0.0), "0 %"),
        (words.gap(0.00001), "< 0.01 %"),
        (words.gap(0.12345), "12.3 %"),
        (words.seconds(0.0000042), "4 µs"),
        (words.seconds(0.0421), "42.1 ms"),
        (words.seconds(2.345), "2.35 s"),
        (words.plural(1, "host"), "1 host"),
        (words.plural(0, "host"), "0 hosts"),
        (words.id_ranges((0, 1, 2, 5, 7, 8)), "0-2,5,7-8"),
        (words.id_ranges(()), ""),
        (words.short_address("0000:3b:00.0"), "3b:00.0"),
        (words.short_address("0001:3b:00.0"), "0001:3b:00.0"),
        (words.stage_value(Stage.BALANCE, 875), "87.5 %"),
        (words.stage_value(Stage.HOSTS, 3), "3"),
    ],
)
def test_numbers_in_words(made: str, expected: str) -> None:
    """Units and digits that people read."""
    assert made == expected


def _result(status: SolveStatus, plan: Plan | None) -> Result:
    return Result("x", status, plan, None, (StageResult(Stage.VALUE, 0, None),))


@pytest.mark.parametrize(
    ("status", "empty_plan", "code"),
    [
        (SolveStatus.OPTIMAL, True, INFEASIBLE),
        (SolveStatus.FEASIBLE, True, NO_PLAN),
        (SolveStatus.INFEASIBLE, False, INFEASIBLE),
        (SolveStatus.UNKNOWN, False, NO_PLAN),
    ],
)
def test_a_plan_without_vms_is_none(status: SolveStatus, empty_plan: bool, code: int) -> None:
    """Proven: infeasible; else: no plan in time. Without VMs to place, the empty plan is one."""
    plan = Plan() if empty_plan else None
    assert exit_code(make_instance(Vm("a", 1, 64)), _result(status, plan)) == code
    if empty_plan:
        assert exit_code(make_instance(), _result(status, plan)) == OK
