"""Cases of the rules on memory: how much, on which nodes, in which pools, when."""

from __future__ import annotations

from numaplace.models.plan import SharedCopy
from numaplace.models.relations import SharingGroup
from numaplace.models.units import PageSize
from numaplace.models.verify import Rule
from numaplace.models.vm import MemoryMode
from numaplace.tests.builders import make_host
from numaplace.tests.models.case import (
    BLOCK,
    RuleCase,
    case,
    cell,
    instance,
    on,
    plan,
    vm,
    with_nodes,
)

INTERLEAVE, PREFERRED = MemoryMode.INTERLEAVE, MemoryMode.PREFERRED
NARROW = make_host(memory_mib=2 * BLOCK)
ONE_BLOCK = make_host(memory_mib=BLOCK)
BARE = with_nodes(make_host(nodes=3), n1={"memory_mib": 0})
RESERVED = with_nodes(NARROW, n0={"reserved_mib": BLOCK})
# 2 blocks of 4K pages and 1 block of 2M pages on each node.
HUGE = make_host(memory_mib=3 * BLOCK)
HUGE = with_nodes(HUGE, n0={"pages_2m": BLOCK // 2}, n1={"pages_2m": BLOCK // 2})
GIANT = make_host(memory_mib=4096)
GIANT = with_nodes(GIANT, n0={"pages_1g": 1}, n1={"pages_1g": 2})
NO_2M = with_nodes(make_host(memory_mib=3 * BLOCK), n0={"pages_2m": BLOCK // 2})
TIMES = {"a": {"end": 5}, "b": {"start": 5}, "c": {"start": 3, "end": 8}}
GROUP = (SharingGroup("g", ("x", "y"), BLOCK),)
COPY_0, COPY_1 = SharedCopy("g", "host", (0,)), SharedCopy("g", "host", (1,))
BOTH = SharedCopy("g", "host", (0, 1))

AMOUNT: list[RuleCase] = [
    case(
        Rule.MEMORY_AMOUNT,
        "a block is missing",
        instance(vm(blocks=2)),
        plan(a=on(cell(0, 1, 2))),
        plan(a=on(cell(0, 1, 1, size=2))),
    ),
    case(
        Rule.MEMORY_AMOUNT,
        "ballooned below the minimum",
        instance(vm(blocks=4, memory_min_mib=2 * BLOCK)),
        plan(a=on(cell(0, 1, 2, size=4))),
        plan(a=on(cell(0, 1, 1, size=4))),
    ),
    case(
        Rule.MEMORY_AMOUNT,
        "the cells together are ballooned below the minimum",
        instance(vm(vcpus=2, blocks=4, max_cells=2, memory_min_mib=3 * BLOCK)),
        plan(a=on(cell(0, 1, 1, size=2), cell(1, 1, 2))),
        plan(a=on(cell(0, 1, 1, size=2), cell(1, 1, 1, size=2))),
    ),
    case(
        Rule.MEMORY_AMOUNT,
        "an interleaved VM keeps all its memory",
        instance(vm(blocks=3, memory_mode=INTERLEAVE)),
        plan(a=on(cell(0, 1, {0: 1, 1: 1, 2: 1}))),
        plan(a=on(cell(0, 1, {0: 1, 1: 1}, size=3))),
        Rule.MEMORY_NODES,
    ),
    case(
        Rule.MEMORY_AMOUNT,
        "own memory of a member of a sharing group is missing",
        instance(vm("x", blocks=3), vm("y", blocks=2), sharing=GROUP),
        plan(COPY_0, x=on(cell(0, 1, 2))),
        plan(COPY_0, x=on(cell(0, 1, 1, size=2))),
    ),
]

NODES: list[RuleCase] = [
    case(
        Rule.MEMORY_NODES,
        "strict memory on another node",
        instance(vm()),
        plan(a=on(cell(0))),
        plan(a=on(cell(0, 1, {1: 1}))),
    ),
    case(
        Rule.MEMORY_NODES,
        "strict memory spills",
        instance(vm(blocks=2)),
        plan(a=on(cell(0, 1, 2))),
        plan(a=on(cell(0, 1, {0: 1, 1: 1}))),
    ),
    case(
        Rule.MEMORY_NODES,
        "strict memory within a node set, even at home outside of it",
        instance(vm(blocks=2, memory_nodes=frozenset({0, 1}))),
        plan(a=on(cell(2, 1, {0: 1, 1: 1}))),
        plan(a=on(cell(2, 1, {0: 1, 2: 1}))),
    ),
    case(
        Rule.MEMORY_NODES,
        "strict cells hold each other's memory",
        instance(vm(vcpus=2, blocks=2, max_cells=2)),
        plan(a=on(cell(0), cell(1))),
        plan(a=on(cell(0, 1, {1: 1}), cell(1, 1, {0: 1}))),
    ),
    case(
        Rule.MEMORY_NODES,
        "strict memory of a home without memory",
        instance(vm(), host=BARE),
        plan(a=on(cell(0))),
        plan(a=on(cell(1, 1, {0: 1}))),
    ),
    case(
        Rule.MEMORY_NODES,
        "preferred memory outside the node set",
        instance(vm(blocks=2, memory_mode=PREFERRED, memory_nodes=frozenset({0, 2}))),
        plan(a=on(cell(1, 1, {0: 1, 2: 1}))),
        plan(a=on(cell(1, 1, {0: 1, 1: 1}))),
    ),
    case(
        Rule.MEMORY_NODES,
        "preferred memory on a node without a pool of its pages",
        instance(vm(memory_mode=PREFERRED, page_size=PageSize.HUGE_2M), host=NO_2M),
        plan(a=on(cell(1, 1, {0: 1}))),
        plan(a=on(cell(1, 1, {1: 1}))),
        Rule.MEMORY_CAPACITY,
    ),
    case(
        Rule.MEMORY_NODES,
        "interleaved unevenly",
        instance(vm(blocks=6, memory_mode=INTERLEAVE)),
        plan(a=on(cell(0, 1, {0: 2, 1: 2, 2: 2}))),
        plan(a=on(cell(0, 1, {0: 3, 1: 2, 2: 1}))),
    ),
    case(
        Rule.MEMORY_NODES,
        "what does not divide goes to the lowest nodes",
        instance(vm(blocks=4, memory_mode=INTERLEAVE)),
        plan(a=on(cell(2, 1, {0: 2, 1: 1, 2: 1}))),
        plan(a=on(cell(2, 1, {0: 1, 1: 1, 2: 2}))),
    ),
    case(
        Rule.MEMORY_NODES,
        "interleaved over all nodes in place of the node set",
        instance(vm(blocks=2, memory_mode=INTERLEAVE, memory_nodes=frozenset({0, 2}))),
        plan(a=on(cell(1, 1, {0: 1, 2: 1}))),
        plan(a=on(cell(1, 1, {0: 1, 1: 1}))),
    ),
    case(
        Rule.MEMORY_NODES,
        "interleaving skips a node without memory and no other",
        instance(vm(blocks=2, memory_mode=INTERLEAVE), host=BARE),
        plan(a=on(cell(0, 1, {0: 1, 2: 1}))),
        plan(a=on(cell(0, 1, {0: 2}))),
    ),
    case(
        Rule.MEMORY_NODES,
        "each cell is interleaved by itself",
        instance(
            vm(
                vcpus=2,
                blocks=4,
                max_cells=2,
                memory_mode=INTERLEAVE,
                memory_nodes=frozenset({0, 1}),
            )
        ),
        plan(a=on(cell(0, 1, {0: 1, 1: 1}), cell(1, 1, {0: 1, 1: 1}))),
        plan(a=on(cell(0, 1, {0: 2}), cell(1, 1, {1: 2}))),
    ),
]

CAPACITY: list[RuleCase] = [
    case(
        Rule.MEMORY_CAPACITY,
        "two VMs overfill a node",
        instance(vm("a", blocks=2), vm("b"), host=NARROW),
        plan(a=on(cell(0, 1, 2)), b=on(cell(1))),
        plan(a=on(cell(0, 1, 2)), b=on(cell(0))),
    ),
    case(
        Rule.MEMORY_CAPACITY,
        "preferred memory must spill",
        instance(vm(blocks=3, memory_mode=PREFERRED), host=NARROW),
        plan(a=on(cell(0, 1, {0: 2, 1: 1}))),
        plan(a=on(cell(0, 1, 3))),
    ),
    case(
        Rule.MEMORY_CAPACITY,
        "memory spills onto another VM's node",
        instance(vm("a", blocks=3, memory_mode=PREFERRED), vm("b"), host=NARROW),
        plan(a=on(cell(0, 1, {0: 2, 1: 1})), b=on(cell(1))),
        plan(a=on(cell(0, 1, {0: 1, 1: 2})), b=on(cell(1))),
    ),
    case(
        Rule.MEMORY_CAPACITY,
        "reserved memory is not for VMs",
        instance(vm(blocks=2), host=RESERVED),
        plan(a=on(cell(1, 1, 2))),
        plan(a=on(cell(0, 1, 2))),
    ),
    case(
        Rule.MEMORY_CAPACITY,
        "the 2M pool is full",
        instance(*(vm(n, page_size=PageSize.HUGE_2M) for n in "ab"), host=HUGE),
        plan(a=on(cell(0)), b=on(cell(1))),
        plan(a=on(cell(0)), b=on(cell(0))),
    ),
    case(
        Rule.MEMORY_CAPACITY,
        "4K pages do not come out of the 2M pool",
        instance(vm("a", blocks=2), vm("b"), vm("c", page_size=PageSize.HUGE_2M), host=HUGE),
        plan(a=on(cell(0, 1, 2)), b=on(cell(1)), c=on(cell(0))),
        plan(a=on(cell(0, 1, 2)), b=on(cell(0)), c=on(cell(1))),
    ),
    case(
        Rule.MEMORY_CAPACITY,
        "the 1G pool is full",
        instance(vm(blocks=8, page_size=PageSize.HUGE_1G, block_mib=1024), host=GIANT),
        plan(a=on(cell(1, 1, 8))),
        plan(a=on(cell(0, 1, 8))),
    ),
    case(
        Rule.MEMORY_CAPACITY,
        "interleaved memory fills the smallest node",
        instance(vm("a", blocks=2, memory_mode=INTERLEAVE), vm("b"), host=RESERVED),
        plan(a=on(cell(1, 1, {0: 1, 1: 1})), b=on(cell(1))),
        plan(a=on(cell(1, 1, {0: 1, 1: 1})), b=on(cell(0))),
    ),
    case(
        Rule.MEMORY_CAPACITY,
        "VMs that never meet use the same memory, those that do may not",
        instance(*(vm(n, **TIMES[n]) for n in "abc"), host=ONE_BLOCK),
        plan(a=on(cell(0)), b=on(cell(0)), c=on(cell(1))),
        plan(a=on(cell(0)), b=on(cell(1)), c=on(cell(0))),
    ),
    case(
        Rule.MEMORY_CAPACITY,
        "ballooning makes room",
        instance(vm("a", blocks=2, memory_min_mib=BLOCK), vm("b"), host=NARROW),
        plan(a=on(cell(0, 1, 1, size=2)), b=on(cell(0))),
        plan(a=on(cell(0, 1, 2)), b=on(cell(0))),
    ),
    case(
        Rule.MEMORY_CAPACITY,
        "a copy counts once for two members, but it counts",
        instance(
            *(vm(n, blocks=2) for n in "xy"),
            vm("z"),
            sharing=GROUP,
            host=make_host(memory_mib=3 * BLOCK),
        ),
        plan(COPY_0, x=on(cell(0)), y=on(cell(0)), z=on(cell(1))),
        plan(COPY_0, x=on(cell(0)), y=on(cell(0)), z=on(cell(0))),
    ),
    case(
        Rule.MEMORY_CAPACITY,
        "each node's copy counts there",
        instance(
            *(vm(n, blocks=2) for n in "xy"),
            vm("z", blocks=2),
            sharing=GROUP,
            host=make_host(nodes=3, memory_mib=3 * BLOCK),
        ),
        plan(BOTH, x=on(cell(0)), y=on(cell(1)), z=on(cell(2, 1, 2))),
        plan(BOTH, x=on(cell(0)), y=on(cell(1)), z=on(cell(1, 1, 2))),
    ),
    case(
        Rule.MEMORY_CAPACITY,
        "a copy that may lie anywhere still needs room",
        instance(
            *(vm(n, blocks=2) for n in "xy"),
            sharing=(SharingGroup("g", ("x", "y"), BLOCK, across_nodes=True),),
            host=NARROW,
        ),
        plan(COPY_1, x=on(cell(0)), y=on(cell(0))),
        plan(COPY_0, x=on(cell(0)), y=on(cell(0))),
    ),
]

CASES = AMOUNT + NODES + CAPACITY
