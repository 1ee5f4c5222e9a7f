"""YAML as text, cut down to what JSON can say.

Of YAML's many ways only the plain ones are read: no anchors, aliases, merge keys or tags (they can
blow up a small file into a huge one, or mean code), no second document, and of unquoted words only
`null`, `true`, `false` and decimal numbers are special: ``no``, ``0x1f``, ``12:30`` and
``2024-01-01`` are words like any other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import yaml

from numaplace.instances.formats.document.json_text import NUMBER_LENGTH_MAX, Path, innermost
from numaplace.models.errors import InputError

SIZE_MAX = 8 * 2**20
"""Longest YAML text in characters; JSON, which reads a hundred times faster, may be longer."""

DEPTH_MAX = 40

_IN_C = hasattr(yaml, "CSafeLoader")
_Parser: Any = yaml.CSafeLoader if _IN_C else yaml.SafeLoader
"""libyaml reads thirty times faster; nodes and values are made here in either case."""

_NULL, _BOOL, _INT, _FLOAT = (
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float")
)
_WORDS = (
    (_NULL, re.compile(r"^(?:null|~|)$"), ["n", "~", ""]),
    (_BOOL, re.compile(r"^(?:true|false)$"), ["t", "f"]),
    (_INT, re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789")),
    (
        _FLOAT,
        re.compile(
            r"^(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        list("-+.0123456789"),
    ),
)


class _Dumper(yaml.SafeDumper):
    """Writes so that `_Loader` reads the same."""

    def ignore_aliases(self, data: object) -> bool:
        """Write equal values out each time."""
        return True


# Resolvers of its own, in place of YAML 1.1's, which see numbers in 12:30 and truth in `no`.
_Dumper.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _WORDS:
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)


class _RefusedYaml(yaml.MarkedYAMLError):
    """Something that is YAML but not read here."""


def _refused(reason: str, mark: Any) -> _RefusedYaml:
    return _RefusedYaml(problem=reason, problem_mark=mark)


def parse_yaml(text: str, file: str | None = None) -> object:
    """Return the value of a YAML text; `InputError` with file and line if it is faulty."""
    line: int | None = None
    if len(text) > SIZE_MAX:
        reason = f"is longer than {SIZE_MAX} characters of YAML: use JSON"
        raise InputError("document", "", reason, file=file)
    try:
        events = _events(text)
        value = _value(events)
        next(events, None)  # looks for a second document
        return value
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        problem = error.problem or error.context
        reason = f"{problem}" if isinstance(error, _RefusedYaml) else f"is no YAML: {problem}"
    except yaml.reader.ReaderError as error:
        # libyaml counts bytes.
        before = text.encode()[: error.position] if _IN_C else text[: error.position].encode()
        line = before.count(b"\n") + 1
        reason = f"is no YAML: the character #x{error.character:04x} is not allowed"
    raise InputError("document", "", reason, file=file, line=line)


def _events(text: str) -> Iterator[Any]:
    """Yield the scalars, starts and ends of a text's one document; refuse what is not read."""
    loader = _Parser(text)
    depth = documents = 0
    try:
        while loader.check_event():
            event: Any = loader.get_event()
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _refused("there is another document", event.start_mark)
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
                yield event
            elif isinstance(event, yaml.NodeEvent):
                if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
                    raise _refused("anchors and aliases are not read", event.start_mark)
                if getattr(event, "tag", None) is not None:
                    raise _refused("tags are not read", event.start_mark)
                if depth == DEPTH_MAX:
                    reason = f"is nested deeper than {DEPTH_MAX} levels"
                    raise _refused(reason, event.start_mark)
                depth += isinstance(event, yaml.CollectionStartEvent)
                yield event
    finally:
        loader.dispose()


def _value(events: Iterator[Any]) -> object:
    """Return the value that the next event begins; None if there is none."""
    event = next(events, None)
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[object] = []
        for inner in events:
            if isinstance(inner, yaml.SequenceEndEvent):
                break
            items.append(_value(chain((inner,), events)))
        return items
    if isinstance(event, yaml.MappingStartEvent):
        result: dict[str, object] = {}
        for key in events:
            if isinstance(key, yaml.MappingEndEvent):
                break
            if not isinstance(key, yaml.ScalarEvent):
                raise _refused("a key must be a word or a number", key.start_mark)
            if key.value in result:
                raise _refused(f"the key {key.value!r:.80} occurs twice", key.start_mark)
            result[key.value] = _value(events)
        return result
    return None if event is None else _scalar(event)


def _scalar(event: Any) -> object:
    word: str = event.value
    if not event.implicit[0]:  # in quotes
        return word
    tag = next((tag for tag, pattern, _ in _WORDS if pattern.match(word)), None)
    if tag == _NULL:
        return None
    if tag == _BOOL:
        return word == "true"
    if tag is None:
        return word
    if len(word) > NUMBER_LENGTH_MAX:
        raise _refused(f"the number {word[:20]}... is too long", event.start_mark)
    if tag == _INT:
        return int(word)
    try:
        value = float(word)
    except ValueError:  # YAML's own spellings of infinity and NaN
        value = math.nan
    if not math.isfinite(value):
        raise _refused(f"{word} is no finite number", event.start_mark)
    return value


def yaml_line(text: str, path: Path) -> int | None:
    """Line of the element at `path`, or of the innermost of its parents that exists."""
    return innermost(_elements(text), path)


def _elements(text: str) -> Iterator[tuple[Path, int]]:
    """Path and line of each key and list item of a text, in order."""
    here: list[str | int] = []
    keyed = False
    for event in _events(text):
        if isinstance(event, yaml.CollectionEndEvent):
            here.pop()
            keyed = False
            continue
        last = here[-1] if here and not keyed else None
        keyed = isinstance(last, str)
        if last is not None:
            here[-1] = event.value if isinstance(last, str) else last + 1
            yield tuple(here), event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            here.append(-1 if isinstance(event, yaml.SequenceStartEvent) else "")


def dump_yaml(value: object) -> str:
    """Return a value as YAML text that `parse_yaml` reads back."""
    return yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=None,
    )
