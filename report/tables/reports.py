"""What `report` says in JSON of the page it wrote."""

from __future__ import annotations

from typing import Any

from numaplace.models.cost import evaluate
from numaplace.models.verify import violations
from numaplace.report.tables.columns import Column, Record
from numaplace.report.tables.moves import CHANGE
from numaplace.report.tables.plans import COST, RESULT, VIOLATION, plan_column
from numaplace.solver.replan.diff import differences


def _costs(row: Any) -> dict[str, Any]:
    plans = {"before": row[3], "after": row[2]}
    return {name: None if plan is None else evaluate(row[1], plan) for name, plan in plans.items()}


def _moves(row: Any) -> Any:
    _, instance, plan, before, *_ = row
    known = plan is not None and before is not None
    return differences(instance, before, plan) if known else ()


def _violations(row: Any) -> Any:
    return () if row[2] is None else violations(row[1], row[2])


REPORT = Record(
    "file=0",
    Column("result", (Record(RESULT), None), lambda row: row[4] and (row[1], row[4])),
    Column("cost", {str: (COST, None)}, _costs),
    Column("moves", [Record(CHANGE)], _moves),
    Column("violations", [Record(VIOLATION)], _violations),
    plan_column("2", "5"),
    name="report",
)
"""Of (file, instance, plan, plan before, result, how the plan came about)."""
