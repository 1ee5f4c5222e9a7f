"""Scoring rules, on arrays and on a small host."""

import numpy as np

from numaplace.models.instance import Instance
from numaplace.models.relations import Cooperation
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.vm import Vm
from numaplace.solver.placing.engine import Engine
from numaplace.solver.placing.rules import (
    BEST_FIT,
    FIRST_FIT,
    LEAST_LOSS,
    PlacementRule,
    Scores,
    best_fit,
    first_fit,
    least_marginal_loss,
)

ALL = np.ones(3, np.bool_)


def _host(*cpus: int) -> Host:
    nodes, start = [], 0
    for number, count in enumerate(cpus):
        pcpus = tuple(PCpu(start + c, start + c) for c in range(count))
        nodes.append(NumaNode(number, pcpus, 4096))
        start += count
    return Host("h", tuple(nodes))


def test_least_loss_comes_before_room_and_room_decides_ties() -> None:
    """A micro-vCPU outweighs any room; equal losses go to the tightest place."""
    left = np.array([0.5, 2.0, 0.1])
    assert least_marginal_loss(Scores(ALL, np.array([8, 7, 8]), left)).argmin() == 1
    assert least_marginal_loss(Scores(ALL, np.array([7, 7, 7]), left)).argmin() == 2


def test_a_vm_that_expects_partners_goes_where_there_is_room() -> None:
    """Equal losses go to the roomiest place as long as partners are to come."""
    scores = Scores(ALL, np.array([7, 7, 7]), np.array([0.5, 2.0, 0.1]), expecting=True)
    assert least_marginal_loss(scores).argmin() == 1


def test_first_and_best_fit_look_at_order_and_room_only() -> None:
    """Losses play no role for them."""
    scores = Scores(ALL, np.array([9, 0, 9]), np.array([0.5, 2.0, 0.1]))
    assert first_fit(scores).argmin() == 0
    assert best_fit(scores).argmin() == 2


def _nodes(rule: PlacementRule) -> list[int]:
    vms = tuple(Vm(f"v{number}", vcpus, 256) for number, vcpus in enumerate((3, 2, 2)))
    engine = Engine(Instance((_host(8, 4, 3),), vms), rule)
    placements = [engine.add(vm) for vm in vms]
    return [placement.cells[0].node for placement in placements if placement is not None]


def test_rules_place_a_stream_as_their_names_say() -> None:
    """3, 2, 2 vCPUs on nodes of 8, 4 and 3: all on the first; or node 2, then 1."""
    assert _nodes(FIRST_FIT) == [0, 0, 0]
    assert _nodes(BEST_FIT) == [2, 1, 1]
    assert _nodes(LEAST_LOSS) == [2, 1, 1]


def test_partners_find_room_next_to_each_other() -> None:
    """The first of two talking VMs leaves the tight node to others, so that both share one."""
    vms = (Vm("a", 3, 256), Vm("b", 3, 256))
    instance = Instance((_host(3, 8),), vms, cooperations=(Cooperation("a", "b", 1.0),))
    engine = Engine(instance)
    for vm in vms:
        engine.add(vm)
    assert engine.loss_micro == 0
