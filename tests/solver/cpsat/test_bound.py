"""The bound on the loss: below the best plan of every kind of instance, near it on hard ones."""

from __future__ import annotations

import pytest

from numaplace.solver.cpsat.bound import loss_bound, sets_bound, tier_bound
from numaplace.solver.deadline import Deadline
from numaplace.solver.formulation.bounds import relax
from numaplace.solver.formulation.node_sets import SetCosts
from numaplace.tests.oracle import brute_force
from numaplace.tests.solver.formulation.test_bounds import best_pair_loss, random_pairs
from numaplace.tests.strategies import FEATURES, random_small_instance

PLAIN = frozenset({"cooperation", "competition", "distances", "modes", "balloon", "smt"})


def _bound_and_best(seed: int, features: frozenset[str]) -> tuple[int, int] | None:
    instance = random_small_instance(seed, max_plans=2000, features=features)
    best = brute_force(instance)
    if best is None:
        return None
    everything = len(best.plan.placements) == len(instance.vms)
    sure = [vm.name for vm in instance.vms if everything or vm.required]
    return loss_bound(instance, sure, Deadline.after(5), 1), best.loss_micro


@pytest.mark.parametrize("features", [PLAIN, FEATURES], ids=["plain", "all"])
def test_never_above_the_best_plan(features: frozenset[str]) -> None:
    """Random instances, all features or those the bound knows best, against brute force."""
    found = [_bound_and_best(seed, features) for seed in range(150)]
    pairs = [pair for pair in found if pair is not None]
    assert all(bound <= best for bound, best in pairs)
    assert any(bound > 0 for bound, _ in pairs)


@pytest.mark.parametrize("seed", range(6))
def test_near_the_best_plan(seed: int) -> None:
    """Full nodes, many pairs: at most a fifth of the loss is left unproven."""
    instance = random_pairs(seed)
    best = best_pair_loss(instance)
    bound = loss_bound(instance, [vm.name for vm in instance.vms], Deadline.after(5), 1)
    assert 0.8 * best <= bound <= best


def test_nothing_sure_proves_nothing() -> None:
    """Without a VM that must be placed the bound is 0."""
    assert loss_bound(random_pairs(0), [], Deadline.after(5), 1) == 0


@pytest.mark.parametrize("seed", range(6))
def test_searched_sets_prove_as_much_as_listed_ones(seed: int) -> None:
    """Where the list would be too long, the search finds the same bound."""
    instance = random_pairs(seed)
    relaxation = relax(instance, [vm.name for vm in instance.vms])
    until = Deadline.after(10)
    listed = sets_bound(SetCosts(relaxation), until)
    assert listed > 0
    assert sets_bound(SetCosts(relaxation), until, 0) == pytest.approx(listed, abs=50)


@pytest.mark.parametrize("seed", range(6))
def test_coarse_tier_by_cuts_and_by_sets(seed: int) -> None:
    """On the sockets, sets prove at most what CP-SAT proves to be the optimum."""
    instance = random_pairs(seed)
    relaxation = relax(instance, [vm.name for vm in instance.vms])
    until = Deadline.after(10)
    exact = tier_bound(relaxation, 1, until, 1)
    by_sets = sets_bound(SetCosts(relaxation, 1), until)
    assert 0 < by_sets <= exact
