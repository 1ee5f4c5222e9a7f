"""The bound of `numaplace.solver.formulation.bounds`, worked out by OR-tools.

A tier is a linear set-partitioning problem solved by column generation: sets come from a list of
all that fit a node or, where that is too long, from a beam search, and at the end from an exact
search that proves that none is missing. Tiers of a few clusters are small enough for CP-SAT.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator

import numpy as np
from ortools.linear_solver import pywraplp  # type: ignore[import-untyped]
from ortools.sat.python import cp_model

from numaplace.models.instance import Instance
from numaplace.solver.cpsat.engine import new_solver
from numaplace.solver.deadline import Deadline, OutOfTimeError
from numaplace.solver.formulation.bounds import Relaxation, Tier, relax
from numaplace.solver.formulation.node_sets import (
    COLUMNS_MAX,
    Ints,
    SetColumns,
    SetCosts,
    certified_bound,
    list_columns,
    promising_sets,
)

COLUMNS_A_ROUND = 60
COLUMNS_A_SIZE = 10
PRICING_S = 2.0
CALM = 0.7
"""Weight of earlier duals in the running mean that sets are priced by first."""
VMS_MAX = 200
"""More VMs are left alone: the bound would take the time the plan needs."""
CLUSTERS_MAX = 16
"""Clusters that CP-SAT is tried on; with more of them their symmetry is the very problem."""
SCALE = 1_000_000
"""Micro-vCPU that count 1 in the linear program, so that its numbers are near 1."""

Column = tuple[Ints, int]
"""Items of a set, and twice its cost."""


def loss_bound(instance: Instance, sure: Collection[str], until: Deadline, workers: int) -> int:
    """Return a lower bound in micro-vCPU on the loss of every plan that places all of `sure`."""
    if not 0 < len(sure) <= VMS_MAX:
        return 0
    total = 0
    try:
        relaxation = relax(instance, sure, until)
        if not relaxation.items:
            return 0
        for level in reversed(range(1, len(relaxation.tiers))):
            total += tier_bound(relaxation, level, until.share(0.5), workers)
        return total + sets_bound(SetCosts(relaxation), until)
    except OutOfTimeError:
        return total


def tier_bound(relaxation: Relaxation, level: int, until: Deadline, workers: int) -> int:
    """Return a lower bound on what cooperating pairs pay on a tier above the nodes."""
    tier = relaxation.tiers[level]
    if until.over or not any(tier.steps):
        return 0
    exact, proven = 0, False
    if len(tier.vcpus) <= CLUSTERS_MAX:
        exact, proven = _cuts_bound(relaxation, tier, until.share(1 / 3), workers)
    return exact if proven else max(exact, sets_bound(SetCosts(relaxation, level), until))


def _cuts_bound(
    relaxation: Relaxation, tier: Tier, until: Deadline, workers: int
) -> tuple[int, bool]:
    """Return a lower bound by CP-SAT, and whether no better one exists."""
    model = cp_model.CpModel()
    inside = [
        [model.new_bool_var(f"{item.name} in cluster {c}") for c in range(len(tier.vcpus))]
        for item in relaxation.items
    ]
    for literals in inside:
        model.add_exactly_one(literals)
    for c, room in enumerate(tier.vcpus):
        items = zip(relaxation.items, inside, strict=True)
        model.add(sum(item.vcpus * literals[c] for item, literals in items) <= room)
    if len(set(tier.vcpus)) == 1:
        # All clusters are the same: the largest VM is in the first one.
        largest = max(range(len(inside)), key=lambda i: relaxation.items[i].vcpus)
        model.add(inside[largest][0] == 1)
    cuts = []
    for (a, b), step in zip(relaxation.pairs, tier.steps, strict=True):
        cut = model.new_bool_var(f"{a} and {b} cut")
        for x, y in zip(inside[a], inside[b], strict=True):
            model.add_bool_or([~x, y, cut])
            model.add_bool_or([x, ~y, cut])
        cuts.append(step * cut)
    model.minimize(sum(cuts))
    solver = new_solver(workers, until.left_s)
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return 0, False
    bound = max(0, math.ceil(solver.best_objective_bound - 1e-6))
    return bound, status == cp_model.OPTIMAL


def sets_bound(costs: SetCosts, until: Deadline, columns_max: int = COLUMNS_MAX) -> int:
    """Return a lower bound on the loss of one tier, by a deadline.

    Rounds add the most promising sets to a linear program until none improves it. Up to
    `columns_max` sets, all of them are listed.
    """
    if not costs.num_nodes:
        return 0
    columns = list_columns(costs, columns_max)
    source = _Searched(costs) if columns is None else _Listed(columns)
    master = _TierMaster(costs)
    best = 0
    calm = np.zeros(costs.num_items)
    while True:
        duals, fee = master.solve()
        late = until.over
        # Duals swing from round to round; sets priced by their running mean serve more rounds.
        calm = CALM * calm + (1 - CALM) * duals
        if not late and master.add(source.promising(np.rint(calm).astype(np.int64), fee)):
            continue
        if not late and master.add(source.promising(duals, fee)):
            continue
        bound, missing = source.certify(duals)
        best = max(best, bound)
        if late or not master.add(missing):
            return best


class _Listed:
    """Sets from a list of all.

    `promising` yields sets that improve the linear program, `certify` returns the bound that duals
    prove, and sets that stood in the way of a better one.
    """

    def __init__(self, columns: SetColumns) -> None:
        self.columns = columns

    def promising(self, duals: Ints, fee: int) -> Iterator[Column]:
        parts = self.columns.reduced(duals)
        members = zip(self.columns.members, self.columns.costs, parts, strict=True)
        for rows, costs, reduced in members:
            near = np.argpartition(reduced, min(COLUMNS_A_ROUND, len(reduced) - 1))
            for k in near[:COLUMNS_A_ROUND]:
                if reduced[k] - fee < -len(duals):
                    yield rows[k], int(costs[k])

    def certify(self, duals: Ints) -> tuple[int, list[Column]]:
        return certified_bound(self.columns, duals), []


class _Searched:
    """Sets from a search; they cost what their pairs cost, which is a bound on what they cost."""

    def __init__(self, costs: SetCosts) -> None:
        self.costs = costs

    def promising(self, duals: Ints, fee: int) -> Iterator[Column]:
        for sets, reduced in promising_sets(self.costs, duals):
            for k in np.argsort(reduced)[:COLUMNS_A_SIZE]:
                if reduced[k] - fee < -len(duals):
                    items = np.nonzero(sets[k])[0]
                    yield items, int(reduced[k] + duals[items].sum())

    def certify(self, duals: Ints) -> tuple[int, list[Column]]:
        model = cp_model.CpModel()
        taken = [model.new_bool_var(f"item {i}") for i in range(self.costs.num_items)]
        vcpus = self.costs.vcpus.tolist()
        model.add(sum(n * x for n, x in zip(vcpus, taken, strict=True)) <= self.costs.room)
        alone = (self.costs.alone - duals).tolist()
        terms = [price * x for price, x in zip(alone, taken, strict=True)]
        for a, b in zip(*np.nonzero(np.triu(self.costs.joint)), strict=True):
            both, price = model.new_bool_var(f"items {a} and {b}"), int(self.costs.joint[a, b])
            if price < 0:
                model.add_implication(both, taken[a])
                model.add_implication(both, taken[b])
            else:
                model.add_bool_or([both, ~taken[a], ~taken[b]])
            terms.append(price * both)
        model.minimize(sum(terms))
        solver = new_solver(1, PRICING_S)
        solver.parameters.linearization_level = 2
        found = _TierFound(taken)
        if solver.solve(model, found) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return 0, []
        least = min(0, math.floor(solver.best_objective_bound + 1e-6))
        doubled = int(duals.sum()) + self.costs.num_nodes * least
        sets = [np.array(items, dtype=np.int64) for items in found.sets if items]
        return max(0, -(-doubled // 2)), [(items, self.costs.pairs_cost(items)) for items in sets]


class _TierFound(cp_model.CpSolverSolutionCallback):
    """Keeps every solution."""

    def __init__(self, taken: list[cp_model.IntVar]) -> None:
        super().__init__()
        self.taken = taken
        self.sets: list[list[int]] = []

    def on_solution_callback(self) -> None:
        self.sets.append([i for i, x in enumerate(self.taken) if self.boolean_value(x)])


class _TierMaster:
    """The linear program over the sets found so far."""

    def __init__(self, costs: SetCosts) -> None:
        self.solver = pywraplp.Solver.CreateSolver("GLOP")
        self.cover = [self.solver.Constraint(1, 1) for _ in range(costs.num_items)]
        self.nodes = self.solver.Constraint(-self.solver.infinity(), costs.num_nodes)
        self.objective = self.solver.Objective()
        self.objective.SetMinimization()
        self.known: set[tuple[int, ...]] = set()
        # An item left out costs more than a plan should, so that the first round has a solution.
        penalty = int(costs.alone.sum()) + SCALE
        for item in range(costs.num_items):
            self._column([item], penalty)

    def _column(self, items: Iterable[int], cost: int) -> pywraplp.Variable:
        column = self.solver.NumVar(0, self.solver.infinity(), "")
        # In vCPUs: the simplex loses its way among coefficients of 1 and of 10^8.
        self.objective.SetCoefficient(column, cost / SCALE)
        for item in items:
            self.cover[item].SetCoefficient(column, 1)
        return column

    def add(self, columns: Iterable[Column]) -> bool:
        """Add sets; False if none is new."""
        before = len(self.known)
        for items, cost in columns:
            key = tuple(sorted(items.tolist()))
            if key not in self.known:
                self.known.add(key)
                self.nodes.SetCoefficient(self._column(key, cost), 1)
        return len(self.known) > before

    def solve(self) -> tuple[Ints, int]:
        """Return the duals of the items and of the number of nodes, rounded."""
        self.solver.Solve()
        values = [round(SCALE * row.dual_value()) for row in self.cover]
        return np.array(values, dtype=np.int64), round(SCALE * self.nodes.dual_value())
