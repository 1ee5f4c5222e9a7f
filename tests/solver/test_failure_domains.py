"""Relations whose scope is a label of hosts, on more hosts than the random instances have."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from numaplace.instances.formats.document.io import instance_from_dict
from numaplace.instances.formats.document.plain import instance_to_dict
from numaplace.models.cost import evaluate
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.relations import Apart, Competition, Cooperation, Together
from numaplace.models.verify import violations
from numaplace.solver.names import EXACT, ONLINE
from numaplace.solver.params import SolveParams
from numaplace.solver.placing.improve import improve
from numaplace.solver.registry import solve
from numaplace.tests.builders import make_host
from numaplace.tests.models.case import cell, on, plan, vm
from numaplace.tests.oracle import brute_force

PARAMS = SolveParams(time_limit_s=30, workers=1, explain=False)


def racked(*racks: str) -> Instance:
    """Hosts h0, h1... of one node of 2 cores in these racks, "" without a label."""
    made = (make_host(f"h{n}", nodes=1, cores=2) for n in range(len(racks)))
    labels = ({"rack": rack} if rack else {} for rack in racks)
    return Instance(tuple(replace(h, labels=told) for h, told in zip(made, labels, strict=True)))


def random_racks(seed: int) -> Instance:
    """Three to five hosts, five VMs in groups of any scope and some in domains."""
    random = Random(seed)
    names = "abcde"

    def group(low: int) -> tuple[str, ...]:
        return tuple(random.sample(names, random.randint(low, 5)))

    def apart() -> Apart:
        vms = group(3)
        cut = random.randint(1, len(vms))
        domains = tuple(d for d in (vms[:cut], vms[cut:]) if d and random.random() < 0.7)
        return Apart(vms, random.choice(("rack", "rack", "host", "node")), domains)

    return replace(
        racked(*(random.choice("xxyz") if random.random() < 0.8 else "" for _ in range(4))),
        vms=tuple(vm(name, random.randint(1, 2)) for name in names),
        togethers=(Together(group(2)[:3], random.choice(("rack", "host"))),) * random.randint(0, 1),
        aparts=tuple(apart() for _ in range(random.randint(1, 2))),
        competitions=tuple(
            Competition(*random.sample(names, 2), random.choice((0.5, 1.0)), "rack")
            for _ in range(2)
        ),
        cooperations=(
            *Together(group(3)[:3], random.choice(("rack", "host"))).softened(0.75),
            Cooperation(*random.sample(names, 2), 0.125),
        ),
    )


@pytest.mark.parametrize("first", range(0, 30, 10))
def test_solvers_agree_on_racks(first: int) -> None:
    """CP-SAT = MILP = brute force; greedy and local search keep the rules."""
    for seed in range(first, first + 10):
        instance = random_racks(seed)
        assert instance_from_dict(instance_to_dict(instance)) == instance
        best = brute_force(instance)
        assert best is not None
        for name in EXACT:
            result = solve(instance, name, PARAMS)
            assert result.cost is not None and result.status == "optimal"
            assert (result.cost.value_milli, result.cost.loss_micro) == (
                best.value_milli,
                best.loss_micro,
            )
        for name in ONLINE:
            result = solve(instance, name, PARAMS)
            assert result.plan is not None and not violations(instance, result.plan)
            better = improve(instance, result.plan, until=PARAMS.until.share(1.0, 0.05), seed=1)
            assert not violations(instance, better)


def test_greedy_spreads_over_racks_and_keeps_domains() -> None:
    """Three VMs apart take the three racks; with two domains of one group two suffice."""
    instance = replace(racked("x", "x", "y", "y", "z"), vms=tuple(map(vm, "abc")))
    apart = replace(instance, aparts=(Apart(("a", "b", "c"), "rack"),))
    found = solve(apart, "greedy").plan
    assert found is not None
    labels = {apart.host(at.host).labels["rack"] for at in found.placements.values()}
    assert labels == {"x", "y", "z"}
    two = replace(racked("x", "y"), vms=instance.vms)

    def placed(*aparts: Apart) -> int:
        found = solve(replace(two, aparts=aparts), "cpsat", PARAMS).plan
        return 0 if found is None else len(found.placements)

    assert placed(*apart.aparts) == 2
    assert placed(Apart(domains=(("a", "b"), ("c",)), scope="rack")) == 3


def test_a_host_without_the_label_is_a_domain_of_its_own() -> None:
    """It costs nothing to be on two such hosts, and the result says what was assumed."""
    rivals = (Competition("a", "b", 2.0, "rack"),)
    instance = replace(racked("x", "x", "", ""), vms=(vm("a"), vm("b")), competitions=rivals)

    def lost(a: str, b: str) -> int:
        return evaluate(instance, plan(a=on(cell(0), host=a), b=on(cell(0), host=b))).loss_micro

    assert lost("h0", "h1") == lost("h2", "h2") == 2_000_000
    assert lost("h0", "h2") == lost("h2", "h3") == 0
    assert solve(instance, "greedy").remarks == (
        "no label 'rack' on host 'h2' and 1 more: each is a rack of its own",
    )
    assert solve(replace(instance, competitions=()), "greedy").remarks == ()


def test_a_group_with_a_weight_is_a_wish() -> None:
    """Each pair of an apart that meets loses it, each pair of a together that does not."""
    document = instance_to_dict(replace(racked("x", "x", "y"), vms=tuple(map(vm, "abc"))))
    document["aparts"] = [{"domains": [["a", "b"], ["c"]], "scope": "rack", "weight": 0.5}]
    document["togethers"] = [
        {"vms": ["a", "b"], "scope": "host", "weight": 0.25},
        {"vms": ["a", "c"], "weight": 0.125},
    ]
    instance = instance_from_dict(document)
    assert instance.togethers == instance.aparts == ()
    rivals = [Competition("a", "c", 0.5, "rack"), Competition("b", "c", 0.5, "rack")]
    assert list(instance.competitions) == rivals
    assert instance.cooperations == (
        Cooperation("a", "b", 0.25, "host"),
        Cooperation("a", "c", 0.125),
    )
    far = plan(a=on(cell(0), host="h0"), b=on(cell(0), host="h1"), c=on(cell(0), host="h2"))
    assert evaluate(instance, far).loss_micro == 250_000 + 19 * 125_000
    near = plan(**dict.fromkeys("abc", on(cell(0), host="h0")))
    assert evaluate(instance, near).terms["competition"] == 1_000_000
    document["togethers"] = [{"vms": ["a", "z"], "scope": "host", "weight": 0.25}]
    with pytest.raises(InputError, match="cooperation of 'a' and 'z': second: VM 'z' does not"):
        instance_from_dict(document)
