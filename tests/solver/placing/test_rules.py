"""Scoring rules, on arrays and on a small host."""

import numpy as np

from numaplace.models.instance import Instance
from numaplace.models.relations import Cooperation
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.vm import Vm
from numaplace.solver.placing.offer import Offer
from numaplace.solver.placing.placer import Placer
from numaplace.solver.placing.rules import (
    RULES,
    Rule,
    ascending,
    best_fit,
    first_fit,
    greedy,
    least,
    prices,
)


class Told(Offer):
    """Three choices of which loss and room are told."""

    def __init__(self, loss: list[int], *, expecting: bool = False) -> None:
        self.slots, self.expecting = np.arange(3), expecting
        self.loss, self.left = np.array(loss), np.array([0.5, 2.0, 0.1])


def both(offer: Offer, rule: Rule) -> int:
    """What a rule takes, which is what its prices are least for."""
    chosen = least(rule(offer))
    assert chosen == prices(offer, rule).argmin() == ascending(rule(offer))[0]
    return chosen


def _host(*cpus: int) -> Host:
    nodes, start = [], 0
    for number, count in enumerate(cpus):
        pcpus = tuple(PCpu(start + c, start + c) for c in range(count))
        nodes.append(NumaNode(number, pcpus, 4096))
        start += count
    return Host("h", tuple(nodes))


def test_least_loss_comes_before_room_and_room_decides_ties() -> None:
    """A micro-vCPU outweighs any room; equal losses go to the tightest place."""
    assert both(Told([8, 7, 8]), greedy) == 1
    assert both(Told([7, 7, 7]), greedy) == 2


def test_a_vm_that_expects_partners_goes_where_there_is_room() -> None:
    """Equal losses go to the roomiest place as long as partners are to come."""
    assert both(Told([7, 7, 7], expecting=True), greedy) == 1


def test_first_and_best_fit_look_at_order_and_room_only() -> None:
    """Losses play no role for them."""
    assert both(Told([9, 0, 9]), first_fit) == 0
    assert both(Told([9, 0, 9]), best_fit) == 2


def _nodes(rule: Rule) -> list[int]:
    vms = tuple(Vm(f"v{number}", vcpus, 256) for number, vcpus in enumerate((3, 2, 2)))
    engine = Placer(Instance((_host(8, 4, 3),), vms), rule)
    placements = [engine.add(vm) for vm in vms]
    return [placement.cells[0].node for placement in placements if placement is not None]


def test_rules_place_a_stream_as_their_names_say() -> None:
    """3, 2, 2 vCPUs on nodes of 8, 4 and 3: all on the first; or node 2, then 1."""
    assert _nodes(first_fit) == [0, 0, 0]
    assert _nodes(best_fit) == [2, 1, 1]
    assert _nodes(greedy) == [2, 1, 1]


def test_rules_of_traces_place_plans_too() -> None:
    """Balance leaves 3, 2 and 3 free. Who may run where is not known, so Xen goes by memory."""
    assert {name: _nodes(rule) for name, rule in RULES.items()} == {
        "first_fit": [0, 0, 0],
        "best_fit": [2, 1, 1],
        "balance_fit": [0, 0, 1],
        "xen_4_2": [0, 1, 2],
        "xen": [0, 1, 2],
        "nova": [0, 1, 2],
        "greedy": [2, 1, 1],
        "greedy_room": [2, 1, 1],
        "greedy_life": [2, 1, 1],
    }
    RULES["worst_fit"] = lambda offer: -offer.left
    assert _nodes(RULES.pop("worst_fit")) == [0, 1, 2]


def test_partners_find_room_next_to_each_other() -> None:
    """The first of two talking VMs leaves the tight node to others, so that both share one."""
    vms = (Vm("a", 3, 256), Vm("b", 3, 256))
    instance = Instance((_host(3, 8),), vms, cooperations=(Cooperation("a", "b", 1.0),))
    engine = Placer(instance)
    for vm in vms:
        engine.add(vm)
    assert engine.loss_micro == 0
