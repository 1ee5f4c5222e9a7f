"""Work that a command does: its progress on standard error, and Ctrl-C that stops it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from numaplace.commands.console import Console
from numaplace.commands.interrupt import ABORTED, run_interruptibly
from numaplace.commands.output import remark
from numaplace.commands.progress import ProgressLine
from numaplace.models.errors import WriteError
from numaplace.models.instance import Instance
from numaplace.models.result import Result
from numaplace.solver.compare.solvers import Row, compare
from numaplace.solver.deadline import AFTER_S, COMMAND_CLOCK
from numaplace.solver.parallel import JobEngine
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve

AFTER_S_PER_THING = 1e-4
DRAW_S = 1.2
"""Seconds of a core that a picture or page takes, most of them to load what draws it."""
T = TypeVar("T")


def on_terminal(
    work: Callable[[ProgressLine, Callable[[], bool]], T], label: str, *, quiet: bool = False
) -> T:
    """Do work that shows its progress on standard error and that Ctrl-C stops.

    The arguments of `work` are the line that shows progress, and what tells whether to stop.
    `label` says what is being done, `quiet` shows nothing.
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
        except OSError as error:  # one without a file would be taken for standard output's
            if error.filename is None:
                raise WriteError("work", "", f"failed: {error.strerror or error}") from None
            raise


def watched(
    params: SolveParams,
    line: ProgressLine,
    stop: Callable[[], bool],
    *instances: Instance,
    drawn: bool = False,
) -> SolveParams:
    """Return parameters that report to a line and end with the command's time, or at a wish.

    What it takes to check and print plans for `instances`, and to draw one, is kept of the time.
    """
    things = sum(len(instance.places) + 2 * len(instance.vms) for instance in instances)
    after_s = AFTER_S + AFTER_S_PER_THING * things + DRAW_S * drawn
    until = COMMAND_CLOCK.deadline(params.time_limit_s, stop, after_s=after_s)
    return replace(params, on_progress=line.report, should_stop=stop, deadline=until)


def solve_on_terminal(
    instance: Instance,
    solver: str,
    params: SolveParams,
    *,
    quiet: bool = False,
    drawn: bool = False,
) -> Result:
    """Solve an instance as `on_terminal` does work."""
    return on_terminal(
        lambda line, stop: solve(
            instance, solver, watched(params, line, stop, instance, drawn=drawn)
        ),
        f"{solver} plans {instance.name}".rstrip(),
        quiet=quiet,
    )


def compare_on_terminal(
    instances: Sequence[tuple[str, Instance]],
    solvers: Sequence[str],
    params: SolveParams,
    seeds: Sequence[int],
    engine: JobEngine,
    *,
    quiet: bool = False,
    drawn: bool = False,
) -> tuple[Row, ...]:
    """Compare solvers as `on_terminal` does work."""
    failed: list[str] = []
    rows = on_terminal(
        lambda line, stop: compare(
            instances,
            solvers,
            watched(params, line, stop, *(instance for _, instance in instances), drawn=drawn),
            seeds,
            engine=engine,
            on_done=line.count("solves"),
            on_failed=failed.append,
        ),
        "comparing",
        quiet=quiet,
    )
    for words in failed:
        remark(words)
    return rows
