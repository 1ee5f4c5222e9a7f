"""Re-plan what runs: the best new plan that a budget of moves allows, and the way there.

VMs of the current plan stay placed; those that came are placed if there is room, by moving others
if need be. CP-SAT plans within the budget, starting from the plan that moves nothing, so the
outcome is never worse than that. Then the moves are put in order (`sequence`). If
some cannot be made, or bounces exceed the budget, the best plan on the way is what remains; the
bound holds for it as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from typing import cast

from numaplace.models.cost import Term, evaluate
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.moves import US_PER_S, Budget, Spent, Step, broken, spent_on
from numaplace.models.plan import Plan
from numaplace.models.result import Result, SolveStatus, key_of
from numaplace.models.verify import CAPACITIES, violations
from numaplace.solver.base import make_result, no_plan
from numaplace.solver.deadline import Deadline, OutOfTimeError, within
from numaplace.solver.params import SolveParams
from numaplace.solver.placing.stay import keep_in_place, staying
from numaplace.solver.registry import HINT_S, HINT_S_PER_SQUARE, HINT_SHARE
from numaplace.solver.replan.sequence import Ordered, PricedStep, order_moves, priced

NAME = "rebalance"
NOTHING_SPENT = Spent()
# Share of the time kept for the order of moves, what one on the way may take, and at most.
RESERVE_SHARE, ORDER_SHARE, ORDER_S = 0.1, 0.2, 30.0
# Seconds for the last order, however late it is: without one there is nothing to hand over.
LAST_S = 0.3
CAUSE_S = 10.0  # Seconds at most for why nothing is possible


@dataclass(frozen=True, slots=True)
class Rebalanced:
    """Outcome of a rebalance.

    Parameters
    ----------
    instance, budget
        The instance as it was solved: VMs that run are required; what moving might cost.
    stay
        The plan that moves nothing, with the VMs that came where they fit; None if it breaks a
        rule.
    result
        Plan, cost, bounds and status.
    steps, spent
        The way to the plan, each step priced, and what the steps cost together.
    left_out
        Why moves of the best plan are not made, in words.
    best_micro
        What the best plan would lose without the price of moving, if moves of it are left out.
    """

    instance: Instance
    budget: Budget
    stay: Plan | None
    result: Result
    steps: tuple[PricedStep, ...] = ()
    spent: Spent = NOTHING_SPENT
    left_out: tuple[str, ...] = ()
    best_micro: int | None = None

    @property
    def lasting_micro(self) -> int | None:
        """Loss of the new plan without the price of moving, in micro-vCPU."""
        return None if self.result.plan is None else lasting(self.instance, self.result.plan)

    @property
    def stay_micro(self) -> int | None:
        """Loss of moving nothing, in micro-vCPU."""
        return None if self.stay is None else lasting(self.instance, self.stay)


def lasting(instance: Instance, plan: Plan) -> int:
    """Return the loss of a plan without the price of moving to it, in micro-vCPU."""
    cost = evaluate(instance, plan)
    return cost.loss_micro - cost.terms[Term.MIGRATION]


def rebalance(
    instance: Instance,
    budget: Budget | None = None,
    params: SolveParams | None = None,
    *,
    start: Plan | None = None,
) -> Rebalanced:
    """Find the best plan that a budget of moves allows, and the way from the current plan.

    A move pays back within ``prices.horizon_s``; without a budget anything may move. `start` is a
    valid plan within the budget that is known already.

    Raises
    ------
    InputError
        If the instance has no current plan.
    """
    if instance.current is None:
        reason = "is missing: what runs where now is what is rebalanced"
        raise InputError("instance", "current", reason)
    return _Rebalance(instance, budget or Budget(), (params or SolveParams()).begun()).run(start)


def trade_off(
    instance: Instance, params: SolveParams | None = None, *, points: int = 8
) -> tuple[Rebalanced, ...]:
    """Rebalance under several budgets of MiB, from none to all that is worth moving.

    Each starts from the plan of the smaller budget. The time limit is for all together, and points
    that it leaves no time for are left out; a third of it is for the one without a budget, which
    comes last in the result.
    """
    params = (params or SolveParams()).begun()
    full = rebalance(instance, None, params.part(1 / 3))
    budgets = sorted({full.spent.mib * number // points for number in range(points)})
    found: list[Rebalanced] = []
    for done, mib in enumerate(budgets if full.result.plan is not None else ()):
        if params.until.over:
            break
        start = found[-1].result.plan if found else None
        part = params.part(1 / (len(budgets) - done))
        found.append(rebalance(instance, Budget(mib), part, start=start))
    return (*found, full)


NO_WAY = "no plan keeps every running VM, and every required one,"


def _in_words(spent: Spent) -> str:
    moves = f"{spent.moves} move{'s' * (spent.moves != 1)}"
    return f"{moves} of {spent.mib} MiB in {spent.copying_us / US_PER_S:.1f} s"


class _Rebalance:
    """One rebalance: its candidates and its clock."""

    def __init__(self, instance: Instance, budget: Budget, params: SolveParams) -> None:
        assert instance.current is not None
        self.current = instance.current
        self.instance = replace(
            instance,
            vms=tuple(
                replace(vm, required=vm.required or vm.name in self.current) for vm in instance.vms
            ),
        )
        self.budget, self.params, self.until = budget, params, params.until
        self._began = time.monotonic()
        self.stay = staying(self.instance)

    def run(self, start: Plan | None) -> Rebalanced:
        """Solve, put the moves in order, and fall back to what can be reached."""
        hint = self._best([plan for plan in (start, self.stay) if plan is not None])
        hint = self._best([plan for plan in (hint, self._improved(hint)) if plan is not None])
        result = self._solve(hint)
        if result.plan is None:
            return Rebalanced(self.instance, self.budget, self.stay, result)
        plan = keep_in_place(self.instance, result.plan)
        ordered = self._ordered(plan, self._last())
        spent = spent_on(self.instance, ordered.steps)
        if ordered.reasons or not self.budget.allows(spent):
            return self._fallen_back(result, ordered, hint)
        return self._again(result, plan, ordered.steps)

    def _solve(self, hint: Plan | None) -> Result:
        reserve_s = min(ORDER_S, RESERVE_SHARE * self.params.time_limit_s)
        until = self.until.earlier(reserve_s)
        params = replace(self.params, hint=hint, deadline=until, explain=False)

        def run() -> Result:
            until.check()  # loading the solver may take a while, too
            solve_cpsat = import_module("numaplace.solver.cpsat.solve").solve_cpsat
            return cast(Result, solve_cpsat(self.instance, params, self.budget))

        try:
            result = within(until, run)
        except OutOfTimeError:
            seconds = time.monotonic() - self._began
            if hint is None:
                reasons = ("no plan was found in time, and none is excluded",)
                return no_plan(NAME, SolveStatus.UNKNOWN, seconds, reasons, {})
            return make_result(NAME, self.instance, hint, {}, runtime_s=seconds)
        if result.status is SolveStatus.INFEASIBLE:
            return replace(result, solver=NAME, reasons=self._cause(result))
        return replace(result, solver=NAME)

    def _cause(self, result: Result) -> tuple[str, ...]:
        """Say what conflicts whatever moves, or what the budget does not suffice for."""
        params = replace(self.params, deadline=self.until.share(1.0, CAUSE_S))
        if self.budget == Budget():
            explained = import_module("numaplace.solver.cpsat.explain").explained
            reasons: tuple[str, ...] = explained(self.instance, result, params).reasons
            return reasons or (f"{NO_WAY}; there was no time to find out why",)
        free = rebalance(self.instance, None, params)
        if free.result.status is SolveStatus.INFEASIBLE:
            return free.result.reasons
        if free.result.plan is None:
            return (f"{NO_WAY} within the budget",)
        needs = _in_words(free.spent)
        wrong = next(broken(self.instance, self.current, CAPACITIES), None)
        why = f": as things are, {wrong}" if wrong else ""
        return (f"{NO_WAY} within the budget{why}; without it, {needs} would do",)

    def _last(self) -> Deadline:
        """Return the deadline of the order that is handed over, and of what its steps gain."""
        return Deadline(max(self.until.end, time.monotonic() + LAST_S))

    def _improved(self, plan: Plan | None) -> Plan | None:
        """Improve a plan by local search, and go as far towards that as the budget allows."""
        if plan is None:
            return None
        improve = import_module("numaplace.solver.placing.improve").improve
        choices = len(self.instance.vms) * len(self.instance.places)
        limits = HINT_S, HINT_SHARE * self.params.time_limit_s, HINT_S_PER_SQUARE * choices**2
        until = self.until.share(1.0, min(limits))
        better: Plan = improve(self.instance, plan, until=until, seed=self.params.seed)
        if self._within(better):
            return better
        until = self.until.share(ORDER_SHARE, ORDER_S)
        ordered = self._ordered(keep_in_place(self.instance, better), until)
        return self._best([way for way, _ in self._ways(ordered)])

    def _ordered(self, plan: Plan, until: Deadline) -> Ordered:
        return order_moves(self.instance, self.current, plan, until.share(1.0, ORDER_S))

    def _key(self, plan: Plan) -> tuple[int, ...]:
        return key_of(self.instance, evaluate(self.instance, plan))

    def _best(self, plans: list[Plan]) -> Plan | None:
        return min(plans, key=self._key, default=None)

    def _within(self, plan: Plan) -> bool:
        before = self.current.placements
        steps = [
            Step(name, before.get(name), placement)
            for name, placement in plan.placements.items()
            if before.get(name) != placement
        ]
        return self.budget.allows(spent_on(self.instance, steps))

    def _ways(self, ordered: Ordered) -> Iterator[tuple[Plan, int]]:
        """Valid plans on the way that the budget reaches, with the number of steps to each.

        The farthest comes first; nearer ones are looked at as long as there is time.
        """
        placements = dict(self.current.placements)
        plans: list[Plan] = []
        for number, step in enumerate(ordered.steps, 1):
            placements[step.vm] = step.after
            if not self.budget.allows(spent_on(self.instance, ordered.steps[:number])):
                break
            plans.append(Plan(placements, ordered.copies))
        until = self._last()
        for number in range(len(plans), 0, -1):
            if until.over:
                return
            if not violations(self.instance, plans[number - 1]):
                yield plans[number - 1], number

    def _fallen_back(self, result: Result, ordered: Ordered, hint: Plan | None) -> Rebalanced:
        """Return the best plan on the way, or the one known before."""
        ways = [(plan, ordered.steps[:number]) for plan, number in self._ways(ordered)]
        for known in (hint, self.stay):
            if known is not None:
                before = self._ordered(known, self._last())
                spent = spent_on(self.instance, before.steps)
                if not before.reasons and self.budget.allows(spent):
                    ways.append((known, before.steps))
        reasons = ordered.reasons or (
            "the moves of the best plan, with those that make room in between, exceed the budget",
        )
        if not ways:
            none = no_plan(NAME, SolveStatus.UNKNOWN, result.runtime_s, reasons, result.stats)
            return Rebalanced(self.instance, self.budget, self.stay, none, left_out=reasons)
        plan, steps = min(ways, key=lambda way: self._key(way[0]))
        best = None if result.plan is None else lasting(self.instance, result.plan)
        return self._again(result, plan, steps, reasons, best)

    def _again(
        self,
        result: Result,
        plan: Plan,
        steps: tuple[Step, ...],
        left_out: tuple[str, ...] = (),
        best_micro: int | None = None,
    ) -> Rebalanced:
        """Wrap another plan with the bounds that were found; they hold for it as well."""
        bounds = {stage.stage: stage.bound for stage in result.stages}
        stats, seconds = result.stats, time.monotonic() - self._began
        made = make_result(NAME, self.instance, plan, bounds, runtime_s=seconds, stats=stats)
        way = priced(self.instance, self.current, steps, self._last())
        spent = spent_on(self.instance, steps)
        known = self.instance, self.budget, self.stay
        return Rebalanced(*known, made, way, spent, left_out, best_micro)
