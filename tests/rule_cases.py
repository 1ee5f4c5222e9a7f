"""Every rule with plans that obey and plans that break it: one table for all formulations.

Memory is in whole blocks and bad plans ask for what no pinning of pCPUs can give, so that a
formulation can be fixed to each plan: it accepts `good` with the loss of `evaluate` and rejects
`bad`. Only `known_names` is missing: a formulation cannot name what does not exist.
"""

from __future__ import annotations

from numaplace.tests.models import cases_cpu, cases_memory, cases_place, cases_relations
from numaplace.tests.models.case import RuleCase

__all__ = ["RULE_CASES", "RuleCase"]

RULE_CASES: list[RuleCase] = [
    *cases_place.CASES,
    *cases_memory.CASES,
    *cases_cpu.CASES,
    *cases_relations.CASES,
]
