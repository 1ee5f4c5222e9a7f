"""The brute-force oracle agrees with a product of all choices that prunes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations, product

import pytest

from numaplace.models.cost import evaluate
from numaplace.models.instance import Between, Instance
from numaplace.models.plan import PlacedCell, Placement, Plan, SharedCopy, TakenDevice
from numaplace.models.relations import SharingGroup
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.verify import violations
from numaplace.models.vm import CpuPolicy, Vm
from numaplace.tests.oracle import between_of, brute_force
from numaplace.tests.strategies import random_small_instance

PLANS_MAX = 20_000


def _naive_cells(instance: Instance, vm: Vm, host: Host) -> Iterator[tuple[PlacedCell, ...]]:
    """Every shape, order of nodes, number of blocks on every node and set of pCPUs."""
    form = instance.form(vm.name)
    ids = [node.id for node in host.nodes]
    for shape in form.shapes:
        for homes in permutations(ids, shape.num_cells):
            choices = []
            for (vcpus, blocks), home in zip(shape.cells(), homes, strict=True):
                threads = [pcpu.id for pcpu in host.nodes[host.position[home]].pcpus]
                held = vcpus if vm.cpu_policy is CpuPolicy.DEDICATED else 0
                choices.append(
                    [
                        PlacedCell(
                            home,
                            vcpus,
                            tuple(
                                (n, c * form.block_mib)
                                for n, c in zip(ids, counts, strict=True)
                                if c
                            ),
                            pcpus,
                            blocks * form.block_mib,
                        )
                        for counts in product(range(blocks + 1), repeat=len(ids))
                        if sum(counts) <= blocks
                        for pcpus in combinations(threads, held)
                    ]
                )
            yield from product(*choices)


def _naive_devices(vm: Vm, host: Host) -> Iterator[tuple[TakenDevice, ...]]:
    pairs = [(request, device) for request in vm.devices for device in host.devices]
    for counts in product(*(range(request.count + 1) for request, _ in pairs)):
        yield tuple(
            TakenDevice(request.kind, device.address, count)
            for (request, device), count in zip(pairs, counts, strict=True)
            if count
        )


def _naive_copies(instance: Instance, group: SharingGroup) -> Iterator[tuple[SharedCopy, ...]]:
    by_host = []
    for host in instance.hosts:
        ids = [node.id for node in host.nodes]
        sets = [s for size in range(len(ids) + 1) for s in combinations(ids, size)]
        by_host.append([(SharedCopy(group.name, host.name, s),) if s else () for s in sets])
    for chosen in product(*by_host):
        yield tuple(copy for copies in chosen for copy in copies)


def _naive(instance: Instance) -> tuple[int, int | None, int] | str | None:
    """Best (value, between, loss) of all plans, None if there is none; a word if too many."""
    ways: list[list[Placement | None]] = []
    for vm in instance.vms:
        own: list[Placement | None] = [None]
        for host in instance.hosts:
            for cells, devices in product(
                _naive_cells(instance, vm, host), _naive_devices(vm, host)
            ):
                placement = Placement(host.name, cells, devices)
                faults = violations(instance, Plan({vm.name: placement}))
                # Rules of this one VM only; what others and copies may mend is left to the end.
                if not any(f.rule.value in ("cells", "memory_nodes") for f in faults):
                    own.append(placement)
                if len(own) > PLANS_MAX:
                    return "too many"
        ways.append(own)
    copies = [list(_naive_copies(instance, group)) for group in instance.sharing]
    size = 1
    for choices in (*ways, *copies):
        size *= len(choices)
    if size > PLANS_MAX:
        return "too many"
    best: tuple[int, int, int] | None = None
    names = [vm.name for vm in instance.vms]
    for placements in product(*ways):
        there = {n: p for n, p in zip(names, placements, strict=True) if p is not None}
        for chosen in product(*copies):
            plan = Plan(there, tuple(copy for each in chosen for copy in each))
            if violations(instance, plan):
                continue
            cost = evaluate(instance, plan)
            score = (-cost.value_milli, between_of(instance, cost) or 0, cost.loss_micro)
            best = score if best is None else min(best, score)
    if best is None:
        return None
    between = None if instance.between is Between.NOTHING else best[1]
    return -best[0], between, best[2]


def _oracle(instance: Instance) -> tuple[int, int | None, int] | None:
    found = brute_force(instance)
    return None if found is None else (found.value_milli, found.between, found.loss_micro)


def _agreeing(seeds: range, **limits: int) -> int:
    """Compare both on each seed that is small enough; return how many were."""
    compared = 0
    for seed in seeds:
        instance = random_small_instance(seed, **limits)
        expected = _naive(instance)
        if expected != "too many":
            assert _oracle(instance) == expected, f"seed {seed}, {limits}"
            compared += 1
    return compared


@pytest.mark.slow
def test_oracle_agrees_with_the_product_of_all_choices() -> None:
    """On tiny instances of every feature nothing is lost by pruning and symmetry."""
    one_host = _agreeing(range(60), max_hosts=1, max_nodes=2, max_vms=3, max_blocks=2)
    two_hosts = _agreeing(range(60), max_hosts=2, max_nodes=2, max_vms=2, max_blocks=1)
    assert one_host >= 20 and two_hosts >= 20


def test_required_vm_that_fits_nowhere_leaves_no_plan() -> None:
    """Without a plan that obeys the rules the oracle says None, not an empty plan."""
    host = Host("h", (NumaNode(0, (PCpu(0, 0),), 512),))
    fits = Vm("a", 1, 256, block_mib=256)
    wide = Vm("b", 2, 256, block_mib=256, required=True)
    assert brute_force(Instance((host,), (fits, wide))) is None
    found = brute_force(Instance((host,), (fits,)))
    assert found is not None and found.value_milli == 1000


def test_value_goes_before_hosts_and_hosts_before_loss() -> None:
    """Two VMs that fill one host are put there although two hosts would lose less."""
    host = Host("a", (NumaNode(0, tuple(PCpu(t, t // 2) for t in range(2)), 512),))
    other = Host("b", (NumaNode(0, (PCpu(0, 0),), 512),))
    vms = (Vm("x", 1, 256, block_mib=256), Vm("y", 1, 256, block_mib=256))
    spread = brute_force(Instance((host, other), vms))
    packed = brute_force(Instance((host, other), vms, between=Between.FEWEST_HOSTS))
    assert spread is not None and packed is not None
    # One core with two threads yields 1.4 of 2 vCPUs (mu 0.3): 0.6 are lost where both share it.
    assert (spread.value_milli, spread.between, spread.loss_micro) == (2000, None, 0)
    assert (packed.value_milli, packed.between, packed.loss_micro) == (2000, 1, 600_000)
