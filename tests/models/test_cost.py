"""Every term of the loss, with the micro-vCPU worked out by hand from docs/model.md.

Nodes are at distance 20 from each other (r = 2) unless said otherwise. With mu = 0.5 the slowdown
is s(2) = 0.5/1.5 = 1/3 and s(3) = 1/2; with mu = 1 it is s(2) = 1/2.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from numaplace.models.cost import TERMS, Term, evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan, SharedCopy, TakenDevice
from numaplace.models.prices import Prices
from numaplace.models.relations import Competition, Cooperation, Scope, SharingGroup
from numaplace.models.topology import Device, Host
from numaplace.models.verify import violations
from numaplace.models.vm import (
    Cell,
    CpuPolicy,
    DevicePolicy,
    DeviceRequest,
    GuestNuma,
    MemoryMode,
    ThreadPolicy,
    Vm,
)
from numaplace.tests.builders import make_host, make_node
from numaplace.tests.models.case import BLOCK, cell, instance, on, plan, vm

PREFERRED = MemoryMode.PREFERRED
# r(0, 1) = 3, r(1, 0) = 2.
SKEWED = Host("host", make_host().nodes, ((10.0, 30.0), (20.0, 10.0)))
# r(0, 1) = 3, r(0, 2) = 2.
LINE = Host(
    "host", make_host(nodes=3).nodes, ((10.0, 30.0, 20.0), (30.0, 10.0, 20.0), (20.0, 20.0, 10.0))
)


def loss(instance: Instance, plan: Plan, term: Term) -> int:
    """Return the loss of one term, and check that no other term has any."""
    cost = evaluate(instance, plan)
    assert {item.term for item in cost.items} <= {term}
    assert cost.terms[term] == cost.loss_micro
    return cost.loss_micro


def waiting(**more: object) -> Vm:
    """Return a VM of 2 vCPUs and 4 blocks with mu = 0.5 that may spill."""
    fields: dict[str, object] = {"memory_mode": PREFERRED, "memory_intensity": 0.5, **more}
    return vm("a", 2, 4, **fields)


# remote memory -----------------------------------------------------------------------------


def test_remote_memory_is_priced_by_the_share_of_pages() -> None:
    """c u s(2) / 4 blocks = 2 * 0.5 * 1/3 / 4 = 0.083333 vCPUs a block."""
    here = instance(waiting(utilisation=0.5))
    assert loss(here, plan(a=on(cell(0, 2, {0: 3, 1: 1}))), Term.REMOTE_MEMORY) == 83_333
    assert loss(here, plan(a=on(cell(0, 2, {0: 1, 1: 3}))), Term.REMOTE_MEMORY) == 249_999
    assert loss(here, plan(a=on(cell(0, 2, 4))), Term.REMOTE_MEMORY) == 0


@pytest.mark.parametrize("still", [{"utilisation": 0.0}, {"memory_intensity": 0.0}])
def test_a_vm_that_never_runs_or_never_waits_loses_nothing(still: dict[str, float]) -> None:
    """u = 0 or mu = 0 makes remote memory free."""
    assert evaluate(instance(waiting(**still)), plan(a=on(cell(0, 2, {1: 4})))).loss_micro == 0


def test_remote_memory_follows_the_direction_of_access() -> None:
    """From 0 to 1 r = 3: 2 * 1/2 = 1 vCPU; from 1 to 0 r = 2: 4 blocks of 2/3/4 = 166667."""
    here = instance(waiting(), host=SKEWED)
    assert loss(here, plan(a=on(cell(0, 2, {1: 4}))), Term.REMOTE_MEMORY) == 1_000_000
    assert loss(here, plan(a=on(cell(1, 2, {0: 4}))), Term.REMOTE_MEMORY) == 4 * 166_667


def test_measured_latency_replaces_the_slit() -> None:
    """mu = 1: r = 150/100 costs 2 * 1/3 (166667 a block), r = 200/80 costs 2 * 1.5/2.5 = 1.2."""
    host = replace(make_host(), latency_ns=((100.0, 150.0), (200.0, 80.0)))
    here = instance(waiting(memory_intensity=1.0), host=host)
    assert loss(here, plan(a=on(cell(0, 2, {1: 4}))), Term.REMOTE_MEMORY) == 4 * 166_667
    assert loss(here, plan(a=on(cell(1, 2, {0: 4}))), Term.REMOTE_MEMORY) == 1_200_000


def test_remote_memory_of_a_guest_that_sees_its_cells() -> None:
    """mu = 1, g = 0.8: 1 * 1/2 * ((1-g) 2/4 + g) * 1/2 = 0.225 for one of a cell's two blocks.

    The split itself costs (1-g) 2/4 * 1/2 = 0.05 each way.
    """
    guest = waiting(memory_intensity=1.0, guest_numa=GuestNuma.AUTOMATIC, max_cells=2)
    cost = evaluate(instance(guest), plan(a=on(cell(0, 1, {0: 1, 2: 1}), cell(1, 1, 2))))
    assert cost.terms[Term.REMOTE_MEMORY] == 225_000
    assert cost.terms[Term.SPLIT_GUEST] == 100_000


def test_part_of_a_block_costs_its_part_rounded_half_up() -> None:
    """83333 a block (see above): half a block is 41666.5, kept as 41667."""
    here = instance(waiting(utilisation=0.5))
    halved = replace(cell(0, 2), memory_mib=((0, 4 * BLOCK - 128), (1, 128)))
    assert loss(here, plan(a=on(halved)), Term.REMOTE_MEMORY) == 41_667


def test_interleaved_memory_pays_for_what_is_elsewhere() -> None:
    """One of two blocks elsewhere: 2 vCPUs * 1/3 * 1/2 = 1/3."""
    spread = vm("a", 2, 2, memory_mode=MemoryMode.INTERLEAVE, memory_intensity=0.5)
    here = instance(spread, host=make_host())
    assert loss(here, plan(a=on(cell(0, 2, {0: 1, 1: 1}))), Term.REMOTE_MEMORY) == 333_333


def test_remote_own_memory_of_a_sharing_member_is_a_share_of_all_its_memory() -> None:
    """One of 4 blocks (one of them shared) elsewhere: 2 * 1/3 * 1/4 = 0.166667."""
    group = SharingGroup("g", ("a", "b"), BLOCK)
    here = instance(waiting(), vm("b", 1, 2), sharing=(group,))
    there = plan(SharedCopy("g", "host", (0,)), a=on(cell(0, 2, {0: 2, 1: 1})))
    assert loss(here, there, Term.REMOTE_MEMORY) == 166_667


# split guests and shared pages ---------------------------------------------------------------


def test_split_guest_reaches_all_its_memory() -> None:
    """Each half: 2 vCPUs * 2/4 of the pages * 1/3 = 1/3, both ways 2 * 333333."""
    split = vm("a", 4, 4, memory_intensity=0.5, max_cells=2)
    halves = plan(a=on(cell(0, 2, 2), cell(1, 2, 2)))
    assert loss(instance(split), halves, Term.SPLIT_GUEST) == 666_666


def test_guest_numa_keeps_its_locality() -> None:
    """With g = 0.8 a fifth: 1/15 = 0.066667 each way."""
    split = vm("a", 4, 4, memory_intensity=0.5, max_cells=2, guest_numa=GuestNuma.AUTOMATIC)
    halves = plan(a=on(cell(0, 2, 2), cell(1, 2, 2)))
    assert loss(instance(split), halves, Term.SPLIT_GUEST) == 133_334


def test_unequal_cells_at_unequal_distances() -> None:
    """3 vCPUs reach 3/4 of the pages at r = 3: 1.125; 1 vCPU reaches 1/4 at r = 2: 1/12."""
    cells = (Cell(3, BLOCK), Cell(1, 3 * BLOCK))
    split = vm(
        "a",
        4,
        4,
        memory_intensity=0.5,
        guest_numa=GuestNuma.EXPLICIT,
        cells=cells,
        guest_locality=0.0,
    )
    there = plan(a=on(cell(0, 3, 1), cell(1, 1, 3)))
    assert loss(instance(split, host=SKEWED), there, Term.SPLIT_GUEST) == 1_125_000 + 83_333


def test_shared_pages_are_read_at_the_nearest_copy() -> None:
    """1 of 4 blocks at r = 2 (not 3): 2 vCPUs * 1/4 * 1/3 = 0.166667; a local copy is free."""
    group = SharingGroup("g", ("a", "b"), BLOCK, across_nodes=True)
    here = instance(waiting(), vm("b", 1, 2), sharing=(group,), host=LINE)

    def at(*nodes: int) -> Plan:
        return plan(SharedCopy("g", "host", nodes), a=on(cell(0, 2, 3)))

    assert loss(here, at(1, 2), Term.PAGE_SHARING) == 166_667
    assert loss(here, at(1), Term.PAGE_SHARING) == 250_000
    assert loss(here, at(0, 1), Term.PAGE_SHARING) == 0


# affinity, devices, pairs ---------------------------------------------------------------------


def test_node_affinity_counts_the_vcpus_outside() -> None:
    """weight 0.1, cells of 2 and 1 of 3 vCPUs: a third of it for one, all of it for both."""
    soft = vm(
        "a", 3, 2, memory_intensity=0.0, max_cells=2, soft_nodes=frozenset({0}), soft_weight=0.1
    )
    here = instance(soft)
    assert loss(here, plan(a=on(cell(0, 2), cell(1, 1))), Term.NODE_AFFINITY) == 33_333
    assert loss(here, plan(a=on(cell(1, 2), cell(2, 1))), Term.NODE_AFFINITY) == 66_667 + 33_333
    assert loss(here, plan(a=on(cell(0, 3, 2))), Term.NODE_AFFINITY) == 0


def test_device_functions_pay_their_distance() -> None:
    """Two functions at r = 3: 2 * 0.1 * 2 = 0.4; of two nodes the nearer (r = 2) counts: 0.2."""
    far = Device("0000:01:00.0", "nic", frozenset({1}), 2)
    wide = Device("0000:02:00.0", "nic", frozenset({1, 2}), 2)
    lost = Device("0000:03:00.0", "nic", frozenset(), 2)
    request = DeviceRequest("nic", 2, weight=0.1)
    here = instance(vm(devices=(request,)), host=replace(LINE, devices=(far, wide, lost)))

    def at(node: int, device: Device) -> Plan:
        return plan(a=on(cell(node), takes=(TakenDevice("nic", device.address, 2),)))

    assert loss(here, at(0, far), Term.DEVICE) == 400_000
    assert loss(here, at(0, wide), Term.DEVICE) == 200_000
    assert loss(here, at(1, far), Term.DEVICE) == 0
    assert loss(here, at(0, lost), Term.DEVICE) == 0


def test_the_nearest_cell_serves_a_device() -> None:
    """Cells on 0 (r = 3) and 2 (r = 2) of the device's node 1: 0.1 * (2 - 1)."""
    nic = Device("0000:01:00.0", "nic", frozenset({1}))
    split = vm(
        "a", 2, 2, memory_intensity=0.0, max_cells=2, devices=(DeviceRequest("nic", weight=0.1),)
    )
    there = plan(a=on(cell(0), cell(2), takes=(TakenDevice("nic", nic.address),)))
    assert loss(instance(split, host=replace(LINE, devices=(nic,))), there, Term.DEVICE) == 100_000


def test_a_cell_that_is_nearer_but_not_local_does_not_serve_a_device() -> None:
    """Of cells on 0 (r = 3, the device's package) and 2 (r = 2, another) the first serves it."""
    nic = Device("0000:01:00.0", "nic", frozenset({1}))
    nodes = tuple(make_node(n, socket=int(n == 2)) for n in range(3))
    request = DeviceRequest("nic", policy=DevicePolicy.SOCKET, weight=0.1)
    split = vm("a", 2, 2, memory_intensity=0.0, max_cells=2, devices=(request,))
    there = plan(a=on(cell(0), cell(2), takes=(TakenDevice("nic", nic.address),)))
    here = instance(split, host=replace(LINE, nodes=nodes, devices=(nic,)))
    assert violations(here, there) == []
    assert loss(here, there, Term.DEVICE) == 200_000


def test_cooperation_takes_the_mean_of_both_directions() -> None:
    """r = (3 + 2) / 2: weight 1 costs 1.5; on one node nothing."""
    here = instance(vm("a"), vm("b"), host=SKEWED, cooperations=(Cooperation("a", "b", 1.0),))
    assert loss(here, plan(a=on(cell(0)), b=on(cell(1))), Term.COOPERATION) == 1_500_000
    assert loss(here, plan(a=on(cell(1)), b=on(cell(0))), Term.COOPERATION) == 1_500_000
    assert loss(here, plan(a=on(cell(0)), b=on(cell(0))), Term.COOPERATION) == 0
    assert loss(here, plan(a=on(cell(0))), Term.COOPERATION) == 0


def test_cooperation_across_hosts_pays_the_larger_network_factor() -> None:
    """0.25 * (20 - 1) = 4.75."""
    hosts = (make_host("one"), replace(make_host("two"), network_factor=4.0))
    here = Instance(hosts, (vm("a"), vm("b")), cooperations=(Cooperation("a", "b", 0.25),))
    there = plan(a=on(cell(0), host="two"), b=on(cell(0), host="one"))
    assert loss(here, there, Term.COOPERATION) == 4_750_000


def test_cooperation_counts_cells_by_their_share_of_vcpus() -> None:
    """One of three vCPUs is at r = 2: 0.3 * 1/3 * 1 = 0.1."""
    split = vm("a", 3, 2, memory_intensity=0.0, max_cells=2)
    here = instance(split, vm("b"), cooperations=(Cooperation("b", "a", 0.3),))
    there = plan(a=on(cell(0, 2), cell(1, 1)), b=on(cell(0)))
    assert loss(here, there, Term.COOPERATION) == 100_000


def test_pairs_that_never_meet_in_time_cost_nothing() -> None:
    """One ends when the other starts: neither cooperation nor competition."""
    here = instance(
        vm("a", end=5),
        vm("b", start=5),
        cooperations=(Cooperation("a", "b", 1.0),),
        competitions=(Competition("a", "b", 1.0, Scope.HOST),),
    )
    assert evaluate(here, plan(a=on(cell(0)), b=on(cell(1)))).loss_micro == 0


def test_competition_counts_once_and_only_in_its_scope() -> None:
    """Weight 0.7: once for two common nodes; node scope is indifferent to neighbours."""
    split = vm("a", 2, 2, memory_intensity=0.0, max_cells=2)
    other = replace(split, name="b")
    for scope, apart in ((Scope.NODE, 0), (Scope.HOST, 700_000)):
        here = instance(split, other, competitions=(Competition("a", "b", 0.7, scope),))
        both = plan(a=on(cell(0), cell(1)), b=on(cell(1), cell(0)))
        assert loss(here, both, Term.COMPETITION) == 700_000
        away = plan(a=on(cell(0, 2, 2)), b=on(cell(1, 2, 2)))
        assert loss(here, away, Term.COMPETITION) == apart


# node terms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vcpus", "expected"), [(2, 0), (3, 750_000), (4, 1_500_000), (5, 2_500_000)]
)
def test_contention_of_two_cores_with_two_threads(vcpus: int, expected: int) -> None:
    """Free up to 2 cores, 2 - 1.25 per vCPU up to 4 threads, then 1: 0.75, 1.5, 2.5."""
    host = replace(make_host(cores=2, threads=2), vcpu_overcommit=2.0)
    busy = instance(vm("a", vcpus, memory_intensity=0.0), host=host)
    assert loss(busy, plan(a=on(cell(0, vcpus))), Term.CPU_CONTENTION) == expected


@pytest.mark.parametrize(
    ("vcpus", "states", "expected"),
    [
        (3, {"memory_intensity": 0.5}, 450_000),
        (3, {"smt_yield": 1.6}, 400_000),
        (4, {"smt_yield": 1.6}, 800_000),
        (5, {"smt_yield": 1.6}, 1_800_000),
    ],
)
def test_a_vm_says_what_its_threads_yield(
    vcpus: int, states: dict[str, float], expected: int
) -> None:
    """Of those that wait half of the time: 2 - 2 / (0.5 * 2 / 1.25 + 0.5) = 0.46, in twentieths."""
    host = replace(make_host(cores=2, threads=2), vcpu_overcommit=2.0)
    busy = instance(vm("a", vcpus, **states), host=host)
    assert loss(busy, plan(a=on(cell(0, vcpus))), Term.CPU_CONTENTION) == expected


def test_of_two_kinds_the_one_that_suffers_less_shares_cores() -> None:
    """2 of a (0.4) and 1 of b (0.8) on 2 cores: two of a share one; with 2 of b all share.

    With one of each more two of b wait (1 each), and the rest shares: 3 * 0.2 + 0.4.
    """
    host = replace(make_host(cores=2, threads=2), vcpu_overcommit=2.0)
    for a, b, expected in [(2, 1, 400_000), (2, 2, 1_200_000), (3, 3, 3_000_000)]:
        busy = instance(vm("a", a, smt_yield=1.6), vm("b", b, smt_yield=1.2), host=host)
        both = plan(a=on(cell(0, a)), b=on(cell(0, b)))
        assert loss(busy, both, Term.CPU_CONTENTION) == expected


def pinned(name: str, vcpus: int = 2, **fields: object) -> Vm:
    return vm(name, vcpus, cpu_policy=CpuPolicy.DEDICATED, memory_intensity=0.0, **fields)


@pytest.mark.parametrize(
    ("pins", "utilisation", "expected"),
    [
        ((0, 2), 1.0, 0),
        ((0, 1), 1.0, 750_000),
        ((0, 1), 0.5, 200_000),
        ((0, 1, 2), 1.0, 750_000),
        ((0, 1, 2, 3), 1.0, 1_500_000),
    ],
)
def test_dedicated_vcpus_lose_by_the_threads_that_share_a_core(
    pins: tuple[int, ...], utilisation: float, expected: int
) -> None:
    """Cores are (0, 1), (2, 3), ...; half busy vCPUs meet at times: 0.19, in twentieths."""
    host = make_host(cores=4, threads=2)
    busy = instance(pinned("a", len(pins), utilisation=utilisation), host=host)
    there = plan(a=on(cell(0, len(pins), pcpus=pins)))
    assert loss(busy, there, Term.CPU_CONTENTION) == expected


def test_whole_cores_lose_by_their_own_siblings_wherever_they_lie() -> None:
    """3 vCPUs on 2 whole cores: one thread shares, 0.75; isolated ones lose nothing."""
    host = make_host(cores=4, threads=2)
    require = instance(pinned("a", 3, thread_policy=ThreadPolicy.REQUIRE), host=host)
    there = plan(a=on(cell(0, 3, pcpus=(0, 1, 2))))
    assert loss(require, there, Term.CPU_CONTENTION) == 750_000
    alone = instance(pinned("a", 3, thread_policy=ThreadPolicy.ISOLATE), host=host)
    assert loss(alone, plan(a=on(cell(0, 3, pcpus=(0, 2, 4)))), Term.CPU_CONTENTION) == 0


def test_a_core_counts_as_it_is_when_it_is_fullest() -> None:
    """a and b share a core one after the other: nothing is lost."""
    host = make_host(cores=4, threads=2)
    busy = instance(pinned("a", 1, end=5), pinned("b", 1, start=5), pinned("c", 1), host=host)
    cells = {name: on(cell(0, 1, pcpus=(pcpu,))) for name, pcpu in {"a": 0, "b": 1}.items()}
    assert loss(busy, plan(**cells), Term.CPU_CONTENTION) == 0
    cells["c"] = on(cell(0, 1, pcpus=(1,)))
    cells["b"] = on(cell(0, 1, pcpus=(2,)))
    assert loss(busy, plan(**cells), Term.CPU_CONTENTION) == 750_000


def test_contention_counts_load_not_vcpus_and_all_vms_of_a_node() -> None:
    """3 * (0.5 + 0.5 * 0.5 / 4) + 1 = 2.688 (in milli-vCPU) on 2 cores: 0.688 * 0.75 = 0.516."""
    host = make_host(cores=2, threads=2)
    computes = {"memory_intensity": 0.0}
    busy = instance(vm("a", 3, utilisation=0.5, **computes), vm("b", **computes), host=host)
    assert loss(busy, plan(a=on(cell(0, 3)), b=on(cell(0))), Term.CPU_CONTENTION) == 516_000


def test_contention_is_that_of_the_worst_instant() -> None:
    """a and b in turn load 3 each (0.75), never 6."""
    host = make_host(cores=2, threads=2)
    first, then = ({"memory_intensity": 0.0, key: 5} for key in ("end", "start"))
    busy = instance(vm("a", 3, **first), vm("b", 3, **then), host=host)
    assert loss(busy, plan(a=on(cell(0, 3)), b=on(cell(0, 3))), Term.CPU_CONTENTION) == 750_000


def test_bandwidth_beyond_the_node_is_priced() -> None:
    """3000 of 2000 MB/s: 1000 at 0.0002, and the 1020 from 49 % to there at a fifth of it.

    Half of it elsewhere fits, but 520 MB/s are beyond 49 %.
    """
    host = make_host()
    host = replace(host, nodes=tuple(replace(n, bandwidth_mbps=2000) for n in host.nodes))
    busy = instance(waiting(memory_intensity=0.0, bandwidth_mbps=3000), host=host)
    assert loss(busy, plan(a=on(cell(0, 2, 4))), Term.BANDWIDTH_CONTENTION) == 240_800
    halves = plan(a=on(cell(0, 2, {0: 2, 1: 2})))
    assert loss(busy, halves, Term.BANDWIDTH_CONTENTION) == 2 * 520 * 40


def test_measured_bandwidth_and_unknown_bandwidth() -> None:
    """HMAT's diagonal counts where the node says nothing: 500 at 0.0002, 1275 at 0.00004."""
    host = replace(make_host(), bandwidth_mbps=((2500.0, 0.0), (0.0, 0.0)))
    busy = instance(vm("a", bandwidth_mbps=3000), host=host)
    assert loss(busy, plan(a=on(cell(0))), Term.BANDWIDTH_CONTENTION) == 151_000
    assert loss(busy, plan(a=on(cell(1))), Term.BANDWIDTH_CONTENTION) == 0


def test_bandwidth_follows_own_pages_at_the_worst_instant() -> None:
    """4000 over 4 blocks, one shared and cold: 3000, 1000 too much, 1020 early; b adds none."""
    host = make_host()
    host = replace(host, nodes=tuple(replace(n, bandwidth_mbps=2000) for n in host.nodes))
    busy = instance(
        waiting(bandwidth_mbps=4000, end=5),
        vm("b", 1, 2, start=5, bandwidth_mbps=4000),
        sharing=(SharingGroup("g", ("a", "b"), BLOCK),),
        host=host,
    )
    there = plan(SharedCopy("g", "host", (0,)), a=on(cell(0, 2, 3)), b=on(cell(0)))
    assert loss(busy, there, Term.BANDWIDTH_CONTENTION) == 240_800


def test_ballooning_is_priced_by_the_share_taken() -> None:
    """0.5 * 3 vCPUs * 1/4 = 0.375 a block; two cells add up."""
    soft = vm("a", 3, 4, memory_min_mib=BLOCK, max_cells=2, memory_intensity=0.0)
    assert loss(instance(soft), plan(a=on(cell(0, 3, 3, size=4))), Term.BALLOONING) == 375_000
    both = plan(a=on(cell(0, 2, 1, size=2), cell(1, 1, 1, size=2)))
    assert loss(instance(soft), both, Term.BALLOONING) == 750_000


def test_migration_within_a_host_pays_for_what_was_not_there() -> None:
    """0.5 * 2 / 3600 / 1000 MiB/s = 277.8, kept as 278 nano-vCPU a MiB; ceil(278 * 256 / 1000)."""
    here = instance(waiting(memory_intensity=0.0), current=plan(a=on(cell(0, 2, {0: 3, 1: 1}))))
    assert loss(here, plan(a=on(cell(0, 2, {0: 2, 1: 2}))), Term.MIGRATION) == 72
    assert loss(here, plan(a=on(cell(1, 2, {0: 3, 1: 1}))), Term.MIGRATION) == 0
    # 1024 MiB: ceil(278 * 1024 / 1000) = ceil(284.672).
    assert loss(here, plan(a=on(cell(2, 2, 4))), Term.MIGRATION) == 285


def test_migration_to_another_host_moves_everything_over_the_network() -> None:
    """At 100 MiB/s 2778 nano-vCPU a MiB: ceil(2778 * 1024 / 1000) = 2845, same node id or not."""
    hosts = (make_host("one"), make_host("two"))
    here = Instance(
        hosts,
        (waiting(),),
        prices=replace(Instance(hosts, ()).prices, network_mib_per_s=100.0),
        current=plan(a=on(cell(0, 2, 4), host="one")),
    )
    assert loss(here, plan(a=on(cell(0, 2, 4), host="two")), Term.MIGRATION) == 2845
    assert loss(here, plan(a=on(cell(0, 2, 4), host="one")), Term.MIGRATION) == 0


def test_growing_in_place_costs_nothing_and_a_larger_vm_moves_what_it_had() -> None:
    """One of three blocks was there: in place 0, to node 1 one block, to another host one."""
    prices = Prices(copy_mib_per_s=BLOCK, network_mib_per_s=BLOCK / 2, horizon_s=1, slowed_share=1)
    hosts = (LINE, replace(LINE, name="other"))
    now = plan(a=on(cell(0)))
    here = Instance(hosts, (vm("a", 1, 3),), prices=prices, current=now)
    assert loss(here, plan(a=on(cell(0, 1, 3))), Term.MIGRATION) == 0
    assert loss(here, plan(a=on(cell(1, 1, 3))), Term.MIGRATION) == 1_000_000
    assert loss(here, plan(a=on(cell(0, 1, 3), host="other")), Term.MIGRATION) == 2_000_000


def test_a_vm_that_is_not_running_yet_does_not_migrate() -> None:
    """The current plan names another VM only."""
    here = instance(vm("a"), vm("b"), current=plan(a=on(cell(0))))
    assert evaluate(here, plan(a=on(cell(0)), b=on(cell(1)))).loss_micro == 0


# the whole ------------------------------------------------------------------------------------


def test_value_hosts_and_balance() -> None:
    """Value 2 vCPUs + 1.5; two hosts; 2 of 8 threads busy are 250, 1 of 8 are 125 permille."""
    hosts = (make_host("one"), make_host("two"))
    here = Instance(hosts, (vm("a", 2), vm("b", 1, value=1.5), vm("c")))
    cost = evaluate(here, plan(a=on(cell(0, 2), host="one"), b=on(cell(1), host="two")))
    assert (cost.value_milli, cost.hosts_used, cost.imbalance_permille) == (3500, 2, 250)


def test_balance_rounds_up_and_looks_at_the_worst_instant() -> None:
    """1 of 3 threads is 333.3, kept as 334; VMs in turn do not add up."""
    here = instance(vm("a", end=5), vm("b", start=5), host=make_host(nodes=1, cores=3))
    assert evaluate(here, plan(a=on(cell(0)), b=on(cell(0)))).imbalance_permille == 334


def test_an_empty_plan_costs_nothing() -> None:
    """Nothing placed: value, hosts, balance and loss are zero."""
    cost = evaluate(instance(vm()), Plan())
    assert (cost.value_milli, cost.hosts_used, cost.imbalance_permille) == (0, 0, 0)
    assert cost.items == () and set(cost.terms) == set(Term) == set(TERMS)


def test_a_cost_needs_things_that_exist() -> None:
    """An unknown node is a KeyError, as documented; the verifier tells it in words."""
    with pytest.raises(KeyError):
        evaluate(instance(vm()), plan(a=on(cell(7))))
