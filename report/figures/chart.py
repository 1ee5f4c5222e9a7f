"""Charts: a page with title, words and key; panels below, which matplotlib lays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numaplace.report.figures.figure_file import FONT, new_figure
from numaplace.report.picture.geometry import Box, shortened, text_width
from numaplace.report.picture.palette import FAINT, INK, LINES

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARGIN = 16.0
TITLE = 13.0
NAME = 9.5
TEXT = 8.0
LEADING = 1.5
LINE = LEADING * TEXT


def new_chart(
    width: float,
    tall: float,
    title: str,
    clauses: Sequence[str],
    key: Mapping[str, Artist] | None = None,
) -> Figure:
    """Make a page whose panels take `tall` points below title, clauses and the key."""
    room, key = width - 2 * MARGIN, key or {}
    lines = [line for clause in clauses for line in wrapped(clause, room)]
    step = 42 + max((text_width(name, TEXT) for name in key), default=0.0)
    columns = max(1, int(room // step))
    top = head_height(lines) + 4
    head = top + -(-len(key) // columns) * LINE + 4
    height = head + tall
    figure = new_figure(width, height)
    write_head(figure, title, lines)
    if key:
        figure.legend(
            list(key.values()),
            list(key),
            loc="upper left",
            bbox_to_anchor=(MARGIN / width, 1 - top / height),
            ncols=columns,
            **KEY,
        )
    pads = {"w_pad": 8 / 72, "h_pad": 5 / 72}
    figure.set_layout_engine("constrained", rect=(0, 0, 1, tall / height), **pads)
    return figure


KEY: dict[str, Any] = {
    "frameon": False,
    "prop": {"family": FONT, "size": TEXT},
    "labelcolor": INK,
    "labelspacing": LEADING - 1,
    "borderaxespad": 0,
    "borderpad": 0,
}
"""How keys look."""


def styled(axes: Axes, title: str = "", note: str = "", x: str = "", y: str = "") -> Axes:
    """Give axes their looks, a title and a note above their upper left corner, and labels."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LINES)
    axes.tick_params(labelsize=TEXT, colors=FAINT, labelcolor=INK, length=2.5, width=0.6)
    axes.grid(visible=True, color="#e8eaee", linewidth=0.6)
    axes.set_axisbelow(True)
    beside(axes, title, (0, 1), (0, 20 if note else 7), size=NAME, weight="bold")
    beside(axes, note, (0, 1), (0, 7), color=FAINT)
    axes.set_xlabel(x, size=TEXT, color=FAINT)
    axes.set_ylabel(y, size=TEXT, color=FAINT)
    return axes


def beside(
    axes: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], **looks: Any
) -> None:
    """Put text so many points off a spot of axes, in shares of them unless `xycoords` says."""
    look = {"xycoords": "axes fraction", "size": TEXT, "color": INK, "family": FONT, **looks}
    if text:
        look |= {"textcoords": "offset points", "annotation_clip": False, "parse_math": False}
        axes.annotate(text, at, offset, **look)


def panel(figure: Figure, box: Box) -> Axes:
    """Axes whose frame is `box`, in points from the upper left corner of the figure."""
    width, height = (72 * float(inches) for inches in figure.get_size_inches())
    axes = figure.add_axes(
        (box.x / width, 1 - box.bottom / height, box.width / width, box.height / height)
    )
    return styled(axes)


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


def message_figure(title: str, message: str) -> Figure:
    """A figure of words, where there is nothing to draw."""
    figure = new_figure(420, 2 * MARGIN + LEADING * (TITLE + TEXT))
    write_head(figure, title, [message])
    return figure
