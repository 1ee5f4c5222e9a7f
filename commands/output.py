"""Printing: tables on standard output, remarks and progress on standard error."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import TextIOWrapper
from typing import TypeVar

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from numaplace.commands.interrupt import ABORTED, become_command, run_interruptibly
from numaplace.commands.progress import ProgressLine
from numaplace.models.errors import printable
from numaplace.models.instance import Instance
from numaplace.models.result import Result
from numaplace.solver.compare.solvers import Row, compare
from numaplace.solver.deadline import AFTER_S, COMMAND_CLOCK
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve

_PIPES = hasattr(signal, "SIGPIPE")
AFTER_S_PER_THING = 1e-4
T = TypeVar("T")


class Console(RichConsole):
    """A console on which names and texts from files cannot act."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Render with control and bidirectional characters escaped."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text, "\n"), style, control)

    def on_broken_pipe(self) -> None:
        """Leave it to the caller, who may have files to write."""
        raise


def prepare_streams() -> None:
    """Make streams and signals behave as those of a command: no error hides what was printed."""
    become_command()
    if _PIPES:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that goes away ends us quietly
    _replace_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _replace_closed() -> None:
    """Put something in the place of closed streams, or the next file to be opened would be it.

    Standard output fails when it is written to; standard error swallows what it is told.
    """
    for number, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def drop_output() -> None:
    """Forget what standard output could not take, so that Python does not try again at its end."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def printed(show: Callable[[], None], *, hold: bool) -> OSError | None:
    """Print, and return the error of standard output if it takes no more.

    With `hold`, a reader that went away is such an error, and does not end the process.
    """
    held = signal.signal(signal.SIGPIPE, signal.SIG_IGN) if hold and _PIPES else None
    try:
        show()
        sys.stdout.flush()
    except OSError as error:
        return error
    finally:
        if held is not None:
            signal.signal(signal.SIGPIPE, held)
    return None


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
    """Print a value as JSON, with characters that act on a terminal in JSON's own escapes."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if not text.isascii():
        text = "".join(
            char if char == "\n" or printable(char) == char else json.dumps(char)[1:-1]
            for char in text
        )
    print(text)


def answer(
    plain: Callable[[], object],
    views: Callable[[int], Sequence[RenderableType]],
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Print an answer as JSON, or show it in the terminal's width, or say nothing."""
    if as_json:
        print_json(plain())
    elif not quiet:
        show(views(width()))


def remark(text: str) -> None:
    """Print a line on standard error."""
    print(f"numaplace: {printable(text)}", file=sys.stderr)


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


def watched(
    params: SolveParams,
    line: ProgressLine,
    stop: Callable[[], bool],
    instance: Instance | None = None,
) -> SolveParams:
    """Return parameters that report to a line and end with the command's time, or at a wish.

    What it takes to check and print a plan for `instance` is kept of the time.
    """
    things = 0 if instance is None else len(instance.places) + 2 * len(instance.vms)
    after_s = AFTER_S + AFTER_S_PER_THING * things
    until = COMMAND_CLOCK.deadline(params.time_limit_s, stop, after_s=after_s)
    return replace(params, on_progress=line.report, should_stop=stop, deadline=until)


def solve_on_terminal(
    instance: Instance, solver: str, params: SolveParams, *, quiet: bool = False
) -> Result:
    """Solve an instance as `on_terminal` does work."""
    return on_terminal(
        lambda line, stop: solve(instance, solver, watched(params, line, stop, instance)),
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
            watched(params, line, stop),
            seeds,
            on_start=line.label,
        ),
        "comparing",
        quiet=quiet,
    )
