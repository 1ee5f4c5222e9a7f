"""What a solver returns: plan, cost, bounds and an honest status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from numaplace.models.cost import Cost
from numaplace.models.plan import Plan


class SolveStatus(StrEnum):
    """How much a result proves.

    ``optimal``: no plan is better, proven for every stage. ``feasible``: the plan is valid;
    stages tell how far from the bound it is. ``infeasible``: proven that no plan obeys the rules
    (as ``optimal``, among plans whose memory lies in whole blocks, see `models.forms`);
    `Result.reasons` tell why. ``unknown``: no plan was found in time, and none excluded.
    """

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNKNOWN = "unknown"


class Stage(StrEnum):
    """Stages of the objective, in order."""

    VALUE = "value"
    HOSTS = "hosts"
    BALANCE = "balance"
    LOSS = "loss"


@dataclass(frozen=True, slots=True)
class StageResult:
    """Objective and bound of one stage, in its own integers.

    Value in thousandths (maximised), hosts, balance in thousandths of a host's threads, loss in
    micro-vCPU (minimised). `bound` is None if nothing is known. The bound of a stage holds for
    plans that reach the objective of the stages before it.
    """

    stage: Stage
    objective: int
    bound: int | None

    @property
    def proven(self) -> bool:
        """Whether the objective is proven to be the best."""
        return self.bound == self.objective

    @property
    def gap(self) -> float | None:
        """Distance to the bound as a share of the larger of both; None without a bound."""
        if self.bound is None:
            return None
        if self.bound == self.objective:
            return 0.0
        return abs(self.objective - self.bound) / max(abs(self.objective), abs(self.bound))


@dataclass(frozen=True, slots=True)
class Result:
    """Outcome of one solve.

    Parameters
    ----------
    solver
        Name of the solver.
    status
        What is proven.
    plan, cost
        The best plan found and its cost by the specification; None if there is none.
    stages
        Stages in order, as far as the solve came.
    runtime_s
        Wall-clock seconds.
    unplaced
        Why VMs are not placed, in words, by VM name.
    reasons
        Why nothing fits, in words, if the status is infeasible.
    stats
        Numbers of the solver, for experts.
    remarks
        What the user should know of how the plan was found, such as a model too large for the time.
    """

    solver: str
    status: SolveStatus
    plan: Plan | None
    cost: Cost | None
    stages: tuple[StageResult, ...] = ()
    runtime_s: float = 0.0
    unplaced: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    stats: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def stage(self, stage: Stage) -> StageResult | None:
        """Return the result of one stage, None if the solve did not reach it."""
        return next((found for found in self.stages if found.stage is stage), None)

    @property
    def gap(self) -> float | None:
        """Gap of the loss; None if there is no bound."""
        loss = self.stage(Stage.LOSS)
        return None if loss is None else loss.gap

    def __str__(self) -> str:
        """One line for people."""
        if self.cost is None:
            return f"{self.solver}: {self.status} after {self.runtime_s:.2f} s"
        gap = "no bound" if self.gap is None else f"gap {self.gap:.2%}"
        placed = 0 if self.plan is None else len(self.plan)
        return (
            f"{self.solver}: {self.status}, {placed} VMs, value {self.cost.value_milli / 1000:g}, "
            f"loss {self.cost.loss_vcpus:.6f} vCPUs ({gap}), {self.runtime_s:.2f} s"
        )
