"""Pieces of HTML: whatever is text is escaped here, once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

ROWS_MAX = 2_000


def escaped(text: object) -> str:
    """Text as it may stand within an element or an attribute."""
    return escape(str(text), quote=True)


def element(tag: str, text: object, classes: str = "") -> str:
    """An element that holds text."""
    names = f' class="{classes}"' if classes else ""
    return f"<{tag}{names}>{escaped(text)}</{tag}>"


def section(title: str, *parts: str, classes: str = "") -> str:
    """A section with its heading; empty parts are left out."""
    names = f' class="{classes}"' if classes else ""
    inner = "\n".join(part for part in parts if part)
    return f"<section{names}>\n{element('h2', title)}\n{inner}\n</section>"


@dataclass(frozen=True, slots=True)
class Td:
    """A field of a table: its text, by what it is sorted, HTML that follows the text.

    `number` is what it is sorted by; None: its text. `html` is not escaped.
    """

    text: str
    number: float | None = None
    html: str = ""


def table(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[str | Td]], *, sortable: bool = True
) -> str:
    """A table; a script makes the heads of a sortable one buttons.

    Columns whose fields have numbers are set to the right.
    """
    fields = [[field if isinstance(field, Td) else Td(field) for field in row] for row in rows]
    numeric = [
        bool(fields) and all(row[at].number is not None for row in fields)
        for at in range(len(columns))
    ]
    head = "".join(
        f'<th scope="col"{_right(right)}>{escaped(column)}</th>'
        for column, right in zip(columns, numeric, strict=True)
    )
    body = "\n".join(
        "<tr>" + "".join(_td(*pair) for pair in zip(row, numeric, strict=True)) + "</tr>"
        for row in fields[:ROWS_MAX]
    )
    more = len(fields) - ROWS_MAX
    note = element("p", f"and {more} more", "faint") if more > 0 else ""
    kind = ' class="sortable"' if sortable else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(name)}">'
        f'<table id="{escaped(name.lower().replace(" ", "-"))}"{kind}><thead><tr>{head}</tr>'
        f"</thead>\n<tbody>\n{body}\n</tbody></table></div>{note}"
    )


def _right(right: bool) -> str:
    return ' class="number"' if right else ""


def _td(field: Td, right: bool) -> str:
    key = "" if field.number is None else f' data-sort="{field.number:.15g}"'
    lines = "<br>".join(escaped(line) for line in field.text.split("\n"))
    return f"<td{_right(right)}{key}>{lines}{field.html}</td>"
