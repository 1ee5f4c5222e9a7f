"""Pieces of charts: panels at given points of a page, titles, keys of lines; nothing overlaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numaplace.report.figures.figure_file import FONT, new_figure
from numaplace.report.figures.policy_style import Look
from numaplace.report.picture.geometry import Box, shortened, text_width
from numaplace.report.picture.palette import FAINT, INK, LINES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARGIN = 16.0
TITLE = 13.0
NAME = 9.5
TEXT = 8.0
LEADING = 1.5
_KEY_LINE = 26.0


def panel(figure: Figure, box: Box) -> Axes:
    """Axes whose frame is `box`, in points from the upper left corner of the figure."""
    width, height = (72 * float(inches) for inches in figure.get_size_inches())
    axes = figure.add_axes(
        (box.x / width, 1 - box.bottom / height, box.width / width, box.height / height)
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LINES)
    axes.tick_params(labelsize=TEXT, colors=FAINT, labelcolor=INK, length=2.5, width=0.6)
    axes.grid(visible=True, color="#e8eaee", linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def write(figure: Figure, x: float, y: float, text: str, size: float = TEXT, **looks: Any) -> None:
    """Put text at points from the upper left corner of the figure, its top left corner there."""
    width, height = (72 * float(inches) for inches in figure.get_size_inches())
    look = {"color": INK, "ha": "left", "va": "top", "family": FONT, **looks}
    figure.text(x / width, 1 - y / height, text, size=size, parse_math=False, **look)


def write_head(figure: Figure, title: str, lines: Sequence[str]) -> float:
    """Title and lines below it, cut to the page; return where what follows may begin."""
    room = 72 * float(figure.get_size_inches()[0]) - 2 * MARGIN
    write(figure, MARGIN, MARGIN, shortened(title, room, TITLE, bold=True), TITLE, weight="bold")
    y = MARGIN + LEADING * TITLE
    for line in lines:
        write(figure, MARGIN, y, shortened(line, room, TEXT), color=FAINT)
        y += LEADING * TEXT
    return y


def head_height(lines: Sequence[str]) -> float:
    """Where `write_head` will end."""
    return MARGIN + LEADING * TITLE + LEADING * TEXT * len(lines)


def wrapped(text: str, room: float, most: int | None = None) -> list[str]:
    """Break a text at its spaces into lines of at most `room` points; cut it after `most` lines."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, TEXT) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    if most is not None and len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1]} …"]
    return lines


def key_height(names: Sequence[str], room: float) -> float:
    """Height of the key of lines that `write_key` will write."""
    columns = _key_columns(names, room)[0]
    return -(-len(names) // columns) * LEADING * TEXT


def write_key(figure: Figure, x: float, y: float, room: float, looks: Mapping[str, Look]) -> None:
    """Lines with their names, in as many rows as they need within `room` points."""
    from matplotlib.lines import Line2D

    width, height = (72 * float(inches) for inches in figure.get_size_inches())
    columns, step = _key_columns(list(looks), room)
    for index, (name, look) in enumerate(looks.items()):
        row, column = divmod(index, columns)
        left, middle = x + column * step, y + (row + 0.5) * LEADING * TEXT
        line = Line2D(
            [left / width, (left + _KEY_LINE - 5) / width],
            [1 - middle / height] * 2,
            color=look.colour,
            linestyle=look.line,
            linewidth=look.width,
            solid_capstyle="butt",
        )
        figure.add_artist(line)
        write(figure, left + _KEY_LINE, middle, name, va="center_baseline")


def _key_columns(names: Sequence[str], room: float) -> tuple[int, float]:
    """How many columns a key has, and how wide each is."""
    step = _KEY_LINE + 16 + max((text_width(name, TEXT) for name in names), default=0.0)
    return max(1, int(room // step)), step


def message_figure(title: str, message: str) -> Figure:
    """A figure of words, where there is nothing to draw."""
    figure = new_figure(420, 2 * MARGIN + LEADING * (TITLE + TEXT))
    write_head(figure, title, [message])
    return figure
