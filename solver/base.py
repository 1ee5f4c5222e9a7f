"""What all solvers share: their type, the check of every plan, and results made or told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from numaplace.models.cost import ALL, Cost, Term, evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import (
    Provenance,
    Result,
    SolveStatus,
    Stage,
    StageResult,
    objective_of,
    stages_of,
)
from numaplace.models.verify import violations
from numaplace.solver.params import SolveParams

Solver = Callable[[Instance, SolveParams], Result]


class InvalidPlanError(RuntimeError):
    """A solver made a plan that breaks a rule: a fault of numaplace, never of its user."""


def checked_cost(instance: Instance, plan: Plan, solver: str) -> Cost:
    """Return the cost of a solver's plan; `InvalidPlanError` if the verifier does not pass it."""
    broken = violations(instance, plan)
    if broken:
        text = "; ".join(str(violation) for violation in broken[:5])
        raise InvalidPlanError(f"{solver} made an invalid plan, please report it: {text}")
    return evaluate(instance, plan)


def make_result(
    solver: str,
    instance: Instance,
    plan: Plan,
    bounds: Mapping[Stage, int | None],
    *,
    runtime_s: float,
    unplaced: Mapping[str, str] | None = None,
    stats: Mapping[str, float] | None = None,
    cost: Cost | None = None,
    terms: frozenset[Term] = ALL,
) -> Result:
    """Check a plan and wrap it with what was proven; objectives come from the specification.

    `bounds` has the bound of each stage the solver came to. The bound of a stage holds only if
    those before it are proven, so the first unproven stage ends the proof. `cost` is that of a plan
    which has been checked already, `terms` are those that the loss is the sum of.
    """
    cost = cost or checked_cost(instance, plan, solver)
    stages = tuple(
        StageResult(stage, objective_of(cost, stage, terms), bounds.get(stage))
        for stage in stages_of(instance)
    )
    status = SolveStatus.OPTIMAL if all(s.proven for s in stages) else SolveStatus.FEASIBLE
    return Result(
        solver, status, plan, cost, stages, runtime_s, dict(unplaced or {}), (), dict(stats or {})
    )


def no_plan(
    solver: str,
    status: SolveStatus,
    runtime_s: float,
    reasons: Iterable[str] = (),
    stats: Mapping[str, float] | None = None,
) -> Result:
    """Return the result of a solve that has no plan."""
    return Result(solver, status, None, None, (), runtime_s, {}, tuple(reasons), dict(stats or {}))


def result_told(
    instance: Instance, digest: str, plan: Plan, told: Provenance
) -> tuple[Result | None, str]:
    """Return the result that a plan's file tells; None, and why, if it no longer holds.

    Bounds hold for the instance whatever the plan, so what must be the same is the instance, by its
    `digest`, and the objective that the plan has.
    """
    made = f"made by {told.solver} at {told.made_at}"
    if told.instance_sha256 != digest:
        return None, f"the instance has changed since the plan was {made}: its proof is not of it"
    cost = evaluate(instance, plan)
    same = all(stage.objective == objective_of(cost, stage.stage) for stage in told.stages)
    if not same or violations(instance, plan):
        return None, f"the plan is not the one that was {made}: its proof is not of it"
    stages, why = told.stages, (told.unplaced, told.reasons)
    found = Result(
        told.solver, told.status, plan, cost, stages, told.runtime_s, *why, within=told.within
    )
    return found, ""
