"""Verifier, CP-SAT and MILP mean the same rules and terms, one by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from numaplace.models.cost import TERMS, evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.verify import Rule
from numaplace.solver.cpsat import constraints as cpsat_constraints
from numaplace.solver.cpsat import model as cpsat_model
from numaplace.solver.milp import constraints as milp_constraints
from numaplace.solver.milp import model as milp_model
from numaplace.tests.builders import make_instance
from numaplace.tests.rule_cases import RULE_CASES, RuleCase

LOSS_OF: dict[str, Callable[[Instance, Plan], int | None]] = {
    "cpsat": cpsat_model.loss_of,
    "milp": milp_model.loss_of,
}

# No constraint has their name: the choices of `solver.prepare` keep them.
BY_CHOICE = {
    Rule.KNOWN_NAMES,
    Rule.ALLOWED_HOSTS,
    Rule.HARD_NODES,
    Rule.MEMORY_NODES,
    Rule.DEVICE_LOCALITY,
}
CONSTRAINTS = {
    # A literal for "this VM uses this node" keeps cells apart in CP-SAT.
    "cpsat": (cpsat_constraints.Constraints, BY_CHOICE | {Rule.DISTINCT_NODES}),
    "milp": (milp_constraints.Constraints, BY_CHOICE),
}


@pytest.mark.parametrize("formulation", LOSS_OF)
@pytest.mark.parametrize("case", RULE_CASES, ids=lambda case: f"{case.rule}: {case.name}")
def test_rule(case: RuleCase, formulation: str) -> None:
    """A plan that obeys is allowed at the loss of the specification, one that does not is not."""
    loss_of = LOSS_OF[formulation]
    assert loss_of(case.instance, case.good) == evaluate(case.instance, case.good).loss_micro
    assert loss_of(case.instance, case.bad) is None


@pytest.mark.parametrize("formulation", CONSTRAINTS)
def test_rules_have_the_same_name(formulation: str) -> None:
    """Every rule is a method of that name, but for those that hold by choice."""
    constraints, by_choice = CONSTRAINTS[formulation]
    methods = {rule for rule in Rule if callable(getattr(constraints, rule, None))}
    assert methods == set(Rule) - by_choice


@pytest.mark.parametrize("formulation", [cpsat_model.Formulation, milp_model.Formulation])
def test_terms_have_the_same_name(
    formulation: type[cpsat_model.Formulation] | type[milp_model.Formulation],
) -> None:
    """Both formulations price exactly the terms of the specification."""
    assert list(formulation(make_instance()).objective.terms()) == list(TERMS)
