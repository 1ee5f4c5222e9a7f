"""The online engine: every schedule is valid, what is counted is what happened."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numaplace.models.cost import Term, evaluate
from numaplace.models.fleet import Fleet
from numaplace.models.schedule import REJECTED, Goal, as_plan, faults
from numaplace.models.trace import NEVER_MS, Trace, make_trace
from numaplace.models.units import MICRO
from numaplace.solver.placing.fleet_state import FleetState
from numaplace.solver.placing.replay import NOT_SEEN, replay
from numaplace.solver.placing.rules import RULES, first_fit
from numaplace.solver.placing.slot_offer import SlotOffer
from numaplace.tests.random_traces import fleets, small_host, traces


@pytest.mark.parametrize("name", RULES)
@given(trace=traces(14), fleet=fleets())
@settings(deadline=None, max_examples=40)
def test_every_rule_keeps_every_rule(name: str, trace: Trace, fleet: Fleet) -> None:
    found = replay(trace, fleet, RULES[name])
    assert list(faults(trace, fleet, found.slots)) == []
    rejected = int((found.slots == REJECTED).sum())
    assert found.full + found.fragmented == rejected
    assert found.complete


@given(trace=traces(14), fleet=fleets())
@settings(deadline=None, max_examples=80)
def test_a_vm_is_rejected_only_if_it_fits_nowhere(trace: Trace, fleet: Fleet) -> None:
    slots = replay(trace, fleet, RULES["greedy_life"]).slots
    for vm in np.flatnonzero(slots == REJECTED).tolist():
        seen = trace.part(slice(0, vm + 1))
        span = fleet.slots(int(trace.cells[vm]))
        for slot in range(span.start, span.stop):
            tried = slots[: vm + 1].copy()
            tried[vm] = slot
            assert list(faults(seen, fleet, tried))


@given(trace=traces(10), fleet=fleets())
@settings(deadline=None, max_examples=80)
def test_amounts_in_use_return_to_zero(trace: Trace, fleet: Fleet) -> None:
    """Taking and releasing everything leaves the state as it was."""
    state, fresh = FleetState(fleet, trace), FleetState(fleet, trace)
    taken = []
    for vm in range(len(trace)):
        offer = SlotOffer(state, vm)
        if len(offer):
            state.take(vm, int(offer.slots[-1]))
            taken.append(vm)
    for vm in taken:
        state.release(vm)
    for name in ("free_cpu", "free_mib", "runnable", "spanning", "host_end_ms"):
        np.testing.assert_array_equal(getattr(state, name), getattr(fresh, name), err_msg=name)
    for name in ("values", "host_free_cpu", "host_free_mib", "host_load_milli", "host_vms"):
        now, then = (getattr(s.ledger, name) for s in (state, fresh))
        np.testing.assert_array_equal(now, then, err_msg=name)


@given(trace=traces(10), fleet=fleets())
@settings(deadline=None, max_examples=120)
def test_losses_are_those_of_the_cost(trace: Trace, fleet: Fleet) -> None:
    """With everything alive at once, the last sample's terms are the plan's, to the last digit."""
    size = len(trace)
    still = make_trace(
        trace.names,
        **{name: getattr(trace, name) for name in ("vcpus", "cells", "utilisation", "soft_node")},
        memory_mib=1024 * trace.cells,
        start_ms=np.zeros(size),
        soft_weight=trace.soft_weight,
    )
    found = replay(still, fleet, RULES["greedy"], samples=size)
    if not found.samples:
        return
    instance, plan = as_plan(still, fleet, found.slots)
    terms, last = evaluate(instance, plan).terms, found.samples[-1]
    known = set(fleet.node_id.tolist())
    if set(still.soft_node.tolist()) <= known | {-1}:
        assert last.node_affinity == terms[Term.NODE_AFFINITY]
    assert last.split_guest == terms[Term.SPLIT_GUEST]
    assert last.cpu_contention == terms[Term.CPU_CONTENTION]


@given(trace=traces(8), fleet=fleets(), data=st.data())
@settings(deadline=None, max_examples=150)
def test_an_offer_tells_what_the_cost_would_rise_by(
    trace: Trace, fleet: Fleet, data: st.DataObject
) -> None:
    """At every slot, term by term, with the VMs before it anywhere they fit."""
    size, known = len(trace), set(fleet.node_id.tolist())
    still = replace(
        trace,
        start_ms=np.zeros(size, np.int64),
        end_ms=np.full(size, NEVER_MS),
        soft_node=np.where(np.isin(trace.soft_node, list(known)), trace.soft_node, -1),
    )
    state, slots = FleetState(fleet, still), np.full(size, REJECTED)
    for vm in range(size):
        offer = SlotOffer(state, vm)
        before = evaluate(*as_plan(still, fleet, slots)).terms
        for k, slot in enumerate(offer.slots.tolist()):
            slots[vm] = slot
            after = evaluate(*as_plan(still, fleet, slots)).terms
            rise = {term: after[term] - before[term] for term in Term}
            told = {
                Term.SPLIT_GUEST: int(offer.split_loss[k]),
                Term.NODE_AFFINITY: int(offer.affinity_loss[k]),
                Term.CPU_CONTENTION: int(offer.contention_loss[k]),
            }
            assert rise == {**dict.fromkeys(Term, 0), **told}
            assert int(offer.loss[k]) == sum(told.values())
        slots[vm] = REJECTED
        if len(offer) and data.draw(st.booleans()):
            slots[vm] = data.draw(st.sampled_from(offer.slots.tolist()))
            state.take(vm, int(slots[vm]))


def test_cells_reach_the_memory_of_the_other_cell() -> None:
    """Of 3 MiB, 2 vCPUs find 1 afar and 1 vCPU finds 2, each losing 0.3 / 1.3 of that share."""
    fleet = Fleet(((small_host("h", (2, 2), (1024, 1024)), 1),))
    trace = make_trace(("a",), vcpus=[3], memory_mib=[3], cells=[2], start_ms=[0])
    offer = SlotOffer(FleetState(fleet, trace), 0)
    assert (offer.vcpus, offer.mib) == ((2, 1), (2, 1))
    assert offer.split_loss.tolist() == [round((2 * 1 + 1 * 2) / 3 * 0.3 / 1.3 * MICRO)]
    cost = evaluate(*as_plan(trace, fleet, offer.slots))
    assert cost.terms[Term.SPLIT_GUEST] == offer.split_loss[0]


def test_rejects_for_want_of_room_and_in_spite_of_it() -> None:
    fleet = Fleet(((small_host("h", (2, 2), (1024, 1024)), 1),))
    trace = make_trace(
        ("a", "b", "wide", "huge"), vcpus=[1, 1, 2, 3], memory_mib=[128] * 4, start_ms=[0, 0, 1, 1]
    )
    spread = replay(trace, fleet, lambda offer: offer.runnable)
    assert spread.slots.tolist() == [0, 1, REJECTED, REJECTED]
    assert (spread.full, spread.fragmented) == (1, 1)
    packed = replay(trace, fleet, RULES["best_fit"])
    assert packed.slots.tolist() == [0, 0, 1, REJECTED]


def test_samples_tell_use_over_time() -> None:
    fleet = Fleet(((small_host("h", (2, 2), (1024, 1024)), 2),))
    trace = make_trace(
        ("a", "b", "c"),
        vcpus=[2, 2, 1],
        memory_mib=[512, 1024, 512],
        start_ms=[0, 10, 20],
        end_ms=[15, NEVER_MS, NEVER_MS],
    )
    first, second, third = replay(trace, fleet, first_fit).samples
    assert (first.time_ms, first.cpu, first.memory, first.hosts_used) == (0, 0.25, 0.125, 0.5)
    assert (second.cpu, second.accepted, second.seen) == (0.5, 2, 2)
    assert third.cpu == 3 / 8
    assert third.node_cpu[1] == 0.25
    assert replay(trace, fleet, first_fit).reached(trace) == {
        Goal.VALUE: 2 * 15 + 2 * 10 + 1,
        Goal.COUNT: 3,
        Goal.PREFIX: 3,
    }


def test_a_stopped_replay_keeps_what_it_has() -> None:
    fleet = Fleet(((small_host("h", (2,), (1024,)), 1),))
    trace = make_trace(tuple("abc"), vcpus=[1] * 3, memory_mib=[128] * 3, start_ms=[0, 1, 2])
    asked = iter([False, False, True])
    found = replay(trace, fleet, first_fit, should_stop=lambda: next(asked))
    assert found.slots.tolist() == [0, 0, NOT_SEEN]
    assert not found.complete
    assert found.reached(trace)[Goal.COUNT] == 2
