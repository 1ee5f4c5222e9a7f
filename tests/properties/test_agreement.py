"""CP-SAT = MILP = brute force, and every plan of every solver passes the verifier."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from numaplace.models.instance import Instance
from numaplace.models.result import Result, SolveStatus
from numaplace.models.verify import violations
from numaplace.solver.names import EXACT, ONLINE
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.tests.oracle import OracleResult, between_of, brute_force
from numaplace.tests.strategies import instances, random_small_instance

INSTANCES = 1000
CHUNK = 50
PARAMS = SolveParams(time_limit_s=60, workers=1, explain=False)


def _check_exact(instance: Instance, best: OracleResult | None, result: Result) -> None:
    """An exact solver proves what brute force finds."""
    if best is None:
        assert result.status is SolveStatus.INFEASIBLE
        return
    assert result.status is SolveStatus.OPTIMAL
    assert result.plan is not None
    assert result.cost is not None
    assert violations(instance, result.plan) == []
    found = (result.cost.value_milli, between_of(instance, result.cost), result.cost.loss_micro)
    assert found == (best.value_milli, best.between, best.loss_micro)
    assert all(stage.proven for stage in result.stages)


def _check_online(instance: Instance, best: OracleResult | None, result: Result) -> None:
    """An online solver's plan is valid and no better than the optimum."""
    if result.plan is None:
        assert result.status is SolveStatus.UNKNOWN
        return
    assert violations(instance, result.plan) == []
    assert best is not None
    assert result.cost is not None
    assert result.status is SolveStatus.FEASIBLE
    found = (-result.cost.value_milli, between_of(instance, result.cost), result.cost.loss_micro)
    optimum = (-best.value_milli, best.between, best.loss_micro)
    assert [f or 0 for f in found] >= [o or 0 for o in optimum]


def _check(instance: Instance) -> None:
    best = brute_force(instance)
    for solver in EXACT:
        _check_exact(instance, best, solve(instance, solver, PARAMS))
    for solver in ONLINE:
        _check_online(instance, best, solve(instance, solver, PARAMS))


@pytest.mark.parametrize("first", range(0, INSTANCES, CHUNK))
def test_random_instances(first: int) -> None:
    """On a thousand seeded instances all solvers tell the truth."""
    for seed in range(first, first + CHUNK):
        _check(random_small_instance(seed))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(instances(max_nodes=3, max_vms=3, max_plans=5_000))
def test_any_instance(instance: Instance) -> None:
    """Whatever hypothesis makes up, all solvers tell the truth."""
    _check(instance)
