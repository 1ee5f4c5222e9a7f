"""Does the cost tell the truth? Predicted against simulated loss of good, bad and random plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from numaplace.models.cost import Term
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.trace import Reals
from numaplace.solver.placing.offer import Offer
from numaplace.solver.placing.placer import Placer
from numaplace.solver.placing.rules import Rule, greedy
from numaplace.solver.simulator.plans import simulate_plan
from numaplace.solver.simulator.ranks import ranks, spearman

LOSS_DIGITS = 3
"""Digits of a loss in vCPUs that count: smaller differences are noise of the simulation."""


class Quality(StrEnum):
    """How a plan was made: by least loss, by most loss, or by chance."""

    GOOD = "good"
    BAD = "bad"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One plan: losses in vCPUs, predicted by the cost and simulated, and the predicted terms."""

    name: str
    quality: Quality
    predicted: float
    simulated: float
    terms: dict[Term, float]


def make_plan(instance: Instance, quality: Quality, seed: int) -> Plan:
    """Return a valid plan; VMs that find no place are left out."""
    rng = np.random.default_rng(seed)

    def chance(offer: Offer) -> Reals:
        return rng.random(len(offer))

    def most_loss(offer: Offer) -> Reals:
        key: Reals = -offer.loss - rng.random(len(offer))
        return key

    rules: dict[Quality, Rule] = {
        Quality.GOOD: greedy,
        Quality.BAD: most_loss,
        Quality.RANDOM: chance,
    }
    engine = Placer(instance, rules[quality])
    for vm in instance.vms:
        engine.add(vm)
    return engine.plan()


def judge(instance: Instance, quality: Quality, seed: int, time_s: float) -> Verdict:
    """Make a plan, predict its loss, and simulate it with every VM pinned as planned."""
    plan = make_plan(instance, quality, seed)
    found = simulate_plan(instance, plan, time_s, seed=seed, warm_up_s=0.5)
    terms = {term: micro / 1e6 for term, micro in found.predicted_micro.items() if micro}
    return Verdict(instance.name, quality, found.predicted, found.lost, terms)


def correlation(verdicts: Sequence[Verdict]) -> float | None:
    """Spearman's correlation of predicted and simulated loss; None if there is none."""
    return spearman(
        [round(v.predicted, LOSS_DIGITS) for v in verdicts],
        [round(v.simulated, LOSS_DIGITS) for v in verdicts],
    )


def disagreements(verdicts: Sequence[Verdict]) -> list[tuple[float, Verdict]]:
    """Verdicts with the difference of their ranks (simulated less predicted), the largest first."""
    predicted = ranks([round(v.predicted, LOSS_DIGITS) for v in verdicts])
    simulated = ranks([round(v.simulated, LOSS_DIGITS) for v in verdicts])
    apart = (simulated - predicted).tolist()
    return sorted(zip(apart, verdicts, strict=True), key=lambda pair: -abs(pair[0]))
