"""Counts of cores and threads become pCPUs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from numaplace.models.cores import core_groups
from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.result import SolveStatus
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.vm import CpuPolicy, ThreadPolicy, Vm
from numaplace.solver.formulation.pin import PinError, PinRequest, pin_group
from numaplace.solver.registry import solve
from numaplace.tests.builders import make_instance, make_node

HOST = Host("h", (make_node(0),))


def _vm(name: str, policy: ThreadPolicy, start: int | None = None, end: int | None = None) -> Vm:
    return Vm(
        name, 2, 512, cpu_policy=CpuPolicy.DEDICATED, thread_policy=policy, start=start, end=end
    )


def test_whole_cores_and_threads_are_disjoint() -> None:
    """Two isolated vCPUs take two cores of four, four threads the other two."""
    (group,) = core_groups(make_node(0, cores=4, threads=2), by_llc=False)
    whole, single = _vm("a", ThreadPolicy.ISOLATE), _vm("b", ThreadPolicy.PREFER)
    given = pin_group(
        make_instance(whole, single),
        HOST,
        group,
        [PinRequest("a", whole, 2), PinRequest("b", single, 4)],
    )
    assert sorted(map(len, given["a"])) == [2, 2]
    used = [pcpu for units in given.values() for unit in units for pcpu in unit]
    assert sorted(used) == list(range(8))


def test_pcpus_are_reused_over_time() -> None:
    """A VM that starts when another has ended gets its pCPUs."""
    (group,) = core_groups(make_node(0, cores=2), by_llc=False)
    first, second = _vm("a", ThreadPolicy.PREFER, 0, 5), _vm("b", ThreadPolicy.PREFER, 5, 9)
    given = pin_group(
        make_instance(first, second),
        HOST,
        group,
        [PinRequest("a", first, 2), PinRequest("b", second, 2)],
    )
    assert given["a"] == given["b"]


def test_too_much_is_an_error() -> None:
    """Three whole cores of two cannot be given."""
    (group,) = core_groups(make_node(0, cores=2), by_llc=False)
    vm = _vm("a", ThreadPolicy.ISOLATE)
    with pytest.raises(PinError, match="3 whole cores wanted, 2 are there"):
        pin_group(make_instance(vm), HOST, group, [PinRequest("a", vm, 3)])


def test_threads_share_as_few_cores_as_they_must_and_those_that_suffer_least() -> None:
    """Five threads on three cores: the two of b, which yield more, and two others share."""
    (group,) = core_groups(make_node(0, cores=3, threads=2), by_llc=False)
    first, second = (replace(_vm(n, ThreadPolicy.PREFER), vcpus=v) for n, v in (("a", 3), ("b", 2)))
    second = replace(second, smt_yield=1.9)
    requests = [PinRequest("a", first, 3), PinRequest("b", second, 2)]
    given = pin_group(make_instance(first, second), HOST, group, requests)
    cores = {key: sorted(pcpu // 2 for (pcpu,) in units) for key, units in given.items()}
    assert cores["b"][0] == cores["b"][1] and len(set(cores["a"])) == 2


@pytest.mark.parametrize("solver", ["cpsat", "milp"])
def test_who_suffers_most_keeps_its_core_when_others_come(solver: str) -> None:
    """Two cores of two threads: a is there first, b and c, which lose nothing, share the other."""
    host = Host("h", (make_node(0, cores=2, threads=2),))
    first = replace(_vm("a", ThreadPolicy.PREFER, 0, 20), vcpus=1, smt_yield=1.0)
    later = (
        replace(_vm(name, ThreadPolicy.PREFER, 10, 20), vcpus=1, smt_yield=2.0) for name in "bc"
    )
    result = solve(Instance((host,), (first, *later)), solver)
    assert result.status is SolveStatus.OPTIMAL and result.cost.loss_micro == 0


@pytest.mark.parametrize("solver", ["cpsat", "milp"])
def test_cores_of_whole_ones_are_missed_at_other_times_too(solver: str) -> None:
    """Of two cores one is w's before s comes and never of single threads: s shares the other."""
    host = Host("h", (make_node(0, cores=2, threads=2),))
    whole = replace(_vm("w", ThreadPolicy.ISOLATE, 0, 10), vcpus=1)
    single = replace(_vm("s", ThreadPolicy.PREFER, 10, 20), smt_yield=1.4)
    result = solve(Instance((host,), (whole, single)), solver)
    assert result.status is SolveStatus.OPTIMAL and result.cost.loss_micro == 600_000


@pytest.mark.parametrize("solver", ["cpsat", "milp", "greedy"])
def test_dedicated_vcpus_take_a_core_each(solver: str) -> None:
    """4 vCPUs on 8 idle cores of two threads, and two VMs of 3: no two on one core."""
    host = Host("h", (make_node(0, cores=8, threads=2, memory_mib=8192),))
    for sizes in ((4,), (3, 3)):
        vms = (replace(_vm(f"vm{k}", ThreadPolicy.PREFER), vcpus=n) for k, n in enumerate(sizes))
        result = solve(Instance((host,), tuple(vms)), solver)
        assert result.plan is not None and result.cost.loss_micro == 0
        cells = [cell for p in result.plan.placements.values() for cell in p.cells]
        cores = [pcpu // 2 for cell in cells for pcpu in cell.pcpus]
        assert len(set(cores)) == len(cores) == sum(sizes)


@pytest.mark.parametrize("solver", ["cpsat", "milp", "greedy"])
def test_what_does_not_move_keeps_its_pcpus(solver: str) -> None:
    """In the order of its vCPUs, whoever else comes; a plan as good as without."""
    node = NumaNode(0, tuple(PCpu(n, n // 2) for n in range(8)), 1024)
    vms = tuple(Vm(f"vm{n}", 2, 64, cpu_policy=CpuPolicy.DEDICATED) for n in range(2))
    now = Placement("h", (PlacedCell(0, 2, ((0, 64),), (5, 2)),))
    instance = Instance((Host("h", (node,)),), vms, current=Plan({"vm1": now}))
    result = solve(instance, solver)
    assert result.plan is not None
    assert result.plan.placements["vm1"].cells[0].pcpus == (5, 2)
    assert result.plan.placements["vm0"].cells[0].pcpus
    assert result.cost == evaluate(instance, result.plan)
