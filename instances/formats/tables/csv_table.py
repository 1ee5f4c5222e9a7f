"""Tables as CSV with a header line: rows with their lines, and the checks that all tables share."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator

from numaplace.models.errors import InputError


def header_of(head: str) -> set[str]:
    """Return the names in the first line of a text that is not empty, as they look."""
    first = next((line for line in head.splitlines() if line.strip()), "")
    return {name.strip().strip('"') for name in first.split(",")}


def csv_rows(text: str, file: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, with the line each begins on."""
    reader = csv.reader(io.StringIO(text), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"is no CSV ({error})"
            raise InputError("table", "", reason, file=file, line=line) from None
        if any(field.strip() for field in row):
            yield line, [field.strip() for field in row]


def check_header(header: list[str], is_known: Callable[[str], bool]) -> None:
    """Raise `InputError` for a column that is not known or occurs twice."""
    for name in header:
        if not is_known(name):
            raise InputError("table", f"column {name!r:.60}", "is unknown")
        if header.count(name) > 1:
            raise InputError("table", f"column {name!r}", "occurs twice")


def table_row(columns: list[str], row: list[str]) -> dict[str, str]:
    """Return the fields of a row that are not empty, by column."""
    if len(row) != len(columns):
        reason = f"has {len(row)} fields, the header has {len(columns)}"
        raise InputError("row", "", reason)
    return {name: text for name, text in zip(columns, row, strict=True) if text}


def real(text: str, thing: str, field: str) -> float:
    """Read a number that is finite."""
    try:
        value = float(text)
    except ValueError:
        raise InputError(thing, field, f"must be a number, not {text!r:.60}") from None
    if not math.isfinite(value):
        raise InputError(thing, field, f"must be finite, not {text!r:.60}")
    return value
