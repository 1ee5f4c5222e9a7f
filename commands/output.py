"""Streams: answers on standard output, remarks on standard error."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import TYPE_CHECKING

from numaplace.commands.interrupt import become_command
from numaplace.models.errors import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

_PIPES = hasattr(signal, "SIGPIPE")


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
    from numaplace.commands.console import Console

    return Console().width


def show(views: Sequence[RenderableType]) -> None:
    """Print pieces with an empty line between them."""
    from numaplace.commands.console import Console

    console = Console(highlight=False)
    for index, view in enumerate(views):
        if index:
            console.print()
        console.print(view)


def print_json(value: object) -> None:
    """Print a value as JSON, with characters that act on a terminal in JSON's own escapes."""
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False)
    if not text.isascii():
        text = "".join(
            char if char == "\n" or printable(char) == char else json.dumps(char)[1:-1]
            for char in text
        )
    print(text)


def print_text(text: str) -> None:
    """Print lines as they are, but for characters that act on a terminal."""
    print(printable(text, "\n"), end="")


def remark(text: str) -> None:
    """Print a line on standard error."""
    print(f"numaplace: {printable(text)}", file=sys.stderr)
