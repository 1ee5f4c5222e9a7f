"""Statuses, bounds, interruption and silence of the MILP solver."""

from __future__ import annotations

import _thread
import threading
import time
from dataclasses import replace

import pytest

from numaplace.models.errors import InputError
from numaplace.models.instance import Between, Instance
from numaplace.models.result import SolveStatus, Stage
from numaplace.models.topology import Host
from numaplace.models.vm import MemoryMode, Vm
from numaplace.solver.milp import cbc
from numaplace.solver.milp.solve import solve_milp
from numaplace.solver.names import MilpBackend
from numaplace.solver.params import Progress, SolveParams
from numaplace.tests.builders import crowd, make_host, make_instance, make_node

QUICK = SolveParams(time_limit_s=20, workers=1)
BACKENDS = [QUICK, replace(QUICK, milp_backend=MilpBackend.CBC)]
both = pytest.mark.parametrize("params", BACKENDS, ids=["highs", "cbc"])


@both
def test_infeasible_is_proven(params: SolveParams) -> None:
    """Three required strict VMs of 3 GiB do not fit two nodes of 4 GiB."""
    vms = [Vm(f"vm{i}", 1, 3072, memory_mode=MemoryMode.STRICT, required=True) for i in range(3)]
    result = solve_milp(make_instance(*vms), params)
    assert result.status is SolveStatus.INFEASIBLE
    assert result.plan is None


@both
def test_required_vm_that_fits_nowhere(params: SolveParams) -> None:
    """A required VM without any choice makes the instance infeasible too."""
    wide = Vm("wide", 6, 64, max_cells=1, required=True)
    assert solve_milp(make_instance(wide), params).status is SolveStatus.INFEASIBLE


@both
def test_nothing_to_place(params: SolveParams) -> None:
    """Without VMs the empty plan is optimal; a VM worth nothing that would lose is left out."""
    far = Vm("far", 1, 64, value=0.0, soft_nodes=frozenset({9}))
    host = Host("host", (make_node(0), make_node(9, cores=0, threads=0)))
    for instance in (make_instance(), make_instance(far, host=host)):
        for between in Between:
            result = solve_milp(replace(instance, between=between), params)
            assert result.status is SolveStatus.OPTIMAL
            assert result.plan is not None
            assert len(result.plan) == 0


@both
def test_between_stages(params: SolveParams) -> None:
    """Fewest hosts keeps contending VMs on one host; balance levels the hosts."""
    hosts = tuple(make_host(name, cores=2, threads=2) for name in ("a", "b"))
    vms = tuple(Vm(f"vm{i}", 2, 64) for i in range(4))
    packed = solve_milp(Instance(hosts, vms, between=Between.FEWEST_HOSTS), params)
    level = solve_milp(Instance(hosts, vms, between=Between.BALANCE), params)
    assert packed.status is level.status is SolveStatus.OPTIMAL
    assert packed.cost is not None
    assert level.cost is not None
    assert (packed.cost.hosts_used, packed.cost.loss_micro) == (1, 2_400_000)
    assert (level.cost.imbalance_permille, level.cost.loss_micro) == (500, 0)


def test_no_time_is_unknown_without_a_plan() -> None:
    """Without time and without a hint nothing is claimed."""
    result = solve_milp(crowd(12), replace(QUICK, time_limit_s=0.0))
    assert result.status is SolveStatus.UNKNOWN
    assert result.plan is None


@both
def test_hint_is_handed_back_without_time(params: SolveParams) -> None:
    """Without time the hint is the plan, and no bound is claimed but the trivial one of value."""
    instance = crowd(8)
    hint = solve_milp(instance, replace(QUICK, relative_gap=1.0)).plan
    result = solve_milp(instance, replace(params, hint=hint, time_limit_s=0.0))
    assert result.plan == hint
    assert result.status is SolveStatus.FEASIBLE
    assert [stage.bound for stage in result.stages] == [result.stages[0].objective, 0]


@both
def test_start_does_not_hide_better_plans(params: SolveParams) -> None:
    """A solve that starts from a poor plan proves the same optimum as one that does not."""
    instance = crowd(8)
    poor = solve_milp(instance, replace(QUICK, relative_gap=1.0))
    best = solve_milp(instance, QUICK)
    assert poor.cost is not None
    assert best.cost is not None
    assert best.status is SolveStatus.OPTIMAL
    started = solve_milp(instance, replace(params, hint=poor.plan))
    assert started.status is SolveStatus.OPTIMAL
    assert started.cost is not None
    assert started.cost.loss_micro == best.cost.loss_micro <= poor.cost.loss_micro


def test_stop_hands_over_the_best_plan() -> None:
    """A stop that comes during the search returns its incumbent, a bound, and no false proof."""
    seen: list[Progress] = []

    def stop() -> bool:
        return any(p.stage is Stage.LOSS and p.objective is not None for p in seen)

    params = SolveParams(time_limit_s=60, workers=1, on_progress=seen.append, should_stop=stop)
    started = time.monotonic()
    result = solve_milp(crowd(30), params)
    assert time.monotonic() - started < 30
    assert result.plan is not None
    assert len(result.plan) == 30
    assert result.status is SolveStatus.FEASIBLE
    loss = result.stage(Stage.LOSS)
    assert loss is not None
    assert loss.bound is None or loss.bound < loss.objective


def test_ctrl_c_keeps_the_best_plan() -> None:
    """Ctrl-C during the search ends it like a stop."""
    sent = threading.Event()

    def interrupt(progress: Progress) -> None:
        if progress.stage is Stage.LOSS and progress.objective is not None and not sent.is_set():
            sent.set()
            _thread.interrupt_main()

    params = SolveParams(time_limit_s=60, workers=1, on_progress=interrupt)
    result = solve_milp(crowd(30), params)
    assert sent.is_set()
    assert result.plan is not None
    assert len(result.plan) == 30
    assert result.runtime_s < 30


def test_error_of_the_callback_is_raised() -> None:
    """What the caller's callback raises ends the solve and comes out of it."""

    def fail(progress: Progress) -> None:
        raise ZeroDivisionError(progress.solver)

    with pytest.raises(ZeroDivisionError, match="milp"):
        solve_milp(crowd(12), replace(QUICK, on_progress=fail))


@both
def test_progress_goes_one_way(params: SolveParams) -> None:
    """Within a stage bounds never pass the final objective, which is the last one reported."""
    seen: list[Progress] = []
    result = solve_milp(crowd(8), replace(params, on_progress=seen.append))
    loss = result.stage(Stage.LOSS)
    assert loss is not None
    reports = [p for p in seen if p.stage is Stage.LOSS]
    assert (reports[-1].objective, reports[-1].bound) == (loss.objective, loss.bound)
    assert all(p.bound is None or p.bound <= loss.objective for p in reports)
    assert all(p.objective is None or p.objective >= loss.objective for p in reports)


@both
def test_solvers_are_silent(params: SolveParams, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither back end writes to the terminal."""
    solve_milp(crowd(6), params)
    assert capfd.readouterr() == ("", "")


def test_number_of_workers_may_change() -> None:
    """HiGHS accepts another number of threads in the same process."""
    statuses = [solve_milp(crowd(6), replace(QUICK, workers=n)).status for n in (1, 2, 1)]
    assert statuses == [SolveStatus.OPTIMAL] * 3


def test_missing_cbc_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without CBC gets one clear line."""
    monkeypatch.setattr(cbc.pulp.PULP_CBC_CMD, "pulp_cbc_path", "/nowhere/cbc")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="CBC is not on this machine"):
        solve_milp(crowd(6), BACKENDS[1])
