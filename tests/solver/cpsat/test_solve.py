"""Statuses, bounds, interruption and explanations of the CP-SAT solver."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from numaplace.models.instance import Between, Instance
from numaplace.models.relations import Apart
from numaplace.models.result import SolveStatus, Stage
from numaplace.models.vm import MemoryMode, Vm
from numaplace.solver.cpsat.explain import explained
from numaplace.solver.cpsat.solve import solve_cpsat
from numaplace.solver.formulation.decide import decisions_of
from numaplace.solver.formulation.extract import extract_plan
from numaplace.solver.formulation.model import Formulation
from numaplace.solver.formulation.prepare import Prepared
from numaplace.solver.params import Progress, SolveParams
from numaplace.tests.builders import crowd, make_host, make_instance
from numaplace.tests.formulation_loss import cpsat_loss_of
from numaplace.tests.strategies import random_small_instance

QUICK = SolveParams(time_limit_s=20, workers=1)


def test_remote_is_better_than_not_at_all() -> None:
    """A VM with more memory than a node spills, and pays for the blocks on the other node.

    6144 of 4096 + 4096 MiB are wanted, in 64 blocks of 96 MiB: 42 fit, 22 are remote. r = 2 and
    mu = 0.3, so they cost 2 vCPUs * 22/64 * 0.3/1.3.
    """
    result = solve_cpsat(make_instance(Vm("big", 2, 6144)), QUICK)
    assert result.status is SolveStatus.OPTIMAL
    assert result.cost is not None
    assert result.cost.loss_micro == pytest.approx(2e6 * 0.3 / 1.3 * 22 / 64, abs=22)


def test_value_is_never_given_up_for_loss() -> None:
    """A plan without the remote VM would lose nothing, and is not chosen."""
    result = solve_cpsat(make_instance(Vm("a", 4, 4096), Vm("b", 4, 4096), Vm("c", 1, 64)), QUICK)
    assert result.plan is not None
    assert result.cost is not None
    assert result.cost.value_milli == 8000
    assert set(result.plan.placements) == {"a", "b"}


def test_infeasible_names_vms_and_rules() -> None:
    """Two required strict VMs of 3 GiB and a third of 3 GiB do not fit two nodes of 4 GiB."""
    vms = [Vm(f"vm{i}", 1, 3072, memory_mode=MemoryMode.STRICT, required=True) for i in range(3)]
    instance = make_instance(*vms, Vm("small", 1, 64, required=True))
    result = explained(instance, solve_cpsat(instance, QUICK), QUICK)
    assert result.status is SolveStatus.INFEASIBLE
    assert result.plan is None
    (reason,) = result.reasons
    assert "vm0, vm1, vm2 cannot all be placed" in reason
    assert "memory_capacity" in reason
    assert "small" not in reason


def test_unplaced_tells_the_conflict() -> None:
    """The reason names the VMs in the way and the rule."""
    vms = [Vm(name, 1, 64) for name in "abc"]
    instance = make_instance(*vms, aparts=(Apart(("a", "b", "c")),))
    result = explained(instance, solve_cpsat(instance, QUICK), QUICK)
    ((name, reason),) = result.unplaced.items()
    others = sorted({"a", "b", "c"} - {name})
    assert reason == f"does not fit beside {others[0]}, {others[1]}: apart rule of a, b, c [apart]"


def test_wider_than_every_node() -> None:
    """A VM no node can take is told so with the widest node."""
    instance = make_instance(Vm("wide", 6, 64, max_cells=1))
    result = explained(instance, solve_cpsat(instance, QUICK), QUICK)
    assert result.unplaced["wide"].startswith("its 6 vCPUs are wider than every node it may use")
    assert "the widest takes 4" in result.unplaced["wide"]


def test_no_time_is_unknown_without_a_plan() -> None:
    """Without time and without a hint nothing is claimed."""
    result = solve_cpsat(crowd(20), replace(QUICK, time_limit_s=0.0))
    assert result.status is SolveStatus.UNKNOWN
    assert result.plan is None


def test_interrupt_hands_over_the_best_plan() -> None:
    """A stop that comes during the search returns its incumbent, a bound, and no false proof."""
    started = time.monotonic()
    seen: list[Progress] = []

    def stop() -> bool:
        return any(p.stage is Stage.LOSS and p.objective is not None for p in seen)

    params = SolveParams(time_limit_s=60, workers=2, on_progress=seen.append, should_stop=stop)
    result = solve_cpsat(crowd(30), params)
    assert time.monotonic() - started < 30
    assert result.plan is not None
    assert len(result.plan) == 30
    loss = result.stage(Stage.LOSS)
    assert loss is not None
    assert loss.bound is not None
    assert loss.bound <= loss.objective
    assert (result.status is SolveStatus.OPTIMAL) == loss.proven


def test_fewest_hosts_come_before_loss() -> None:
    """Four VMs that contend on one host stay on it if hosts are counted first."""
    hosts = tuple(make_host(name, cores=2, threads=2) for name in ("a", "b"))
    vms = tuple(Vm(f"vm{i}", 2, 64) for i in range(4))
    packed = solve_cpsat(Instance(hosts, vms, between=Between.FEWEST_HOSTS), QUICK)
    spread = solve_cpsat(Instance(hosts, vms), QUICK)
    assert packed.cost is not None
    assert spread.cost is not None
    assert (packed.cost.hosts_used, spread.cost.hosts_used) == (1, 2)
    assert packed.cost.loss_micro == 2_400_000
    assert spread.cost.loss_micro == 0
    assert packed.status is spread.status is SolveStatus.OPTIMAL


def test_balance_levels_hosts() -> None:
    """Balanced, each of two hosts runs half of the load."""
    hosts = tuple(make_host(name) for name in ("a", "b"))
    vms = tuple(Vm(f"vm{i}", 2, 64) for i in range(4))
    result = solve_cpsat(Instance(hosts, vms, between=Between.BALANCE), QUICK)
    assert result.cost is not None
    assert result.cost.imbalance_permille == 500


def test_plans_survive_the_round_trip() -> None:
    """Plan -> decisions -> plan gives the plan back; the formulation sees its exact loss."""
    seen = 0
    for seed in range(60):
        instance = random_small_instance(seed)
        result = solve_cpsat(instance, QUICK)
        if result.plan is None:
            continue
        prepared = Prepared(instance)
        decisions = decisions_of(prepared, result.plan)
        assert decisions is not None
        again = extract_plan(prepared, decisions)
        assert dict(again.placements) == dict(result.plan.placements)
        assert result.cost is not None
        assert cpsat_loss_of(instance, result.plan) == result.cost.loss_micro
        seen += len(result.plan)
    assert seen > 40


def test_hint_is_complete() -> None:
    """Fixing every hinted value leaves exactly the hinted plan."""
    instance = crowd(10)
    result = solve_cpsat(instance, replace(QUICK, relative_gap=0.5))
    assert result.plan is not None
    assert Formulation(instance, literals=True).values_of(result.plan)
    assert cpsat_loss_of(instance, result.plan) == result.cost.loss_micro if result.cost else False
