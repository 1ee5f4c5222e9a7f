"""From documents to models, by what the models' fields declare: every fault has a path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass
from difflib import get_close_matches
from functools import cache
from math import isfinite
from typing import Any, TypeVar

from numaplace.instances.formats.document.json_text import Path
from numaplace.instances.formats.document.short import document_fields, make, place_of, raw_thing
from numaplace.models.errors import InputError
from numaplace.models.fields import NO_DEFAULT, Size, Value, check_text, listed
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan

T = TypeVar("T")
_BAD = object()
_ROOTS = (Instance, Plan)
"""Models of which errors need not say that they are part of one."""


@dataclass(slots=True)
class _Faults:
    """Faults of the document itself, and of the models made from it."""

    found: list[tuple[Path, str]] = field(default_factory=list)
    errors: list[tuple[Path, InputError]] = field(default_factory=list)

    def add(self, path: Path, reason: str) -> object:
        self.found.append((path, reason))
        return _BAD


def read_document(model: type[T], data: object, source: Source) -> T:
    """Return the model that a document of plain values tells; `InputError` with its line if none.

    The first fault is raised; those of the document come before those of what it means.
    """
    faults = _Faults()
    made = _model(Value(model), data, (), faults)
    if faults.found:
        path, reason = faults.found[0]
        others = len(faults.found) - 1
        if others:
            reason += f" (and {others} more fault{'s' * (others > 1)})"
        raise source.fault(InputError(in_words(data, path) or "document", "", reason), *path)
    if faults.errors:
        path, error = faults.errors[0]
        raise source.fault(error, *path, error.field)
    return made  # type: ignore[no-any-return]


def _read(value: Value, given: Any, path: Path, faults: _Faults) -> Any:
    if given is None and value.optional:
        return None
    return _reader(value.kind)(value, given, path, faults)


def _number(value: Value, given: Any, path: Path, faults: _Faults) -> Any:
    whole, bound = value.kind is int, value.bound
    if type(given) is not int and (whole or type(given) is not float):
        what = "must be a whole number" if whole else "must be a number"
        return faults.add(path, f"{what}, not {brief(given)}")
    if bound is None or bound.low <= given <= bound.high:
        return given if whole else float(given)
    if isinstance(given, float) and not isfinite(given):
        return faults.add(path, f"must be finite, not {given}")
    if given < bound.low:
        return faults.add(path, f"{brief(given)} is below {bound.low}, the smallest allowed")
    return faults.add(path, f"{brief(given)} is above {bound.high}, the largest allowed")


def _word(value: Value, given: Any, path: Path, faults: _Faults) -> Any:
    if isinstance(given, str) and given in value.words:
        return value.kind(given)
    return faults.add(path, f"must be {listed(value.words)}, not {brief(given)}")


def _text(value: Value, given: Any, path: Path, faults: _Faults) -> Any:
    if value.only:
        return _word(value, given, path, faults)
    if not isinstance(given, str):
        return faults.add(path, f"must be a string, not {brief(given)}")
    if not given.isprintable() and any("\ud800" <= char <= "\udfff" for char in given):
        return faults.add(path, "holds half a character (a lone surrogate)")
    try:
        check_text("", "", given, value)
    except InputError as error:
        return faults.add(path, error.reason)
    return given


def _truth(value: Value, given: Any, path: Path, faults: _Faults) -> Any:
    if type(given) is bool:
        return given
    return faults.add(path, f"must be true or false, not {brief(given)}")


def _list(value: Value, given: Any, path: Path, faults: _Faults) -> Any:
    """Return the entries of a set as well: whose they are must be known to tell of twins."""
    size, item = value.size, value.item
    if not isinstance(given, list):
        return faults.add(path, f"must be a list, not {brief(given)}")
    if size and not size.low <= len(given) <= size.high:
        return faults.add(path, _number_of_entries(size, len(given)))
    assert item is not None
    return tuple([_read(item, each, (*path, index), faults) for index, each in enumerate(given)])


def _mapping(value: Value, given: Any, path: Path, faults: _Faults) -> Any:
    size, item, key = value.size, value.item, value.key
    if not isinstance(given, dict):
        return faults.add(path, f"must be an object of keys and values, not {brief(given)}")
    if size and not size.low <= len(given) <= size.high:
        return faults.add(path, _number_of_entries(size, len(given)))
    assert item is not None and key is not None
    thing, made = getattr(item.kind, "THING", ""), {}
    for name, each in given.items():
        where, before = (*path, name), len(faults.errors)
        _read(key, name, where, faults)
        made[name] = _read(item, each, where, faults)
        if thing and size:
            _tell_more(faults, before, thing, f"{thing} of {size.word} {name!r:.80}")
    return made


def _number_of_entries(size: Size, number: int) -> str:
    few = number < size.low
    return f"must have at least {size.low} entries" if few else f"has more than {size.high} entries"


def _model(value: Value, given: Any, path: Path, faults: _Faults) -> Any:
    """Read an object of a model's fields, and make the model if all are right."""
    model, told = value.kind, document_fields(value.kind)
    if not isinstance(given, dict):
        return faults.add(path, f"must be an object of keys and values, not {brief(given)}")
    before, found = len(faults.errors), len(faults.found)
    values = {}
    for name, each in given.items():
        if name in told:
            values[name] = _read(told[name], each, (*path, name), faults)
        else:
            faults.add((*path, name), f"is no field known here{_suggestion(name, told)}")
    for name in _required(model) - given.keys():
        faults.add((*path, name), "is missing")
    if len(faults.found) > found:
        return _BAD
    if len(faults.errors) == before:
        try:
            return make(model, values)
        except InputError as error:
            where = place_of(values, error) if model is Instance else ()
            faults.errors.append(((*path, *where), error))
    elif model not in _ROOTS:
        _tell_more(faults, before, "", f"{raw_thing(model, values)}, ")
    return _BAD


_READERS: dict[Any, Callable[[Value, Any, Path, _Faults], Any]] = {
    int: _number,
    float: _number,
    str: _text,
    bool: _truth,
    tuple: _list,
    frozenset: _list,
    dict: _mapping,
}


@cache
def _reader(kind: Any) -> Callable[[Value, Any, Path, _Faults], Any]:
    return _READERS.get(kind) or (_model if is_dataclass(kind) else _word)


@cache
def _required(model: Any) -> frozenset[str]:
    told = document_fields(model)
    return frozenset(name for name, value in told.items() if value.default is NO_DEFAULT)


def _tell_more(faults: _Faults, before: int, old: str, new: str) -> None:
    """Say in errors that came since of which larger thing they are."""
    for index in range(before, len(faults.errors)):
        path, error = faults.errors[index]
        thing = new + error.thing.removeprefix(old)
        faults.errors[index] = path, InputError(thing, error.field, error.reason)


def _suggestion(name: object, known: Mapping[str, object]) -> str:
    """Return the known field whose name is nearly that, as a question."""
    close = get_close_matches(str(name), known, n=1, cutoff=0.7)
    return f": do you mean {close[0]!r}?" if close else ""


@dataclass(frozen=True)
class Source:
    """Where a document came from: its file, if it is one, and the line of an element, if known."""

    file: str | None = None
    line: Callable[[Path], int | None] = lambda path: None

    def fault(self, error: InputError, *path: str | int) -> InputError:
        """Return the error with file and line of the element at `path`."""
        return error if self.file is None else error.at(self.file, self.line(path))


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


def brief(value: object) -> str:
    """Return what stands there instead, on one short line."""
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, Mapping):
        return "an object"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value!r:.60}"
