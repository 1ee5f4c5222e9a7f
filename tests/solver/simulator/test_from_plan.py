"""Scenarios made of plans: affinities as told, accesses as the cost prices them."""

import pytest

from numaplace.models.cost import Term, evaluate
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.relations import Cooperation
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.vm import CpuPolicy, ThreadPolicy, Vm
from numaplace.solver.simulator.engine import simulate
from numaplace.solver.simulator.from_plan import DOM0, SimulatedAffinity, scenarios, striped
from numaplace.solver.simulator.plans import simulate_plan
from numaplace.solver.simulator.scenario import Dom0, Hypervisor

NODES = tuple(
    NumaNode(n, tuple(PCpu(10 * n + c, core=10 * n + c, socket=n // 2) for c in range(4)), 4096)
    for n in range(4)
)
FAR = ((10, 12, 32, 32), (12, 10, 32, 32), (32, 32, 10, 12), (32, 32, 12, 10))
HOST = Host("h", NODES, FAR)


def on(*cells: PlacedCell) -> Placement:
    return Placement("h", cells)


def one(vm: Vm, placement: Placement) -> tuple[Instance, Plan]:
    return Instance((HOST,), (vm,)), Plan({vm.name: placement})


SMALL = one(Vm("a", 2, 2048), on(PlacedCell(1, 2, ((1, 2048),))))


@pytest.mark.parametrize(
    ("told", "hard", "soft"),
    [
        (SimulatedAffinity.NONE, 0xFFFF, 0xFFFF),
        (SimulatedAffinity.HARD, 0x00F0, 0x00F0),
        (SimulatedAffinity.SOFT, 0xFFFF, 0x00F0),
        (SimulatedAffinity.BOTH, 0x00FF, 0x00F0),
    ],
)
def test_affinity(told: SimulatedAffinity, hard: int, soft: int) -> None:
    (scene,) = scenarios(*SMALL, told).values()
    assert [(cpu.hard, cpu.soft) for cpu in scene.guests[0].cpus] == [(hard, soft)] * 2


def test_pinning_of_the_vm_holds_whatever_is_told() -> None:
    vm = Vm("a", 2, 2048, hard_nodes=frozenset({0, 1}))
    (scene,) = scenarios(*one(vm, SMALL[1].placements["a"]), {"a": SimulatedAffinity.SOFT}).values()
    assert scene.guests[0].cpus[0].hard == 0x00FF


def test_dedicated_vcpus_sit_on_their_pcpus() -> None:
    vm = Vm("a", 2, 2048, cpu_policy=CpuPolicy.DEDICATED)
    placed = on(PlacedCell(1, 2, ((1, 2048),), pcpus=(10, 13)))
    (scene,) = scenarios(*one(vm, placed)).values()
    assert [cpu.hard for cpu in scene.guests[0].cpus] == [1 << 4, 1 << 7]


def test_accesses_go_where_the_pages_are() -> None:
    spilled = on(PlacedCell(0, 2, ((0, 1536), (2, 512))))
    (scene,) = scenarios(*one(Vm("a", 2, 2048), spilled)).values()
    assert scene.guests[0].cpus[0].access == (0.75, 0.0, 0.25, 0.0)
    split = on(PlacedCell(0, 2, ((0, 1024),)), PlacedCell(1, 2, ((1, 1024),)))
    (scene,) = scenarios(*one(Vm("a", 4, 2048, max_cells=2), split)).values()
    assert [cpu.access[:2] for cpu in scene.guests[0].cpus] == [(0.5, 0.5)] * 4
    assert [cpu.hard for cpu in scene.guests[0].cpus] == [0xF, 0xF, 0xF0, 0xF0]


@pytest.mark.parametrize("mu", [0.1, 0.5])
def test_a_wholly_remote_vm_loses_what_the_cost_says(mu: float) -> None:
    """All pages on one far node: the formula of the cost, to the noise of a microsecond."""
    vm = Vm("a", 2, 2048, memory_intensity=mu)
    found = simulate_plan(*one(vm, on(PlacedCell(0, 2, ((2, 2048),)))), 2.0)
    assert found.lost == pytest.approx(found.predicted, rel=1e-3)
    assert found.predicted == pytest.approx(2 * mu * 2.2 / (1 + mu * 2.2), rel=1e-4)


def test_talking_vms_lose_by_distance() -> None:
    vms = (Vm("a", 2, 1024), Vm("b", 2, 1024))
    plan = Plan({"a": on(PlacedCell(0, 2, ((0, 1024),))), "b": on(PlacedCell(2, 2, ((2, 1024),)))})
    instance = Instance((HOST,), vms, cooperations=(Cooperation("a", "b", 0.01),))
    found = simulate_plan(instance, plan, 3.0)
    predicted = evaluate(instance, plan).terms[Term.COOPERATION] / 1e6
    assert predicted == pytest.approx(0.022, rel=1e-6)
    assert found.lost == pytest.approx(predicted, rel=0.05)


def test_memory_is_striped_where_nobody_places() -> None:
    instance = Instance((HOST,), (Vm("a", 2, 2050), Vm("b", 1, 64)))
    plan = striped(instance, HOST, ["a", "b"])
    assert plan.placements["a"].memory_by_node() == {0: 513, 1: 513, 2: 512, 3: 512}
    assert [plan.placements[name].cells[0].node for name in "ab"] == [0, 1]


def test_hosts_without_vms_are_left_out() -> None:
    other = Host("other", NODES, FAR)
    instance = Instance((other, HOST), SMALL[0].vms)
    assert list(scenarios(instance, SMALL[1])) == ["h"]


def test_nobody_else_runs_on_held_pcpus() -> None:
    held = Vm("held", 2, 1024, cpu_policy=CpuPolicy.DEDICATED)
    plan = Plan(
        {
            "held": on(PlacedCell(0, 2, ((0, 1024),), pcpus=(0, 1))),
            "free": on(PlacedCell(0, 2, ((0, 1024),))),
        }
    )
    instance = Instance((HOST,), (held, Vm("free", 2, 1024)))
    (scene,) = scenarios(instance, plan).values()
    assert [cpu.hard for cpu in scene.guests[0].cpus] == [1, 2]
    assert [cpu.hard for cpu in scene.guests[1].cpus] == [0b1100] * 2
    (scene,) = scenarios(instance, plan, SimulatedAffinity.NONE).values()
    assert scene.guests[1].cpus[0].hard == 0xFFFF


def test_siblings_of_isolated_vcpus_stay_idle() -> None:
    node = NumaNode(0, tuple(PCpu(c, core=c // 2) for c in range(8)), 4096)
    host = Host("h", (node,))
    held = Vm("held", 2, 512, cpu_policy=CpuPolicy.DEDICATED, thread_policy=ThreadPolicy.ISOLATE)
    instance = Instance((host,), (held, Vm("free", 2, 512)))
    plan = Plan(
        {
            "held": on(PlacedCell(0, 2, ((0, 512),), pcpus=(0, 2))),
            "free": on(PlacedCell(0, 2, ((0, 512),))),
        }
    )
    (scene,) = scenarios(instance, plan).values()
    assert scene.guests[1].cpus[0].hard == 0xF0


def test_dom0_is_beside_the_vms_and_not_among_them() -> None:
    """It keeps as many pCPUs busy as told, whatever shares its cores, but none that is held."""
    dom0 = Hypervisor(dom0=Dom0(4, 0.5, 5.0))
    (scene,) = scenarios(*SMALL, hypervisor=dom0).values()
    assert scene.guests[-1].name == DOM0 and len(scene.guests) == len(SMALL[0].vms) + 1
    outcome = simulate(scene, 30, warm_up_s=1)
    assert outcome.guests[-1].run_us / outcome.time_us == pytest.approx(0.5, rel=0.1)
    found = simulate_plan(*SMALL, 1.0, hypervisor=dom0)
    assert [g.name for g in found.hosts["h"].guests] == [vm.name for vm in SMALL[0].vms]
    vm = Vm("a", 2, 2048, cpu_policy=CpuPolicy.DEDICATED)
    placed = on(PlacedCell(0, 2, ((0, 2048),), (0, 1)))
    (held,) = scenarios(*one(vm, placed), hypervisor=dom0).values()
    assert not held.guests[-1].cpus[0].hard & held.guests[0].cpus[0].hard


@pytest.mark.parametrize("what", [(0, 0.5, 5.0), (4, 4.5, 5.0), (4, -1.0, 5.0), (4, 0.5, 0.0)])
def test_dom0_is_checked(what: tuple[int, float, float]) -> None:
    with pytest.raises(InputError, match="dom0"):
        Dom0(*what)
