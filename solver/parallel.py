"""Jobs that need nothing of one another, side by side: in processes here, or on a cluster.

joblib deals them out. What it leaves open is done here: one end and one stop for all jobs, nobody
left behind, and a worker that dies takes no other job with it.
"""

from __future__ import annotations

import math
import os
import queue
import signal
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from numaplace.models.errors import InputError, check_int
from numaplace.solver.deadline import NEVER, Deadline, left_running

J = TypeVar("J")
R = TypeVar("R")
Work = Callable[[J, Deadline], R | None]
"""Does a job until a deadline that it looks at often; None if it did not come to its end."""
Outcome = tuple[int, Any, Exception | None]
"""Number of a job, its result, and what it raised."""
ALL = -1
"""Number of all jobs that have begun."""

LOKY, DASK, RAY = "loky", "dask", "ray"
POLL_S = 0.05
GRACE_S = 5.0
"""Seconds that running jobs have to hand over what they have, once they are to end."""
ORPHANED = 1


@dataclass(frozen=True, slots=True)
class JobEngine:
    """Where jobs run.

    Parameters
    ----------
    name
        ``loky`` (processes on this machine), ``dask`` or ``ray``.
    address
        Of the cluster of Dask or Ray; empty: the one this process is connected to, or its own.
    jobs
        How many at the same time; 0: one per core of the machine or cluster.
    """

    name: str = LOKY
    address: str = ""
    jobs: int = 0

    @classmethod
    def parse(cls, text: str, jobs: int = 0, option: str = "--workers") -> JobEngine:
        """Read what `--parallel` says: a name, a number of processes, ``dask=tcp://host:8786``.

        `InputError` if it is none of these.
        """
        if text.isdecimal() and not jobs:
            return cls.parse(LOKY, int(text[:9]), "--parallel")
        name, equals, address = text.partition("=")
        if name not in (LOKY, DASK, RAY) or bool(equals) != bool(address):
            reason = f"must be {LOKY}, {DASK}[=ADDRESS] or {RAY}[=ADDRESS], not {text!r:.60}"
            raise InputError("jobs", "--parallel", reason)
        if name == LOKY and address:
            raise InputError("jobs", "--parallel", f"{LOKY} has no address")
        check_int("jobs", option, jobs, 0, 1024)
        return cls(name, address, jobs)

    @property
    def num_jobs(self) -> int:
        """Jobs at the same time; a cluster is asked for its size, `InputError` if there is none."""
        if self.jobs:
            return self.jobs
        if self.name == LOKY:
            return os.cpu_count() or 1
        from numaplace.solver.clusters import connected

        return connected(self).size


ONE_BY_ONE = JobEngine(jobs=1)
"""In this process."""


class LostError(Exception):
    """A job that its engine has lost; says why on one line."""

    def __init__(self, why: Exception) -> None:
        lines = [line for line in str(why).splitlines() if line and "traceback" not in line]
        super().__init__("; ".join(line.partition(". ")[0] for line in lines) or repr(why))


@dataclass(frozen=True, slots=True)
class Outcomes(Generic[R]):
    """What came of jobs, in their order: None for those that did not come to their end.

    `failed` has, by the number of the job, why its worker died, twice.
    """

    results: list[R | None]
    failed: dict[int, str]


def run_parallel(
    work: Work[J, R],
    jobs: Sequence[J],
    *,
    engine: JobEngine = ONE_BY_ONE,
    until: Deadline = NEVER,
    fair: bool = False,
    on_result: Callable[[J, R], None] | None = None,
) -> Outcomes[R]:
    """Run jobs, first things first; what comes of them does not depend on the engine.

    Parameters
    ----------
    work
        Does a job. It travels to other processes, as do jobs and results; what it raises ends all.
    jobs
        What there is to do. Jobs that run jobs themselves do so one by one.
    engine
        Where; on this machine one job at a time is run in this process.
    until
        When to end. Jobs that have not begun are left out, those that run are told, and left behind
        after `GRACE_S` (processes of this machine end). Other machines only know the time.
    fair
        Whether a job gets only its share of the time that is left.
    on_result
        Told every result as it comes, in this thread.

    Raises
    ------
    InputError
        If the engine is not installed, or cannot be reached.
    """
    found: Outcomes[R] = Outcomes([None] * len(jobs), {})
    here = engine.name == LOKY and min(engine.num_jobs, len(jobs)) <= 1
    if here or _running or not jobs:
        outcomes = _here(work, jobs, until, fair)
    else:
        outcomes = _Elsewhere(work, jobs, engine, until, fair).outcomes(found.failed)
    with closing(outcomes):
        for index, result, error in outcomes:
            if error is not None:
                raise error
            found.results[index] = result
            if result is not None and on_result is not None:
                on_result(jobs[index], result)
    return found


def _here(
    work: Work[J, R], jobs: Sequence[J], until: Deadline, fair: bool
) -> Generator[Outcome, None, None]:
    for index, job in enumerate(jobs):
        if until.over:
            return
        yield index, work(job, until.share(1 / (len(jobs) - index)) if fair else until), None


class _Elsewhere(Generic[J, R]):
    """Jobs that joblib deals out and collects, in a thread of its own."""

    def __init__(
        self, work: Work[J, R], jobs: Sequence[J], engine: JobEngine, until: Deadline, fair: bool
    ) -> None:
        self._work, self._jobs, self._until, self._fair = work, jobs, until, fair
        self._backend: Any = LOKY
        self._size = engine.num_jobs
        if engine.name != LOKY:
            from numaplace.solver.clusters import connected

            self._backend = connected(engine)
        handle, self._go = tempfile.mkstemp(prefix="numaplace-go-")
        os.close(handle)
        self._ended = False

    def outcomes(self, failed: dict[int, str]) -> Generator[Outcome, None, None]:
        """Yield outcomes as they come, and put into `failed` why others will not.

        Jobs that were lost are run again, each alone: nobody knows which one ended the process.
        """
        left, alone = deque(range(len(self._jobs))), deque[int]()
        try:
            while (left or alone) and not self._until.over:
                together = bool(left)
                now = left or deque([alone.popleft()])
                begun = set[int]()
                for index, result, error in self._collected(now, begun):
                    begun.discard(index)
                    if not isinstance(error, LostError):
                        yield index, result, error
                        continue
                    if index == ALL and not begun:  # the engine does not work at all
                        raise error
                    lost = sorted(begun) if index == ALL else [index]
                    if together:
                        alone.extend(lost)
                    elif not self._until.over:
                        failed[lost[0]] = str(error)
        finally:
            self._end()

    def _end(self) -> None:
        self._ended = True
        Path(self._go).unlink(missing_ok=True)

    def _collected(self, now: deque[int], begun: set[int]) -> Iterator[Outcome]:
        """Yield outcomes as long as there is time; the last is of `ALL` if the engine broke."""
        found: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        thread = threading.Thread(target=self._deal, args=(now, begun, found.put), daemon=True)
        thread.start()
        ends = math.inf
        while time.monotonic() < ends:
            if self._until.over and not self._ended:
                self._end()
                ends = time.monotonic() + GRACE_S + 1
            with suppress(queue.Empty):
                outcome = found.get(timeout=POLL_S)
                if outcome is None:
                    return
                yield outcome
        left_running.append(thread)

    def _deal(self, now: deque[int], begun: set[int], put: Callable[[Any], None]) -> None:
        """Put outcomes, and None last."""
        from joblib import Parallel, delayed

        def errands() -> Iterator[Any]:
            while now and not self._ended and not self._until.over:
                share = min(1.0, self._size / len(now)) if self._fair else 1.0
                left_s = self._until.share(share).end - time.monotonic()
                begun.add(index := now.popleft())
                yield delayed(_perform)(index, self._work, self._jobs[index], left_s, waiting)

        waiting = _Waiting(self._go, os.getpid() if self._backend is LOKY else None, GRACE_S)
        parallel = Parallel(
            max(2, self._size),  # with 1, it would be done in this process
            return_as="generator_unordered",
            backend=self._backend,
            pre_dispatch=self._size,
            batch_size=1,
            max_nbytes=None,  # or large arrays travel as files that cannot be written to
        )
        try:
            for outcome in parallel(errands()):
                put(outcome)
        except Exception as error:
            put((ALL, None, LostError(error)))
        put(None)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Who waits for jobs, until a file is gone, and a little longer; None: on any machine."""

    file: str
    process: int | None
    grace_s: float


class _Gone:
    """Whether jobs are to end, as far as can be heard: on another machine there is no file."""

    def __init__(self, waiting: _Waiting) -> None:
        self.waiting = waiting
        heard = waiting.process is not None or os.path.exists(waiting.file)
        self._looks_at = -math.inf if heard else math.inf
        self._since = math.inf

    def __call__(self) -> bool:
        now = time.monotonic()
        if now >= self._looks_at:
            self._looks_at = now + POLL_S
            if not os.path.exists(self.waiting.file):
                self._since = min(now, self._since)
        return self._since < math.inf

    @property
    def late(self) -> bool:
        """Whether nobody waits any longer."""
        return self() and time.monotonic() > self._since + self.waiting.grace_s


_running: list[_Gone] = []
"""What the jobs of this process listen to."""
_minding: list[threading.Thread] = []


def _perform(index: int, work: Work[J, R], job: J, left_s: float, waiting: _Waiting) -> Outcome:
    """Do a job, in a process for jobs."""
    if waiting.process is not None and not _minding:
        for number in (signal.SIGINT, signal.SIGTERM):  # who waits hears them
            signal.signal(number, signal.SIG_IGN)
        _minding.append(threading.Thread(target=_mind, args=(waiting.process,), daemon=True))
        _minding[0].start()
    _running.append(gone := _Gone(waiting))
    until = Deadline.after(left_s, gone)
    try:
        return index, None if until.over else work(job, until), None
    except Exception as error:
        error.add_note(traceback.format_exc())
        return index, None, error
    finally:
        _running.remove(gone)


def _mind(parent: int) -> None:
    """Leave when the parent is gone without a word, or does not wait any longer."""
    while os.getppid() == parent and not any(gone.late for gone in tuple(_running)):
        time.sleep(POLL_S)
    for gone in tuple(_running):
        Path(gone.waiting.file).unlink(missing_ok=True)
    os._exit(ORPHANED)
