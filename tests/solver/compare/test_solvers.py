"""Comparisons: rows in order, gaps to the best bound that holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from numaplace.models.cost import Cost, CostItem, Term
from numaplace.models.errors import InputError
from numaplace.models.instance import Between, Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Result, SolveStatus, Stage, StageResult
from numaplace.models.vm import Vm
from numaplace.report.tables.comparisons import row_table
from numaplace.solver.compare.solvers import compare, rows_of, solver_names
from numaplace.solver.parallel import JobEngine
from numaplace.solver.params import SolveParams
from numaplace.tests.builders import make_instance

INSTANCE = make_instance(Vm("a", 2, 64), Vm("b", 2, 64))


def _result(
    solver: str, value: int, loss: int, value_bound: int | None, loss_bound: int | None
) -> Result:
    cost = Cost(value, 1, 0, (CostItem(Term.DEVICE, "a", loss),))
    stages = (
        StageResult(Stage.VALUE, value, value_bound),
        StageResult(Stage.LOSS, loss, loss_bound),
    )
    return Result(solver, SolveStatus.FEASIBLE, Plan(), cost, stages)


def test_rows_come_in_order_and_by_seed() -> None:
    """Instances, then solvers, then seeds; each is told when it is done."""
    told: list[tuple[int, int, str]] = []
    rows = compare(
        [("one", INSTANCE), ("two", INSTANCE)],
        ["greedy", "first_fit"],
        SolveParams(),
        seeds=(3, 4),
        on_done=lambda *done: told.append(done),
    )
    assert [(row.instance, row.solver, row.seed) for row in rows] == [
        (name, solver, seed)
        for name in ("one", "two")
        for solver in ("greedy", "first_fit")
        for seed in (3, 4)
    ]
    assert len(told) == 8 and told[0] == (1, 8, "greedy on one")
    assert all((row.vms, row.vms_placed, row.value_milli) == (2, 2, 4000) for row in rows)


def test_stopping_leaves_out_what_has_not_begun() -> None:
    """Once asked to stop, no further solve begins."""
    calls: list[str] = []
    params = SolveParams(should_stop=lambda: bool(calls))
    solvers = ["greedy", "first_fit"]
    rows = compare(
        [("one", INSTANCE)], solvers, params, on_done=lambda *done: calls.append(done[2])
    )
    assert [row.solver for row in rows] == ["greedy"]


def test_solves_side_by_side_find_the_same() -> None:
    """Two at a time, with what a command adds that cannot travel; only the times differ."""
    given = [("one", INSTANCE), ("two", INSTANCE)]
    params = SolveParams(20, workers=1, on_progress=lambda _: None, should_stop=lambda: False)
    names = ["greedy", "cpsat"]
    beside = compare(given, names, params, engine=JobEngine(jobs=2))
    assert [replace(row, runtime_s=0.0) for row in beside] == [
        replace(row, runtime_s=0.0) for row in compare(given, names, params)
    ]


def test_gap_is_to_the_best_bound_of_all() -> None:
    """The heuristic is measured by the tighter of two bounds that others proved."""
    results = [
        (0, _result("heuristic", 4000, 100, None, None)),
        (0, _result("weak", 4000, 90, 4000, 20)),
        (0, _result("strong", 4000, 80, 4000, 80)),
    ]
    rows = rows_of("x", INSTANCE, results)
    gaps = {row.solver: row.gaps[Stage.LOSS] for row in rows}
    assert gaps == {"heuristic": pytest.approx(0.2), "weak": pytest.approx(1 / 9), "strong": 0.0}
    assert [row.gaps[Stage.VALUE] for row in rows] == [0.0, 0.0, 0.0]


def test_a_bound_counts_only_for_plans_of_that_value() -> None:
    """A plan of less value may lose less: the loss bound says nothing, its value has the gap."""
    results = [(0, _result("poor", 2000, 10, None, None)), (0, _result("best", 4000, 50, 4000, 50))]
    poor, best = rows_of("x", INSTANCE, results)
    assert (poor.gaps[Stage.VALUE], poor.gaps[Stage.LOSS]) == (0.5, None)
    assert (poor.gap, best.gap) == ((Stage.VALUE, 0.5), (Stage.LOSS, 0.0))


def test_stages_between_count_as_well() -> None:
    """With fewest hosts first, the bound of the loss holds for plans on as few hosts."""
    instance = Instance(INSTANCE.hosts, INSTANCE.vms, between=Between.FEWEST_HOSTS)

    def result(solver: str, hosts: int, loss: int, *, proven: bool) -> Result:
        numbers = {Stage.VALUE: 4000, Stage.HOSTS: hosts, Stage.LOSS: loss}
        stages = tuple(StageResult(s, n, n if proven else None) for s, n in numbers.items())
        return Result(solver, SolveStatus.FEASIBLE, Plan(), Cost(4000, hosts, 0, ()), stages)

    wide = result("wide", 2, 10, proven=False)
    narrow = result("narrow", 1, 30, proven=True)
    rows = rows_of("x", instance, [(0, wide), (0, narrow)])
    assert dict(rows[0].gaps) == {Stage.VALUE: 0.0, Stage.HOSTS: 0.5, Stage.LOSS: None}


def test_a_solve_without_a_plan_has_a_row() -> None:
    """No objectives, no gap; in the CSV its cells are empty."""
    nothing = Result("x", SolveStatus.UNKNOWN, None, None, runtime_s=1.0)
    rows = rows_of("one", INSTANCE, [(0, nothing), (0, _result("y", 4000, 5, 4000, None))])
    assert (rows[0].vms_placed, rows[0].loss_micro, rows[0].gap) == (0, None, None)
    header, first, second = row_table(rows).csv().splitlines()
    cells = dict(zip(header.split(","), first.split(","), strict=True))
    assert (cells["solver"], cells["status"], cells["loss_vcpus"]) == ("x", "unknown", "")
    assert "5e-06" in second


def test_names_of_solvers() -> None:
    """Commas separate them, doubles go, unknown ones are refused."""
    assert solver_names(" greedy, cpsat,greedy ") == ["greedy", "cpsat"]
    for text in ("greedy,magic", "", ","):
        with pytest.raises(InputError, match="is unknown, choose among auto"):
            solver_names(text)
