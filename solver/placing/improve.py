"""Local search: make a valid plan better within a time limit.

Two searches take turns. *Annealing* (`anneal`) moves and swaps the simple VMs between nodes,
hundreds of thousands of tries a second. *Ruin and recreate* unplaces a few VMs that have to do
with each other and lets the engine place them again in another order; it knows every feature,
tries VMs that are not placed, and ejects others for them.

References
----------
G. Schrimpf, J. Schneider, H. Stamm-Wilbrandt and G. Dueck, "Record breaking optimization results
using the ruin and recreate principle", Journal of Computational Physics 159 (2000).
S. Kirkpatrick, C. D. Gelatt and M. P. Vecchi, "Optimization by simulated annealing", Science 220
(1983).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterable

from numaplace.models.instance import Between, Instance
from numaplace.models.plan import Plan
from numaplace.models.result import key_of
from numaplace.models.units import ceil_div
from numaplace.solver.base import checked_cost
from numaplace.solver.deadline import Deadline
from numaplace.solver.formulation.prepare import Prepared
from numaplace.solver.placing.anneal import anneal
from numaplace.solver.placing.ledger import Footprint
from numaplace.solver.placing.occupancy import CopyKey
from numaplace.solver.placing.placer import Placer, hardness
from numaplace.solver.value_bound import value_bound

Key = tuple[int, int, int]  # Value (negative), stage between, loss: less is better
# Seconds that each search goes on before it is the other's turn, for so many VMs.
TURN_S, TURN_VMS = 0.25, 60
RUIN_MAX = 9
UNPLACED_TRIED = 3
# Loss that ruin and recreate may add, as a share of the loss, first and last.
WARM, COLD = 0.02, 0.0002


def improve(instance: Instance, plan: Plan, *, until: Deadline, seed: int) -> Plan:
    """Return a plan at least as good as the valid `plan`: value, then hosts or balance, then loss.

    It ends at once if there is nothing to improve; `seed` is that of all random choices.

    Raises
    ------
    InvalidPlanError
        If `plan` breaks a rule.
    """
    if not until.left_s:
        return plan
    given = _key_of_plan(instance, plan)
    search = _LocalSearch(instance, plan, until, random.Random(seed))

    turn_s = min(TURN_S * max(1.0, len(plan) / TURN_VMS), until.left_s / 4)
    while not until.over and not search.perfect and instance.vms:
        search.anneal(until.share(1.0, turn_s))
        search.ruin_and_recreate(until.share(1.0, turn_s))
    return search.best_plan if _key_of_plan(instance, search.best_plan) < given else plan


def _key_of_plan(instance: Instance, plan: Plan) -> Key:
    first, *middle, loss = key_of(instance, checked_cost(instance, plan, "improve"))
    return first, middle[0] if middle else 0, loss


class _LocalSearch:
    """State of one local search."""

    def __init__(self, instance: Instance, plan: Plan, until: Deadline, rng: random.Random) -> None:
        self.instance = instance
        self.rng = rng
        self.engine = Placer(instance)
        self.engine.state.remember = True
        self.engine.load_plan(plan)
        self.value = {vm.name: instance.value_milli(vm) for vm in instance.vms}
        self.required = {vm.name for vm in instance.vms if vm.required}
        self.hardness = hardness(instance)
        prepared = Prepared(instance)
        self.possible = {vm.name for vm in instance.vms if prepared.possible(vm)}
        self.total = value_bound(prepared)
        self.placed_value = sum(self.value[name] for name in plan.placements)
        self.neighbours = _neighbours(instance)
        self.best_plan = plan
        self.best_key = self.key

    @property
    def key(self) -> Key:
        """Objective of the present plan."""
        state = self.engine.state
        between = self.instance.between
        middle = 0
        if between is Between.FEWEST_HOSTS:
            middle = int((state.ledger.host_vms > 0).sum())
        elif between is Between.BALANCE:
            middle = int(ceil_div(state.ledger.host_load_milli, state.arrays.host_threads).max())
        return -self.placed_value, middle, self.engine.loss_micro

    @property
    def perfect(self) -> bool:
        """Whether nothing can be better: all placed that can be, nothing lost."""
        nothing_between = self.instance.between is Between.NOTHING
        return nothing_between and self.best_key == (-self.total, 0, 0)

    def note(self) -> None:
        """Remember the present plan if it is the best."""
        if self.key < self.best_key:
            self.best_key = self.key
            self.best_plan = self.engine.plan()

    def anneal(self, until: Deadline) -> None:
        """Move and swap simple VMs, keep the outcome if it is no worse."""
        moves = anneal(self.engine.state, until, self.rng).places
        if not moves:
            return
        before = _Snapshot(self.engine, self.placed_value)
        old_key = self.key
        removed = [self.engine.remove(name) for name in moves]
        before.removed = {print_.vm.name: print_ for print_ in removed}
        for name, home in moves.items():
            found = self.engine.find_at(self.instance.vm(name), home)
            if found is None:
                before.restore(self.engine, moves)
                return
            self.engine.take(found)
        if self.key > old_key:
            before.restore(self.engine, moves)
        self.note()

    def ruin_and_recreate(self, until: Deadline) -> None:
        """Unplace a few VMs and place them again, many times over."""
        began = time.monotonic()
        while not until.over:
            share = (time.monotonic() - began) / max(1e-9, until.end - began)
            heat = WARM * (COLD / WARM) ** share * max(1, self.best_key[2])
            self._step(heat)

    def _step(self, heat: float) -> None:
        names = self._ruin()
        old = self.key
        snapshot = _Snapshot(self.engine, self.placed_value)
        for name in names:
            snapshot.removed[name] = self.engine.remove(name)
            self.placed_value -= self.value[name]
        order = self._order([*names, *self._unplaced(names)])
        for name in order:
            if self.engine.add(self.instance.vm(name)) is not None:
                self.placed_value += self.value[name]
        kept = all(name in self.engine for name in names if name in self.required)
        if kept and self._accepts(old, self.key, heat):
            self.note()
        else:
            self.placed_value = snapshot.placed_value
            snapshot.restore(self.engine, order)

    def _accepts(self, old: Key, new: Key, heat: float) -> bool:
        if new[:2] != old[:2]:
            return new[:2] < old[:2]
        worse = new[2] - old[2]
        return worse <= 0 or self.rng.random() < math.exp(-worse / max(heat, 1e-9))

    def _ruin(self) -> list[str]:
        """VMs to unplace: related ones, those of a place or two, or any."""
        placed = list(self.engine.state.placed)
        if not placed:
            return []
        rng, size = self.rng, self.rng.randint(1, min(RUIN_MAX, len(placed)))
        kind = rng.random()
        if kind < 0.4:
            return self._related(rng.choice(placed), size)
        if kind < 0.8:
            where = self.engine.state.placed
            wanted = {p for _ in range(2) for p, _ in where[rng.choice(placed)].homes}
            there = [
                name
                for name in placed
                if any(
                    place_index in wanted for place_index, _ in self.engine.state.placed[name].homes
                )
            ]
            return rng.sample(there, min(size, len(there)))
        return rng.sample(placed, size)

    def _related(self, start: str, size: int) -> list[str]:
        chosen = [start]
        while len(chosen) < size:
            near = [
                name
                for name in self.neighbours.get(self.rng.choice(chosen), ())
                if name in self.engine and name not in chosen
            ]
            if not near:
                break
            chosen.append(self.rng.choice(near))
        return chosen

    def _unplaced(self, removed: list[str]) -> list[str]:
        missing = [
            vm.name
            for vm in self.instance.vms
            if vm.name in self.possible and vm.name not in self.engine and vm.name not in removed
        ]
        return self.rng.sample(missing, min(UNPLACED_TRIED, len(missing)))

    def _order(self, names: list[str]) -> list[str]:
        """Order of insertion: by chance, or the hardest first with some noise."""
        self.rng.shuffle(names)
        if self.rng.random() < 0.5:
            names.sort(key=lambda name: -self.hardness[name] * self.rng.uniform(0.7, 1.4))
        return names


class _Snapshot:
    """What is needed to go back to the plan before some VMs were unplaced."""

    def __init__(self, engine: Placer, placed_value: int) -> None:
        self.loss = engine.loss_micro
        self.placed_value = placed_value
        self.copies: dict[CopyKey, frozenset[int]] = dict(engine.state.copies)
        self.removed: dict[str, Footprint] = {}

    def restore(self, engine: Placer, touched: Iterable[str]) -> None:
        """Go back; `touched` are the VMs that may have been placed since."""
        state = engine.state
        for name in touched:
            if name in state.placed:
                state.release(name)
        for key in {*state.copies, *self.copies}:
            if state.copies.get(key) != self.copies.get(key):
                state.set_copies(key, self.copies.get(key, frozenset()))
        for print_ in self.removed.values():
            state.take(print_)
        engine.loss_micro = self.loss


def _neighbours(instance: Instance) -> dict[str, list[str]]:
    """VMs that have to do with each VM; of large groups the next few."""
    pairs = [(pair.first, pair.second) for pair in instance.cooperations]
    pairs += [(pair.first, pair.second) for pair in instance.competitions]
    groups = [group.vms for group in instance.togethers]
    groups += [group.vms for group in instance.aparts]
    groups += [group.vms for group in instance.sharing]
    for vms in groups:
        for index, name in enumerate(vms):
            pairs += [(name, other) for other in vms[index + 1 : index + RUIN_MAX]]
    near: dict[str, dict[str, None]] = {vm.name: {} for vm in instance.vms}
    for first, second in pairs:
        near[first][second] = None
        near[second][first] = None
    return {name: list(others) for name, others in near.items()}
