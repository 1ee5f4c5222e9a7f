"""What a plan's file says of it, turned into a result as if it had just been solved."""

from __future__ import annotations

from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Provenance, Result, objective_of
from numaplace.models.verify import violations


def result_told(
    instance: Instance, digest: str, plan: Plan, told: Provenance
) -> tuple[Result | None, str]:
    """Return the result that a plan's file tells; None, and why, if it no longer holds.

    Bounds hold for the instance whatever the plan, so what must be the same is the instance, and
    the objective that the plan has.

    Parameters
    ----------
    digest
        Of the instance.
    """
    made = f"made by {told.solver} at {told.made_at}"
    if told.instance_sha256 != digest:
        return None, f"the instance has changed since the plan was {made}: its proof is not of it"
    cost = evaluate(instance, plan)
    same = all(stage.objective == objective_of(cost, stage.stage) for stage in told.stages)
    if not same or violations(instance, plan):
        return None, f"the plan is not the one that was {made}: its proof is not of it"
    return (
        Result(
            told.solver,
            told.status,
            plan,
            cost,
            told.stages,
            told.runtime_s,
            told.unplaced,
            told.reasons,
            within=told.within,
        ),
        "",
    )
