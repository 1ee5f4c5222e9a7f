"""Schedules: what they must obey, and that it is what the verifier of plans says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numaplace.models.errors import InputError
from numaplace.models.fleet import Fleet
from numaplace.models.schedule import REJECTED, Goal, as_plan, faults, worth
from numaplace.models.trace import Ints, Trace, make_trace
from numaplace.models.verify import violations
from numaplace.tests.random_traces import fleets, small_host, traces

FLEET = Fleet(((small_host("h", (2, 2), (1024, 1024)), 1),))


def three(**changes: object) -> Trace:
    columns = {"vcpus": [1, 2, 2], "memory_mib": [512, 1024, 512], "start_ms": [0, 0, 5]}
    return make_trace(("a", "b", "c"), **{**columns, "end_ms": [9, 5, 9], **changes})


def test_what_ends_makes_room_for_what_starts_at_the_same_time() -> None:
    assert list(faults(three(), FLEET, np.array([0, 1, 1]))) == []


@pytest.mark.parametrize(
    ("changes", "slots", "words"),
    [
        ({}, [1, 1, REJECTED], "h/1 holds 3 of 2 vCPUs at 0 ms"),
        ({"end_ms": [9, 6, 9]}, [0, 1, 1], "h/1 holds 4 of 2 vCPUs at 5 ms"),
        ({"memory_mib": [768, 1, 512], "vcpus": [1, 1, 1]}, [0, 1, 0], "holds 1280 of 1024 MiB"),
        ({}, [2, 1, 0], "VM 'a' is cut in 1: slot 2"),
        ({"cells": [1, 2, 1]}, [0, 1, 0], "VM 'b' is cut in 2: slot 1"),
        ({}, [0, 1, 3], "slot 3"),
        ({}, [0, 1, -3], "slot -3"),
        ({}, [0, 1], "slots for 3 VMs"),
    ],
)
def test_broken_rules_are_told(changes: dict[str, object], slots: list[int], words: str) -> None:
    assert words in next(faults(three(**changes), FLEET, np.array(slots)))


def test_a_vm_cut_in_two_takes_half_of_each_node() -> None:
    both = three(cells=[1, 2, 1])
    assert list(faults(both, FLEET, np.array([0, 2, 0]))) == ["h/0 holds 3 of 2 vCPUs at 5 ms"]
    assert list(faults(both, FLEET, np.array([0, 2, 1]))) == []


def test_worth_by_each_goal() -> None:
    slots = np.array([0, REJECTED, 1])
    assert worth(three(), slots, Goal.VALUE) == 9 + 2 * 4
    assert worth(three(), slots, Goal.COUNT) == 2
    assert worth(three(), slots, Goal.PREFIX) == 1
    assert worth(three(), np.array([0, 1, 1]), Goal.PREFIX) == 3


@given(st.data(), traces(), fleets())
@settings(deadline=None, max_examples=150)
def test_the_verifier_says_the_same(data: st.DataObject, trace: Trace, fleet: Fleet) -> None:
    """Any choice of slots of the right kind is faulty if and only if its plan breaks a rule."""
    slots: Ints = np.full(len(trace), REJECTED)
    for vm in range(len(trace)):
        span = fleet.slots(int(trace.cells[vm]))
        if span.stop > span.start:
            slots[vm] = data.draw(st.integers(span.start, span.stop - 1) | st.just(REJECTED))
    try:
        instance, plan = as_plan(trace, fleet, slots)
    except InputError:
        return  # a memory of few MiB cannot be cut into blocks
    assert bool(violations(instance, plan)) == bool(list(faults(trace, fleet, slots)))
