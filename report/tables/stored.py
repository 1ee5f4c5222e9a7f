"""Lines of a store of results (`replay --store`), as they are published."""

from __future__ import annotations

from numaplace.report.tables.columns import Column, Plain, Record, schema_of
from numaplace.solver.compare.policies import OPTIMUM_FIELDS, POLICY_FIELDS
from numaplace.solver.compare.store import FORMAT

_RECORDS = [
    Record(*(Column(name, kind) for name, kind in kinds.items()))
    for kinds in (POLICY_FIELDS, OPTIMUM_FIELDS)
]
_RESULT = Record(Column("key"), Column("record", tuple(_RECORDS)))


def line() -> Plain:
    """Schema of a line: the first tells the format, each other one the result of a job."""
    head = {"properties": {"format": {"const": FORMAT}}, "required": ["format"]}
    first = {"type": "object", **head, "additionalProperties": False}
    return {"oneOf": [first, schema_of(_RESULT)]}
