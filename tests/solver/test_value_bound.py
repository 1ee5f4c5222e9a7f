"""The bound of the value that needs no search, and VMs that fit nowhere alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from numaplace.models.instance import Instance
from numaplace.models.result import SolveStatus, Stage
from numaplace.models.topology import Device, Host
from numaplace.models.units import PageSize
from numaplace.models.vm import CpuPolicy, DevicePolicy, DeviceRequest, ThreadPolicy, Vm
from numaplace.solver.deadline import Deadline
from numaplace.solver.formulation.prepare import Prepared
from numaplace.solver.formulation.reasons import reason_alone
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.solver.value_bound import value_bound
from numaplace.tests.builders import make_host, make_node
from numaplace.tests.oracle import brute_force
from numaplace.tests.strategies import instances, random_small_instance


def bound(*vms: Vm, hosts: tuple[Host, ...] | None = None) -> int:
    """Bound of VMs on a host of two nodes of 4 cores and 4096 MiB unless hosts are given."""
    return value_bound(Prepared(Instance(hosts or (make_host(),), vms)))


def many(count: int, vcpus: int, memory_mib: int, **more: object) -> list[Vm]:
    """Return equal VMs."""
    return [Vm(f"v{i}", vcpus, memory_mib, **more) for i in range(count)]  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(instances(max_nodes=3, max_vms=3, max_plans=3_000))
def test_never_below_the_optimum(instance: Instance) -> None:
    """Brute force finds no plan of more value, and none with a VM that is called impossible."""
    prepared = Prepared(instance)
    most = value_bound(prepared)
    assert most <= instance.total_value_milli
    best = brute_force(instance)
    assert best is None or most >= best.value_milli
    for vm in instance.vms:
        impossible = not prepared.possible(vm)
        assert (reason_alone(prepared, vm) is not None) == impossible
        if impossible and vm.name not in instance.group_of:
            only = replace(vm, required=True)
            assert brute_force(Instance(instance.hosts, (only,))) is None


@pytest.mark.parametrize("seed", range(150))
def test_never_below_the_optimum_of_random_instances(seed: int) -> None:
    """The same on seeded instances of every feature."""
    instance = random_small_instance(seed, max_vms=5, max_plans=5_000)
    best = brute_force(instance)
    assert best is None or value_bound(Prepared(instance)) >= best.value_milli


def test_each_resource_bounds() -> None:
    """Eight cores, 8192 MiB: what is scarce is shared as Dantzig's rule does."""
    assert bound(*many(3, 2, 1024)) == 6000
    assert bound(*many(10, 1, 64)) == 8000
    assert bound(*many(8, 1, 2048)) == 4000
    dear = [Vm(f"dear{i}", 1, 64, value=5.0) for i in range(2)]
    assert bound(*dear, *many(10, 1, 64)) == 16000
    two = make_host(nodes=2)
    more = (replace(two, name="a", vcpu_overcommit=2.0), replace(two, name="b"))
    assert bound(*many(30, 1, 64), hosts=more) == 24000
    assert bound(*many(30, 1, 64, cpu_policy=CpuPolicy.DEDICATED), hosts=more) == 16000
    smt = (make_host(cores=4, threads=2),)
    isolated = many(20, 1, 64, cpu_policy=CpuPolicy.DEDICATED, thread_policy=ThreadPolicy.ISOLATE)
    assert bound(*isolated, hosts=smt) == 8000


def test_pools_functions_and_instants() -> None:
    """Huge pages are a pool of their own; functions are counted; VMs at other times are not."""
    huge = replace(make_node(0, memory_mib=8192), pages_1g=3)
    pages = many(6, 1, 1024, page_size=PageSize.HUGE_1G, block_mib=1024)
    assert bound(*pages, hosts=(Host("h", (huge,)),)) == 3000
    nic = Device("0000:01:00.0", "nic", frozenset({0}), functions=3)
    nics = many(8, 1, 64, devices=(DeviceRequest("nic", policy=DevicePolicy.PREFERRED),))
    assert bound(*nics, hosts=(replace(make_host(), devices=(nic,)),)) == 3000
    first, second = many(8, 1, 64, start=0, end=5), many(8, 1, 64, start=5, end=9)
    later = [replace(vm, name=f"later {vm.name}") for vm in second]
    assert bound(*first, *later) == 16000
    assert bound(*first, *later, Vm("always", 4, 64)) == 16000


def test_hosts_of_several_classes() -> None:
    """A VM counts against the hosts it may use: two GPUs, four large nodes."""
    gpu = Device("0000:01:00.0", "gpu", frozenset({0}), functions=2)
    hosts = (make_host("a"), replace(make_host("b"), devices=(gpu,)))
    vms = [
        *(Vm(f"g{i}", 2, 64, devices=(DeviceRequest("gpu"),)) for i in range(5)),
        *(Vm(f"v{i}", 1, 64) for i in range(20)),
    ]
    assert bound(*vms, hosts=hosts) == 16000
    only_a = [Vm(f"v{i}", 1, 64, allowed_hosts=frozenset({"a"})) for i in range(20)]
    assert bound(*vms[:5], *only_a, hosts=hosts) == 12000
    assert value_bound(Prepared(Instance(hosts, tuple(vms)), Deadline.after(-1))) == 30000


NOWHERE = {
    "no host it may use has a 'a100'": Vm("x", 2, 64, devices=(DeviceRequest("a100"),)),
    "it wants 3 of 'nic', no host it may use has more than 2": Vm(
        "x", 2, 64, devices=(DeviceRequest("nic", count=3, policy=DevicePolicy.PREFERRED),)
    ),
    "its 9000 MiB in 4K pages are more than any node": Vm("x", 2, 9000),
}


@pytest.mark.parametrize("solver", ["cpsat", "milp", "greedy"])
@pytest.mark.parametrize("reason", NOWHERE)
def test_a_vm_that_fits_nowhere_is_out_at_once(solver: str, reason: str) -> None:
    """Out of value and bound before any search, with its true reason; the rest is proven."""
    nic = Device("0000:01:00.0", "nic", frozenset({0}), functions=2)
    host = replace(make_host(), devices=(nic,))
    instance = Instance((host,), (NOWHERE[reason], *many(3, 2, 512)))
    result = solve(instance, solver, SolveParams(time_limit_s=20))
    value = result.stage(Stage.VALUE)
    assert value is not None
    assert (value.objective, value.bound) == (6000, 6000)
    assert reason in result.unplaced["x"]
    if solver != "greedy":
        assert result.status is SolveStatus.OPTIMAL
        assert "value_s" not in result.stats, "there is nothing to search"
    required = replace(instance, vms=(replace(instance.vms[0], required=True), *instance.vms[1:]))
    refused = solve(required, solver, SolveParams(time_limit_s=20))
    assert refused.plan is None
    assert reason in refused.reasons[0]
