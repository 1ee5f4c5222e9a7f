"""What a solver returns: plan, cost, bounds and an honest status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar

from numaplace.models.cost import ALL, Cost, Term
from numaplace.models.errors import InputError
from numaplace.models.fields import Bound, Like, Name, Only, Size, checked
from numaplace.models.instance import COMMENT_MAX, Between, Instance
from numaplace.models.plan import Plan
from numaplace.models.units import to_vcpus
from numaplace.models.vm import VMS_MAX

SHOWN_MAX = 10  # VMs that are not placed, and named one by one

INTEGER_MAX = 1 << 62
Integer = Annotated[int, Bound(-INTEGER_MAX, INTEGER_MAX)]
Words = Annotated[str, Size(0, COMMENT_MAX, "lines")]


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


def stages_of(instance: Instance) -> tuple[Stage, ...]:
    """Stages of the objective, in order."""
    known = {Between.FEWEST_HOSTS: (Stage.HOSTS,), Between.BALANCE: (Stage.BALANCE,)}
    return (Stage.VALUE, *known.get(instance.between, ()), Stage.LOSS)


def objective_of(cost: Cost, stage: Stage, terms: frozenset[Term] = ALL) -> int:
    """Objective of one stage by the specification; of the loss, some terms may count alone."""
    objectives = {
        Stage.VALUE: cost.value_milli,
        Stage.HOSTS: cost.hosts_used,
        Stage.BALANCE: cost.imbalance_permille,
        Stage.LOSS: sum(micro for term, micro in cost.terms.items() if term in terms),
    }
    return objectives[stage]


def sign(stage: Stage) -> int:
    """Return -1 for the value, 1 for what is minimised: times it, every stage is minimised."""
    return -1 if stage is Stage.VALUE else 1


def key_of(instance: Instance, cost: Cost, terms: frozenset[Term] = ALL) -> tuple[int, ...]:
    """Return what plans are compared by, stage by stage; less is better."""
    return tuple(sign(stage) * objective_of(cost, stage, terms) for stage in stages_of(instance))


def gap_of(objective: int, bound: int | None) -> float | None:
    """Distance to a bound as a share of the larger of both; None without a bound."""
    if bound is None:
        return None
    largest = max(abs(objective), abs(bound))
    return abs(objective - bound) / largest if largest else 0.0


@dataclass(frozen=True, slots=True)
class StageResult:
    """Objective and bound of one stage, in its own integers.

    Value in thousandths (maximised), hosts, balance in thousandths of a host's threads, loss in
    micro-vCPU (minimised).
    """

    THING: ClassVar[str] = "stage {0.stage}"

    stage: Annotated[Stage, "What is optimised."]
    objective: Annotated[Integer, "Of the plan."]
    bound: Annotated[
        Integer | None,
        "What no plan is better than that reaches the objectives before; not given: not known.",
    ]

    @property
    def proven(self) -> bool:
        """Whether the objective is proven to be the best."""
        return self.bound == self.objective

    @property
    def gap(self) -> float | None:
        """Distance to the bound as a share of the larger of both; None without a bound."""
        return gap_of(self.objective, self.bound)


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a plan came about, which its file tells with it, and what is proven of it."""

    THING: ClassVar[str] = "provenance"

    solver: Annotated[Name, "Who made it."]
    version: Annotated[Name, "Release of numaplace."]
    seed: Annotated[int, Bound(0, INTEGER_MAX), "Seed of the solver."]
    status: Annotated[
        SolveStatus,
        Only((SolveStatus.OPTIMAL.value, SolveStatus.FEASIBLE.value)),
        "What is proven.",
    ]
    runtime_s: Annotated[float, Bound(0, 1e12, "s"), "Wall-clock time."]
    made_at: Annotated[
        str,
        Like("[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}Z", "like 2026-11-28T04:05:06Z"),
        "When, in UTC.",
    ]
    instance_sha256: Annotated[
        str,
        Like("[0-9a-f]{64}", "64 digits of 0-9 and a-f"),
        "Of the instance it was made for as numaplace writes it, without name and comment, as "
        "JSON with sorted keys and no spaces.",
    ]
    stages: Annotated[
        tuple[StageResult, ...], Size(0, len(Stage)), "As far as the solve came."
    ] = ()
    unplaced: Annotated[Mapping[Name, Words], Size(0, VMS_MAX), "Why VMs are not placed."] = field(
        default_factory=dict
    )
    reasons: Annotated[tuple[Words, ...], Size(0, VMS_MAX), "Why nothing fits."] = ()
    within: Annotated[Words, "What the solver was held to beside the instance; empty: nothing."] = (
        ""
    )

    def __post_init__(self) -> None:
        thing = checked(self)
        if self.status is SolveStatus.OPTIMAL and not all(stage.proven for stage in self.stages):
            raise InputError(thing, "status", "is optimal, but a stage is not proven")


@dataclass(frozen=True, slots=True)
class Result:
    """Outcome of one solve; `plan` and `cost` (by the specification) are None without a plan."""

    solver: str
    status: SolveStatus  # what is proven
    plan: Plan | None  # the best one found
    cost: Cost | None
    stages: tuple[StageResult, ...] = ()  # in order, as far as the solve came
    runtime_s: float = 0.0  # wall-clock time
    unplaced: Mapping[str, str] = field(default_factory=dict)  # why, in words, by VM name
    reasons: tuple[str, ...] = ()  # why nothing fits, in words, if the status is infeasible
    stats: Mapping[str, float] = field(default_factory=dict)  # of the solver, for experts
    # What the user should know of how it was found, such as a model too large for the time.
    remarks: tuple[str, ...] = ()
    within: str = ""  # what the solver was held to beside the instance: proofs hold within it

    def stage(self, stage: Stage) -> StageResult | None:
        """Return the result of one stage, None if the solve did not reach it."""
        return next((found for found in self.stages if found.stage is stage), None)

    @property
    def gap(self) -> float | None:
        """Gap of the loss; None if there is no bound."""
        loss = self.stage(Stage.LOSS)
        return None if loss is None else loss.gap

    def summary(self) -> str:
        """Return a few lines for people: what is proven, lost by which term, and left out."""
        lost = {} if self.cost is None else self.cost.terms
        terms = sorted(lost, key=lambda term: -lost[term])
        lines = [f"  lost by {term}: {to_vcpus(lost[term]):g}" for term in terms if lost[term]]
        left_out = [f"  not placed: {name}: {why}" for name, why in self.unplaced.items()]
        lines += left_out[:SHOWN_MAX]
        if len(left_out) > SHOWN_MAX:
            lines.append(f"  and {len(left_out) - SHOWN_MAX} more are not placed")
        return "\n".join([str(self), *lines, *(f"  {why}" for why in self.reasons + self.remarks)])

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
