"""Jobs in processes: every result once, a stop keeps what is done, nobody stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from numaplace.solver.compare.jobs import run_jobs
from numaplace.tests.solver.compare.job_samples import square, until_stopped


@pytest.mark.parametrize("processes", [1, 2])
def test_every_result_comes_once(processes: int) -> None:
    found = dict(run_jobs([3, -1, 5, 4], square, processes=processes))
    assert found == {3: 9, 5: 25, 4: 16}
    assert list(run_jobs([], square, processes=processes)) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_a_stop_keeps_what_is_done(processes: int) -> None:
    """What was done by then is handed over, what has begun ends, the rest is left out."""
    found: list[tuple[int, int]] = []
    for result in run_jobs(
        [0, 1, 2, 3, 4], until_stopped, processes=processes, should_stop=lambda: bool(found)
    ):
        found.append(result)
    assert found == [(0, 0)]


def test_a_stop_before_the_first_job() -> None:
    assert list(run_jobs([1, 2], square, should_stop=lambda: True)) == []


_PARENT = """
import os, sys, threading
from numaplace.solver.compare.jobs import run_jobs
from numaplace.tests.solver.compare.job_samples import tell_and_wait
if __name__ == "__main__":
    threading.Thread(target=lambda: (sys.stdin.readline(), os._exit(130)), daemon=True).start()
    list(run_jobs([0, 1], tell_and_wait, processes=2))
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
