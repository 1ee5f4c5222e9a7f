"""Results in the ways a command can hand them over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numaplace.solver.report.figure_file import figure_bytes, picture_format


@dataclass(frozen=True, slots=True)
class Shown:
    """A result as CSV, picture, plain values for JSON, and views for a terminal's width."""

    csv: Callable[[], str]
    figure: Callable[[], Any]
    plain: Callable[[], Any]
    views: Callable[[int], Sequence[Any]]


def write_figure(path: Path, figure: Any, overwrite: bool) -> None:
    """Write a figure to a file."""
    from numaplace.instances.files import write_bytes

    write_bytes(path, figure_bytes(figure, picture_format(path)), overwrite=overwrite)
