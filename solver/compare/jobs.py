"""Independent jobs, in processes of their own, that an interrupt ends with what is done by then."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for
from multiprocessing.synchronize import Event as ProcessEvent
from typing import TypeVar

J = TypeVar("J")
R = TypeVar("R")
Stop = Callable[[], bool]
Work = Callable[[J, Stop], R | None]

POLL_S = 0.1
ORPHANED = 1

_stop: ProcessEvent | None = None


def run_jobs(
    jobs: Sequence[J], work: Work[J, R], *, processes: int = 1, should_stop: Stop | None = None
) -> Iterator[tuple[J, R]]:
    """Run jobs, first things first, and yield those that came to their end, as they do.

    `work` does a job; it asks its second argument often whether to stop, and returns None if it did
    before the job came to its end. It travels to other processes, as do jobs and results, but with
    1 of them all run in this one. Once `should_stop`, asked often, answers True, jobs that have not
    begun are left out.
    """
    stopped = should_stop or (lambda: False)
    if processes <= 1 or len(jobs) <= 1:
        for job in jobs:
            result = None if stopped() else work(job, stopped)
            if result is not None:
                yield job, result
        return
    # Not forked: this process has threads. What a job needs travels with it.
    context = get_context("spawn")
    stop = context.Event()
    left = list(reversed(jobs))
    running: dict[Future[R | None], J] = {}
    with ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(stop,)) as pool:
        while left or running:
            if stopped():
                stop.set()
                left.clear()
            while left and len(running) < 2 * processes:
                job = left.pop()
                running[pool.submit(_perform, work, job)] = job
            for future in wait(running, POLL_S, FIRST_COMPLETED).done:
                job, result = running.pop(future), future.result()
                if result is not None:
                    yield job, result


def _begin(stop: ProcessEvent) -> None:
    """Prepare a process: Ctrl-C and SIGTERM are its parent's business, which sets `stop`."""
    global _stop
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _stop = stop
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave when the parent is gone: a second Ctrl-C ends it without a word to its processes."""
    parent = parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(ORPHANED)


def _stopped() -> bool:
    return _stop is not None and _stop.is_set()


def _perform(work: Work[J, R], job: J) -> R | None:
    """Do a job in a process of the pool."""
    return None if _stopped() else work(job, _stopped)
