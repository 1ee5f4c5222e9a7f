"""Fleets by patterns tell the truth: what they prove is what brute force finds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from numaplace.models.instance import Instance
from numaplace.models.result import Result, SolveStatus, Stage
from numaplace.models.verify import violations
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.tests.oracle import OracleResult, between_of, brute_force
from numaplace.tests.strategies import instances, random_small_instance

PARAMS = SolveParams(time_limit_s=60, workers=1, explain=False)
QUICK = [HealthCheck.too_slow, HealthCheck.data_too_large]


def _check(instance: Instance) -> Result:
    """Whatever is said about value and loss holds for the best plan there is."""
    best, result = brute_force(instance), solve(instance, "patterns", PARAMS)
    if best is None:
        assert result.status in (SolveStatus.INFEASIBLE, SolveStatus.UNKNOWN)
        return result
    assert result.status is not SolveStatus.INFEASIBLE
    if result.plan is None or result.cost is None:
        return result
    assert violations(instance, result.plan) == []
    assert result.cost.value_milli <= best.value_milli
    bounds = {stage.stage: stage.bound for stage in result.stages}
    value = bounds.pop(Stage.VALUE)
    assert value is not None
    assert value >= best.value_milli
    if result.cost.value_milli == best.value_milli:
        _check_later(instance, best, result, bounds)
    return result


def _check_later(
    instance: Instance, best: OracleResult, result: Result, bounds: dict[Stage, int | None]
) -> None:
    """Bounds of later stages hold for plans that reach the objectives before."""
    assert result.cost is not None
    loss = bounds.pop(Stage.LOSS)
    between = between_of(instance, result.cost)
    for bound in bounds.values():
        assert best.between is not None
        assert (bound or 0) <= best.between
    if between == best.between:
        assert (loss or 0) <= best.loss_micro
    if result.status is SolveStatus.OPTIMAL:
        found = (result.cost.value_milli, between, result.cost.loss_micro)
        assert found == (best.value_milli, best.between, best.loss_micro)


def alike(instance: Instance, hosts: int = 2) -> Instance:
    """Return an instance of equal hosts, and of VMs some of which are equal."""
    first = instance.hosts[0]
    copies = tuple(replace(first, name=f"{first.name}-{h}") for h in range(hosts))
    vms = tuple(
        replace(instance.vms[v // 2 * 2], name=vm.name, allowed_hosts=None)
        for v, vm in enumerate(instance.vms)
    )
    return replace(instance, hosts=copies, vms=vms, current=None, sharing=())


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_random_instances(first: int) -> None:
    """On seeded instances of every feature, what is said is true."""
    for seed in range(first, first + 50):
        _check(random_small_instance(seed))
        _check(random_small_instance(seed + 300, max_hosts=2, max_nodes=2, max_plans=2_000))


@pytest.mark.parametrize("first", range(0, 100, 50))
def test_equal_hosts_and_vms(first: int) -> None:
    """So it is where hosts are equal and VMs are counted."""
    for seed in range(first, first + 50):
        instance = random_small_instance(seed, max_hosts=1, max_plans=400)
        _check(alike(instance))


@settings(max_examples=40, deadline=None, suppress_health_check=QUICK)
@given(instances(max_hosts=2, max_nodes=2, max_vms=4, max_plans=2_000))
def test_any_instance(instance: Instance) -> None:
    """Whatever hypothesis makes up."""
    _check(instance)
