"""Dedicated plans: cost and simulation take the same yields, and agree within 2 % of the vCPUs."""

from __future__ import annotations

import pytest

from numaplace.instances.shapes import HostShape, make_host
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.vm import CpuPolicy, ThreadPolicy, Vm
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.solver.simulator.plans import simulate_plan

HOST = make_host(HostShape(2, 1, 4, 2, node_mib=32768), "h")


def _vm(name: str, vcpus: int, policy: CpuPolicy = CpuPolicy.DEDICATED, **more: object) -> Vm:
    return Vm(name, vcpus, 2048, cpu_policy=policy, **more)  # type: ignore[arg-type]


CASES = {
    "all threads busy": [_vm(f"v{i}", 4, memory_intensity=0.3) for i in range(4)],
    "half of the time": [_vm(f"v{i}", 4, utilisation=0.5) for i in range(4)],
    "each its own": [
        _vm("a", 4, utilisation=0.3, memory_intensity=0.0),
        _vm("b", 3, utilisation=0.9, memory_intensity=0.6),
        _vm("c", 4, utilisation=0.6),
        _vm("d", 4),
    ],
    "all policies": [
        _vm("a", 4, thread_policy=ThreadPolicy.REQUIRE),
        _vm("b", 2, thread_policy=ThreadPolicy.ISOLATE, utilisation=0.7),
        _vm("c", 4, utilisation=0.8, smt_yield=1.1),
        _vm("d", 2, smt_yield=1.6),
    ],
    "shared ones beside": [
        _vm("a", 4, thread_policy=ThreadPolicy.REQUIRE, utilisation=0.8),
        _vm("b", 4, smt_yield=1.1),
        _vm("c", 4, CpuPolicy.SHARED),
        _vm("d", 3, memory_intensity=0.8),
    ],
}


@pytest.mark.parametrize("solver", ["greedy", "nova"])
@pytest.mark.parametrize("case", CASES)
def test_cost_and_simulation_agree(case: str, solver: str) -> None:
    instance = Instance((HOST,), tuple(CASES[case]))
    plan = solve(instance, solver, SolveParams(explain=False)).plan
    assert plan is not None and len(plan) == len(instance.vms)
    found = simulate_plan(instance, plan, 5.0)
    assert found.predicted > 0
    assert found.lost == pytest.approx(found.predicted, abs=0.02 * found.wanted)


@pytest.mark.parametrize(("pcpus", "lost"), [((0, 1, 2, 3), 1.5), ((0, 2, 4, 6), 0.0)])
def test_four_vcpus_on_two_cores_lose_one_and_a_half(pcpus: tuple[int, ...], lost: float) -> None:
    """And on four cores nothing, of eight idle ones."""
    vm = _vm("a", 4, smt_yield=1.25)
    cell = PlacedCell(0, 4, ((0, 2048),), pcpus=pcpus)
    found = simulate_plan(Instance((HOST,), (vm,)), Plan({"a": Placement("h", (cell,))}), 2.0)
    assert found.predicted == found.lost == pytest.approx(lost)
