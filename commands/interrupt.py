"""Work that a signal stops gently: Ctrl-C or SIGTERM ask it to hand over what it has.

A second Ctrl-C aborts. SIGTERM never does: `timeout` sends it twice, to a process and to its
group, and whoever sends it kills in the end.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.05
TOGETHER_S = 0.03
"""Two Ctrl-C within it are one: `timeout -s INT` sends two as well."""
ABORTED = 130

_asked = threading.Event()


def leave(_signal: int, _frame: FrameType | None) -> None:
    """End at once and quietly: the handler of a command that has nothing to hand over yet."""
    os._exit(ABORTED)


def _finish(_signal: int, _frame: FrameType | None) -> None:
    """Go on: what SIGTERM asks for is being done."""


def become_command() -> None:
    """Let Ctrl-C and SIGTERM end this process quietly until there is something to hand over."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)


def hand_over() -> None:
    """Let a command finish now that it has results; a Ctrl-C still ends it, files left whole."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, _finish)):
        if signal.getsignal(number) is leave:
            signal.signal(number, handler)


def run_interruptibly(work: Callable[[Callable[[], bool]], T], on_first: Callable[[], None]) -> T:
    """Run `work(should_stop)` in a thread of its own and return what it returns.

    Solvers spend minutes in code that is not Python, during which Python's main thread would not
    hear a signal; so the main thread only waits. A command that was asked to stop once does so in
    all that it still has to do. `on_first` is called at the first signal.

    Raises
    ------
    KeyboardInterrupt
        At the second Ctrl-C, while `work` still runs; the caller should end the process.
    """
    command = signal.getsignal(signal.SIGTERM) in (leave, _finish)
    stop = _asked if command else threading.Event()
    heard_at = float("-inf")
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        if hasattr(signal, "pthread_sigmask"):  # processes that are started here inherit it
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            results.append(work(stop.is_set))
        except BaseException as error:
            errors.append(error)

    def interrupted(number: int, _frame: FrameType | None) -> None:
        nonlocal heard_at
        before, heard_at = heard_at, time.monotonic()
        if not stop.is_set():
            stop.set()
            on_first()
        elif number == signal.SIGINT and heard_at - before > TOGETHER_S:
            raise KeyboardInterrupt

    worker = threading.Thread(target=run, daemon=True)
    listens = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if listens else ()
    earlier = {number: signal.signal(number, interrupted) for number in numbers}
    try:
        worker.start()
        while worker.is_alive():
            worker.join(POLL_S)
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        hand_over() if listens else None
    if errors:
        raise errors[0]
    return results[0]
