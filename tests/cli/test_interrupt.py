"""Ctrl-C: the first asks, the second aborts."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from numaplace.commands.interrupt import run_interruptibly


def _press(after_s: float, times: int = 1) -> None:
    def press() -> None:
        for _ in range(times):
            time.sleep(after_s)
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()


def test_result_and_error_come_through() -> None:
    """What the work returns or raises reaches the caller."""
    assert run_interruptibly(lambda stop: 42, lambda: None) == 42
    with pytest.raises(ValueError, match="wrong"):
        run_interruptibly(lambda stop: int("wrong"), lambda: None)


def test_first_ctrl_c_asks_the_work_to_end() -> None:
    """`should_stop` answers True, the caller hears of it, and the result is delivered."""
    heard: list[str] = []

    def work(stop: Callable[[], bool]) -> str:
        deadline = time.monotonic() + 10
        while not stop() and time.monotonic() < deadline:
            time.sleep(0.005)
        return "best so far" if stop() else "too late"

    before = signal.getsignal(signal.SIGINT)
    _press(0.05)
    assert run_interruptibly(work, lambda: heard.append("stopping")) == "best so far"
    assert heard == ["stopping"]
    assert signal.getsignal(signal.SIGINT) is before


def test_second_ctrl_c_aborts() -> None:
    """Work that does not end is left behind at the second Ctrl-C."""
    release = threading.Event()
    _press(0.05, times=2)
    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(lambda stop: release.wait(10), lambda: None)
    release.set()


def test_elsewhere_than_the_main_thread_signals_are_left_alone() -> None:
    """In another thread the work runs all the same."""
    results: list[int] = []
    thread = threading.Thread(
        target=lambda: results.append(run_interruptibly(lambda stop: 7, lambda: None))
    )
    thread.start()
    thread.join(10)
    assert results == [7]
