"""The quick look at room: it rules out nothing that the verifier allows."""

from __future__ import annotations

from numaplace.models.moves import Transition, steps_between
from numaplace.solver.replan.sequence import StepRoom
from numaplace.tests.solver.replan.test_sequence import rich_case, tight_case


def test_it_rules_out_only_what_has_no_room() -> None:
    """Every step of random pairs of plans, from the start: a no is a fault of the verifier's."""
    refused = hindered = 0
    cases = [tight_case(seed) for seed in range(60)]
    cases += [case for case in map(rich_case, range(10_000, 10_100)) if case is not None]
    for instance, before, after in cases:
        course = Transition(instance, before, after)
        room = StepRoom(instance, course.start().plan)
        for step in steps_between(instance, before, after):
            fault = course.hindrance(course.start().plan, step)
            hindered += fault is not None
            if not room.may_take(step):
                assert fault is not None
                refused += 1
    assert refused >= 0.8 * hindered > 0
