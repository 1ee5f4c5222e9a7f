"""MILP and CP-SAT prove the same optimum, on random and on known instances."""

from __future__ import annotations

from dataclasses import replace

import pytest

from numaplace.instances.catalog import list_catalog, load_catalog
from numaplace.models.instance import Instance, Prices
from numaplace.models.relations import Competition, Cooperation, Scope
from numaplace.models.result import Result, SolveStatus
from numaplace.models.topology import Host
from numaplace.models.vm import Cell, GuestNuma, Vm
from numaplace.solver.cpsat.solve import solve_cpsat
from numaplace.solver.milp.solve import solve_milp
from numaplace.solver.names import MilpBackend
from numaplace.solver.params import SolveParams
from numaplace.tests.builders import make_host, make_instance, make_node
from numaplace.tests.formulation_loss import cpsat_loss_of, milp_loss_of
from numaplace.tests.strategies import random_small_instance

QUICK = SolveParams(time_limit_s=20, workers=1)
CBC = SolveParams(time_limit_s=20, workers=1, milp_backend=MilpBackend.CBC)
TALK = [entry for entry in list_catalog() if entry.name.startswith("talk-")]


def proof(result: Result) -> tuple[object, ...]:
    return result.status, *((s.stage, s.objective, s.bound) for s in result.stages)


def check_same(instance: Instance, params: SolveParams) -> None:
    """Both prove the same stages, and see the specification's loss in each other's plan."""
    one, other = solve_cpsat(instance, QUICK), solve_milp(instance, params)
    assert one.status in (SolveStatus.OPTIMAL, SolveStatus.INFEASIBLE)
    assert proof(one) == proof(other)
    if one.plan is not None and one.cost is not None:
        assert milp_loss_of(instance, one.plan) == one.cost.loss_micro
    if other.plan is not None and other.cost is not None:
        assert cpsat_loss_of(instance, other.plan) == other.cost.loss_micro


@pytest.mark.parametrize("seed", range(40))
def test_same_optimum_with_highs(seed: int) -> None:
    """HiGHS proves what CP-SAT proves, stage by stage."""
    check_same(random_small_instance(seed, max_vms=6, max_plans=10**9), QUICK)


@pytest.mark.parametrize("seed", range(100, 112))
def test_same_optimum_with_cbc(seed: int) -> None:
    """CBC does as well."""
    check_same(random_small_instance(seed), CBC)


@pytest.mark.parametrize("entry", TALK, ids=lambda entry: entry.name)
@pytest.mark.parametrize("params", [QUICK, CBC], ids=["highs", "cbc"])
def test_optima_of_the_talk(entry: object, params: SolveParams) -> None:
    """Known optima are found and proven."""
    result = solve_milp(load_catalog(entry.name), params)  # type: ignore[attr-defined]
    assert result.status is SolveStatus.OPTIMAL
    assert result.cost is not None
    known = (entry.known_value_milli, entry.known_loss_micro)  # type: ignore[attr-defined]
    assert (result.cost.value_milli, result.cost.loss_micro) == known


def test_products_where_distances_are_no_tree() -> None:
    """Guests of unequal cells that talk and compete, at asymmetric distances."""
    slit = ((10.0, 12.0, 21.0), (15.0, 10.0, 31.0), (20.0, 24.0, 10.0))
    host = Host("host", tuple(make_node(n, cores=4) for n in range(3)), slit)
    cells = (Cell(3, 512), Cell(1, 1024))
    vms = [
        Vm("a", 4, 1536, guest_numa=GuestNuma.EXPLICIT, cells=cells, guest_locality=0.5),
        Vm("b", 4, 1536, guest_numa=GuestNuma.EXPLICIT, cells=cells, guest_locality=0.0),
        Vm("c", 2, 1024, soft_nodes=frozenset({2}), soft_weight=0.7),
    ]
    instance = make_instance(
        *vms,
        host=host,
        cooperations=(Cooperation("a", "b", 1.3), Cooperation("b", "c", 0.4)),
        competitions=(Competition("a", "c", 0.6, Scope.NODE),),
    )
    check_same(instance, QUICK)
    result = solve_milp(instance, QUICK)
    assert result.cost is not None
    assert result.cost.loss_micro > 0


def test_each_node_rounds_its_loss_up() -> None:
    """Three nodes lose 1.001 millionths each: 6 together, which a sum of parts would put at 4."""
    host = make_host(nodes=3)
    nodes = tuple(replace(node, bandwidth_mbps=100) for node in host.nodes)
    vms = [
        Vm(f"vm{n}", 1, 192, bandwidth_mbps=101, hard_nodes=frozenset({n}), block_mib=64)
        for n in range(3)
    ]
    prices = Prices(vcpus_per_mbps=1e-6)
    instance = make_instance(*vms, host=replace(host, nodes=nodes), prices=prices)
    result = solve_milp(instance, QUICK)
    assert result.cost is not None and result.cost.loss_micro == 6
    assert result.status is SolveStatus.OPTIMAL
