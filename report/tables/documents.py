"""The JSON that is published: files and what commands print, each with a version and a schema."""

from __future__ import annotations

from numaplace.instances.formats.document.schema import KINDS, json_schema
from numaplace.models.errors import InputError
from numaplace.report.tables.columns import VERSION, Plain, Record, schema_of
from numaplace.report.tables.comparisons import COMPARE, DEMO
from numaplace.report.tables.instances import ENTRY, SHOW
from numaplace.report.tables.moves import BALLOON, REBALANCE, REPORT
from numaplace.report.tables.plans import CHECK, SOLVE
from numaplace.report.tables.policies import AGAINST, REPLAY
from numaplace.report.tables.questions import GUEST_NUMA, ROOM, SHARING
from numaplace.report.tables.simulations import SIMULATE
from numaplace.report.tables.talk import TALK

_PRINTED = (
    *(SOLVE, COMPARE, AGAINST, CHECK, SHOW, REPORT, REBALANCE),
    *(ROOM, BALLOON, SHARING, GUEST_NUMA, SIMULATE, TALK, REPLAY, DEMO),
)
PRINTED = {**{record.name: record for record in _PRINTED}, "catalog": [Record(ENTRY)]}
"""What commands print, by the name of the command; `catalog` prints a list."""


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
        "title": f"what numaplace {name} prints as JSON, version {VERSION}",
        **schema_of(PRINTED[name]),
    }
