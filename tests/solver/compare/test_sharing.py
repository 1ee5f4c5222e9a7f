"""Sharing of pages compared: worked out by hand, and against exhaustive search."""

from __future__ import annotations

import pytest

from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.relations import SharingGroup
from numaplace.models.result import SolveStatus
from numaplace.models.verify import violations
from numaplace.models.vm import Vm
from numaplace.solver.compare.sharing import Sharing, compare_sharing, shared_so
from numaplace.solver.params import SolveParams
from numaplace.tests import oracle
from numaplace.tests.builders import make_host, make_instance
from numaplace.tests.strategies import random_small_instance

PARAMS = SolveParams(time_limit_s=20, workers=1, explain=False)


def twins(memory_mib: int) -> Instance:
    """Two VMs of 2 vCPUs with 1024 of 2048 MiB in common, on two nodes of 2 cores."""
    vms = (Vm("a", 2, 2048), Vm("b", 2, 2048))
    group = SharingGroup("g", ("a", "b"), 1024, across_nodes=True)
    host = make_host(nodes=2, cores=2, memory_mib=memory_mib)
    return make_instance(*vms, host=host, sharing=(group,))


def test_with_memory_in_plenty_each_node_has_its_copy() -> None:
    """Nobody reads afar, nothing is saved; one copy would save 1024 MiB for half a slowdown."""
    none, nodes, across, one = compare_sharing(twins(4096), PARAMS)
    assert [row.placed for row in (none, nodes, across, one)] == [2, 2, 2, 2]
    assert (nodes.copies, nodes.saved_mib, nodes.remote_vcpus) == (2, 0, 0)
    assert (across.copies, across.saved_mib, across.read_micro) == (2, 0, 0)
    assert (one.copies, one.saved_mib, one.remote_vcpus) == (1, 1024, 2)
    # half of b's accesses at distance 20: 2 vCPUs x 1/2 x 0.3 / 1.3
    assert one.read_micro == round(0.3 / 1.3 * 1e6)
    assert {row.result.status for row in (none, nodes, across)} == {SolveStatus.OPTIMAL}


def test_with_little_memory_only_sharing_across_nodes_places_both() -> None:
    """3072 MiB in all: 2 x 2048 do not fit, 2 x 1024 and one copy do."""
    none, nodes, across, one = compare_sharing(twins(1536), PARAMS)
    assert (none.placed, nodes.placed, across.placed) == (1, 1, 2)
    assert (across.copies, across.saved_mib, across.remote_vcpus) == (1, 1024, 2)
    assert one.plan == across.plan and one.saved_mib == across.saved_mib


def test_without_a_group_there_is_no_question() -> None:
    with pytest.raises(InputError, match="sharing: is missing"):
        compare_sharing(make_instance(Vm("a", 1, 512)), PARAMS)


def test_blocks_that_divide_only_own_pages_are_left_out() -> None:
    """Without sharing, a VM's block must divide all its memory."""
    vms = (Vm("a", 1, 2560, block_mib=1024), Vm("b", 1, 2560, block_mib=1024))
    group = SharingGroup("g", ("a", "b"), 512, across_nodes=True)
    instance = make_instance(*vms, sharing=(group,))
    unshared = shared_so(instance, Sharing.NONE)
    assert [vm.block_mib for vm in unshared.vms] == [None, None]
    assert unshared.sharing == () and compare_sharing(instance, PARAMS)[0].placed == 2


SEEDS = [seed for seed in range(160) if random_small_instance(seed).sharing]


@pytest.mark.parametrize("seed", SEEDS[:16])
def test_against_exhaustive_search(seed: int) -> None:
    """Each row is the best plan of its kind, and memory used is what the plan says."""
    rows = compare_sharing(random_small_instance(seed), PARAMS)
    for row in rows:
        if row.sharing is Sharing.ONE_COPY:
            assert row.plan is not None and violations(row.instance, row.plan) == []
            assert row.copies <= rows[2].copies and row.saved_mib >= rows[2].saved_mib
            continue
        best = oracle.brute_force(row.instance)
        assert (best is None) == (row.cost is None)
        if best is not None and row.cost is not None:
            assert (best.value_milli, best.loss_micro) == (
                row.cost.value_milli,
                row.cost.loss_micro,
            )
