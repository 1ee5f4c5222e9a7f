"""Tables that equal VMs share change no decision."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

from hypothesis import given, settings

from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.verify import Rule, violations
from numaplace.solver.params import SolveParams
from numaplace.solver.placing import search
from numaplace.solver.placing.solver import GREEDY_SOLVERS, place_rest
from numaplace.tests.strategies import instances

PARAMS = SolveParams(explain=False)


def _twice(instance: Instance) -> Instance:
    """Return the instance with every VM twice, the second without relations, and more hosts."""
    again = tuple(replace(vm, name=f"{vm.name} again") for vm in instance.vms)
    more = (replace(h, name=f"{h.name} {i}") for i in range(3) for h in instance.hosts)
    return replace(instance, vms=(*instance.vms, *again), hosts=(*instance.hosts, *more))


@settings(deadline=None)
@given(instances())
def test_tables_change_no_decision(instance: Instance) -> None:
    """Plans are the same as those of VMs each of which looks at every place."""
    instance = _twice(instance)
    for name in ("greedy", "first_fit", "best_fit"):
        with patch.object(search, "LOCAL", frozenset()):
            alone = GREEDY_SOLVERS[name](instance, PARAMS)
        assert GREEDY_SOLVERS[name](instance, PARAMS).plan == alone.plan


@settings(deadline=None)
@given(instances())
def test_the_rest_is_placed_beside_a_plan(instance: Instance) -> None:
    """What a plan has stays where it is, also when much of it was taken away before."""
    instance = _twice(instance)
    whole = place_rest(instance).plan
    kept = dict(list(whole.placements.items())[::2])
    groups = {name: group for group in instance.sharing for name in group.vms}
    kept = {name: where for name, where in kept.items() if name not in groups}
    found = place_rest(instance, Plan(kept))
    assert kept.items() <= found.plan.placements.items()
    assert {v.rule for v in violations(instance, found.plan)} <= {Rule.REQUIRED_VMS}
    assert found.plan.placements.keys() ^ found.unplaced.keys() == instance.vm_index.keys()
