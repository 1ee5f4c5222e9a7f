"""The console that tables are printed on."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from numaplace.models.errors import printable


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
