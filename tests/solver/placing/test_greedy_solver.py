"""Solvers that decide one VM at a time: results, reasons, time, required VMs."""

from dataclasses import replace

import pytest

from numaplace.models.instance import Between, Instance
from numaplace.models.result import SolveStatus, Stage
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.units import PageSize
from numaplace.models.verify import violations
from numaplace.models.vm import CpuPolicy, DeviceRequest, MemoryMode, ThreadPolicy, Vm
from numaplace.solver.params import SolveParams
from numaplace.solver.placing.solver import GREEDY_SOLVERS, solve_greedy, solve_greedy_sorted
from numaplace.tests.strategies import random_small_instance

PARAMS = SolveParams()


def host(name: str = "h", nodes: int = 2, cpus: int = 4, mib: int = 1024) -> Host:
    """Return a host of equal nodes."""
    return Host(
        name,
        tuple(
            NumaNode(n, tuple(PCpu(cpus * n + c, cpus * n + c) for c in range(cpus)), mib)
            for n in range(nodes)
        ),
    )


def reason(vm: Vm, *others: Vm, **changes: object) -> str:
    """Return why `vm`, placed last, is not placed."""
    hosts = (replace(host(), **changes),)  # type: ignore[arg-type]
    return solve_greedy(Instance(hosts, (*others, vm)), PARAMS).unplaced[vm.name]


@pytest.mark.parametrize("name", GREEDY_SOLVERS)
def test_every_plan_is_valid(name: str) -> None:
    """Plans of every solver pass the verifier on random instances of every feature."""
    placed = 0
    for seed in range(120):
        instance = random_small_instance(seed, max_vms=6, max_plans=10**12)
        result = GREEDY_SOLVERS[name](instance, PARAMS)
        assert result.solver == name
        if result.plan is None:
            assert result.status is SolveStatus.UNKNOWN
            assert result.reasons
            continue
        assert not violations(instance, result.plan)
        assert result.status is SolveStatus.FEASIBLE
        assert all(stage.bound is None for stage in result.stages)
        assert result.plan.placements.keys() ^ result.unplaced.keys() == instance.vm_index.keys()
        placed += len(result.plan)
    assert placed > 150


def test_stats_count_and_time_decisions() -> None:
    """One decision a VM, mean not above the largest."""
    vms = tuple(Vm(f"v{n}", 1, 64) for n in range(5))
    stats = solve_greedy(Instance((host(),), vms), PARAMS).stats
    assert stats["decisions"] == 5
    assert 0 < stats["mean_decision_us"] <= stats["max_decision_us"]


def test_reasons_name_what_is_missing_and_where_it_is_nearest() -> None:
    """VCPUs, pages, dedicated cores, devices, closed nodes: the best candidate and its room."""
    filler = Vm("filler", 3, 256)
    large = Vm("large", 3, 900, memory_mode=MemoryMode.STRICT)
    assert reason(large, filler, Vm("other", 3, 256)) == (
        "needs 3 vCPUs on one node, most free is 1 on h/0 "
        "(vcpu_overcommit, import --overcommit, allows more)"
    )
    assert reason(replace(large, vcpus=1, memory_mib=1280)) == (
        "needs 1280 MiB in 4K pages on one node, most free is 1024 on h/0"
    )
    huge = Vm("huge", 1, 512, page_size=PageSize.HUGE_2M, memory_mode=MemoryMode.STRICT)
    assert reason(huge) == "needs 512 MiB in 2M pages on one node, most free is 0 on h/0"
    siblings = Vm("s", 2, 64, cpu_policy=CpuPolicy.DEDICATED, thread_policy=ThreadPolicy.REQUIRE)
    assert "dedicated vCPUs (threads: require)" in reason(siblings)
    device = Vm("d", 1, 64, devices=(DeviceRequest("gpu", 2),))
    assert reason(device) == "needs 2 functions of 'gpu', most free is 0 on h"
    spread = Vm("wide", 1, 2304)
    assert reason(spread) == (
        "needs 2304 MiB in 4K pages on the nodes of one host, most free is 2048 on h"
    )


def test_cpus_and_memory_on_different_nodes_are_told_apart() -> None:
    """One node has the vCPUs, the other the memory, none has both."""
    cpu_eater = Vm("cpus", 4, 64, hard_nodes=frozenset({0}))
    memory_eater = Vm("memory", 1, 1000, hard_nodes=frozenset({1}))
    vm = Vm("vm", 2, 512, memory_mode=MemoryMode.STRICT)
    assert reason(vm, cpu_eater, memory_eater) == (
        "no node that has 2 vCPUs free has room for 512 MiB in 4K pages too"
    )


def test_a_required_vm_left_out_means_no_plan() -> None:
    """Greedy cannot prove that there is none: unknown, with the reason."""
    vms = (Vm("small", 4, 64), Vm("must", 8, 64, max_cells=1, required=True))
    result = solve_greedy(Instance((host(),), vms), PARAMS)
    assert result.status is SolveStatus.UNKNOWN
    assert result.plan is None
    assert result.reasons == (
        "VM 'must': needs 8 vCPUs on one node, most free is 4 on h/1 "
        "(vcpu_overcommit, import --overcommit, allows more)",
    )


def test_require_all_makes_every_vm_required() -> None:
    """The same for a VM that is not required by itself."""
    vms = (Vm("small", 1, 64), Vm("wide", 8, 64, max_cells=1))
    instance = Instance((host(),), vms)
    assert solve_greedy(instance, PARAMS).plan is not None
    assert solve_greedy(instance, SolveParams(require_all=True)).plan is None


def test_sorted_places_required_and_large_vms_first() -> None:
    """In given order the small ones block the large one; sorted, all fit but a small one."""
    smalls = tuple(Vm(f"small{n}", 3, 64) for n in range(2))
    large = Vm("large", 4, 64, required=True)
    instance = Instance((host(),), (*smalls, large))
    assert solve_greedy(instance, PARAMS).plan is None
    result = solve_greedy_sorted(instance, PARAMS)
    assert result.plan is not None
    assert set(result.plan.placements) == {"small0", "large"}


def test_vms_that_follow_each_other_share_one_core() -> None:
    """Ended VMs leave their room: three VMs as wide as the host, one after the other."""
    vms = tuple(
        Vm(f"v{n}", 4, 1024, start=10 * n, end=10 * n + 10, cpu_policy=CpuPolicy.DEDICATED)
        for n in (2, 0, 1)
    )
    result = solve_greedy(Instance((host(nodes=1),), vms), PARAMS)
    assert result.plan is not None
    assert len(result.plan) == 3


def test_fewest_hosts_and_balance_come_before_the_loss() -> None:
    """Two VMs: on one host if hosts count, on two if balance does."""
    vms = tuple(Vm(f"v{n}", 2, 64) for n in range(2))
    hosts = (host("a"), host("b"))
    used = {}
    for between in (Between.FEWEST_HOSTS, Between.BALANCE):
        result = solve_greedy(Instance(hosts, vms, between=between), PARAMS)
        assert result.cost is not None
        used[between] = result.cost.hosts_used
        assert [stage.stage for stage in result.stages][::2] == [Stage.VALUE, Stage.LOSS]
    assert used == {Between.FEWEST_HOSTS: 1, Between.BALANCE: 2}


def test_a_stopped_solve_returns_what_it_has() -> None:
    """Stopped after two questions: two VMs are placed, the others say why not."""
    asked = iter([False, False])
    vms = tuple(Vm(f"v{n}", 1, 64) for n in range(5))
    params = SolveParams(should_stop=lambda: next(asked, True))
    result = solve_greedy(Instance((host(),), vms), params)
    assert result.plan is not None
    assert len(result.plan) == 2
    assert set(result.unplaced.values()) == {"the solve was stopped before it was looked at"}
