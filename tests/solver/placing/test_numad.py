"""Nodes for one more VM."""

from __future__ import annotations

from dataclasses import replace

import pytest

from numaplace.instances.catalog import load_catalog
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.vm import Vm
from numaplace.solver.placing.numad import advise

LINE = tuple(tuple(10.0 + 10 * abs(a - b) for b in range(4)) for a in range(4))


def line(**node: int) -> Host:
    """Four nodes in a row, each with 4 pCPUs and 1000 MiB."""
    nodes = tuple(
        NumaNode(
            n, tuple(PCpu(4 * n + c, 4 * n + c) for c in range(4)), **{"memory_mib": 1000, **node}
        )
        for n in range(4)
    )
    return Host("line", nodes, LINE)


def answer(host: Host, vcpus: int, mib: int, plan: Plan | None = None, *vms: Vm) -> str:
    instance = Instance((host,), vms)
    advice = advise(instance, plan or Plan(), host, vcpus, mib)
    return f"{','.join(map(str, sorted(advice.nodes)))} {advice.remark[:10]}".strip()


def taken(*nodes: int) -> tuple[Plan, tuple[Vm, ...]]:
    """VMs that fill nodes."""
    vms = tuple(Vm(f"vm{n}", 4, 900) for n in nodes)
    placed = {f"vm{n}": Placement("line", (PlacedCell(n, 4, ((n, 900),)),)) for n in nodes}
    return Plan(placed), vms


@pytest.mark.parametrize(
    ("vcpus", "mib", "busy", "expected"),
    [
        (1, 100, (), "0"),
        (4, 1000, (0,), "1"),
        (4, 1000, (0, 1, 2), "3"),
        (5, 100, (), "0,1"),
        (4, 1001, (), "0,1"),  # as much memory as two nodes
        (6, 800, (1,), "2,3"),  # neighbours rather than what is free first
        (16, 4000, (), "0,1,2,3"),
        (4, 100, (0, 1, 2, 3), "0 more vCPUs"),
        (17, 100, (), "0 more vCPUs"),
        (2, 4001, (), "0,1,2,3 nothing fi"),
        (1, 1001, (), "0,1 memory on"),
    ],
)
def test_answers(vcpus: int, mib: int, busy: tuple[int, ...], expected: str) -> None:
    """As few nodes as will do, near to one another, free ones; else what gives way is told."""
    plan, vms = taken(*busy)
    assert answer(line(), vcpus, mib, plan, *vms) == expected


@pytest.mark.parametrize("mib", [0, 1, 7, 997])
def test_odd_sizes(mib: int) -> None:
    """Any size may be asked for, primes too."""
    assert answer(line(), 1, mib) == "0"


def test_a_large_prime() -> None:
    """Memory that has no parts is rounded up a little."""
    assert answer(line(memory_mib=2_000_000), 1, 1_000_003) == "0"


@pytest.mark.parametrize("mib", [3988, 3997, 4000])
def test_a_full_host(mib: int) -> None:
    """Whatever is there may be had, to a MiB a node."""
    assert answer(line(), 16, mib) == "0,1,2,3"
    assert answer(line(), 16, 4001) == "0,1,2,3 nothing fi"


def test_names_do_not_clash() -> None:
    """A VM may be called numad."""
    vm = Vm("numad", 4, 1000)
    plan = Plan({"numad": Placement("line", (PlacedCell(0, 4, ((0, 1000),)),))})
    assert answer(line(), 4, 1000, plan, vm) == "1"


def test_other_hosts_do_not_count() -> None:
    """The host that is asked about answers, with everything the instance says."""
    instance = replace(load_catalog("small-fleet"), current=None)
    for host in instance.hosts:
        advice = advise(instance, Plan(), host, 1, 256)
        assert advice.nodes <= set(host.position)
        assert len(advice.nodes) == 1
