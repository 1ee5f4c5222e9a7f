"""Jobs for tests, in a module that other processes can import."""

from __future__ import annotations

import os
import time
from typing import NoReturn

from numaplace.solver.deadline import Deadline
from numaplace.solver.parallel import JobEngine, run_parallel
from numaplace.solver.placing.offer import Offer


def square(job: int, _until: Deadline) -> int | None:
    """The square; negative jobs do not come to their end."""
    return None if job < 0 else job * job


def until_over(job: int, until: Deadline) -> int | None:
    """Job 0 ends at once, all others when they are to."""
    while job and not until.over:
        time.sleep(0.01)
    return None if job else 0


def dies(job: int, _until: Deadline) -> int:
    """The square, but job 3 takes its process with it."""
    time.sleep(0.02)
    if job == 3:
        os._exit(7)
    return job * job


def fails(job: int, _until: Deadline) -> int:
    """Job 0 cannot be done."""
    return 1 // job


def left_s(_job: int, until: Deadline) -> float:
    """Seconds that the job may take."""
    return until.left_s


def never_ends(_job: int, _until: Deadline) -> int:
    """Hear nothing."""
    time.sleep(60)
    return 0


def tell_and_wait(_job: int, _until: Deadline) -> int:
    """Print the process's number, and never end."""
    print(os.getpid(), flush=True)
    time.sleep(60)
    return 0


def fatal(_offer: Offer) -> NoReturn:
    """A policy that nobody survives."""
    os._exit(7)


def process(_job: int, _until: Deadline) -> int:
    """Number of the process."""
    return os.getpid()


def processes(_job: int, _until: Deadline) -> list[int | None]:
    """Numbers of the processes that do jobs of this job."""
    return run_parallel(process, range(4), engine=JobEngine(jobs=2)).results
