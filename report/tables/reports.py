"""What `report` says in JSON of the page it wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Provenance, Result
from numaplace.models.verify import violations
from numaplace.report.tables.columns import Column, Record
from numaplace.report.tables.moves import CHANGE
from numaplace.report.tables.plans import COST, RESULT, VIOLATION, plan_column
from numaplace.solver.replan.diff import Difference, differences


@dataclass(frozen=True, slots=True)
class Reported:
    """A page: its file, the plan it shows, the one before, what is known of the plan."""

    file: Path
    instance: Instance
    plan: Plan | None
    before: Plan | None
    result: Result | None
    told: Provenance | None = None

    @property
    def solved(self) -> tuple[Instance, Result] | None:
        """Instance and result; None if nothing holds of a plan from a file."""
        return None if self.result is None else (self.instance, self.result)

    @property
    def cost(self) -> dict[str, Any]:
        """Costs before and after."""
        plans = {"before": self.before, "after": self.plan}
        return {n: None if p is None else evaluate(self.instance, p) for n, p in plans.items()}

    @property
    def moves(self) -> Sequence[Difference]:
        """What changes."""
        if self.plan is None or self.before is None:
            return ()
        return differences(self.instance, self.before, self.plan)

    @property
    def violations(self) -> Sequence[Any]:
        """Rules that the plan breaks."""
        return () if self.plan is None else violations(self.instance, self.plan)


REPORT = Record(
    "file",
    Column("result", (Record(RESULT), None), "solved"),
    Column("cost", {str: (COST, None)}),
    Column("moves", [Record(CHANGE)]),
    Column("violations", [Record(VIOLATION)]),
    plan_column("plan", "told"),
    name="report",
)
