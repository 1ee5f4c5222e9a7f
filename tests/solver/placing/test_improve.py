"""Local search: never worse, exact, and it finds what greedy misses."""

import random
import time

import pytest

from numaplace.instances.generate import generate_instance, preset
from numaplace.models.cost import evaluate
from numaplace.models.instance import Between, Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.relations import Apart, Cooperation, Scope
from numaplace.models.result import objective_of, stages_of
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.verify import violations
from numaplace.models.vm import Vm
from numaplace.solver.base import InvalidPlanError
from numaplace.solver.deadline import Deadline
from numaplace.solver.params import SolveParams
from numaplace.solver.placing.anneal import anneal
from numaplace.solver.placing.improve import improve
from numaplace.solver.placing.placer import Placer
from numaplace.solver.placing.solver import solve_greedy, solve_greedy_sorted
from numaplace.tests.builders import make_instance
from numaplace.tests.strategies import random_small_instance

PARAMS = SolveParams()


def _host(nodes: int, cpus: int, mib: int, name: str = "h") -> Host:
    return Host(
        name,
        tuple(
            NumaNode(n, tuple(PCpu(cpus * n + c, cpus * n + c) for c in range(cpus)), mib)
            for n in range(nodes)
        ),
    )


def _at(node: int, vm: Vm, host: str = "h") -> Placement:
    return Placement(host, (PlacedCell(node, vm.vcpus, ((node, vm.memory_mib),)),))


def _key(instance: Instance, plan: Plan) -> list[int]:
    cost = evaluate(instance, plan)
    stages = stages_of(instance)
    return [-objective_of(cost, stages[0]), *(objective_of(cost, s) for s in stages[1:])]


def test_plans_stay_valid_and_never_get_worse() -> None:
    """Random instances of every feature: value, then hosts or balance, then loss."""
    better = 0
    for seed in range(60):
        instance = random_small_instance(seed, max_vms=6, max_plans=10**12)
        start = solve_greedy(instance, PARAMS).plan
        if start is None:
            continue
        looks = iter(range(400))  # not a time, which a busy machine would not keep
        until = Deadline.after(10, lambda looks=looks: next(looks, None) is None)
        plan = improve(instance, start, until=until, seed=seed)
        assert not violations(instance, plan)
        assert _key(instance, plan) <= _key(instance, start)
        better += _key(instance, plan) < _key(instance, start)
    assert better > 5


def test_two_full_nodes_exchange_vms() -> None:
    """Talking pairs are torn apart over two full nodes: only swaps help, and they do."""
    vms = tuple(Vm(name, 1, 256) for name in "abcd")
    talks = (Cooperation("a", "b", 1.0), Cooperation("c", "d", 1.0))
    instance = Instance((_host(2, 2, 512),), vms, cooperations=talks)
    torn = Plan({vm.name: _at(n % 2, vm) for n, vm in enumerate(vms)})
    assert evaluate(instance, torn).loss_micro == 2_000_000
    plan = improve(instance, torn, until=Deadline.after(5), seed=1)
    assert evaluate(instance, plan).loss_micro == 0


def test_a_valuable_vm_ejects_a_cheap_one() -> None:
    """Value comes first: the VM left out takes the place of one that is worth less."""
    cheap, dear = Vm("cheap", 4, 512, value=1.0), Vm("dear", 4, 512, value=5.0)
    instance = Instance((_host(1, 4, 512),), (cheap, dear))
    plan = improve(instance, Plan({"cheap": _at(0, cheap)}), until=Deadline.after(0.5), seed=0)
    assert set(plan.placements) == {"dear"}


def test_a_required_vm_is_never_ejected() -> None:
    """However little it is worth."""
    cheap = Vm("cheap", 4, 512, value=1.0, required=True)
    instance = Instance((_host(1, 4, 512),), (cheap, Vm("dear", 4, 512, value=5.0)))
    start = Plan({"cheap": _at(0, cheap)})
    assert improve(instance, start, until=Deadline.after(0.3), seed=0) == start


def test_a_host_is_emptied_if_hosts_count() -> None:
    """Two VMs on two hosts fit on one."""
    vms = (Vm("a", 1, 64), Vm("b", 1, 64))
    hosts = (_host(1, 2, 512, "h"), _host(1, 2, 512, "g"))
    instance = Instance(hosts, vms, between=Between.FEWEST_HOSTS)
    start = Plan({"a": _at(0, vms[0], "h"), "b": _at(0, vms[1], "g")})
    plan = improve(instance, start, until=Deadline.after(0.6), seed=0)
    assert evaluate(instance, plan).hosts_used == 1


@pytest.mark.parametrize("seed", range(3))
def test_annealing_knows_the_loss_exactly(seed: int) -> None:
    """The best sum of its integer differences is what the specification says of its plan."""
    instance = generate_instance(preset("8n-30vm"), seed)
    start = solve_greedy_sorted(instance, PARAMS).plan
    assert start is not None
    engine = Placer(instance)
    engine.load_plan(start)
    before = engine.loss_micro
    rng = random.Random(seed)
    moves = anneal(engine.state, Deadline.after(0.2), rng)
    assert moves.places
    for name in moves.places:
        engine.remove(name)
    for name, place in moves.places.items():
        found = engine.find_at(instance.vm(name), place)
        assert found is not None
        engine.take(found)
    assert engine.loss_micro - before == moves.change_micro
    assert engine.loss_micro == evaluate(instance, engine.plan()).loss_micro


def test_a_place_that_a_rule_closes_is_not_taken() -> None:
    """Whatever annealing proposes: a VM is pinned to node 1, from which another keeps away."""
    vms = (Vm("a", 1, 256, hard_nodes=frozenset({1})), Vm("b", 1, 256))
    engine = Placer(make_instance(*vms, aparts=(Apart(("a", "b"), Scope.NODE),)))
    assert engine.find_at(vms[0], 0) is None
    found = engine.find_at(vms[0], 1)
    assert found is not None
    engine.take(found)
    assert engine.find_at(vms[1], 1) is None and engine.find_at(vms[1], 0) is not None


def test_a_second_more_than_halves_the_loss_of_greedy() -> None:
    """Thirty VMs with 45 pairs on eight nodes."""
    instance = generate_instance(preset("8n-30vm"), 0)
    start = solve_greedy_sorted(instance, PARAMS).plan
    assert start is not None
    plan = improve(instance, start, until=Deadline.after(1), seed=0)
    assert evaluate(instance, plan).loss_micro < evaluate(instance, start).loss_micro / 2


def test_it_stops_when_asked_and_in_time() -> None:
    """A stop before the start returns the plan; a time limit holds."""
    instance = generate_instance(preset("8n-30vm"), 0)
    start = solve_greedy(instance, PARAMS).plan
    assert start is not None
    stopped = improve(instance, start, until=Deadline.after(60, lambda: True), seed=0)
    assert stopped == start
    began = time.monotonic()
    improve(instance, start, until=Deadline.after(0.3), seed=0)
    assert time.monotonic() - began < 1.5


def test_an_invalid_plan_is_refused() -> None:
    """Two VMs on one pCPU."""
    vms = (Vm("a", 1, 64), Vm("b", 1, 64))
    instance = Instance((_host(1, 1, 512),), vms)
    with pytest.raises(InvalidPlanError, match="shared vCPUs"):
        improve(
            instance, Plan({vm.name: _at(0, vm) for vm in vms}), until=Deadline.after(1), seed=0
        )
