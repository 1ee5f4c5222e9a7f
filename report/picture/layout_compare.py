"""Where everything of a comparison's picture is: a bar of losses by term for each solve."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from numaplace.models.cost import Term
from numaplace.report.picture.geometry import (
    Box,
    Label,
    Picture,
    Shape,
    Style,
    merged,
    shortened,
    text_width,
)
from numaplace.report.tables.words import gap, loss, plural, seconds, term_name, value
from numaplace.solver.compare.solvers import Row

ROWS_MAX = 150
MARGIN = 18.0
TITLE = 15.0
NAME = 10.5
TEXT = 8.5
ROW = 17.0
BAR = 12.0
BAR_WIDTH = 300.0
SOLVER_MAX = 130.0
COLUMNS = ("loss", "gap", "placed", "value", "time")


def comparison_picture(rows: Sequence[Row], title: str) -> Picture:
    """Lay out a comparison: one panel an instance, bars of one panel to one scale."""
    shown = rows[:ROWS_MAX]
    left = max((text_width(solver_name(row, rows), TEXT) for row in shown), default=0.0)
    left = min(left, SOLVER_MAX) + 10
    cells = [texts(row) for row in shown]
    widths = [
        max(text_width(text, TEXT, bold=True) for text in (name, *(cell[at] for cell in cells)))
        + 14
        for at, name in enumerate(COLUMNS)
    ]
    width = left + BAR_WIDTH + sum(widths)
    parts = [_head(title, len(rows) - len(shown), width), _key(shown, width)]
    by_instance = groupby(zip(shown, cells, strict=True), key=lambda pair: pair[0].instance)
    for name, pairs in by_instance:
        parts.append(_panel(name, list(pairs), rows, left, widths))
    y = MARGIN
    moved: list[Picture] = []
    for part in parts:
        moved.append(part.moved(MARGIN, y))
        y += part.height + 14
    return merged(width + 2 * MARGIN, y - 14 + MARGIN, moved)


def solver_name(row: Row, rows: Sequence[Row]) -> str:
    """Name of a solve: its solver, and its seed if there are several."""
    return row.solver if len({other.seed for other in rows}) < 2 else f"{row.solver} #{row.seed}"


def texts(row: Row) -> tuple[str, ...]:
    """What is written next to the bar, by `COLUMNS`."""
    placed = f"{row.vms_placed}/{row.vms}"
    if row.loss_micro is None or row.value_milli is None:
        return (str(row.status), "", placed, "", seconds(row.runtime_s))
    stage, share = row.gap or ("loss", None)
    open_gap = gap(share) if stage == "loss" or share is None else f"{stage} {gap(share)}"
    return loss(row.loss_micro), open_gap, placed, value(row.value_milli), seconds(row.runtime_s)


def _head(title: str, left_out: int, width: float) -> Picture:
    labels = [Label(0, TITLE / 2, shortened(title, width, TITLE, bold=True), TITLE, bold=True)]
    line = "Loss in vCPUs by term; gap to the best bound that any of the solvers proved"
    if left_out:
        line += f"; {plural(left_out, 'more row')} not shown"
    text = shortened(line, width, TEXT)
    labels.append(Label(0, 1.8 * TITLE, text, TEXT, faint=True))
    return Picture(width, 2.2 * TITLE, labels=tuple(labels))


def _key(rows: Sequence[Row], width: float) -> Picture:
    """Colours of the terms that occur, in as many lines as they need."""
    shapes: list[Shape] = []
    labels: list[Label] = []
    x = y = 0.0
    for term in Term:
        if not any(row.terms.get(term) for row in rows):
            continue
        need = 26 + text_width(term_name(term), TEXT)
        if x and x + need > width:
            x, y = 0.0, y + 1.5 * TEXT
        shapes.append(Shape(Box(x, y, 9, 9), Style.CELL, term.value))
        labels.append(Label(x + 13, y + 4.5, term_name(term), TEXT))
        x += need
    return Picture(width, y + (9 if shapes else 0), tuple(shapes), tuple(labels))


def _panel(
    name: str,
    pairs: Sequence[tuple[Row, tuple[str, ...]]],
    rows: Sequence[Row],
    left: float,
    widths: Sequence[float],
) -> Picture:
    full = left + BAR_WIDTH + sum(widths)
    room = left + BAR_WIDTH - 10
    labels = [Label(0, NAME / 2, shortened(name, room, NAME, bold=True), NAME, bold=True)]
    ends = [left + BAR_WIDTH + sum(widths[: at + 1]) for at in range(len(widths))]
    for end, column in zip(ends, COLUMNS, strict=True):
        labels.append(Label(end, NAME / 2, column, TEXT, "right", faint=True))
    largest = max((row.loss_micro or 0 for row, _ in pairs), default=0)
    shapes: list[Shape] = []
    y = 1.5 * NAME
    for row, cells in pairs:
        middle = y + ROW / 2
        shapes.append(Shape(Box(left, middle - BAR / 2, BAR_WIDTH, BAR), Style.TRACK))
        x = left
        for term, micro in row.terms.items():
            if micro and largest:
                part = BAR_WIDTH * micro / largest
                shapes.append(Shape(Box(x, middle - BAR / 2, part, BAR), Style.CELL, term.value))
                x += part
        solver = shortened(solver_name(row, rows), left - 10, TEXT)
        labels.append(Label(left - 8, middle, solver, TEXT, "right"))
        for end, cell in zip(ends, cells, strict=True):
            labels.append(Label(end, middle, cell, TEXT, "right"))
        y += ROW
    return Picture(full, y, tuple(shapes), tuple(labels))
