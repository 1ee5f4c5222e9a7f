"""Cases of the rules on shared and dedicated pCPUs.

Solvers decide how many cores and threads a cell takes and pin them later, so every bad plan here
asks for more than there is, whatever the pinning; see test_verify.py for wrong pinnings.
"""

from __future__ import annotations

from dataclasses import replace

from numaplace.models.verify import Rule
from numaplace.models.vm import ThreadPolicy
from numaplace.tests.builders import make_host
from numaplace.tests.models.case import (
    RuleCase,
    case,
    cell,
    instance,
    on,
    pinned,
    plan,
    vm,
    with_nodes,
)

ISOLATE, REQUIRE, PREFER = ThreadPolicy.ISOLATE, ThreadPolicy.REQUIRE, ThreadPolicy.PREFER
OVERCOMMIT = replace(make_host(cores=2), vcpu_overcommit=1.5)
TWO_CORES = make_host(cores=2)
ONE_CORE = make_host(cores=1)
# pCPUs 0..3 on node 0 (cores 0, 0, 1, 1) and 1000..1003 on node 1.
SMT = make_host(cores=2, threads=2)
SMT_1 = make_host(cores=1, threads=2)
SMT_3 = make_host(cores=3, threads=2)
# Node 0: two single-threaded cores; node 1: one core of two threads.
MIXED = with_nodes(TWO_CORES, n1={"pcpus": SMT_1.nodes[1].pcpus})
NO_PCPUS = with_nodes(make_host(), n1={"pcpus": ()})
TIMES = {"a": {"end": 5}, "b": {"start": 5}, "c": {"start": 3, "end": 8}}

SHARED: list[RuleCase] = [
    case(
        Rule.SHARED_CPUS,
        "more vCPUs than pCPUs",
        instance(vm("a", 3), vm("b", 2)),
        plan(a=on(cell(0, 3)), b=on(cell(1, 2))),
        plan(a=on(cell(0, 3)), b=on(cell(0, 2))),
    ),
    case(
        Rule.SHARED_CPUS,
        "more vCPUs than the overcommit ratio allows",
        instance(vm("a", 3), vm("b", 1), host=OVERCOMMIT),
        plan(a=on(cell(0, 3)), b=on(cell(1))),
        plan(a=on(cell(0, 3)), b=on(cell(0))),
    ),
    case(
        Rule.SHARED_CPUS,
        "vCPUs that never run count as well",
        instance(vm("a", 2), vm("b", 1, utilisation=0.0), host=TWO_CORES),
        plan(a=on(cell(0, 2)), b=on(cell(1))),
        plan(a=on(cell(0, 2)), b=on(cell(0))),
    ),
    case(
        Rule.SHARED_CPUS,
        "a node without pCPUs runs nothing",
        instance(vm(), host=NO_PCPUS),
        plan(a=on(cell(0))),
        plan(a=on(cell(1))),
    ),
    case(
        Rule.SHARED_CPUS,
        "dedicated pCPUs are not shared",
        instance(pinned("a", 1), vm("b", 2), host=TWO_CORES),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(1, 2))),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, 2))),
    ),
    case(
        Rule.SHARED_CPUS,
        "a dedicated thread leaves its sibling to shared vCPUs",
        instance(pinned("a", 1), vm("b", 3), vm("c", 1), host=SMT),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, 3)), c=on(cell(1))),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, 3)), c=on(cell(0))),
    ),
    case(
        Rule.SHARED_CPUS,
        "an isolating VM keeps the sibling idle",
        instance(pinned("a", 1, ISOLATE), vm("b", 2), vm("c", 1), host=SMT),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, 2)), c=on(cell(1))),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, 2)), c=on(cell(0))),
    ),
    case(
        Rule.SHARED_CPUS,
        "a VM that requires whole cores keeps the thread it does not use",
        instance(pinned("a", 1, REQUIRE), vm("b", 3), host=SMT),
        plan(a=on(cell(0, pcpus=(1,))), b=on(cell(1, 3))),
        plan(a=on(cell(0, pcpus=(1,))), b=on(cell(0, 3))),
    ),
    case(
        Rule.SHARED_CPUS,
        "the ratio holds at every instant",
        instance(*(vm(n, 2, **TIMES[n]) for n in "abc"), host=TWO_CORES),
        plan(a=on(cell(0, 2)), b=on(cell(0, 2)), c=on(cell(1, 2))),
        plan(a=on(cell(0, 2)), b=on(cell(1, 2)), c=on(cell(0, 2))),
    ),
    case(
        Rule.SHARED_CPUS,
        "pCPUs are free again once a dedicated VM has ended",
        instance(
            pinned("a", 2, end=5), vm("b", 2, start=5), vm("c", 1, start=4, end=5), host=TWO_CORES
        ),
        plan(a=on(cell(0, 2, pcpus=(0, 1))), b=on(cell(0, 2)), c=on(cell(1))),
        plan(a=on(cell(0, 2, pcpus=(0, 1))), b=on(cell(1, 2)), c=on(cell(0))),
    ),
    case(
        Rule.SHARED_CPUS,
        "each cell counts on its own node",
        instance(vm("a", 4, 2, max_cells=2), vm("b", 1), host=make_host(nodes=3, cores=2)),
        plan(a=on(cell(0, 2), cell(1, 2)), b=on(cell(2))),
        plan(a=on(cell(0, 2), cell(1, 2)), b=on(cell(1))),
    ),
]

DEDICATED: list[RuleCase] = [
    case(
        Rule.DEDICATED_CPUS,
        "more dedicated vCPUs than pCPUs",
        instance(pinned("a", 1), pinned("b", 2), host=TWO_CORES),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(1, 2, pcpus=(1000, 1001)))),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, 2, pcpus=(0, 1)))),
    ),
    case(
        Rule.DEDICATED_CPUS,
        "VMs that prefer may use siblings, but no thread twice",
        instance(*(pinned(n) for n in "abc"), host=SMT_1),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, pcpus=(1,))), c=on(cell(1, pcpus=(1000,)))),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, pcpus=(1,))), c=on(cell(0, pcpus=(1,)))),
    ),
    case(
        Rule.DEDICATED_CPUS,
        "an isolating VM has two vCPUs on one core",
        instance(pinned("a", 2, ISOLATE), host=MIXED),
        plan(a=on(cell(0, 2, pcpus=(0, 1)))),
        plan(a=on(cell(1, 2, pcpus=(1000, 1001)))),
    ),
    case(
        Rule.DEDICATED_CPUS,
        "two isolating VMs on siblings",
        instance(pinned("a", 1, ISOLATE), pinned("b", 1, ISOLATE), host=SMT_1),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(1, pcpus=(1001,)))),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, pcpus=(1,)))),
    ),
    case(
        Rule.DEDICATED_CPUS,
        "the idle sibling of an isolating VM is taken by one that prefers",
        instance(pinned("a", 1, ISOLATE), pinned("b", 1, PREFER), host=SMT_1),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(1, pcpus=(1000,)))),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, pcpus=(1,)))),
    ),
    case(
        Rule.DEDICATED_CPUS,
        "a VM that requires siblings on single-threaded cores",
        instance(pinned("a", 2, REQUIRE), host=MIXED),
        plan(a=on(cell(1, 2, pcpus=(1000, 1001)))),
        plan(a=on(cell(0, 2, pcpus=(0, 1)))),
    ),
    case(
        Rule.DEDICATED_CPUS,
        "two VMs that require whole cores share them thread by thread",
        instance(pinned("a", 2, REQUIRE), pinned("b", 3, REQUIRE), host=SMT_3),
        plan(a=on(cell(0, 2, pcpus=(0, 1))), b=on(cell(0, 3, pcpus=(2, 3, 4)))),
        plan(a=on(cell(0, 2, pcpus=(0, 2))), b=on(cell(0, 3, pcpus=(1, 3, 4)))),
    ),
    case(
        Rule.DEDICATED_CPUS,
        "the odd thread of a VM that requires whole cores stays idle",
        instance(pinned("a", 3, REQUIRE), pinned("b", 1, PREFER), host=SMT),
        plan(a=on(cell(0, 3, pcpus=(0, 1, 2))), b=on(cell(1, pcpus=(1000,)))),
        plan(a=on(cell(0, 3, pcpus=(0, 1, 2))), b=on(cell(0, pcpus=(3,)))),
    ),
    case(
        Rule.DEDICATED_CPUS,
        "a pCPU is free again once its VM has ended, not before",
        instance(*(pinned(n, **TIMES[n]) for n in "abc"), host=ONE_CORE),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, pcpus=(0,))), c=on(cell(1, pcpus=(1000,)))),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(1, pcpus=(1000,))), c=on(cell(0, pcpus=(0,)))),
    ),
    case(
        Rule.DEDICATED_CPUS,
        "a core serves whole-core and single-thread VMs one after the other",
        instance(pinned("a", 1, ISOLATE, end=5), pinned("b", 1, PREFER, start=5), host=SMT_1),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(1, pcpus=(1000,)))),
        plan(a=on(cell(0, pcpus=(0,))), b=on(cell(0, pcpus=(0,)))),
    ),
    case(
        Rule.DEDICATED_CPUS,
        "a cell of a split VM on a full node",
        instance(
            pinned("a", 2, blocks=2, max_cells=2), pinned("b", 1), host=make_host(nodes=3, cores=1)
        ),
        plan(a=on(cell(0, pcpus=(0,)), cell(1, pcpus=(1000,))), b=on(cell(2, pcpus=(2000,)))),
        plan(a=on(cell(0, pcpus=(0,)), cell(1, pcpus=(1000,))), b=on(cell(1, pcpus=(1000,)))),
    ),
    case(
        Rule.DEDICATED_CPUS,
        "dedicated vCPUs on a node without pCPUs",
        instance(pinned("a"), host=NO_PCPUS),
        plan(a=on(cell(0, pcpus=(0,)))),
        plan(a=on(cell(1))),
    ),
]

CASES = SHARED + DEDICATED
