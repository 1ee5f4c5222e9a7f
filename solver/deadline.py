"""When work must end: one clock and one stop flag for a solve and all that happens in it."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class OutOfTimeError(Exception):
    """Work that its deadline ended; whoever can do without the work catches it."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment by which something must be done, or the caller's wish to stop before.

    Parameters
    ----------
    end
        Value of `time.monotonic`.
    should_stop
        Answers True once the caller wants what there is.
    """

    end: float = math.inf
    should_stop: Callable[[], bool] | None = None

    @classmethod
    def after(cls, seconds: float, should_stop: Callable[[], bool] | None = None) -> Deadline:
        """Return the deadline some seconds from now."""
        return cls(time.monotonic() + seconds, should_stop)

    @property
    def left_s(self) -> float:
        """Seconds left, 0 when it is over."""
        return 0.0 if self.stopped else max(0.0, self.end - time.monotonic())

    @property
    def stopped(self) -> bool:
        """Whether the caller wants to end, whatever time is left."""
        return self.should_stop is not None and self.should_stop()

    @property
    def over(self) -> bool:
        """Whether nothing more should be begun."""
        return time.monotonic() >= self.end or self.stopped

    def check(self) -> None:
        """Go on if there is time; cheap enough for every VM, node or pair of a loop.

        Raises
        ------
        OutOfTimeError
            If it is over.
        """
        if self.over:
            raise OutOfTimeError

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items as long as there is time, see `check`."""
        for item in items:
            self.check()
            yield item

    def share(self, part: float, most_s: float = math.inf) -> Deadline:
        """Return the deadline of a piece of work that may take a part of what is left."""
        end = time.monotonic() + min(most_s, part * self.left_s)
        return Deadline(min(self.end, end), self.should_stop)

    def earlier(self, seconds: float) -> Deadline:
        """Return a deadline some seconds before this one."""
        return Deadline(self.end - seconds, self.should_stop)


NEVER = Deadline()
"""The deadline of work that may take as long as it takes."""

POLL_S = 0.05
GRACE_S = 0.3
"""Seconds for code that is not Python to end by itself after its deadline."""

# Seconds of a core that checking and printing take, about, and the share of the time that may be
# kept for them where other work has the machine; less than a moment says nothing of how busy it is.
AFTER_S = 0.4
RESERVE_SHARE = 0.25
MOMENT_S = 0.1

left_running: list[threading.Thread] = []
"""Threads that did not come back in time: a process should end without waiting for them."""


def within(until: Deadline, work: Callable[[], T], grace_s: float = GRACE_S) -> T:
    """Return what `work` returns if it does so by its deadline, or shortly after.

    Solvers look at their clock between steps, and some steps (loading, presolve) have no bound.
    Work that is late goes on in a thread of its own, to be forgotten.

    Raises
    ------
    OutOfTimeError
        If it is late.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    over_since: float | None = None
    while worker.is_alive():
        worker.join(POLL_S)
        over_since = (over_since or time.monotonic()) if until.over else None
        if over_since is not None and time.monotonic() > over_since + grace_s:
            left_running.append(worker)
            raise OutOfTimeError
    if errors:
        raise errors[0]
    return results[0]


@dataclass(slots=True)
class CommandClock:
    """When the command that this process is began; None in any other process."""

    began: float | None = None

    def start(self) -> None:
        """Count from the start of the process: interpreter, imports and reading take time too."""
        self.began = time.monotonic() - _process_age_s()

    def deadline(
        self,
        seconds: float,
        should_stop: Callable[[], bool] | None = None,
        *,
        after_s: float = AFTER_S,
    ) -> Deadline:
        """Return the deadline some seconds after the command began, from now in a library.

        It is earlier if checking and printing, `after_s` seconds of a core, would take it too far;
        where the machine is busy, they are as slow as the start was.
        """
        now = time.monotonic()
        if self.began is None:
            return Deadline(now + seconds, should_stop)
        slow = max(1.0, (now - self.began) / max(MOMENT_S, time.process_time()))
        reserve_s = min(RESERVE_SHARE * seconds, max(0.0, after_s * slow - AFTER_S))
        return Deadline(self.began + seconds - reserve_s, should_stop)


COMMAND_CLOCK = CommandClock()


def _process_age_s() -> float:
    """Seconds since the process started as the kernel knows it; 0 where it does not tell."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        ticks = int(fields.rpartition(")")[2].split()[19])
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
    return max(0.0, age_s)
