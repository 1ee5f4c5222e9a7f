"""Boxes, text sizes and the parts of a picture, in points (1/72 inch) from the top left corner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

LINE = 1.3
"""Height of a line of text over its size."""

# Advance widths of DejaVu Sans in thousandths of its size, the font matplotlib brings along.
_WIDTHS = {
    300: "'ijl",
    340: " ,./:;IJ\\|·",
    405: "!()-[]ft",
    500: '"*_`r–',
    553: "?csz",
    640: "$0123456789EFLPSTYabdeghknopquvxy{}é",
    700: "ABCKRVXZ",
    790: "&DGHNOQU",
    840: "#+<=>^w~→×",
    1005: "%@MWm…",
}
_WIDTH_OF = {char: width / 1000 for width, chars in _WIDTHS.items() for char in chars}
_WIDEST = 1.05
_BOLD = 1.24
STEEP = 60.0
"""Arrows less wide than this run through the gutter between bars."""


class Style(StrEnum):
    """What a shape stands for; the drawing decides how it looks."""

    HOST = "host"
    SOCKET = "socket"
    NODE = "node"
    BAR = "bar"
    LIMIT = "limit"
    CELL = "cell"
    MEMORY = "memory"
    AWAY = "away"
    COPY = "copy"
    RESERVED = "reserved"
    POOL = "pool"
    HEAT = "heat"
    LOSS = "loss"
    TRACK = "track"


PATTERNED = (Style.AWAY, Style.COPY)
OUTLINES = (Style.BAR, Style.POOL, Style.LIMIT)
"""Outlines lie over what they enclose, the later over the earlier."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; `y` grows downwards."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Lower edge."""
        return self.y + self.height

    @property
    def middle(self) -> tuple[float, float]:
        """Centre."""
        return self.x + self.width / 2, self.y + self.height / 2

    def overlaps(self, other: Box, *, slack: float = 0.01) -> bool:
        """Tell whether both share more than an edge."""
        return (
            self.x < other.right - slack
            and other.x < self.right - slack
            and self.y < other.bottom - slack
            and other.y < self.bottom - slack
        )

    def holds(self, other: Box, *, slack: float = 0.01) -> bool:
        """Tell whether `other` lies inside."""
        return (
            self.x <= other.x + slack
            and self.y <= other.y + slack
            and other.right <= self.right + slack
            and other.bottom <= self.bottom + slack
        )


@dataclass(frozen=True, slots=True)
class Shape:
    """A box that is drawn.

    It may belong to a VM or sharing group (`owner`) and be part of a `place`, ``host/node``.
    `level` is how dark it is, 0 to 1, for `Style.HEAT`.
    """

    box: Box
    style: Style
    owner: str = ""
    place: str = ""
    level: float = 0.0


@dataclass(frozen=True, slots=True)
class Label:
    """A line of text whose left, centre or right end is at `x`, its vertical middle at `y`.

    `owner` is the VM whose shape it is written on, `level` as of the shape.
    """

    x: float
    y: float
    text: str
    size: float
    align: str = "left"
    bold: bool = False
    faint: bool = False
    owner: str = ""
    level: float = 0.0

    @property
    def box(self) -> Box:
        """Room it takes, rather too much than too little."""
        width = text_width(self.text, self.size, bold=self.bold)
        shift = {"left": 0.0, "center": width / 2, "right": width}[self.align]
        return Box(self.x - shift, self.y - self.size / 2, width, self.size)


@dataclass(frozen=True, slots=True)
class Arrow:
    """From pages away to the vCPUs that use them."""

    start: tuple[float, float]
    end: tuple[float, float]
    owner: str

    @property
    def bend(self) -> float:
        """How much it bends: hardly, if it runs through the gutter between bars."""
        return 0.03 if abs(self.end[0] - self.start[0]) < STEEP else 0.12


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything to draw, `width` by `height` points."""

    width: float
    height: float
    shapes: tuple[Shape, ...] = ()
    labels: tuple[Label, ...] = ()
    arrows: tuple[Arrow, ...] = ()

    @property
    def layers(self) -> list[Shape]:
        """Shapes in the order in which they are drawn."""
        below = [shape for shape in self.shapes if shape.style not in OUTLINES]
        return below + [s for style in OUTLINES for s in self.shapes if s.style is style]

    def on_pattern(self) -> list[bool]:
        """Tell of each label whether it lies on a pattern, on which text needs an outline."""
        patterned = [shape.box for shape in self.shapes if shape.style in PATTERNED]
        return [any(box.overlaps(label.box) for box in patterned) for label in self.labels]

    def moved(self, x: float, y: float) -> Picture:
        """Return the same picture further right and down, as part of a larger one."""
        return Picture(
            self.width,
            self.height,
            tuple(
                replace(s, box=replace(s.box, x=s.box.x + x, y=s.box.y + y)) for s in self.shapes
            ),
            tuple(replace(label, x=label.x + x, y=label.y + y) for label in self.labels),
            tuple(
                replace(a, start=(a.start[0] + x, a.start[1] + y), end=(a.end[0] + x, a.end[1] + y))
                for a in self.arrows
            ),
        )


def merged(width: float, height: float, parts: Iterable[Picture]) -> Picture:
    """Put parts, moved to their places, into one picture; shapes of earlier ones lie below."""
    pictures = list(parts)
    return Picture(
        width,
        height,
        tuple(shape for picture in pictures for shape in picture.shapes),
        tuple(label for picture in pictures for label in picture.labels),
        tuple(arrow for picture in pictures for arrow in picture.arrows),
    )


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Width of a line of text in points, an upper bound for DejaVu Sans."""
    width = sum(_WIDTH_OF.get(char, _WIDEST) for char in text) * size
    return width * _BOLD if bold else width


def shortened(
    text: str, width: float, size: float, *, bold: bool = False, middle: bool = False
) -> str:
    """Return `text`, cut until it is at most `width` wide; empty if hopeless.

    It is cut at the end, or in its `middle` (names often differ at their end).
    """
    width += 1e-6  # room that was computed from this very text is enough
    if text_width(text, size, bold=bold) <= width:
        return text
    for kept in range(len(text) - 1, 2, -1):
        tail = kept // 2 if middle else 0
        cut = f"{text[: kept - tail]}…{text[len(text) - tail :]}"
        if text_width(cut, size, bold=bold) <= width:
            return cut
    return ""


def fitting(
    candidates: Sequence[str], box: Box, size: float, least: float
) -> tuple[str, float] | None:
    """Return the first candidate, in the largest size, that fits a box on one line; None if none.

    The height decides the size, which is at least `least`; candidates are tried in order.
    """
    size = min(size, box.height / LINE)
    if size < least:
        return None
    for text in candidates:
        if text and text_width(text, size) <= box.width - 4:
            return text, size
    return None
