"""Timers in simulated time."""

from hypothesis import given
from hypothesis import strategies as st

from numaplace.solver.simulator.clock import Clock


def test_a_timer_set_anew_runs_out_once_when_it_was_told_last() -> None:
    clock, seen = Clock(), []
    timer = clock.timer(lambda name: seen.append((clock.now, name)), "a")
    clock.set(timer, 5)
    clock.set(timer, 9)
    clock.run_until(6, lambda: None)
    assert (clock.now, seen) == (6, [])
    clock.set(timer, 7)
    clock.run_until(20, lambda: None)
    assert (seen, clock.events) == ([(7, "a")], 1)
    clock.set(timer, 30)
    clock.stop(timer)
    clock.run_until(40, lambda: None)
    assert len(seen) == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 3), st.integers(0, 40), st.booleans()),
        max_size=40,
    )
)
def test_a_clock_does_as_one_that_looks_at_every_microsecond(
    steps: list[tuple[int, int, int, bool]],
) -> None:
    """Each step: microseconds to wait, a timer, when it is to run out from then, or to stop it."""
    clock, seen = Clock(), []
    for number in range(4):
        clock.timer(lambda n: seen.append((clock.now, n)), number)
    due: dict[int, int] = {}
    expected, now = [], 0
    for wait, timer, after, stops in [*steps, (50, 0, 0, True)]:
        for at in range(now + 1, now + wait + 1):
            expected += [(at, n) for n in sorted(due) if due[n] == at]
            due = {n: t for n, t in due.items() if t != at}
        now += wait
        clock.run_until(now, lambda: None)
        if stops:
            clock.stop(timer)
            due.pop(timer, None)
        else:
            clock.set(timer, now + 1 + after)
            due[timer] = now + 1 + after
    assert sorted(seen) == sorted(expected)
    assert [at for at, _ in seen] == sorted(at for at, _ in seen)
