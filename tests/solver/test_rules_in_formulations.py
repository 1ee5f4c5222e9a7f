"""Verifier, CP-SAT and MILP mean the same rules and terms, one by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from numaplace.models.cost import TERMS, evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan, SharedCopy
from numaplace.models.relations import SharingGroup
from numaplace.models.verify import Rule, violations
from numaplace.models.vm import Vm
from numaplace.solver.formulation.model import Formulation
from numaplace.solver.formulation.rules import Rules
from numaplace.tests.builders import make_instance
from numaplace.tests.formulation_loss import cpsat_loss_of, milp_loss_of
from numaplace.tests.rule_cases import RULE_CASES, RuleCase

LOSS_OF: dict[str, Callable[[Instance, Plan], int | None]] = {
    "cpsat": cpsat_loss_of,
    "milp": milp_loss_of,
}

# No constraint has their name: the choices of `solver.prepare` keep them.
BY_CHOICE = {
    Rule.KNOWN_NAMES,
    Rule.ALLOWED_HOSTS,
    Rule.HARD_NODES,
    Rule.MEMORY_NODES,
    Rule.DEVICE_LOCALITY,
}


@pytest.mark.parametrize("formulation", LOSS_OF)
@pytest.mark.parametrize("case", RULE_CASES, ids=lambda case: f"{case.rule}: {case.name}")
def test_rule(case: RuleCase, formulation: str) -> None:
    """A plan that obeys is allowed at the loss of the specification, one that does not is not."""
    loss_of = LOSS_OF[formulation]
    assert loss_of(case.instance, case.good) == evaluate(case.instance, case.good).loss_micro
    assert loss_of(case.instance, case.bad) is None


@pytest.mark.parametrize("formulation", LOSS_OF)
def test_copies_take_memory(formulation: str) -> None:
    """Two VMs of 2 GiB of their own fill a node; the pages they share are more than it has."""
    vms = (Vm("a", 1, 2560), Vm("b", 1, 2560))
    instance = make_instance(*vms, sharing=(SharingGroup("g", ("a", "b"), 512),))

    def plan(*nodes: int) -> Plan:
        on = {vm.name: PlacedCell(n, 1, ((n, 2048),)) for vm, n in zip(vms, nodes, strict=True)}
        copies = (SharedCopy("g", "host", tuple(sorted(set(nodes)))),)
        return Plan({name: Placement("host", (cell,)) for name, cell in on.items()}, copies)

    loss_of = LOSS_OF[formulation]
    assert violations(instance, plan(0, 1)) == [] and loss_of(instance, plan(0, 1)) == 0
    assert violations(instance, plan(0, 0)) != [] and loss_of(instance, plan(0, 0)) is None


def test_rules_have_the_same_name() -> None:
    """Every rule is a method of that name, but for those that hold by choice."""
    assert {rule for rule in Rule if callable(getattr(Rules, rule, None))} == set(Rule) - BY_CHOICE


@pytest.mark.parametrize("literals", [False, True])
def test_terms_have_the_same_name(literals: bool) -> None:
    """Both forms price exactly the terms of the specification."""
    assert list(Formulation(make_instance(), literals=literals).objective.terms()) == list(TERMS)
