"""What all solvers share: their type, and the check of every plan they return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from numaplace.models.cost import ALL, Cost, Term, evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Result, SolveStatus, Stage, StageResult, objective_of, stages_of
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
