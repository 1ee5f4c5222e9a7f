"""Timers in simulated time: one heap, in which a timer that is set anew leaves no dead entries.

Most timers of a scheduler are set again long before they run out. Each keeps one entry in the heap,
no later than it is due; an entry that comes too early is put back.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush, heapreplace
from typing import Any

NEVER = 1 << 62
_TIMER_BITS = 20


class Clock:
    """Simulated time in whole microseconds.

    Of timers due at the same time the one made first goes first, so that nothing is left to chance.

    Attributes
    ----------
    now
        Time.
    events
        How many timers have run out.
    """

    def __init__(self) -> None:
        self.now = self.events = 0
        self._calls: list[tuple[Callable[[Any], None], Any]] = []
        self._due: list[int] = []
        self._entry: list[int] = []
        self._heap: list[int] = []

    def timer(self, call: Callable[[Any], None], argument: Any) -> int:
        """Return a new timer, not set; `call` is called with `argument` each time it runs out."""
        self._calls.append((call, argument))
        self._due.append(NEVER)
        self._entry.append(NEVER)
        return len(self._calls) - 1

    def set(self, timer: int, time_us: int) -> None:
        """Let a timer run out at a time, and not when it was set to before."""
        self._due[timer] = time_us
        if time_us < self._entry[timer]:
            self._entry[timer] = time_us
            heappush(self._heap, time_us << _TIMER_BITS | timer)

    def hasten(self, timer: int, time_us: int) -> None:
        """Let a timer run out at a time, if it would not before."""
        if time_us < self._due[timer]:
            self.set(timer, time_us)

    def stop(self, timer: int) -> None:
        """Let a timer not run out."""
        self._due[timer] = NEVER

    def run_until(self, time_us: int, then: Callable[[], None]) -> None:
        """Go on until a time; `then` is called after each timer that has run out."""
        heap, due, entry, calls = self._heap, self._due, self._entry, self._calls
        low, end = (1 << _TIMER_BITS) - 1, (time_us + 1) << _TIMER_BITS
        while heap and heap[0] < end:
            key = heap[0]
            now, timer = key >> _TIMER_BITS, key & low
            if entry[timer] != now:
                heappop(heap)
                continue
            wanted = due[timer]
            if now < wanted < NEVER:
                entry[timer] = wanted
                heapreplace(heap, wanted << _TIMER_BITS | timer)
                continue
            heappop(heap)
            entry[timer] = due[timer] = NEVER
            if wanted != now:
                continue
            self.now = now
            self.events += 1
            call, argument = calls[timer]
            call(argument)
            then()
        self.now = time_us
