"""Fields of a trace's rows: what stands in them, and what may be wrong with them."""

from __future__ import annotations

import csv
import math
from enum import StrEnum

from numaplace.instances.formats.tables.trace_columns import TraceColumns
from numaplace.models.errors import NAME_LENGTH_MAX
from numaplace.models.topology import ID_MAX, MIB_MAX
from numaplace.models.trace import NO_NODE
from numaplace.models.vm import VCPUS_MAX, WEIGHT_MAX

TIME_MAX_S = 1e12
MIB_PER_GIB = 1024

SIZES = (
    "cpu",
    "memory",
    "memory_mib",
    "utilisation",
    "memory_intensity",
    "soft_node",
    "soft_weight",
    "predicted_lifetime",
)
"""Fields that say what a VM is like."""

_NAME_MAX = NAME_LENGTH_MAX - 15  # leaves room for the number of a VM that is created again
_LAST_S = math.nextafter(TIME_MAX_S, 0)
_BOUNDS = {
    "cpu": (1, VCPUS_MAX),
    "memory": (0, MIB_MAX / MIB_PER_GIB),
    "memory_mib": (0, MIB_MAX),
    "arrival": (0, _LAST_S),
    "lifetime": (-math.inf, _LAST_S),  # one that is no life is told apart from a bad number
    "departure": (-math.inf, _LAST_S),
    "time": (0, _LAST_S),
    "utilisation": (0, 1),
    "memory_intensity": (0, 1),
    "soft_node": (0, ID_MAX),
    "soft_weight": (0, WEIGHT_MAX),
    "predicted_lifetime": (0, _LAST_S),
}
_EMPTY = {
    "lifetime": math.inf,
    "departure": math.inf,
    "utilisation": 1.0,
    "memory_intensity": 0.3,
    "soft_node": NO_NODE,
    "soft_weight": 0.0,
    "predicted_lifetime": math.inf,
}
_TYPES = {"0": "create", "create": "create", "1": "delete", "delete": "delete"}


class RowProblem(StrEnum):
    """What can be wrong with a row or a VM."""

    BROKEN_ROW = "broken row"
    BAD_NAME = "bad name"
    NOT_A_NUMBER = "not a number"
    OUT_OF_RANGE = "out of range"
    NEGATIVE_TIME = "negative time"
    NO_LIFE = "no life"
    OCCURS_TWICE = "occurs twice"
    BAD_TYPE = "neither create nor delete"
    CREATED_TWICE = "created twice"
    DELETED_BEFORE_CREATED = "deleted before created"
    DELETED_NOT_THERE = "deleted but not there"
    UNSORTED = "unsorted"
    CREATED_AGAIN = "created again after its end"
    NEVER_DELETED = "never deleted"

    @property
    def outcome(self) -> str:
        """What became of the row or VM."""
        return _OUTCOMES.get(self, "dropped")

    @property
    def harmless(self) -> bool:
        """Whether nothing is wrong with it: it is only worth knowing."""
        return self in (RowProblem.CREATED_AGAIN, RowProblem.NEVER_DELETED)


_OUTCOMES = {
    RowProblem.UNSORTED: "mended by sorting",
    RowProblem.CREATED_AGAIN: "kept as another VM",
    RowProblem.NEVER_DELETED: "kept without end",
}


class FieldFault(Exception):
    """A row that cannot be used: the kind of problem, and the fault in words."""

    def __init__(self, problem: RowProblem, text: str) -> None:
        super().__init__(text)
        self.problem = problem
        self.text = text


def split_line(line: str) -> list[str]:
    """Return the fields of one line; `ValueError` if it is no CSV."""
    if '"' not in line:
        return [text.strip() for text in line.split(",")]
    try:
        return [text.strip() for text in next(csv.reader([line.rstrip("\r")], strict=True))]
    except csv.Error as error:
        raise ValueError(f"is no CSV ({error})") from None


def fields_of(line: str, width: int) -> list[str]:
    """Return the fields of a row; `FieldFault` if there are not as many as in the header."""
    try:
        texts = split_line(line)
    except ValueError as error:
        raise FieldFault(RowProblem.BROKEN_ROW, str(error)) from None
    if len(texts) != width:
        text = f"has {len(texts)} fields, the header has {width}"
        raise FieldFault(RowProblem.BROKEN_ROW, text)
    return texts


def name_of(text: str) -> str:
    """Return the name of a VM; `FieldFault` if it is none."""
    if not 0 < len(text) <= _NAME_MAX or not text.isprintable():
        reason = f"must be printable, of 1 to {_NAME_MAX} characters"
        raise FieldFault(RowProblem.BAD_NAME, f"vmid {text!r:.60} {reason}")
    return text


def is_creation(text: str) -> bool:
    """Tell whether an event creates its VM; `FieldFault` if it neither does nor deletes it."""
    known = _TYPES.get(text.lower())
    if known is None:
        raise FieldFault(
            RowProblem.BAD_TYPE, f"type {text!r:.40} is neither 0 (create) nor 1 (delete)"
        )
    return known == "create"


def life_of(texts: list[str], table: TraceColumns) -> tuple[float, float]:
    """Return start and end in seconds; `FieldFault` if that is no life."""
    start_s = value_of("arrival", texts[table.position["arrival"]])
    if "lifetime" in table.position:
        life_s = value_of("lifetime", texts[table.position["lifetime"]])
        if life_s <= 0:
            raise FieldFault(RowProblem.NO_LIFE, f"lifetime {life_s:.15g} is not above 0")
        end_s = start_s + life_s
        if TIME_MAX_S <= end_s < math.inf:
            text = f"arrival and lifetime add up to {end_s:.15g}, more than {TIME_MAX_S:g} s"
            raise FieldFault(RowProblem.OUT_OF_RANGE, text)
        return start_s, end_s
    end_s = value_of("departure", texts[table.position["departure"]])
    if end_s <= start_s:
        text = f"departure {end_s:.15g} is not after arrival {start_s:.15g}"
        raise FieldFault(RowProblem.NO_LIFE, text)
    return start_s, end_s


def value_of(name: str, text: str) -> float:
    """Return the number in a field, what an empty one stands for; `FieldFault` for a bad one."""
    if not text and name in _EMPTY:
        return _EMPTY[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:  # Python reads 1_0 as 10
        raise FieldFault(RowProblem.NOT_A_NUMBER, f"{name} {text!r:.40} is no number")
    low, high = _BOUNDS[name]
    if value < low and name in ("arrival", "time"):
        raise FieldFault(RowProblem.NEGATIVE_TIME, f"{name} {text!r:.40} is negative")
    if not low <= value <= high or (value == 0 and name in ("memory", "memory_mib")):
        above = "above" if name in ("memory", "memory_mib") else "at least"
        text = f"{name} {text!r:.40} must be {above} {low:.15g} and at most {high:.15g}"
        raise FieldFault(RowProblem.OUT_OF_RANGE, text)
    if name in ("cpu", "soft_node") and not value.is_integer():
        raise FieldFault(RowProblem.OUT_OF_RANGE, f"{name} {text!r:.40} is no whole number")
    return value
