"""Charts: a page with title, words and key; panels below, which matplotlib lays out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numaplace.report.figures.figure_file import FONT, new_figure
from numaplace.report.picture.geometry import shortened, text_width
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
    key: Sequence[tuple[str, Artist]] = (),
) -> Figure:
    """Make a page whose panels take `tall` points below title, clauses and the key."""
    room = width - 2 * MARGIN
    lines = [line for clause in clauses for line in wrapped(clause, room)]
    step = 42 + max((text_width(name, TEXT) for name, _ in key), default=0.0)
    columns = max(1, int(room // step))
    top = _head_height(lines) + 4
    head = top + -(-len(key) // columns) * LINE + 4
    height = head + tall
    figure = new_figure(width, height)
    _write_head(figure, title, lines)
    if key:
        figure.legend(
            [handle for _, handle in key],
            [name for name, _ in key],
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


def name_rows(axes: Axes, names: Sequence[str], least: int = 0) -> None:
    """Give axes a row a name, from the top, with room for at least so many."""
    axes.set_ylim(max(len(names), least) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def beside(
    axes: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], **looks: Any
) -> None:
    """Put text so many points off a spot of axes, in shares of them unless `xycoords` says."""
    look = {"xycoords": "axes fraction", "size": TEXT, "color": INK, "family": FONT, **looks}
    if text:
        look |= {"textcoords": "offset points", "annotation_clip": False, "parse_math": False}
        axes.annotate(text, at, offset, **look)


def _write_head(figure: Figure, title: str, lines: Sequence[str]) -> None:
    """Title and lines below it, cut to the page."""
    width, height = (72 * float(inches) for inches in figure.get_size_inches())
    room, y = width - 2 * MARGIN, MARGIN
    look: dict[str, Any] = {"va": "top", "family": FONT, "parse_math": False}
    for text, size, bold in ((title, TITLE, True), *((line, TEXT, False) for line in lines)):
        look |= {"color": INK if bold else FAINT, "weight": "bold" if bold else "normal"}
        shown = shortened(text, room, size, bold=bold)
        figure.text(MARGIN / width, 1 - y / height, shown, size=size, **look)
        y += LEADING * size


def _head_height(lines: Sequence[str]) -> float:
    return MARGIN + LEADING * TITLE + LINE * len(lines)


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
    _write_head(figure, title, [message])
    return figure
