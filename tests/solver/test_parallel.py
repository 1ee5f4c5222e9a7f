"""Jobs side by side: the same comes of them everywhere, an end is kept, nobody stays behind."""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from numaplace.models.errors import InputError
from numaplace.solver import parallel
from numaplace.solver.deadline import Deadline
from numaplace.solver.parallel import ONE_BY_ONE, JobEngine, run_parallel
from numaplace.tests.solver.job_samples import (
    dies,
    fails,
    left_s,
    never_ends,
    processes,
    square,
    until_over,
)

TWO = JobEngine(jobs=2)
here_and_beside = pytest.mark.parametrize("engine", [ONE_BY_ONE, TWO])


@pytest.fixture(scope="module")
def dask_of_two() -> Iterator[JobEngine]:
    """A Dask cluster with two workers, as processes of their own."""
    dask, distributed = map(pytest.importorskip, ("dask", "distributed"))
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    tries = dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with tries, distributed.LocalCluster(silence_logs=logging.CRITICAL, **settings) as cluster:
        engine = JobEngine("dask", cluster.scheduler_address)
        yield engine
        from numaplace.solver.clusters import dask_client

        dask_client(engine).close()


@here_and_beside
def test_results_are_in_the_order_of_jobs(engine: JobEngine) -> None:
    told: list[tuple[int, int]] = []
    jobs = [3, -1, 5, 4]
    found = run_parallel(square, jobs, engine=engine, on_result=lambda *pair: told.append(pair))
    assert found.results == [9, None, 25, 16]
    assert found.failed == {}
    assert sorted(told) == [(3, 9), (4, 16), (5, 25)]
    assert run_parallel(square, [], engine=engine).results == []


@here_and_beside
def test_a_stop_keeps_what_is_done(engine: JobEngine) -> None:
    """What was done by then is handed over, what has begun ends, the rest is left out."""
    told: list[int] = []
    found = run_parallel(
        until_over,
        [0, 1, 2, 3, 4],
        engine=engine,
        until=Deadline(should_stop=lambda: bool(told)),
        on_result=lambda job, _: told.append(job),
    )
    assert found.results == [0, None, None, None, None]


@here_and_beside
def test_jobs_end_in_time(engine: JobEngine) -> None:
    run_parallel(square, [1, 2], engine=engine)  # the processes are there
    began = time.monotonic()
    found = run_parallel(until_over, [0, 1, 2, 3], engine=engine, until=Deadline.after(0.5))
    assert found.results == [0, None, None, None]
    assert time.monotonic() - began < 5


@here_and_beside
def test_nothing_is_begun_after_the_end(engine: JobEngine) -> None:
    assert run_parallel(square, [1, 2], engine=engine, until=Deadline(0)).results == [None, None]


def test_who_does_not_hear_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    run_parallel(square, [1, 2], engine=TWO)
    monkeypatch.setattr(parallel, "GRACE_S", 0.2)
    began = time.monotonic()
    found = run_parallel(never_ends, [1, 2, 3], engine=TWO, until=Deadline.after(0.2))
    assert found.results == [None] * 3
    assert time.monotonic() - began < 20
    assert run_parallel(square, [1, 2], engine=TWO).results == [1, 4]


@here_and_beside
def test_time_is_shared_fairly(engine: JobEngine) -> None:
    until = Deadline.after(400)
    found = run_parallel(left_s, range(4), engine=engine, until=until, fair=True).results
    shares = [100, 133, 200, 400] if engine is ONE_BY_ONE else [200, 267, 400, 400]
    assert found == pytest.approx(shares, abs=30)
    assert run_parallel(left_s, range(3), engine=engine).results == [math.inf] * 3


@here_and_beside
def test_what_a_job_raises_is_raised(engine: JobEngine) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run_parallel(fails, [0, 1, 0], engine=engine)
    if engine is TWO:
        assert "in fails" in caught.value.__notes__[0]


def test_who_dies_takes_nobody_along() -> None:
    """The job has a second try, alone; then it counts as failed, and says why."""
    found = run_parallel(dies, range(6), engine=TWO)
    assert found.results == [0, 1, 4, None, 16, 25]
    assert list(found.failed) == [3]
    assert "unexpectedly terminated; The exit codes of the workers are {EXIT(7)}" in found.failed[3]


def test_jobs_of_jobs_are_run_one_by_one() -> None:
    for numbers in run_parallel(processes, range(2), engine=TWO).results:
        assert numbers is not None
        assert len(set(numbers)) == 1
        assert os.getpid() not in numbers


def test_dask_gives_the_same(dask_of_two: JobEngine) -> None:
    """A real cluster of two; the death of a worker is survived as well."""
    jobs = [3, -1, *range(20)]
    assert run_parallel(square, jobs, engine=dask_of_two) == run_parallel(square, jobs)
    ends = run_parallel(until_over, [0, 1, 2], engine=dask_of_two, until=Deadline.after(1))
    assert ends.results == [0, None, None]
    found = run_parallel(dies, range(6), engine=dask_of_two)
    assert found.results == [0, 1, 4, None, 16, 25]
    assert "workers died while running it" in found.failed[3]


@pytest.mark.parametrize(
    ("text", "engine"),
    [
        ("loky", JobEngine("loky", "", 3)),
        ("dask", JobEngine("dask", "", 3)),
        ("dask=tcp://host:8786", JobEngine("dask", "tcp://host:8786", 3)),
        ("ray=ray://host:10001", JobEngine("ray", "ray://host:10001", 3)),
    ],
)
def test_engines_are_told(text: str, engine: JobEngine) -> None:
    assert JobEngine.parse(text, 3) == engine


@pytest.mark.parametrize("text", ["", "spark", "dask=", "loky=host", "=x"])
def test_engines_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="--parallel"):
        JobEngine.parse(text)


@pytest.mark.parametrize(
    ("engine", "reason"),
    [
        (JobEngine("dask", "nonsense://host"), "cannot reach dask nonsense://host"),
        (JobEngine("ray", "host"), r"needs ray: pip install 'numaplace\[ray\]'"),
    ],
)
def test_clusters_that_are_not_there(engine: JobEngine, reason: str) -> None:
    if engine.name == "dask":
        pytest.importorskip("distributed")
    with pytest.raises(InputError, match=reason):
        run_parallel(square, [1, 2], engine=engine)


_PARENT = """
import os, sys, threading
from numaplace.solver.parallel import JobEngine, run_parallel
from numaplace.tests.solver.job_samples import tell_and_wait
threading.Thread(target=lambda: (sys.stdin.readline(), os._exit(130)), daemon=True).start()
run_parallel(tell_and_wait, [0, 1], engine=JobEngine(jobs=2))
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no such files on this system")
def test_processes_end_with_their_parent() -> None:
    """A second Ctrl-C leaves at once; its processes do not go on without it."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None and parent.stdout is not None
        children = [int(parent.stdout.readline()) for _ in range(2)]
        assert all(_is_alive(child) for child in children)
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert parent.wait(10) == 130
        # The pipe ends once all who could write to it are gone: this returns, or hangs.
        assert parent.stdout.read() == ""
    assert not any(_is_alive(child) for child in children)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except (ProcessLookupError, FileNotFoundError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
