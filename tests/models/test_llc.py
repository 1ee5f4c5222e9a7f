"""Competition for last-level caches: who meets whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from numaplace.models.cores import core_groups, node_llcs
from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.relations import Competition, Scope
from numaplace.models.topology import NumaNode, PCpu
from numaplace.models.vm import Vm
from numaplace.tests.builders import make_host, make_node
from numaplace.tests.models.case import cell, instance, on, pinned, plan, vm, with_nodes


def _pcpus(first: int, *llcs: int | None) -> tuple[PCpu, ...]:
    return tuple(PCpu(first + i, first + i, 0, llc) for i, llc in enumerate(llcs))


def _instance(a: Vm, b: Vm, *llcs: int | None) -> Instance:
    """Return two nodes; pCPUs 0.. of node 0 have the given caches, those of node 1 the last one."""
    host = with_nodes(
        make_host(), n0={"pcpus": _pcpus(0, *llcs)}, n1={"pcpus": _pcpus(10, llcs[-1], llcs[-1])}
    )
    return instance(a, b, host=host, competitions=(Competition("a", "b", 0.5, Scope.LLC),))


def _loss(instance: Instance, plan: Plan) -> int:
    return evaluate(instance, plan).loss_micro


def test_dedicated_vms_meet_in_a_cache_not_in_a_node() -> None:
    """pCPUs 0 and 2 have different caches, 2 and 3 the same one."""
    pair = _instance(pinned("a"), pinned("b"), 0, 0, 1, 1)
    assert _loss(pair, plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, pcpus=(2,))))) == 0
    assert _loss(pair, plan(a=on(cell(0, pcpus=(3,))), b=on(cell(0, pcpus=(2,))))) == 500_000


def test_a_cache_may_span_two_nodes() -> None:
    """Cache 1 belongs to half of node 0 and to all of node 1."""
    pair = _instance(pinned("a"), pinned("b"), 0, 0, 1, 1)
    assert _loss(pair, plan(a=on(cell(0, pcpus=(3,))), b=on(cell(1, pcpus=(10,))))) == 500_000
    assert _loss(pair, plan(a=on(cell(0, pcpus=(0,))), b=on(cell(1, pcpus=(10,))))) == 0


def test_a_shared_vm_uses_every_cache_of_its_node() -> None:
    """It may run anywhere on the node, so it meets whoever is there."""
    pair = _instance(pinned("a"), vm("b"), 0, 0, 1, 1)
    assert _loss(pair, plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0)))) == 500_000


@pytest.mark.parametrize("llcs", [(None, None), (0, None), (None, 0)])
def test_unknown_caches_make_a_node_one_domain(llcs: tuple[int | None, ...]) -> None:
    """One unknown pCPU is enough: nobody can tell that two VMs do not meet."""
    pair = _instance(pinned("a"), pinned("b"), *llcs)
    assert _loss(pair, plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, pcpus=(1,))))) == 500_000
    mixed = _instance(pinned("a"), vm("b"), *llcs)
    assert _loss(mixed, plan(a=on(cell(0, pcpus=(1,))), b=on(cell(0)))) == 500_000


def test_caches_of_equal_number_on_two_hosts_are_two() -> None:
    """Numbers are unique on a host only."""
    hosts = (make_host("one"), make_host("two"))
    pair = Instance(
        hosts, (vm("a"), vm("b")), competitions=(Competition("a", "b", 0.5, Scope.LLC),)
    )
    assert _loss(pair, plan(a=on(cell(0), host="one"), b=on(cell(0), host="two"))) == 0


def test_node_llcs_are_empty_unless_all_are_known() -> None:
    """No guess from half the node."""
    assert node_llcs(NumaNode(0, _pcpus(0, 3, 4))) == {3, 4}
    assert node_llcs(NumaNode(0, _pcpus(0, 3, None))) == frozenset()
    assert node_llcs(NumaNode(0)) == frozenset()


def test_core_groups_tell_threads_and_caches_apart() -> None:
    """Two single-threaded cores with caches of their own, one core with two threads."""
    wide = (PCpu(20, 20, 0, 1), PCpu(21, 20, 0, 1))
    node = replace(make_node(0), pcpus=(*_pcpus(0, 0, 1), *wide))
    plain = core_groups(node, by_llc=False)
    assert [(g.llc, g.threads_per_core, g.cores) for g in plain] == [
        (None, 1, ((0,), (1,))),
        (None, 2, ((20, 21),)),
    ]
    caches = core_groups(node, by_llc=True)
    assert [(g.llc, g.num_cores, g.num_threads) for g in caches] == [
        (0, 1, 1),
        (1, 1, 1),
        (1, 1, 2),
    ]
