"""Faults of a document in the user's words: which element, on which line, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from numaplace.instances.formats.document.json_text import Path
from numaplace.models.errors import InputError

D = TypeVar("D", bound=BaseModel)

_WORDS = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be a string",
    "string_unicode": "holds half a character (a lone surrogate)",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object of keys and values",
    "model_type": "must be an object of keys and values",
    "finite_number": "must be finite",
    "greater_than_equal": "is below {ge}, the smallest allowed",
    "less_than_equal": "is above {le}, the largest allowed",
    "string_too_short": "is empty",
    "string_too_long": "is longer than {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "has more than {max_length} entries",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "must be the id of a node",
}
_NULL = {"type": "null"}


@dataclass(frozen=True)
class Source:
    """Where a document came from.

    Parameters
    ----------
    file
        Name for messages; None if it was never a file.
    line
        Line of the element at a path, if known.
    """

    file: str | None = None
    line: Callable[[Path], int | None] = lambda path: None

    def fault(self, error: InputError, *path: str | int) -> InputError:
        """Return the error with file and line of the element at `path`."""
        return error if self.file is None else error.at(self.file, self.line(path))

    @contextmanager
    def element(self, *path: str | int, within: str = "") -> Iterator[None]:
        """Add the place, and `within` (the thing around it), to an `InputError` raised inside."""
        try:
            yield
        except InputError as error:
            if within:
                error = InputError(f"{within}, {error.thing}", error.field, error.reason)
            raise self.fault(error, *path, error.field) from None


def validated(model: type[D], data: object, source: Source) -> D:
    """Return `data` as a document; its first fault is raised as an `InputError`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise _fault(model, _most_telling(faults), data, source, len(faults) - 1) from None


def _most_telling(faults: list[ErrorDetails]) -> ErrorDetails:
    """Return the first fault; for a missing field, a misspelt one in its place says more."""
    first = faults[0]
    if first["type"] == "missing":
        unknown = (fault for fault in faults if fault["type"] == "extra_forbidden")
        return next((fault for fault in unknown if fault["loc"][:-1] == first["loc"][:-1]), first)
    return first


def _fault(
    model: type[BaseModel], fault: ErrorDetails, data: object, source: Source, others: int
) -> InputError:
    path = tuple(step for step in fault["loc"] if step != "[key]")
    words = _WORDS.get(fault["type"], fault["msg"].lower())
    reason = words.format_map(fault.get("ctx", {}))
    if fault["type"] == "extra_forbidden":
        reason = "is no field known here" + _suggestion(model, path)
    elif reason.startswith("must be"):
        reason = f"{reason}, not {_brief(fault['input'])}"
    elif fault["type"] in ("greater_than_equal", "less_than_equal"):
        reason = f"{_brief(fault['input'])} {reason}"
    if others:
        reason += f" (and {others} more fault{'s' * (others > 1)})"
    error = InputError(in_words(data, path) or "document", "", reason)
    return source.fault(error, *path)


def in_words(data: object, path: Path) -> str:
    """Return a path as people read it: ``vms[3] 'web1'.memory_mib``."""
    words = ""
    for step in path:
        if isinstance(step, int):
            data = data[step] if isinstance(data, list) and step < len(data) else None
            words += f"[{step}]{_label(data)}"
        else:
            data = data.get(step) if isinstance(data, Mapping) else None
            plain = step.replace("_", "").isalnum() and len(step) <= 40
            words += f".{step}" if plain else f"[{step!r:.60}]"
    return words.lstrip(".")


def _label(item: object) -> str:
    """Name of a list item, if it has one."""
    if not isinstance(item, Mapping):
        return ""
    for key in ("name", "address", "kind"):
        if isinstance(item.get(key), str):
            return f" {item[key]!r:.60}"
    number = item.get("id")
    return f" (id {number})" if isinstance(number, int) and abs(number) < 10**9 else ""


def _brief(value: object) -> str:
    """Return what stands there instead, on one short line."""
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, Mapping):
        return "an object"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value!r:.60}"


def _suggestion(model: type[BaseModel], path: Path) -> str:
    """Return the known field whose name is nearly that of `path`'s last step, as a question."""
    root = model.model_json_schema()
    known = root
    for step in path[:-1]:
        properties = known.get("properties", {})
        known = known.get("items", {}) if isinstance(step, int) else properties.get(step, {})
        known = next((option for option in known.get("anyOf", ()) if option != _NULL), known)
        known = root["$defs"][known["$ref"].rpartition("/")[2]] if "$ref" in known else known
        if not isinstance(step, int) and not properties:  # entries by name, as in `placements`
            return ""
    close = get_close_matches(str(path[-1]), list(known.get("properties", ())), n=1, cutoff=0.7)
    return f": do you mean {close[0]!r}?" if close else ""
