"""The JSON that is published: files and what commands print, each with a version and a schema."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from numaplace.instances.formats.document.schema import KINDS, json_schema
from numaplace.models.errors import InputError
from numaplace.report import tables
from numaplace.report.tables.columns import VERSION, Plain, Record, schema_of
from numaplace.report.tables.instances import ENTRY
from numaplace.report.tables.stored import line


def _records() -> Iterator[Record]:
    """Yield the records with a name that modules beside this one declare."""
    for module in iter_modules(tables.__path__, f"{tables.__name__}."):
        if module.name != __name__:
            found = vars(import_module(module.name)).values()
            yield from (it for it in found if isinstance(it, Record) and it.name)


PRINTED = {
    **{record.name: record for record in _records()},
    **{"catalog": [Record(ENTRY)], "results": line},
}
"""What commands print, by the name of the command: `catalog` a list, `results` lines of a store."""


def names() -> list[str]:
    """Return what there are schemas of."""
    return [*KINDS, *PRINTED]


def published_schema(name: str) -> Plain:
    """Return the JSON schema (draft 2020-12) of a file, or of what a command prints."""
    if name in KINDS:
        return json_schema(name)
    if name not in PRINTED:
        raise InputError("schema", "NAME", f"must be one of {', '.join(names())}, not {name!r:.60}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:numaplace:{name}:{VERSION}",
        "title": f"what numaplace {name} prints as JSON, version {VERSION}"
        if name != "results"
        else f"a line of a store of numaplace replay, version {VERSION}",
        **schema_of(PRINTED[name]),
    }
