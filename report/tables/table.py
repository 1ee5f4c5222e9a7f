"""Tables: many rows, in a terminal, as JSON, or as CSV.

In a terminal a table is a renderable of rich that fits the width there is: prose is folded, columns
go closer together, then to tables below; numbers and names are not broken, nothing is left out.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from numaplace.report.tables.columns import ABSENT, Column, Plain, Record, named, picked, plain_of

ROWS_MAX = 200
FOLD_MIN = 20
"""Prose is folded to so many columns before a table is split."""

_ALONE = ((0, 1), (0, 1, 0, 0), (0, 0))
_TOGETHER = _ALONE[:2]
"""Room around cells, then closer: all columns are kept together if they fit with one of these."""

Views = list[RenderableType]


@dataclass(frozen=True)
class Table:
    """Rows under their columns.

    Parameters
    ----------
    columns, rows
        What is told, and of what.
    title
        Stands above it.
    noun
        What a row is, for the count of those that are not shown.
    total
        One more row, below a line.
    keys
        So many columns come first in each table, where they do not all fit into one.
    section, style
        Of a row: a line is drawn where it changes; how it looks.
    without, notes
        Columns that people are not shown; what stands below.
    """

    columns: Sequence[Column]
    rows: Sequence[Any]
    title: str = ""
    noun: str = "row"
    total: Any = None
    keys: int = 1
    section: Callable[[Any], Any] | None = None
    style: Callable[[Any], str] | None = None
    without: Sequence[str] = ()
    notes: Sequence[RenderableType] = ()

    def only(self, names: Sequence[str], *, people: bool) -> Table:
        """Return the table with columns of these names alone."""
        columns = picked(self.columns, names, people=people)
        return replace(self, columns=columns, total=None, without=(), notes=())

    def plain(self) -> list[Plain]:
        """Every row for JSON."""
        record = Record(self.columns)
        return [record.plain(row) for row in self.rows]

    def csv(self) -> str:
        """Every row as CSV with a header; what is not known is an empty cell."""
        columns = named(self.columns)
        rows = [[plain_of(one.kind, one.value(row)) for one in columns] for row in self.rows]
        kept = [
            at
            for at, one in enumerate(columns)
            if not one.optional or any(row[at] is not ABSENT for row in rows)
        ]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns[at].name for at in kept)
        writer.writerows([_field(row[at]) for at in kept] for row in rows)
        return stream.getvalue()

    def readable(self) -> list[Column]:
        """Columns that people see."""
        return [
            one
            for one in self.columns
            if one.head
            and one.name not in self.without
            and not (one.optional and not any(one.value(row) for row in self.rows))
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        """Draw it in the width that there is; numbers and names are not broken."""
        if self.title:
            yield Text(self.title, "bold")
        rows = [*self.rows[:ROWS_MAX], *([] if self.total is None else [self.total])]
        drawn = [_Drawn.of(column, rows) for column in self.readable()]
        for part in _fitted(drawn, self.keys, options.max_width):
            yield part if isinstance(part, Text) else self._drawn(rows, *part)
        more = len(self.rows) - ROWS_MAX
        if more > 0:
            yield Text(f"and {more} more {self.noun}{'s' * (more > 1)}", "italic")
        yield from self.notes

    def _drawn(
        self, rows: Sequence[Any], columns: Sequence[_Drawn], padding: tuple[int, ...], whole: bool
    ) -> RichTable:
        table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        table.padding = padding  # type: ignore[assignment]
        for one in columns:
            justify = "right" if one.column.to_the_right else "left"
            fixed = whole and not one.column.prose
            table.add_column(one.column.head, justify=justify, overflow="fold", no_wrap=fixed)  # type: ignore[arg-type]
        before = None
        for at, row in enumerate(rows):
            last = self.total is not None and at == len(rows) - 1
            now = self.section(row) if self.section else None
            if at and (last or now != before):
                table.add_section()
            before = now
            style = "bold" if last else self.style(row) if self.style else None
            table.add_row(*(one.cells[at] for one in columns), style=style)
        return table


def _field(value: Any) -> Any:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is ABSENT else value


# ---- one fitter ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Drawn:
    """A column with its texts, and the least width that breaks none that must not be."""

    column: Column
    cells: list[Text]
    least: int

    @staticmethod
    def of(column: Column, rows: Sequence[Any]) -> _Drawn:
        cells = [column.text(row) for row in rows]
        width = max(
            (cell_len(line) for cell in cells for line in cell.plain.split("\n")), default=0
        )
        head = max(cell_len(line) for line in column.head.split("\n"))
        return _Drawn(column, cells, max(head, min(width, FOLD_MIN) if column.prose else width))


_Part = tuple[Sequence[_Drawn], tuple[int, ...], bool]


def _fitted(drawn: list[_Drawn], keys: int, width: int) -> Iterator[_Part | Text]:
    """All columns in one table if they fit; else a table, or several, for each group."""
    padding = _padding(drawn, width, _TOGETHER)
    if padding is not None:
        yield drawn, padding, True
        return
    groups: dict[str, list[_Drawn]] = {}
    for one in drawn[keys:]:
        groups.setdefault(one.column.group, []).append(one)
    first = drawn[:keys]
    for title, columns in groups.items():
        if title:
            yield Text()
            yield Text(title, "bold")
        taken: list[_Drawn] = []
        for one in columns:
            if taken and _padding([*first, *taken, one], width, _ALONE) is None:
                yield _closest([*first, *taken], width)
                yield Text()
                taken = []
            taken.append(one)
        yield _closest([*first, *taken], width)


def _closest(columns: list[_Drawn], width: int) -> _Part:
    """A table of these columns; what is wider than the terminal is folded."""
    padding = _padding(columns, width, _ALONE)
    return columns, padding or _ALONE[-1], padding is not None


def _padding(
    columns: list[_Drawn], width: int, paddings: Sequence[tuple[int, ...]]
) -> tuple[int, ...] | None:
    """The most room around cells with which columns fit; None if they do not."""
    taken = sum(one.least for one in columns)
    for padding in paddings:
        sides = 2 if len(padding) == 2 else 1
        around = (sides * len(columns) - sides) * padding[1]
        if taken + around + len(columns) - 1 <= width:
            return padding
    return None
