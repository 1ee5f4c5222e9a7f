"""The verifier judges every case of tests/rule_cases.py as the table says."""

from __future__ import annotations

from collections import Counter

import pytest

from numaplace.models.cost import evaluate
from numaplace.models.verify import Rule, violations
from numaplace.tests.rule_cases import RULE_CASES, RuleCase

NAMES = [f"{case.rule}: {case.name}" for case in RULE_CASES]


@pytest.mark.parametrize("case", RULE_CASES, ids=NAMES)
def test_good_plan_obeys_and_bad_plan_breaks_that_rule_only(case: RuleCase) -> None:
    """The good plan has no violation, the bad one breaks its rule and those named with it."""
    assert violations(case.instance, case.good) == []
    assert {found.rule for found in violations(case.instance, case.bad)} == {case.rule, *case.also}


@pytest.mark.parametrize("case", RULE_CASES, ids=NAMES)
def test_a_plan_that_breaks_rules_has_a_cost_as_well(case: RuleCase) -> None:
    """Evaluating never fails on things that exist, and no term is negative."""
    assert evaluate(case.instance, case.good).loss_micro >= 0
    assert all(item.micro > 0 for item in evaluate(case.instance, case.bad).items)


def test_every_rule_has_cases() -> None:
    """Each rule but `known_names` occurs, and names are unique."""
    assert {case.rule for case in RULE_CASES} == set(Rule) - {Rule.KNOWN_NAMES}
    assert [name for name, count in Counter(NAMES).items() if count > 1] == []
