"""Models that versions of HiGHS have got wrong."""

from __future__ import annotations

import pytest

from numaplace.models.result import SolveStatus
from numaplace.solver.cpsat.solve import solve_cpsat
from numaplace.solver.milp.solve import solve_milp
from numaplace.solver.params import SolveParams
from numaplace.tests.strategies import random_small_instance

PARAMS = SolveParams(time_limit_s=30, workers=1, explain=False)


@pytest.mark.parametrize(
    ("seed", "size"),
    [
        (201527, {"max_vms": 8, "max_nodes": 5, "max_hosts": 2}),  # 1.16.0 cut off the optimum
        (36, {"max_vms": 6}),  # so did 1.14.0
        (139, {"max_vms": 7, "max_nodes": 4}),  # 1.13.1 was off by a micro-vCPU
    ],
)
def test_optimum_is_not_cut_off(seed: int, size: dict[str, int]) -> None:
    """MILP proves the optimum of CP-SAT."""
    instance = random_small_instance(seed, max_plans=10**30, **size)
    exact, second = solve_cpsat(instance, PARAMS), solve_milp(instance, PARAMS)
    assert exact.status is second.status is SolveStatus.OPTIMAL
    assert [s.objective for s in exact.stages] == [s.objective for s in second.stages]
