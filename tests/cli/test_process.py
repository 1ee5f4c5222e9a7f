"""The command as a process of its own: start-up, streams, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

NUMAPLACE = [sys.executable, "-c", "from numaplace.cli import main; main()"]
HEAVY = ("ortools", "pulp", "highspy", "matplotlib", "pydantic", "numpy", "yaml")


def _run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [*NUMAPLACE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload,no-any-return]


def test_help_imports_nothing_heavy() -> None:
    """Neither solvers nor pydantic nor matplotlib are loaded to print the help."""
    code = (
        "import sys\nsys.argv = ['numaplace', '--help']\nfrom numaplace.cli import main\n"
        f"try: main()\nfinally: print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"


def test_piped_json_is_pure(instance: Path) -> None:
    """Into a pipe: JSON only on standard output, nothing on standard error."""
    done = _run("solve", instance, "--json", "--workers", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["status"] == "optimal"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--version"], 0), (["solve", "nowhere"], 2), (["solve"], 2), (["catalog"], 0)],
)
def test_exit_codes(arguments: list[str], code: int) -> None:
    """The process ends with the documented code and without a traceback."""
    done = _run(*arguments)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == (1 if code else 0)


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="no such signal on this system")
def test_a_reader_that_goes_away_is_no_error() -> None:
    """`numaplace generate fleet | head -1` is quiet, whether or not it could write all before."""
    with subprocess.Popen(
        [*NUMAPLACE, "generate", "fleet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, -signal.SIGPIPE)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device on this system")
@pytest.mark.parametrize("arguments", [["--help"], ["catalog"], ["generate", "fleet"]])
def test_output_that_cannot_be_written_is_one_line(arguments: list[str]) -> None:
    """A full disk behind standard output: exit code 2 and one line, however much is written."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [*NUMAPLACE, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    words = "numaplace: error: standard output cannot be written (No space left on device)\n"
    assert (done.returncode, done.stderr) == (2, words)


def test_ascii_output_is_no_error(instance: Path) -> None:
    """A terminal that knows only ASCII gets question marks, not a traceback."""
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = _run("solve", instance, "--solver", "greedy", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "vm1" in done.stdout


@pytest.mark.slow
def test_ctrl_c_hands_over_the_plan(tmp_path: Path) -> None:
    """The first Ctrl-C ends the search: the best plan so far, exit code 0."""
    hard = tmp_path / "hard.json"
    assert _run("generate", "24n", "--seed", 1, "--out", hard).returncode == 0
    command = [*NUMAPLACE, "solve", str(hard), "--time", "60", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        time.sleep(8)
        assert process.poll() is None, "solved too soon for this test"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=50)
    document = json.loads(out)
    assert (process.returncode, err) == (0, "")
    assert document["plan"]["placements"] and document["runtime_s"] < 50


def test_second_ctrl_c_aborts(instance: Path) -> None:
    """A solver that does not end when asked to is left behind: exit code 130, no traceback."""
    code = (
        "import sys, time\n"
        "import numaplace.solver.report.terminal_output as output\n"
        "def stubborn(*_):\n"
        "    print('ready', file=sys.stderr, flush=True)\n"
        "    time.sleep(60)\n"
        "output.solve = stubborn\n"
        f"sys.argv = ['numaplace', 'solve', {str(instance)!r}]\n"
        "from numaplace.cli import main\nmain()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "")
