"""Balloon targets read off plans."""

from dataclasses import replace

from numaplace.instances.catalog import load_catalog
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.vm import Vm
from numaplace.solver.registry import solve
from numaplace.solver.replan.diff import NodePages, balloon_targets

NODES = tuple(
    NumaNode(n, tuple(PCpu(4 * n + c, 4 * n + c) for c in range(4)), 4096) for n in (0, 1)
)
HOST = Host("h", NODES)
VM = Vm("a", 2, 4096, memory_min_mib=1024)


def placed(*memory: tuple[int, int], size: int = 4096) -> Plan:
    return Plan({"a": Placement("h", (PlacedCell(0, 2, memory, size_mib=size),))})


def test_a_new_vm_begins_with_all_its_memory_at_home() -> None:
    (found,) = balloon_targets(Instance((HOST,), (VM,)), placed((0, 3072)))
    assert (found.before_mib, found.target_mib, found.change_mib) == (4096, 3072, -1024)
    assert found.nodes == (NodePages(0, 4096, 3072),)


def test_a_running_vm_gives_from_where_its_pages_are() -> None:
    running = Instance((HOST,), (VM,), current=placed((0, 2048), (1, 2048)))
    (found,) = balloon_targets(running, placed((0, 2048)))
    assert (found.before_mib, found.target_mib) == (4096, 2048)
    assert found.nodes == (NodePages(0, 2048, 2048), NodePages(1, 2048, 0))
    (back,) = balloon_targets(replace(running, current=placed((0, 1024))), placed((0, 4096)))
    assert back.change_mib == 3072


def test_vms_that_cannot_give_or_are_not_placed_are_left_out() -> None:
    instance = Instance((HOST,), (Vm("a", 2, 4096), replace(VM, name="b")))
    assert balloon_targets(instance, placed((0, 4096))) == ()


def test_targets_of_an_optimum_lie_within_the_limits_and_fill_what_there_is() -> None:
    instance = load_catalog("ballooning")
    plan = solve(instance, "cpsat").plan
    assert plan is not None
    targets = balloon_targets(instance, plan)
    assert {target.vm for target in targets} == {"elastic1", "elastic2", "idle"}
    for target in targets:
        assert target.least_mib <= target.target_mib <= target.nominal_mib
        assert sum(pages.target_mib for pages in target.nodes) == target.target_mib
    # 20 GiB are wanted, 16 are there, 6 of them belong to a VM that gives nothing.
    assert sum(target.target_mib for target in targets) == 10 * 1024
