"""What a model's fields may hold, told once by their annotations, and the check that reads them.

``vcpus: Annotated[int, Bound(1, 4096), "Number of vCPUs."]`` is all there is to a field: `checked`
holds it when a model is made, and readers, writers, schemas and the field reference
(`numaplace.instances.formats.document`) are made from what `fields_of` tells.
"""

from __future__ import annotations

import re
import types
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from enum import Enum
from functools import cache
from typing import Annotated, Any, ClassVar, Protocol, Union, get_args, get_origin, get_type_hints

from numaplace.models.errors import (
    NAME_LENGTH_MAX,
    InputError,
    check_choice,
    check_int,
    check_name,
    check_real,
    check_set,
)

NO_DEFAULT: Any = object()


@dataclass(frozen=True, slots=True)
class Bound:
    """Least and largest value of a number; below `least`, only 0 counts."""

    low: float
    high: float
    unit: str = ""
    least: float = 0


@dataclass(frozen=True, slots=True)
class Size:
    """Least and largest number of entries or characters, and what errors call the entries.

    Strings are one printable line each, not blank unless `low` is 0; those that hold ``lines``
    may have several.
    """

    low: int
    high: int
    word: str = ""


@dataclass(frozen=True, slots=True)
class Only:
    """The words that are left of a choice."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """The pattern of a string, and what it is in words: ``the id of a node``."""

    pattern: str
    words: str


Name = Annotated[str, Size(1, NAME_LENGTH_MAX)]


@dataclass(frozen=True, slots=True)
class Value:
    """What a field, or one entry of it, may hold.

    `kind` is ``int``, ``float``, ``bool``, ``str``, ``tuple``, ``frozenset``, ``dict``, an
    enumeration, or the class of a model; `item` and `key` are of a collection's entries. `default`
    is `NO_DEFAULT` if a field must be given.
    """

    kind: Any
    text: str = ""
    optional: bool = False
    bound: Bound | None = None
    size: Size | None = None
    only: Only | None = None
    like: Like | None = None
    item: Value | None = None
    key: Value | None = None
    default: Any = field(default=NO_DEFAULT, compare=False)

    @property
    def words(self) -> tuple[str, ...]:
        """The words of a choice; empty for what is none."""
        if self.only:
            return self.only.words
        return tuple(each.value for each in self.kind) if issubclass(self.kind, Enum) else ()


class Model(Protocol):
    """A dataclass whose errors name it by a format of its attributes: ``VM {0.name!r:.80}``."""

    THING: ClassVar[str]


@cache
def fields_of(model: Any) -> dict[str, Value]:
    """Return what the fields of a dataclass may hold, by name."""
    hints = get_type_hints(model, include_extras=True)
    found = {}
    for each in fields(model):
        made = each.default if each.default_factory is MISSING else each.default_factory()
        default = NO_DEFAULT if made is MISSING else made
        found[each.name] = replace(value_of(hints[each.name]), default=default)
    return found


def value_of(hint: Any) -> Value:
    """Return what an annotation says; what is told farther out holds."""
    told: dict[str, Any] = {}
    while True:
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is Annotated:
            hint = arguments[0]
            for each in reversed(arguments[1:]):
                word = "text" if isinstance(each, str) else type(each).__name__.lower()
                told.setdefault(word, each)
        elif origin in (Union, types.UnionType):
            (hint,) = (each for each in arguments if each is not type(None))
            told["optional"] = True
        else:
            break
    if origin in (tuple, frozenset):
        told["item"] = value_of(arguments[0])
    elif origin is not None:
        told["key"], told["item"] = map(value_of, arguments)
        origin = dict
    return Value(origin or hint, **told)


def thing_of(model: Model) -> str:
    """Return what errors call a model: ``VM 'web1'``."""
    return model.THING.format(model)


def checked(model: Model) -> str:
    """Raise `InputError` unless all fields are as declared; return what errors call the model."""
    thing = thing_of(model)
    for name, value, default, whole in _quick(type(model)):
        given = getattr(model, name)
        if given is not default and not (type(given) is int and given in whole):
            check(thing, name, given, value)
    return thing


@cache
def _quick(model: Any) -> list[tuple[str, Value, object, range]]:
    """Name, declaration, default and the whole numbers allowed, of each field to be checked."""
    found = []
    for name, value in fields_of(model).items():
        if not _moot(value):
            bound = value.bound if value.kind is int else None
            whole = range(int(bound.low), int(bound.high) + 1) if bound else range(0)
            found.append((name, value, value.default, whole))
    return found


def _moot(value: Value) -> bool:
    """Tell whether nothing is declared that `check` could find wrong."""
    if value.kind is tuple and not value.size:
        return value.item is None or _moot(value.item)
    return is_dataclass(value.kind) or (value.kind is int and not value.bound)


def check(thing: str, name: str, given: Any, value: Value) -> None:
    """Raise `InputError` unless a field's value is as declared."""
    kind, bound = value.kind, value.bound
    if given is None and value.optional:
        return
    if bound and kind is int:
        if type(given) is not int or not bound.low <= given <= bound.high:
            check_int(thing, name, given, int(bound.low), int(bound.high))
    elif bound:
        check_real(thing, name, given, bound.low, bound.high)
        if 0 < given < bound.least:
            reason = f"{given} is too small to count: use 0, or {bound.least:f} at least"
            raise InputError(thing, name, reason)
    elif kind is str:
        check_text(thing, name, given, value)
    elif kind in (tuple, frozenset, dict):
        _check_entries(thing, name, given, value)
    elif issubclass(kind, Enum):
        check_choice(thing, name, given, kind)
        if value.only and given not in value.only.words:
            raise InputError(thing, name, f"must be {listed(value.words)}")


def check_text(thing: str, name: str, given: object, value: Value) -> None:
    """Raise `InputError` unless it is a string as `value` says, and can be printed."""
    size = value.size
    if not size or size.low or not isinstance(given, str):
        check_name(thing, name, given)
    elif len(given) > size.high:
        raise InputError(thing, name, f"is longer than {size.high} characters")
    else:
        lines = given.splitlines() if size.word == "lines" else [given]
        if not all(line.replace("\t", " ").isprintable() for line in lines):
            raise InputError(thing, name, "holds unprintable characters")
    if value.like and not re.fullmatch(value.like.pattern, str(given)):
        raise InputError(thing, name, f"must be {value.like.words}, not {given!r:.60}")


def _check_entries(thing: str, name: str, given: Any, value: Value) -> None:
    size, item, of_set = value.size, value.item, value.kind is frozenset
    if of_set:
        check_set(thing, name, given)
    if of_set and size and len(given) < size.low:
        raise InputError(thing, name, f"is empty: leave it out to allow every {size.word}")
    if size:
        word = size.word if size.word and not of_set else name
        check_int(thing, f"number of {word}", len(given), size.low, size.high)
    if item and not is_dataclass(item.kind):
        for entry in given if value.key is None else (*given, *given.values()):
            check(thing, name, entry, item)


def listed(words: tuple[str, ...]) -> str:
    """Return words as a choice: ``'strict', 'preferred' or 'interleave'``."""
    return " or ".join(filter(None, (", ".join(map(repr, words[:-1])), repr(words[-1]))))
