"""The deadline that a solve passes on, and what it does to work that is begun after it."""

from __future__ import annotations

import math
import threading
import time

import pytest

from numaplace.solver.deadline import (
    NEVER,
    CommandClock,
    Deadline,
    OutOfTimeError,
    left_running,
    within,
)
from numaplace.solver.params import SolveParams


def test_a_deadline_ends_by_time_or_by_wish() -> None:
    """Over when its time is, or when the caller wants to stop; then no time is left either."""
    later, past = Deadline.after(100), Deadline.after(-1)
    wished = Deadline.after(100, lambda: True)
    assert [d.over for d in (later, past, wished, NEVER)] == [False, True, True, False]
    assert [d.stopped for d in (later, past, wished)] == [False, False, True]
    assert 99 < later.left_s <= 100
    assert past.left_s == wished.left_s == 0
    assert NEVER.left_s == math.inf
    later.check()
    for over in (past, wished):
        with pytest.raises(OutOfTimeError):
            over.check()


def test_a_share_is_no_later_than_the_whole() -> None:
    """A part of what is left, at most so many seconds, with the same flag."""
    whole = Deadline.after(100, lambda: False)
    assert 49 < whole.share(0.5).left_s <= 50
    assert 2 < whole.share(0.5, most_s=3).left_s <= 3
    assert whole.share(7).end == whole.end
    assert whole.share(0.5).should_stop is whole.should_stop
    assert whole.earlier(10).end == whole.end - 10
    assert 2 < NEVER.share(0.5, most_s=3).left_s <= 3


def test_parameters_start_their_clock_once() -> None:
    """`begun` sets the deadline; what is passed on keeps it whatever the limit says."""
    params = SolveParams(time_limit_s=5, should_stop=lambda: False)
    begun = params.begun()
    assert params.deadline is None
    assert begun.until is begun.deadline is begun.begun().deadline
    assert 4 < begun.until.left_s <= 5
    assert begun.until.should_stop is params.should_stop


def test_a_command_counts_from_the_start_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports and reading are part of the time; in a library the clock starts with the call."""
    clock = CommandClock()
    assert 4 < clock.deadline(5).left_s <= 5
    clock.start()
    assert clock.began is not None
    assert clock.began <= time.monotonic()
    monkeypatch.setattr(time, "process_time", lambda: 3.0)
    clock.began = time.monotonic() - 3
    assert 1 < clock.deadline(5).left_s <= 2
    monkeypatch.setattr(time, "process_time", lambda: 1.5)  # half a core: as much again is kept
    assert 6.5 < clock.deadline(10).left_s <= 6.6
    monkeypatch.setattr(time, "process_time", lambda: 0.0)
    assert 4.4 < clock.deadline(10).left_s <= 4.5


def test_work_that_is_late_is_left_alone() -> None:
    """Native code that does not look at its clock holds nobody up; what is in time is returned."""
    release = threading.Event()
    assert within(Deadline.after(100), lambda: 7) == 7
    with pytest.raises(ValueError, match="broken"):
        within(Deadline.after(100), lambda: int("broken"))
    with pytest.raises(OutOfTimeError):
        within(Deadline.after(-1), release.wait, grace_s=0.0)
    late = left_running.pop()
    assert late.is_alive()
    release.set()
    late.join()
