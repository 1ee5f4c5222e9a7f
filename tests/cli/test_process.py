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

NUMAPLACE = [sys.executable, "-m", "numaplace"]
HEAVY = ("ortools", "pulp", "highspy", "matplotlib", "pydantic", "numpy", "yaml", "jinja2")


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
    """A full disk behind standard output: exit code 5 and one line, however much is written."""
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
    assert (done.returncode, done.stderr) == (5, words)


def test_ascii_output_is_no_error(instance: Path) -> None:
    """A terminal that knows only ASCII gets question marks, not a traceback."""
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = _run("solve", instance, "--solver", "greedy", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "vm1" in done.stdout


def _let_work(process: subprocess.Popen[str], cpu_s: float) -> None:
    """Wait until a process has had some time on CPUs: on a busy machine that takes longer."""
    stat, ticks = Path(f"/proc/{process.pid}/stat"), os.sysconf("SC_CLK_TCK")
    if not stat.exists():
        time.sleep(cpu_s)
    for _ in range(1000):
        fields = stat.read_text().rpartition(")")[2].split() if stat.exists() else []
        if not fields or int(fields[11]) + int(fields[12]) > cpu_s * ticks:
            return
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]])
def test_a_signal_hands_over_the_plan(tmp_path: Path, signals: list[signal.Signals]) -> None:
    """The first Ctrl-C, or SIGTERM (`timeout` sends two), ends the search: best plan, code 0."""
    hard, plan = tmp_path / "hard.json", tmp_path / "plan.json"
    assert _run("generate", "24n", "--seed", 1, "--out", hard, "-q").returncode == 0
    command = [*NUMAPLACE, "solve", str(hard), "--time", "180", "--json", "--out", str(plan)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        _let_work(process, 8)
        assert process.poll() is None, "solved too soon for this test"
        for number in signals:
            process.send_signal(number)
        out, err = process.communicate(timeout=50)
    document = json.loads(out)
    assert (process.returncode, err) == (0, "")
    assert document["plan"]["placements"] and document["runtime_s"] < 170
    assert json.loads(plan.read_text())["placements"] == document["plan"]["placements"]


STUBBORN = """\
import sys, time
import numaplace.commands.running as running
def stubborn(instance, solver, params):
    print('ready', file=sys.stderr, flush=True)
    while not ({again} and params.stopped):
        time.sleep(0.01)
    return solve(instance, 'greedy')
solve, running.solve = running.solve, stubborn
from numaplace.cli import main
main()
"""


@pytest.mark.parametrize(
    "command",
    [
        "solve {small}",
        "report {small} --out {out}.html",
        "balloon {small} --out {out}.json",
        "simulate {small} --solver cpsat --time 0.1",
    ],
)
def test_sigterm_is_the_first_ctrl_c(instance: Path, tmp_path: Path, command: str) -> None:
    """Whatever solves hands over what it has, writes its files and ends with code 0."""
    arguments = command.format(small=instance, out=tmp_path / "out").split()
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN.format(again=True), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=40)
    assert process.returncode == 0
    assert out or "report written" in err
    assert "--out" not in arguments or list(tmp_path.glob("out.*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after_s", [0.1, 0.3])
def test_signals_while_it_starts_are_quiet(number: signal.Signals, after_s: float) -> None:
    """Imports that are interrupted show no traceback; there is nothing to hand over."""
    code = (
        "import os, sys, threading\n"
        "from numaplace.__main__ import main\n"
        "sys.argv = ['numaplace', 'generate', 'fleet', '--set', 'vms=20000', '--set', 'hosts=99']\n"
        f"threading.Timer({after_s}, os.kill, (os.getpid(), {number:d})).start()\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_second_ctrl_c_aborts(instance: Path) -> None:
    """A solver that does not end when asked to is left behind: exit code 130, no traceback."""
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN.format(again=False), "solve", str(instance)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert process.poll() is None, "SIGTERM is never the second Ctrl-C"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "")


# ---- streams that are closed or missing --------------------------------------------------------


def _shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = " ".join(NUMAPLACE)
    return subprocess.run(
        ["sh", "-c", line.replace("numaplace", command)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
    )


CLOSED = "numaplace: error: standard output cannot be written (it is closed)\n"


@pytest.mark.skipif(os.name != "posix", reason="needs a shell that closes streams")
@pytest.mark.parametrize(
    ("line", "code", "err"),
    [
        ("numaplace catalog >&-", 5, CLOSED),
        ("numaplace --version >&-", 5, CLOSED),
        ("numaplace solve talk-2 --out p.json --time 5 >&-", 5, CLOSED),
        ("numaplace solve talk-2 --out p.json --time 5 -q >&-", 0, ""),
        ("numaplace solve talk-2 --out p.json --time 5 <&-", 0, ""),
        ("numaplace solve talk-2 --out p.json --time 5 2>&-", 0, ""),
        ("numaplace solve talk-2 --out p.json --time 5 | true", 0, ""),
        ("numaplace solve nowhere 2>&-", 2, ""),
        ("numaplace solve nowhere <&- >&- 2>&-", 2, ""),
        (
            "numaplace show - <&-",
            2,
            "numaplace: error: -: file: cannot be read (standard input is closed)\n",
        ),
    ],
)
def test_closed_streams(tmp_path: Path, line: str, code: int, err: str) -> None:
    """Each gives a message or goes on; files are written all the same."""
    done = _shell(line, tmp_path)
    assert (done.returncode, done.stderr) == (code, err)
    assert ("--out" in line) == (tmp_path / "p.json").exists()
