"""A picture as SVG, in a file of its own or within an HTML page: text is text.

What has no owner is coloured by a style sheet through classes, so that it follows a page that is
light or dark; VMs keep the colours they have in every picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape as escaped
from math import hypot
from pathlib import Path
from re import sub

from numaplace.report.picture.drawing import Drawing
from numaplace.report.picture.geometry import PATTERNED, Arrow, Label, Picture, Shape, Style
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

SCALE = 1.3
"""Pixels of a screen per point."""

HEAD = 5.0
STYLE = Path(__file__).with_name("picture.css").read_text(encoding="utf-8")
"""Style sheet of a picture; a page says what its colours are."""

_LIGHT = {
    "ink": INK,
    "faint": FAINT,
    "lines": LINES,
    "panel": PAPER,
    "socket": SOCKET,
    "node": WHITE,
    "reserved": RESERVED,
    "after": LOSS,
}
_ANCHORS = {"left": "start", "center": "middle", "right": "end"}


def svg_file(drawing: Drawing) -> bytes:
    """Return a picture as a file of its own, light and as large as its layout in points."""
    style = sub(r"var\(--([a-z]+)\)", lambda found: _LIGHT[found[1]], STYLE)
    picture = drawing.picture
    size = f'width="{picture.width:.2f}pt" height="{picture.height:.2f}pt"'
    ground = f'<style>{style}</style><rect width="100%" height="100%" fill="{WHITE}"/>'
    space = ' xmlns="http://www.w3.org/2000/svg"'
    text = _svg(drawing, "p", size + space, ground)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def svg_picture(drawing: Drawing, prefix: str) -> str:
    """Return a picture as an `svg` element of a page.

    `prefix` begins the ids of its patterns; it is another one for each picture of a page.
    """
    picture = drawing.picture
    width, height = round(picture.width * SCALE), round(picture.height * SCALE)
    return _svg(drawing, prefix, f'width="{width}" height="{height}"', "")


def _svg(drawing: Drawing, prefix: str, size: str, ground: str) -> str:
    picture, colours = drawing.picture, drawing.colours
    numbers = {name: index for index, name in enumerate(_patterned_owners(picture))}
    parts = [f"<title>{escaped(drawing.title)}</title>{ground}"]
    parts += [_pattern(f"{prefix}{n}", colours.get(name, NO_OWNER)) for name, n in numbers.items()]
    parts += [_shape(shape, colours, numbers, prefix) for shape in picture.layers]
    parts += [_arrow(arrow, colours.get(arrow.owner, NO_OWNER)) for arrow in picture.arrows]
    maps = {_spot(s.box.middle) for s in picture.shapes if s.style is Style.HEAT}
    for label, on_pattern in zip(picture.labels, picture.on_pattern(), strict=True):
        on_map = label.level > 0 or _spot((label.x, label.y)) in maps
        parts.append(_label(label, colours, on_pattern=on_pattern, on_map=on_map))
    view = f"0 0 {picture.width:.1f} {picture.height:.1f}"
    head = f'<svg class="picture" role="img" {size} viewBox="{view}">'
    return head + "\n".join(parts) + "</svg>"


def _patterned_owners(picture: Picture) -> list[str]:
    return list(dict.fromkeys(s.owner for s in picture.shapes if s.style in PATTERNED))


def _pattern(name: str, colour: str) -> str:
    """Return a hatch and, under the name with a d, dots."""
    return (
        f'<pattern id="{name}" width="4" height="4" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><rect class="node-fill" width="4" height="4"/>'
        f'<rect width="1.4" height="4" fill="{colour}"/></pattern>'
        f'<pattern id="{name}d" width="4" height="4" patternUnits="userSpaceOnUse">'
        f'<rect class="node-fill" width="4" height="4"/>'
        f'<circle cx="2" cy="2" r="0.8" fill="{colour}"/></pattern>'
    )


def _shape(
    shape: Shape, colours: Mapping[str, str], numbers: Mapping[str, int], prefix: str
) -> str:
    own = colours.get(shape.owner, NO_OWNER)
    box = shape.box
    fill = ""
    if shape.style in (Style.CELL, Style.MEMORY):
        fill = f' fill="{own}"'
    elif shape.style is Style.AWAY:
        fill = f' fill="url(#{prefix}{numbers[shape.owner]})" stroke="{own}"'
    elif shape.style is Style.COPY:
        fill = f' fill="url(#{prefix}{numbers[shape.owner]}d)"'
    elif shape.style is Style.HEAT:
        fill = f' fill="{heat_colour(shape.level)}"'
    tip = " on ".join(text for text in (shape.owner, shape.place) if text) if shape.owner else ""
    inner = f"<title>{escaped(tip)}</title>" if tip else ""
    if not box.width or not box.height:  # a rectangle without a width would not be drawn
        ends = f'x1="{box.x:.2f}" y1="{box.y:.2f}" x2="{box.right:.2f}" y2="{box.bottom:.2f}"'
        return f'<line class="s-{shape.style}" {ends}/>'
    return (
        f'<rect class="s-{shape.style}" x="{box.x:.2f}" y="{box.y:.2f}" width="{box.width:.2f}" '
        f'height="{box.height:.2f}"{fill}>{inner}</rect>'
    )


def _arrow(arrow: Arrow, colour: str) -> str:
    """Return a curve and its head."""
    (x1, y1), (x2, y2) = arrow.start, arrow.end
    dx, dy = x2 - x1, y2 - y1
    cx, cy = (x1 + x2) / 2 - arrow.bend * dy, (y1 + y2) / 2 + arrow.bend * dx
    length = hypot(x2 - cx, y2 - cy) or 1.0
    ux, uy = (x2 - cx) / length, (y2 - cy) / length
    bx, by = x2 - HEAD * ux, y2 - HEAD * uy
    side = HEAD * 0.4
    head = (
        f"M{x2:.2f} {y2:.2f}L{bx - side * uy:.2f} {by + side * ux:.2f}"
        f"L{bx + side * uy:.2f} {by - side * ux:.2f}Z"
    )
    curve = f"M{x1:.2f} {y1:.2f}Q{cx:.2f} {cy:.2f} {bx:.2f} {by:.2f}"
    dark = darker(colour)
    return (
        f'<path class="halo" d="{curve}"/><path class="arrow" d="{curve}" stroke="{dark}"/>'
        f'<path class="head" d="{head}" fill="{dark}"/>'
    )


def _spot(point: tuple[float, float]) -> tuple[float, float]:
    return round(point[0], 1), round(point[1], 1)


def _label(label: Label, colours: Mapping[str, str], *, on_pattern: bool, on_map: bool) -> str:
    classes = ["faint"] if label.faint else []
    classes += ["bold"] if label.bold else []
    classes += ["outlined"] if on_pattern else []
    fill = ""
    if label.owner and not on_pattern:
        fill = f' fill="{text_colour(colours[label.owner])}"'
        classes.append("own")
    elif on_map:
        fill = f' fill="{text_colour(heat_colour(label.level))}"'
        classes.append("own")
    names = f' class="{" ".join(classes)}"' if classes else ""
    anchor = "" if label.align == "left" else f' text-anchor="{_ANCHORS[label.align]}"'
    # The middle of a line is about a third of its size above the base line.
    return (
        f'<text x="{label.x:.2f}" y="{label.y + 0.36 * label.size:.2f}" '
        f'font-size="{label.size:.2f}"{anchor}{names}{fill}>{escaped(label.text)}</text>'
    )
