"""Plans that the choices of the formulations cannot express are told apart, not changed."""

from __future__ import annotations

import pytest

from numaplace.models.plan import SharedCopy
from numaplace.models.relations import SharingGroup
from numaplace.solver.formulation.decide import decisions_of
from numaplace.solver.formulation.extract import extract_plan
from numaplace.solver.formulation.prepare import Prepared
from numaplace.tests.builders import make_host
from numaplace.tests.models.case import BLOCK, cell, instance, on, plan, vm, with_nodes


@pytest.mark.parametrize(
    ("across_nodes", "node", "expressed"), [(False, 0, True), (False, 1, False), (True, 1, True)]
)
def test_copies_where_they_are_of_use(across_nodes: bool, node: int, expressed: bool) -> None:
    """VM a may run on node 0 only: a copy on node 1 serves it only if reads may cross nodes."""
    group = SharingGroup("group", ("a", "b"), BLOCK, across_nodes)
    vms = (vm(name, blocks=2, hard_nodes=frozenset({0})) for name in "ab")
    prepared = Prepared(instance(*vms, sharing=(group,)))
    placed = plan(SharedCopy("group", "host", (node,)), a=on(cell(0)), b=on(cell(0)))
    decisions = decisions_of(prepared, placed)
    assert (decisions is not None) == expressed
    if decisions is not None:
        assert extract_plan(prepared, decisions).copies == placed.copies


def test_copy_that_does_not_fit() -> None:
    """A copy of one block is no choice on a node that has half a block of memory."""
    host = with_nodes(make_host(), n1={"memory_mib": BLOCK // 2})
    group = SharingGroup("group", ("a", "b"), BLOCK, across_nodes=True)
    prepared = Prepared(instance(vm("a", blocks=2), vm("b", blocks=2), host=host, sharing=(group,)))
    for node, expressed in ((0, True), (1, False)):
        placed = plan(SharedCopy("group", "host", (node,)), a=on(cell(0)), b=on(cell(0)))
        assert (decisions_of(prepared, placed) is not None) == expressed
