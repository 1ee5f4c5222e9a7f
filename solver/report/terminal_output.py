"""Printing: tables on standard output, remarks and progress on standard error."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import TextIOWrapper
from typing import TypeVar

from rich.console import Console, RenderableType

from numaplace.models.instance import Instance
from numaplace.models.result import Result
from numaplace.solver.compare import Row, compare
from numaplace.solver.deadline import COMMAND_CLOCK
from numaplace.solver.interrupt import run_interruptibly
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.solver.report.terminal_progress import ProgressLine

ABORTED = 130
T = TypeVar("T")


def prepare_streams() -> None:
    """Make streams and signals behave as those of a command: no error hides what was printed."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that goes away ends us quietly
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def drop_output() -> None:
    """Forget what standard output could not take, so that Python does not try again at its end."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def width() -> int:
    """Columns of the terminal; 80 if standard output is none."""
    return Console().width


def show(views: Sequence[RenderableType]) -> None:
    """Print pieces with an empty line between them."""
    console = Console(highlight=False)
    for index, view in enumerate(views):
        if index:
            console.print()
        console.print(view)


def print_json(value: object) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def remark(text: str) -> None:
    """Print a line on standard error."""
    print(f"numaplace: {text}", file=sys.stderr)


def on_terminal(
    work: Callable[[ProgressLine, Callable[[], bool]], T], label: str, *, quiet: bool = False
) -> T:
    """Do work that shows its progress on standard error and that Ctrl-C stops.

    Parameters
    ----------
    work
        Its arguments: the line that shows progress, and what tells whether to stop.
    label
        What is being done.
    quiet
        Whether to show nothing.
    """
    line = ProgressLine(Console(stderr=True, highlight=False), label, quiet=quiet)
    with line:
        try:
            return run_interruptibly(
                lambda stop: work(line, stop), lambda: line.note("stopping, Ctrl-C again aborts")
            )
        except KeyboardInterrupt:
            line.close()
            sys.stderr.flush()
            # Native threads are still at work: leave without waiting for them.
            os._exit(ABORTED)


def solve_on_terminal(
    instance: Instance, solver: str, params: SolveParams, *, quiet: bool = False
) -> Result:
    """Solve an instance as `on_terminal` does work."""
    return on_terminal(
        lambda line, stop: solve(
            instance,
            solver,
            replace(
                params,
                on_progress=line.report,
                should_stop=stop,
                deadline=COMMAND_CLOCK.deadline(params.time_limit_s, stop),
            ),
        ),
        f"{solver} plans {instance.name}".rstrip(),
        quiet=quiet,
    )


def compare_on_terminal(
    instances: Sequence[tuple[str, Instance]],
    solvers: Sequence[str],
    params: SolveParams,
    seeds: Sequence[int],
    *,
    quiet: bool = False,
) -> tuple[Row, ...]:
    """Compare solvers as `on_terminal` does work."""
    return on_terminal(
        lambda line, stop: compare(
            instances,
            solvers,
            replace(params, on_progress=line.report, should_stop=stop),
            seeds,
            on_start=line.label,
        ),
        "comparing",
        quiet=quiet,
    )
