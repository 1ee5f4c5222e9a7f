"""Solves cut short, or started from plans outside the formulation, claim nothing false."""

from __future__ import annotations

import pytest

from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.result import SolveStatus, Stage
from numaplace.models.topology import Host
from numaplace.models.vm import Vm
from numaplace.solver.names import EXACT
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.tests.builders import make_host, make_node


@pytest.mark.parametrize("solver", EXACT)
@pytest.mark.parametrize("milliseconds", [0, 1, 3, 10, 30])
def test_value_bound_without_time(solver: str, milliseconds: int) -> None:
    """An empty hint and no time: the value's bound is never below what can be placed."""
    hosts = tuple(make_host(name, 4) for name in ("a", "b"))
    vms = tuple(Vm(f"vm{i}", 2, 1024, memory_intensity=0.5) for i in range(12))
    params = SolveParams(hint=Plan(), time_limit_s=milliseconds / 1000, explain=False)
    result = solve(Instance(hosts, vms), solver, params)
    value = result.stage(Stage.VALUE)
    assert value is not None
    assert value.bound is None or value.bound >= 24000
    assert result.status is not SolveStatus.OPTIMAL or value.objective == 24000


@pytest.mark.parametrize("solver", EXACT)
def test_hint_not_in_blocks(solver: str) -> None:
    """A valid plan that cuts memory elsewhere than in blocks is kept, and nothing called proven."""
    nodes = (make_node(0, memory_mib=70), make_node(1, memory_mib=1), make_node(2, memory_mib=30))
    host = Host("a", nodes, ((10, 12, 30), (12, 10, 30), (30, 30, 10)))
    instance = Instance((host,), (Vm("vm", 1, 100, block_mib=50),))
    hint = Plan({"vm": Placement("a", (PlacedCell(0, 1, ((0, 70), (2, 30))),))})
    result = solve(instance, solver, SolveParams(hint=hint))
    assert result.plan == hint
    assert result.status is SolveStatus.FEASIBLE
