"""Pictures drawn by matplotlib, for PNG and PDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from numaplace.report.figures.figure_file import FONT, new_figure
from numaplace.report.picture.drawing import Drawing
from numaplace.report.picture.geometry import Arrow, Label, Shape, Style
from numaplace.report.picture.palette import (
    FAINT,
    INK,
    LINES,
    LOSS,
    NO_OWNER,
    PAPER,
    RESERVED,
    SOCKET,
    WHITE,
    darker,
    heat_colour,
    text_colour,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Fill, line, line width (points), line style, hatch; a fill of None is the owner's colour.
_Look = tuple[str | None, str, float, str, str]
_LOOKS: dict[Style, _Look] = {
    Style.HOST: (PAPER, LINES, 0.8, "-", ""),
    Style.SOCKET: (SOCKET, "none", 0.0, "-", ""),
    Style.NODE: (WHITE, FAINT, 0.8, "-", ""),
    Style.BAR: ("none", FAINT, 0.6, "-", ""),
    Style.TRACK: (WHITE, LINES, 0.6, ":", ""),
    Style.LIMIT: ("none", INK, 1.4, "-", ""),
    Style.CELL: (None, WHITE, 0.6, "-", ""),
    Style.MEMORY: (None, WHITE, 0.6, "-", ""),
    Style.AWAY: (WHITE, "owner", 0.6, "-", "/////"),
    Style.COPY: (WHITE, FAINT, 0.6, "-", "...."),
    Style.RESERVED: (RESERVED, WHITE, 0.6, "-", ""),
    Style.POOL: ("none", INK, 1.1, "-", ""),
    Style.LOSS: (LOSS, "none", 0.0, "-", ""),
}


def figure_of(drawing: Drawing) -> Figure:
    """Draw a picture."""
    picture, colours = drawing.picture, drawing.colours
    figure = new_figure(picture.width, picture.height)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, picture.width)
    axes.set_ylim(picture.height, 0)
    axes.axis("off")
    for order, shape in enumerate(picture.layers):
        if shape.style is not Style.HEAT:
            _draw_shape(axes, shape, colours, 1 + order * 1e-5)
    _draw_heat(axes, [shape for shape in picture.shapes if shape.style is Style.HEAT])
    for arrow in picture.arrows:
        _draw_arrow(axes, arrow, colours)
    for label, on_pattern in zip(picture.labels, picture.on_pattern(), strict=True):
        _draw_label(axes, label, colours, on_pattern=on_pattern)
    return figure


def _draw_shape(axes: Axes, shape: Shape, colours: Mapping[str, str], over: float) -> None:
    from matplotlib.patches import Rectangle

    own = colours.get(shape.owner, NO_OWNER)
    fill, line, width, style, hatch = _LOOKS[shape.style]
    box = shape.box
    axes.add_patch(
        Rectangle(
            (box.x, box.y),
            box.width,
            box.height,
            facecolor=own if fill is None else fill,
            edgecolor=own if line == "owner" else line,
            linewidth=width,
            linestyle=style,
            hatch=hatch or None,
            zorder=over,
        )
    )


def _draw_heat(axes: Axes, shapes: Sequence[Shape]) -> None:
    """Draw all fields of the heat maps at once: there may be thousands."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    fields = [Rectangle((s.box.x, s.box.y), s.box.width, s.box.height) for s in shapes]
    fills = [heat_colour(shape.level) for shape in shapes]
    axes.add_collection(
        PatchCollection(fields, facecolors=fills, edgecolors=WHITE, linewidths=0.4, zorder=1)
    )


def _draw_arrow(axes: Axes, arrow: Arrow, colours: Mapping[str, str]) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.patheffects import withStroke

    axes.add_patch(
        FancyArrowPatch(
            arrow.start,
            arrow.end,
            arrowstyle="-|>",
            connectionstyle=f"arc3,rad={arrow.bend}",
            mutation_scale=7,
            linewidth=1.1,
            color=darker(colours.get(arrow.owner, NO_OWNER)),
            path_effects=[withStroke(linewidth=2.4, foreground=WHITE)],
            zorder=4,
        )
    )


def _draw_label(axes: Axes, label: Label, colours: Mapping[str, str], *, on_pattern: bool) -> None:
    colour = FAINT if label.faint else INK
    if label.owner:
        colour = text_colour(colours[label.owner])
    elif label.level:
        colour = text_colour(heat_colour(label.level))
    text = axes.text(
        label.x,
        label.y,
        label.text,
        size=label.size,
        color=colour,
        family=FONT,
        weight="bold" if label.bold else "normal",
        horizontalalignment=label.align,
        verticalalignment="center_baseline",
        parse_math=False,
        zorder=5,
    )
    if on_pattern:
        from matplotlib.patheffects import withStroke

        text.set_path_effects([withStroke(linewidth=2.2, foreground=WHITE)])
