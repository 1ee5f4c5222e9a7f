"""Cases of the rules on which VMs are placed, on which hosts and nodes, and in which cells."""

from __future__ import annotations

from numaplace.models.instance import Instance
from numaplace.models.verify import Rule
from numaplace.models.vm import Cell, GuestNuma
from numaplace.tests.builders import make_host
from numaplace.tests.models.case import BLOCK, RuleCase, case, cell, instance, on, plan, vm

TWO_HOSTS = (make_host("one", 1), make_host("two", 1))
EXPLICIT = vm(
    vcpus=4, blocks=3, guest_numa=GuestNuma.EXPLICIT, cells=(Cell(3, 2 * BLOCK), Cell(1, BLOCK))
)
EQUAL = vm(vcpus=2, blocks=2, guest_numa=GuestNuma.EXPLICIT, cells=(Cell(1, BLOCK), Cell(1, BLOCK)))
SPLIT = vm(vcpus=4, blocks=4, max_cells=2)

CASES: list[RuleCase] = [
    case(
        Rule.REQUIRED_VMS,
        "a required VM is left out, one that is not may be",
        instance(vm("a", required=True), vm("b")),
        plan(a=on(cell(0))),
        plan(b=on(cell(0))),
    ),
    case(
        Rule.ALLOWED_HOSTS,
        "a VM on a host it is not allowed on",
        Instance(TWO_HOSTS, (vm(allowed_hosts=frozenset({"one"})),)),
        plan(a=on(cell(0), host="one")),
        plan(a=on(cell(0), host="two")),
    ),
    case(
        Rule.ALLOWED_HOSTS,
        "only the VM that names its hosts is bound to them",
        Instance(TWO_HOSTS, (vm("a", allowed_hosts=frozenset({"one"})), vm("b"))),
        plan(a=on(cell(0), host="one"), b=on(cell(0), host="two")),
        plan(a=on(cell(0), host="two"), b=on(cell(0), host="one")),
    ),
    case(
        Rule.HARD_NODES,
        "a pinned VM outside its nodes",
        instance(vm(hard_nodes=frozenset({1}))),
        plan(a=on(cell(1))),
        plan(a=on(cell(0))),
    ),
    case(
        Rule.HARD_NODES,
        "one of two cells outside the hard nodes",
        instance(vm(vcpus=2, blocks=2, max_cells=2, hard_nodes=frozenset({0, 1}))),
        plan(a=on(cell(0), cell(1))),
        plan(a=on(cell(0), cell(2))),
    ),
    case(
        Rule.CELLS,
        "a VM of one cell is cut in two",
        instance(vm(vcpus=2, blocks=2, max_cells=1)),
        plan(a=on(cell(0, 2, 2))),
        plan(a=on(cell(0), cell(1))),
    ),
    case(
        Rule.CELLS,
        "a VM that fits one node is not cut unless asked",
        instance(vm(vcpus=4, blocks=2)),
        plan(a=on(cell(0, 4, 2))),
        plan(a=on(cell(0, 2), cell(1, 2))),
    ),
    case(
        Rule.CELLS,
        "a VM wider than each node gets the fewest cells it needs, not more",
        instance(vm(vcpus=6, blocks=3)),
        plan(a=on(cell(0, 3, 2), cell(1, 3, 1))),
        plan(a=on(cell(0, 2), cell(1, 2), cell(2, 2))),
    ),
    case(
        Rule.CELLS,
        "vCPUs are cut unevenly",
        instance(SPLIT),
        plan(a=on(cell(0, 2, 2), cell(1, 2, 2))),
        plan(a=on(cell(0, 3, 2), cell(1, 1, 2))),
    ),
    case(
        Rule.CELLS,
        "memory is cut unevenly",
        instance(SPLIT),
        plan(a=on(cell(0, 2, 2), cell(1, 2, 2))),
        plan(a=on(cell(0, 2, 3), cell(1, 2, 1))),
    ),
    case(
        Rule.CELLS,
        "the odd vCPU and the odd block go to the same cell",
        instance(vm(vcpus=3, blocks=3, guest_numa=GuestNuma.AUTOMATIC, max_cells=2)),
        plan(a=on(cell(0, 1, 1), cell(1, 2, 2))),
        plan(a=on(cell(0, 1, 2), cell(1, 2, 1))),
    ),
    case(
        Rule.CELLS,
        "more cells than max_cells",
        instance(vm(vcpus=3, blocks=3, guest_numa=GuestNuma.AUTOMATIC, max_cells=2)),
        plan(a=on(cell(0, 3, 3))),
        plan(a=on(cell(0), cell(1), cell(2))),
    ),
    case(
        Rule.CELLS,
        "explicit cells of other sizes",
        instance(EXPLICIT),
        plan(a=on(cell(1, 3, 2), cell(0, 1, 1))),
        plan(a=on(cell(1, 2, 2), cell(0, 2, 1))),
    ),
    case(
        Rule.CELLS,
        "explicit cells merged into one",
        instance(EXPLICIT),
        plan(a=on(cell(0, 3, 2), cell(1, 1, 1))),
        plan(a=on(cell(0, 4, 3))),
    ),
    case(
        Rule.CELLS,
        "vCPUs missing",
        instance(vm(vcpus=2)),
        plan(a=on(cell(0, 2))),
        plan(a=on(cell(0, 1))),
    ),
    case(
        Rule.DISTINCT_NODES,
        "both halves on one node",
        instance(SPLIT),
        plan(a=on(cell(0, 2, 2), cell(1, 2, 2))),
        plan(a=on(cell(0, 2, 2), cell(0, 2, 2))),
    ),
    case(
        Rule.DISTINCT_NODES,
        "equal explicit cells on one node",
        instance(EQUAL),
        plan(a=on(cell(0), cell(2))),
        plan(a=on(cell(2), cell(2))),
    ),
    case(
        Rule.DISTINCT_NODES,
        "unequal explicit cells on one node",
        instance(EXPLICIT),
        plan(a=on(cell(0, 3, 2), cell(2, 1, 1))),
        plan(a=on(cell(0, 3, 2), cell(0, 1, 1))),
    ),
]
