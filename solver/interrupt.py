"""Work that Ctrl-C stops gently: the first asks it to hand over what it has, the second aborts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.05


def run_interruptibly(work: Callable[[Callable[[], bool]], T], on_first: Callable[[], None]) -> T:
    """Run `work(should_stop)` in a thread of its own and return what it returns.

    Solvers spend minutes in code that is not Python, during which Python's main thread would not
    hear a signal; so the main thread only waits.

    Parameters
    ----------
    work
        Its argument answers True once it should end.
    on_first
        Called at the first Ctrl-C.

    Raises
    ------
    KeyboardInterrupt
        At the second Ctrl-C, while `work` still runs; the caller should end the process.
    """
    stop = threading.Event()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work(stop.is_set))
        except BaseException as error:
            errors.append(error)

    def interrupted(_signal: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        on_first()

    worker = threading.Thread(target=run, daemon=True)
    listens = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, interrupted) if listens else None
    try:
        worker.start()
        while worker.is_alive():
            worker.join(POLL_S)
    finally:
        if listens:
            signal.signal(signal.SIGINT, before)
    if errors:
        raise errors[0]
    return results[0]
