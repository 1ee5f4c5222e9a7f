"""Jobs for tests, in a module that other processes can import."""

from __future__ import annotations

import os
import time
from collections.abc import Callable


def square(job: int, _should_stop: Callable[[], bool]) -> int | None:
    """The square; negative jobs do not come to their end."""
    return None if job < 0 else job * job


def until_stopped(job: int, should_stop: Callable[[], bool]) -> int | None:
    """Job 0 ends at once, all others when they are stopped."""
    while job and not should_stop():
        time.sleep(0.01)
    return None if job else 0


def tell_and_wait(_job: int, _should_stop: Callable[[], bool]) -> int:
    """Print the process's number, and never end."""
    print(os.getpid(), flush=True)
    time.sleep(60)
    return 0
