"""Where the strips of a fleet's picture are: a column a host, a row a node, darker where fuller."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numaplace.report.picture.geometry import Box, Label, Picture, Shape, Style, merged, shortened
from numaplace.report.tables.fleet import ShapeUse, cpu_share, mean_shares, memory_share
from numaplace.report.tables.usage import NodeUse
from numaplace.report.tables.words import host_words, plural

WIDTH = 560.0
TITLE = 9.0
TEXT = 7.5
CELL_MIN, CELL_MAX = 4.0, 14.0
ROWS_MAX = 6
LABEL = 42.0
GAP = 4.0
SHAPES_MAX = 12


def fleet_picture(shapes: Sequence[ShapeUse]) -> Picture:
    """Lay out the hosts of a fleet by shape; hosts beyond `ROWS_MAX` rows share a column."""
    y = 0.0
    parts: list[Picture] = []
    for shape in shapes[:SHAPES_MAX]:
        part = _shape_picture(shape)
        parts.append(part.moved(0, y))
        y += part.height + 2 * GAP
    if len(shapes) > SHAPES_MAX:
        left = shapes[SHAPES_MAX:]
        hosts = plural(sum(len(shape.uses) for shape in left), "host")
        text = f"and {plural(len(left), 'more shape')} with {hosts}"
        parts.append(Picture(WIDTH, TEXT, labels=(Label(0, y + TEXT, text, TEXT, faint=True),)))
        y += 3 * TEXT
    return merged(WIDTH, y, parts)


def _shape_picture(shape: ShapeUse) -> Picture:
    count, nodes = len(shape.uses), max(len(use.nodes) for use in shape.uses)
    cell = min(CELL_MAX, max(CELL_MIN, (WIDTH - LABEL) / count))
    in_row = int((WIDTH - LABEL) // cell)
    each = -(-count // (in_row * ROWS_MAX))
    used = sum(use.vcpus > 0 for use in shape.uses)
    words = f"{shape.name}: {plural(count, 'host')}, {used} in use; each {host_words(shape.host)}"
    if each > 1:
        words += f"; a column is the mean of {each} hosts"
    title = Label(0, TITLE, shortened(words, WIDTH, TITLE), TITLE, bold=False)
    y = 2 * TITLE
    parts: list[Picture] = [Picture(WIDTH, y, labels=(title,))]
    for name, share in (("vCPUs", cpu_share), ("memory", memory_share)):
        strip = _strip(shape, share, cell, in_row, each)
        label = Label(0, y + nodes * cell / 2, name, TEXT, faint=True)
        parts += [strip.moved(LABEL, y), Picture(WIDTH, strip.height, labels=(label,))]
        y += strip.height + GAP
    return merged(WIDTH, y, parts)


def _strip(
    shape: ShapeUse, share: Callable[[NodeUse], float | None], cell: float, in_row: int, each: int
) -> Picture:
    nodes = max(len(use.nodes) for use in shape.uses)
    shapes: list[Shape] = []
    for column, start in enumerate(range(0, len(shape.uses), each)):
        hosts = shape.uses[start : start + each]
        x, y = (column % in_row) * cell, (column // in_row) * (nodes * cell + GAP)
        for position, level in enumerate(mean_shares(hosts, share)):
            box = Box(x, y + position * cell, cell, cell)
            place = hosts[0].nodes[position].key if each == 1 else ""
            shapes.append(Shape(box, Style.BAR, place=place))
            style = Style.LOSS if level > 1 else Style.HEAT
            shapes.append(Shape(box, style, place=place, level=min(1.0, level)))
    rows = -(-len(range(0, len(shape.uses), each)) // in_row)
    return Picture(in_row * cell, rows * (nodes * cell + GAP) - GAP, tuple(shapes))
