"""What each scoring rule prefers, on cases small enough to see."""

import numpy as np
import pytest

from numaplace.models.errors import InputError
from numaplace.models.fleet import Fleet
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.trace import Trace, make_trace
from numaplace.solver.placing.fleet_state import FleetState, other_most
from numaplace.solver.placing.replay import replay
from numaplace.solver.placing.rules import RULES, choose, rule_names
from numaplace.solver.placing.slot_offer import SlotOffer
from numaplace.tests.random_traces import small_host

TWO = Fleet(((small_host("h", (8, 8), (8192, 8192)), 2),))


def vms(*vcpus: int, **more: object) -> Trace:
    names = tuple(f"v{i}" for i in range(len(vcpus)))
    columns = {"memory_mib": np.array(vcpus) * 512, "start_ms": np.zeros(len(vcpus))}
    return make_trace(names, vcpus=vcpus, **{**columns, **more})


def last_slot(rule: str, trace: Trace, before: list[int], fleet: Fleet = TWO) -> int:
    """Slot that a rule gives the last VM, with the others where they are."""
    state = FleetState(fleet, trace)
    for vm, slot in enumerate(before):
        state.mix.see(vm)
        state.take(vm, slot)
    state.mix.see(len(before))
    return choose(SlotOffer(state, len(before)), RULES[rule])


@pytest.mark.parametrize(
    ("rule", "before", "slot"),
    [
        ("first_fit", [1, 2], 0),
        ("best_fit", [1, 2], 1),
        ("balance_fit", [0, 3], 2),  # then both nodes of the second host are alike
        ("xen", [0, 0], 1),
        ("nova", [0, 1], 2),
        ("greedy", [3, 0], 3),
    ],
)
def test_small_vm(rule: str, before: list[int], slot: int) -> None:
    assert last_slot(rule, vms(6, 2, 2), before) == slot


def test_xen_counts_wide_vms_on_both_nodes_today_and_once_in_4_2() -> None:
    """Hosts of three nodes: {0,1} holds a VM over just that pair, {0,2} two VMs of one node."""
    fleet = Fleet(((small_host("h", (8, 8, 8), (8192,) * 3), 1),))
    trace = vms(4, 3, 2, cells=[2, 1, 2])
    before = [fleet.num_places, 2]  # pair {0,1}, node 2
    # Today: {0,1} 8, {0,2} and {1,2} 7. In 4.2: {0,1} 4, the others 7.
    assert last_slot("xen", trace, before, fleet) == fleet.num_places + 1
    assert last_slot("xen_4_2", trace, before, fleet) == fleet.num_places


def test_xen_fills_the_first_host() -> None:
    assert last_slot("xen", vms(8, 4, 4), [0, 1]) == 1


def test_greedy_follows_node_affinity_but_does_not_insist() -> None:
    soft = {"soft_node": [-1, 1], "soft_weight": [0.0, 0.5]}
    assert last_slot("greedy", vms(4, 4, **soft), [0]) == 1
    full = vms(8, 8, 4, soft_node=[-1, -1, 1], soft_weight=[0, 0, 0.5])
    assert last_slot("greedy", full, [1, 3]) == 0


def test_greedy_takes_the_near_pair() -> None:
    nodes = tuple(
        NumaNode(n, tuple(PCpu(4 * n + c, core=4 * n + c) for c in range(4)), 4096)
        for n in range(3)
    )
    host = Host("h", nodes, distances=((10, 32, 32), (32, 10, 12), (32, 12, 10)))
    fleet = Fleet(((host, 1),))
    assert last_slot("greedy", vms(4, cells=[2]), [], fleet) == fleet.num_places + 2
    assert last_slot("first_fit", vms(4, cells=[2]), [], fleet) == fleet.num_places


def test_greedy_spreads_where_threads_share_cores() -> None:
    fleet = Fleet(((small_host("h", (8, 8), (8192, 8192), smt=2), 1),))
    assert last_slot("best_fit", vms(4, 2), [0], fleet) == 0
    assert last_slot("greedy", vms(4, 2), [0], fleet) == 1


def test_room_is_kept_for_what_usually_comes() -> None:
    """VMs of 6 come often: a VM of 2 goes where no hole of 6 is lost; best fit does not see it."""
    trace = vms(6, 6, 1, 2, memory_mib=np.array([6, 6, 1, 2]) * 512)
    # Free: 8 on node 0, 2 on nodes 1 and 2, 7 on node 3; the tightest is 2, no hole is lost there.
    assert last_slot("greedy_room", trace, [1, 2, 3]) == 1
    # Free: 8, 8, 8 and 7: only a node with 8 keeps its hole of 6, though 7 is tighter.
    other = vms(6, 6, 1, 2, start_ms=[0, 0, 2, 2], end_ms=[1, 1, 9, 9])
    found = replay(other, TWO, RULES["greedy_room"]).slots
    assert found[3] != found[2]
    assert (
        replay(other, TWO, RULES["best_fit"]).slots[3]
        == replay(other, TWO, RULES["best_fit"]).slots[2]
    )


def test_lifetimes_break_ties() -> None:
    """Two hosts alike but for when their VM ends: a short VM joins the one that lives longer."""
    trace = vms(4, 4, 4, end_ms=[100, 1000, 900])
    assert last_slot("greedy_life", trace, [0, 2]) == 2
    assert last_slot("greedy_room", trace, [0, 2]) == 0


def test_other_most_is_the_largest_elsewhere_on_the_host() -> None:
    fleet = Fleet(((small_host("a", (1, 1, 1), (64,) * 3), 1), (small_host("b", (1,), (64,)), 1)))
    assert other_most(np.array([3, 5, 5, 7]), fleet).tolist() == [5, 5, 5, 0]
    assert other_most(np.array([3, 5, 4, 0]), fleet).tolist() == [5, 4, 5, 0]


def test_a_rule_in_three_lines() -> None:
    found = replay(vms(2, 2), TWO, lambda offer: -offer.left)
    assert found.slots.tolist() == [0, 1]


def test_names_of_rules() -> None:
    assert rule_names("xen, nova,xen") == ["xen", "nova"]
    with pytest.raises(InputError, match="unknown, choose among first_fit"):
        rule_names("best")
