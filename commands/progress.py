"""A line on the terminal while a solver works: incumbent, bound, gap, time."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from numaplace.models.result import StageResult
from numaplace.report.tables import words
from numaplace.solver.params import Progress


class ProgressLine:
    """Shows what a solver reports, on a terminal only; elsewhere, or if `quiet`, it is silent.

    `label` says what is being solved.
    """

    def __init__(self, console: Console, label: str, *, quiet: bool = False) -> None:
        self._shown = console.is_terminal and not quiet
        self._live = Live(console=console, transient=True, refresh_per_second=8)
        self._spinner = Spinner("dots", Text(label))
        self._label = label
        self._started = time.monotonic()
        self._state: Progress | None = None
        self._note = ""

    def __enter__(self) -> ProgressLine:
        if self._shown:
            self._live.start()
            self._live.update(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the line away."""
        if self._shown:
            self._live.stop()

    def __rich__(self) -> Spinner:
        """Draw the line anew, with the time that has passed."""
        self._spinner.update(text=self.text())
        return self._spinner

    def report(self, state: Progress) -> None:
        """Take what a solver reports; called from any thread."""
        self._state = state

    def note(self, text: str) -> None:
        """Add a remark, such as that the search is being stopped."""
        self._note = text

    def label(self, text: str) -> None:
        """Say what is being solved now."""
        self._label, self._state = text, None

    def count(self, things: str) -> Callable[[int, int, str], None]:
        """Return what to tell how many things are done, of how many, and words for the last one."""
        return lambda done, total, last: self.label(f"{done} of {total} {things}, last {last}")

    def text(self) -> Text:
        """The line as text."""
        elapsed = words.seconds(time.monotonic() - self._started)
        parts = [self._label, elapsed]
        if self._state is not None:
            parts[1:1] = progress_words(self._state)
        line = Text("  ".join(parts))
        if self._note:
            line.append(f"  {self._note}", "yellow")
        return line


def progress_words(state: Progress) -> list[str]:
    """Stage, incumbent, bound and gap, as far as known."""
    words_of = [f"{state.solver}, {state.stage}:"]
    if state.objective is None:
        words_of.append("no plan yet")
    else:
        words_of.append(words.stage_value(state.stage, state.objective))
    if state.bound is not None:
        words_of.append(f"bound {words.stage_value(state.stage, state.bound)}")
        if state.objective is not None:
            gap = StageResult(state.stage, state.objective, state.bound).gap
            words_of.append(f"gap {words.gap(gap)}")
    return words_of
