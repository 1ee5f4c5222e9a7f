"""Fleets by patterns: stage after stage, columns priced class by class, and plans made of them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from math import gcd

from numaplace.models.cost import ALL
from numaplace.models.instance import Instance
from numaplace.models.result import Result, Stage, sign
from numaplace.solver.deadline import Deadline, OutOfTimeError
from numaplace.solver.fleet.classes import Census
from numaplace.solver.fleet.group_solve import solve_groups
from numaplace.solver.fleet.groups import GroupFleet, fleet_of
from numaplace.solver.fleet.layouts import Pattern
from numaplace.solver.fleet.master import Aim, Duals, PatternMaster
from numaplace.solver.fleet.plans import assigned, fleet_plan, patterns_of
from numaplace.solver.fleet.pricing import HostModel
from numaplace.solver.fleet.relaxed import relaxed_prices
from numaplace.solver.params import SolveParams
from numaplace.solver.stages import Stages

NAME = "patterns"
GROUPS_SHARE = 0.95
"""Of the time, for groups; the rest is for the check of their plan."""
VALUE_SHARE = 0.85
"""Of the time, for the value: nothing is worth more."""
GENERATE_SHARE = 0.75
"""Of the time of a stage, for patterns and their bound; the rest is for a plan of them."""

UNITS_MAX = 1_000
TOO_MANY = "are too many to bound what they lose: no more than 0 is proven of it"


def solve_patterns(instance: Instance, params: SolveParams) -> Result:
    """Plan a fleet by patterns, with a bound that is valid whenever it stops."""
    return _Run(instance, params).solve()


class _Run:
    """One solve on its way through the stages."""

    def __init__(self, instance: Instance, params: SolveParams) -> None:
        self.instance = instance
        # The bound of patterns is better than that of totals, and as quick.
        self.stages = Stages(NAME, instance, params, totals=False)
        self.params = self.stages.params
        self._columns: dict[Stage, Columns] = {}
        self._held: dict[Stage, int] = {}
        self._grouped = False

    def solve(self) -> Result:
        """Go through the stages."""
        fleet = None
        with suppress(OutOfTimeError):
            if self.params.terms == ALL:
                fleet = fleet_of(self.instance, self.stages.deadline)
        if fleet is not None and self._place_groups(fleet):
            return self.stages.solve(self.solve_stage)
        result = self.stages.solve(self.solve_stage)
        classes, units = len(self.sizes.classes), len(self.sizes.units)
        said = f"{len(self.instance.hosts)} hosts of {classes} kinds and {len(self.instance.vms)} "
        said += f"VMs of {units} were planned by patterns of one host"
        return replace(result, remarks=(said, *result.remarks))

    def _place_groups(self, fleet: GroupFleet) -> bool:
        """Plan groups by tables; tell whether all VMs are placed, for which the bound holds."""
        stages, seconds = self.stages, self.stages.deadline.share(GROUPS_SHARE)
        on_state = partial(stages.report, Stage.LOSS)
        gap, seed = self.params.relative_gap, self.params.seed
        found = solve_groups(fleet, seconds, seed=seed, relative_gap=gap, on_state=on_state)
        if found is None:
            return False
        stages.offer(found.plan)
        stages.stats |= found.stats
        if len(found.plan) < len(self.instance.vms):
            return False
        stages.note_bound(Stage.LOSS, found.bound)
        self._grouped = True
        groups = sum(len(kind.groups) for kind in fleet.groups)
        stages.remarks.append(
            f"{len(self.instance.hosts)} hosts of {len(fleet.hosts)} kinds and {groups} groups of "
            f"{len(fleet.groups)} were planned by tables of what a host may hold"
        )
        return True

    @cached_property
    def sizes(self) -> Census:
        """Classes and units for the value."""
        return Census(self.instance)

    def solve_stage(self, stage: Stage, until: Deadline, to_hold: Mapping[Stage, int]) -> bool:
        """Solve a stage, see `numaplace.solver.stages.SolveStage`."""
        self._held |= to_hold
        if stage is Stage.VALUE:
            until = self.stages.deadline.share(VALUE_SHARE)
        if stage is Stage.BALANCE or (stage is not Stage.VALUE and self.stages.best is None):
            return False
        if stage is Stage.LOSS and self._grouped:
            return False
        if stage not in self._columns:
            loses = stage is Stage.LOSS
            census = Census(self.instance, until, pairs=True) if loses else self.sizes
            if len(census.units) > UNITS_MAX:
                self.stages.remarks.append(f"{len(census.units)} kinds of VM {TOO_MANY}")
                return False
            order = list(Stage)
            earlier = order[: order.index(stage)]
            held = {kept: value for kept, value in self._held.items() if kept in earlier}
            self._columns[stage] = Columns(self, census, Aim(stage, held), until)
        self._columns[stage].solve(until)
        return False


class Columns:
    """Column generation for one goal, then a plan of whole patterns."""

    def __init__(self, run: _Run, census: Census, goal: Aim, until: Deadline) -> None:
        self.run = run
        self.census = census
        self.goal = goal
        classes, terms = range(len(census.classes)), run.params.terms
        load_most = goal.held.get(Stage.BALANCE)
        self.models = [HostModel(census, c, until, terms, load_most) for c in classes]
        self.master = PatternMaster(census, goal)
        self.bound: int | None = None
        self.filled: list[tuple[Pattern, int]] = []
        self.rounds = 0
        self._prices: Duals | None = None
        values = (run.instance.value_milli(vm) for vm in run.instance.vms)
        self._step = gcd(*values) or 1 if goal.stage is Stage.VALUE else 1

    def solve(self, until: Deadline) -> None:
        """Look for patterns until none is missing or it is time, and offer a plan of them."""
        stage, stages = self.goal.stage, self.run.stages
        with suppress(OutOfTimeError):
            self.generate(until.share(GENERATE_SHARE))
        stages.stats[f"{stage}_rounds"] = self.rounds
        stages.stats[f"{stage}_patterns"] = len(self.master.patterns)
        self.offer(until)
        if self.bound is not None:
            stages.note_bound(stage, sign(stage) * self.bound)

    def generate(self, until: Deadline) -> None:
        """Add patterns that weigh less than nothing, round after round, until there are none."""
        objective, first = math.inf, self._prices is None
        if self._prices is None:
            self._prices = self._first_prices(until)
            best = self.run.stages.best
            if self.goal.stage is not Stage.VALUE and best is not None:
                self.filled = patterns_of(self.models, best)
                self.master.add([pattern for pattern, _ in self.filled])
            else:
                self._fill(self._prices, until)
        with ThreadPoolExecutor(self.run.params.num_workers) as pool:
            while True:
                weights = self._prices.weights(self.census)
                price = partial(HostModel.price, weights=weights, until=until)
                found = list(pool.map(price, self.models))
                bound = self._prices.bound(self.census, [least for _, least in found])
                bound = -(-bound // self._step) * self._step
                self.bound = bound if self.bound is None else max(self.bound, bound)
                self.rounds += 1
                new = self.master.add([pattern for pattern, _ in found if pattern is not None])
                stage = self.goal.stage
                self.run.stages.report(stage, None, sign(stage) * self.bound)
                if not (new or first) or self._reached(objective):
                    break
                first, solved = False, self.master.solve(until)
                if solved is None:
                    break
                objective, self._prices = solved

    def _reached(self, objective: float) -> bool:
        """Tell whether the bound is that of the relaxation, or near enough."""
        assert self.bound is not None
        if math.isinf(objective):
            return False
        step = self._step
        gap = objective - self.bound
        return self.bound >= math.ceil((objective - 1e-3) / step) * step or (
            gap <= self.run.params.relative_gap * abs(objective)
        )

    def _first_prices(self, until: Deadline) -> Duals:
        """Return the prices of the relaxed fleet; units of several VMs are bounded before."""
        if self.goal.stage is Stage.VALUE:
            self._each_alone(until)
        nothing = Duals(self.goal, (0,) * len(self.census.units), 0, 0)
        return relaxed_prices(self.census, self.models, self.goal, until) or nothing

    def _each_alone(self, until: Deadline) -> None:
        """Bound what each unit of several VMs is worth by what it is worth on a host alone."""
        known: dict[Hashable, int] = {}
        several = [u for u, unit in enumerate(self.census.units) if not unit.single]
        for model in self.models if several else ():
            for unit in several:
                if unit in model.unit_columns:
                    model.most_alone(unit, model.alone(unit, until, known))

    def _fill(self, prices: Duals, until: Deadline) -> None:
        """Fill host after host, largest first: patterns to begin with, and a choice of them.

        What prices leave equal is chosen by what it is worth.
        """
        census = self.census
        left = [len(unit.groups) for unit in census.units]
        weights = prices.weights(census)
        bonus = (census.instance.value_milli(entry.vm) for entry in census.entries)
        entries = tuple(w - more for w, more in zip(weights.entries, bonus, strict=True))
        weights = replace(weights, entries=entries)
        for model in sorted(self.models, key=lambda model: -model.host.threads):
            free = len(census.classes[model.host_class].hosts)
            while free and any(left):
                pattern, _ = model.price(weights, until, left)
                times = min(free, *(left[u] // n for u, n in pattern.units)) if pattern else 0
                if pattern is None or times == 0:
                    break
                for u, n in pattern.units:
                    left[u] -= times * n
                free -= times
                self.master.add([pattern])
                self.filled.append((pattern, times))

    def offer(self, until: Deadline) -> None:
        """Offer the plan of a good choice of patterns."""
        good = -math.inf if self.bound is None else self.bound
        try:
            chosen = self.master.choose(until, good, self.filled) or self.filled
        except OutOfTimeError:
            chosen = self.filled
        plan = fleet_plan(self.models, assigned(self.census, chosen), until)
        if all(vm.name in plan for vm in self.run.instance.vms if vm.required):
            self.run.stages.offer(plan)
