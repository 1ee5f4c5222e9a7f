"""Run in the copy: the rule is obeyed, the term is priced alike, and all solvers agree."""

from dataclasses import replace

from numaplace.models.cost import Term, evaluate
from numaplace.models.instance import Instance
from numaplace.models.verify import CAPACITIES, Rule, violations
from numaplace.solver.names import EXACT
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.tests.builders import make_host
from numaplace.tests.models.case import vm
from numaplace.tests.models.test_rule_cases import (
    test_good_plan_obeys_and_bad_plan_breaks_that_rule_only as judged,
)
from numaplace.tests.properties.test_agreement import _check
from numaplace.tests.rule_cases import RULE_CASES
from numaplace.tests.solver import test_rules_in_formulations as both
from numaplace.tests.strategies import random_small_instance

cases = [case for case in RULE_CASES if case.rule is Rule.EXCLUSIVE_HOST]
assert len(cases) == 2 and Rule.EXCLUSIVE_HOST in CAPACITIES
for case in cases:
    judged(case)
    slow = tuple(replace(host, slow_share=0.3) for host in case.instance.hosts)
    for formulation in both.LOSS_OF:
        both.test_rule(case, formulation)
        both.test_rule(replace(case, instance=replace(case.instance, hosts=slow)), formulation)
both.test_rules_have_the_same_name()
crowd = (vm("a", exclusive_host=True, required=True), vm("b", required=True))
for solver in EXACT:
    reasons = solve(Instance((make_host(),), crowd), solver, SolveParams(time_limit_s=10)).reasons
    assert any("exclusive_host" in reason for reason in reasons), reasons
print("rule")

both.test_terms_have_the_same_name(True)
both.test_terms_have_the_same_name(False)
hosts = (replace(make_host("old"), slow_share=0.25), make_host("new", cores=1))
two = Instance(hosts, (vm("a", vcpus=2, utilisation=0.5), vm("b")))
for solver in (*EXACT, "greedy"):
    found = solve(two, solver, SolveParams(time_limit_s=10)).plan
    assert violations(two, found) == []
    assert [found.placements[name].host for name in "ab"] == ["old", "new"], solver
    assert evaluate(two, found).terms[Term.SLOW_HOST] == 250_000
print("term")

wanted = [random_small_instance(seed) for seed in range(400)]
wanted = [
    it
    for it in wanted
    if len(it.hosts) > 1
    and any(v.exclusive_host for v in it.vms)
    and any(h.slow_share for h in it.hosts)
]
assert len(wanted) >= 8, len(wanted)
for it in wanted[:12]:
    _check(it)
print("agree")
