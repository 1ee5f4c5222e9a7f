"""A rebalance and its trade-off curve as plain values for JSON."""

from __future__ import annotations

from collections.abc import Sequence

from numaplace.models.units import MICRO
from numaplace.report.tables.plain import Plain, result_plain
from numaplace.report.tables.questions_plain import where_plain
from numaplace.solver.replan.rebalance import Rebalanced
from numaplace.solver.replan.sequence import PricedStep


def rebalanced_plain(found: Rebalanced) -> Plain:
    """Result, losses without the price of moving, steps in order, what they cost."""
    budget = found.budget
    return {
        **result_plain(found.instance, found.result),
        "budget": {"mib": budget.mib, "moves": budget.moves, "seconds": budget.seconds},
        "horizon_s": found.instance.prices.horizon_s,
        "lasting_loss_micro": {
            "before": found.stay_micro,
            "after": found.lasting_micro,
            "best": found.lasting_micro if found.best_micro is None else found.best_micro,
        },
        **_spent(found),
        "steps": [_step(one) for one in found.steps],
        "left_out": list(found.left_out),
    }


def curve_plain(points: Sequence[Rebalanced]) -> list[Plain]:
    """Points of a trade-off curve, the one without a budget last."""
    return [
        {
            "budget_mib": point.budget.mib,
            "status": str(point.result.status),
            "gap": point.result.gap,
            "lasting_loss_micro": point.lasting_micro,
            **_spent(point),
        }
        for point in points
    ]


def _spent(found: Rebalanced) -> Plain:
    spent = found.spent
    return {"moves": spent.moves, "moved_mib": spent.mib, "copying_s": spent.copying_us / MICRO}


def _step(one: PricedStep) -> Plain:
    step = one.step
    return {
        "vm": step.vm,
        "what": str(step.kind),
        "makes_room": step.bounce,
        "from": where_plain(step.before),
        "to": where_plain(step.after),
        "moved_mib": step.mib,
        "copying_s": one.copying_us / MICRO,
        "gain_micro": one.gain_micro,
    }
