"""Columns, declared once: what people read, and what JSON, CSV and schemas hold.

A `Column` tells one thing of a row: its name for machines (with the unit), its type, how it is got,
and how people read it. A `Record` makes a JSON object of columns, and its schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from rich.text import Text

from numaplace.models.errors import InputError

VERSION = 1
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", None: "null"}
_KINDS: dict[str, Any] = {
    **{kind.__name__: kind for kind in (str, int, float, bool)},
    **{f"{kind.__name__}?": (kind, None) for kind in (str, int, float)},
    **{f"[{kind.__name__}]": [kind] for kind in (str, int, float)},
}
"""Kinds as `columns` knows them."""

Plain = dict[str, Any]


class _Absent:
    def __bool__(self) -> bool:
        return False


ABSENT = _Absent()
"""Value of a column that a row does not have; its key is left out of JSON."""


@dataclass(frozen=True, slots=True)
class Column:
    """One thing that is told of each row.

    Parameters
    ----------
    name
        Key in JSON and CSV, with its unit; with a ``-`` before it, only people see it.
    kind
        Type: `str`, `int`, `float`, `bool`, `object` (any), a `Record`; ``[kind]`` and
        ``{str: kind}`` are many, ``(kind, None)`` may be null, a function returns a schema.
    get
        Gets the value: a function of the row, or a path of attributes and indices: ``1.solver``;
        the attribute `name` unless given, the row itself if it is a dot.
    head, show
        Head where people read (empty: only machines do), and what makes a text of the value; of
        None, and of what a row lacks, that is a dash.
    right, prose, optional
        Set to the right (numbers are); may be folded; hidden if no row says anything.
    group
        Title of the table it goes to where not all columns fit.
    """

    name: str
    kind: Any = str
    get: Callable[[Any], Any] | str = ""
    head: str = ""
    show: Callable[[Any], str | Text] = str
    right: bool | None = None
    prose: bool = False
    optional: bool = False
    group: str = ""

    def value(self, row: Any) -> Any:
        """Exact value of a row."""
        if callable(self.get):
            return self.get(row)
        for part in (self.get or self.name).split(".") if self.get != "." else ():
            row = row[int(part)] if part.isdigit() else getattr(row, part)
        return row

    def text(self, row: Any) -> Text:
        """Value of a row as people read it."""
        value = self.value(row)
        shown = "-" if value is None or value is ABSENT else self.show(value)
        return shown if isinstance(shown, Text) else Text(shown)

    @property
    def to_the_right(self) -> bool:
        """Whether texts are set to the right."""
        kind = self.kind[0] if isinstance(self.kind, tuple) else self.kind
        return kind in (int, float) if self.right is None else self.right


Columns = tuple[Column, ...]


def columns(*parts: Column | str | Iterable[Column]) -> Columns:
    """Return columns; a text has several, as ``name``, ``name:kind`` or ``name=path:kind``."""
    found: list[Column] = []
    for part in parts:
        if isinstance(part, str):
            found += [_column(word) for word in part.split()]
        else:
            found += [part] if isinstance(part, Column) else part
    return tuple(found)


def _column(word: str) -> Column:
    name, _, kind = word.partition(":")
    name, _, path = name.partition("=")
    return Column(name, _KINDS[kind or "str"], path)


def within(get: Callable[[Any], Any] | str, *parts: Column | str | Iterable[Column]) -> Columns:
    """Return columns of what `get`, a function or a path, gets of a row."""
    outer = Column("", get=get)

    def inner(column: Column) -> Column:
        return replace(column, get=lambda row: column.value(outer.value(row)))

    return tuple(map(inner, columns(*parts)))


# ---- for machines -------------------------------------------------------------------------------


class Record:
    """A JSON object made of columns; with a name, it tells its format and version."""

    def __init__(self, *parts: Column | str | Iterable[Column], name: str = "") -> None:
        self.columns, self.name = columns(*parts), name

    def plain(self, row: Any) -> Plain:
        """Values of one row, for JSON."""
        found = {one.name: plain_of(one.kind, one.value(row)) for one in named(self.columns)}
        head = {"format": self.format} if self.name else {}
        return {**head, **{name: value for name, value in found.items() if value is not ABSENT}}

    @property
    def format(self) -> str:
        """Name and version."""
        return f"numaplace-{self.name}/{VERSION}"

    @cached_property
    def schema(self) -> Plain:
        """JSON schema of it."""
        told = named(self.columns)
        fields = {one.name: schema_of(one.kind) for one in told}
        required = [one.name for one in told if not one.optional]
        if self.name:
            fields = {"format": {"const": self.format}, **fields}
            required = ["format", *required]
        return {
            "type": "object",
            "properties": fields,
            "required": required,
            "additionalProperties": False,
        }


def schema_of(kind: Any) -> Plain:
    """JSON schema of a kind of value."""
    if isinstance(kind, Record):
        return kind.schema
    if isinstance(kind, list):
        return {"type": "array", "items": schema_of(kind[0])}
    if isinstance(kind, dict):
        return {"type": "object", "additionalProperties": schema_of(kind[str])}
    if isinstance(kind, tuple):
        return {"anyOf": [schema_of(one) for one in kind]}
    if kind is object:
        return {}
    if kind in _TYPES:
        return {"type": _TYPES[kind]}
    found: Plain = kind()
    return found


def plain_of(kind: Any, value: Any) -> Any:
    """Value as JSON has it."""
    if value is None or value is ABSENT:
        return value
    if isinstance(kind, tuple):
        return plain_of(kind[0], value)
    if isinstance(kind, Record):
        return kind.plain(value)
    if isinstance(kind, list):
        return [plain_of(kind[0], one) for one in value]
    if isinstance(kind, dict):
        return {str(key): plain_of(kind[str], one) for key, one in value.items()}
    return str(value) if kind is str else value


def named(columns: Iterable[Column]) -> list[Column]:
    """Columns that machines read."""
    return [one for one in columns if not one.name.startswith("-")]


def picked(columns: Sequence[Column], names: Sequence[str], *, people: bool) -> tuple[Column, ...]:
    """Return columns by name, in the order of the names: as people read them, or exact."""
    known: dict[str, Column] = {}
    for one in sorted(columns, key=lambda one: bool(one.head) if people else one.name[0] != "-"):
        known[one.name.lstrip("-")] = one
    for name in names:
        if name not in known:
            all_names = dict.fromkeys(one.name.lstrip("-") for one in columns)
            reason = f"there is no {name!r:.60}; there are {', '.join(all_names)}"
            raise InputError("output", "--column", reason)
    return tuple(_alone(name, known[name], people=people) for name in names)


def _alone(name: str, column: Column, *, people: bool) -> Column:
    if column.name.startswith("-") and not people:
        return Column(name, str, lambda row: column.text(row).plain)
    return replace(column, name=name, head=column.head or name, optional=False, group="")
