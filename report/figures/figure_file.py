"""Figures as files: one way to make a figure, and to turn it into bytes."""

from __future__ import annotations

import io
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from numaplace.models.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from numaplace.report.picture.drawing import Drawing

FORMATS = ("png", "svg", "pdf")
DPI = 150
PIXELS_MAX = 8_000
FONT = "DejaVu Sans"


def picture_format(path: Path, *, chart: bool = True) -> str:
    """Return the format that a file's name asks for; only charts need matplotlib for SVG.

    Raises
    ------
    InputError
        If it asks for none of `FORMATS`, or matplotlib is not installed.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        reason = f"a picture's name ends in {', '.join(f'.{known}' for known in FORMATS)}"
        raise InputError("picture", "", reason, file=str(path))
    if not can_draw() and (chart or suffix != "svg"):
        reason = f"needs matplotlib: {how_to_draw()}"
        raise InputError("picture", "", reason, file=str(path))
    return suffix


def how_to_draw() -> str:
    """Return the command that installs what draws, for where this package is."""
    root = Path(__file__).resolve().parents[2]
    name = root if (root / "pyproject.toml").is_file() else "numaplace"
    return f"pip install '{name}[plot]'"


def drawable(path: Path | None) -> Path | None:
    """Return the path of a chart, None if none is wanted; errors as of `picture_format`."""
    if path is not None:
        picture_format(path)
    return path


def drawable_plan(path: Path | None) -> Path | None:
    """Return the path of a picture that is no chart; as `drawable`."""
    if path is not None:
        picture_format(path, chart=False)
    return path


def can_draw() -> bool:
    """Tell whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def new_figure(width: float, height: float) -> Figure:
    """Make a figure of that size in points; no window, no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / 72, height / 72), facecolor="white")


def figure_bytes(figure: Figure | Drawing, picture_format: str) -> bytes:
    """Return the file of a figure; the same figure gives the same bytes."""
    from numaplace.report.picture.drawing import Drawing

    if isinstance(figure, Drawing):
        from numaplace.report.picture.svg import svg_file

        if picture_format == "svg":
            return svg_file(figure)
        from numaplace.report.figures.picture_figure import figure_of

        figure = figure_of(figure)
    import matplotlib

    buffer = io.BytesIO()
    date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(picture_format, {})
    dpi = min(DPI, PIXELS_MAX / max(figure.get_size_inches()))
    with (
        matplotlib.rc_context({"svg.hashsalt": "numaplace", "hatch.linewidth": 0.8}),
        warnings.catch_warnings(),
    ):
        # A name may hold characters the font lacks; they become boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(buffer, format=picture_format, dpi=dpi, metadata=date)
    return buffer.getvalue()
