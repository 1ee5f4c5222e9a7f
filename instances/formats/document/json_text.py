"""JSON as text: parsed without surprises, printed so that people can read it.

Refused: keys that occur twice, NaN and Infinity, numbers too long to mean anything, deep nesting.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from numaplace.models.errors import InputError

Path = tuple[str | int, ...]
"""Way to an element of a document: keys and indices from the outermost in."""

NUMBER_LENGTH_MAX = 40
WIDTH = 100

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


class _Refused(ValueError):
    """A fault in the text, with the word to look for to find its line."""

    def __init__(self, reason: str, token: str) -> None:
        self.reason = reason
        self.token = token
        super().__init__(reason)


def parse_json(text: str, file: str | None = None, thing: str = "document") -> object:
    """Return the value of a JSON text; `InputError` with file and line if it is faulty."""
    line: int | None = None
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_real,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        reason, line = f"is no JSON: {error.msg} at column {error.colno}", error.lineno
    except _Refused as error:
        reason, line = error.reason, _line_of_token(text, error.token)
    except RecursionError:
        reason = "is nested too deeply"
    raise InputError(thing, "", reason, file=file, line=line)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise _Refused(f"the key {twice!r:.80} occurs twice in one object", "twice")
    return result


def _integer(text: str) -> int:
    if len(text) > NUMBER_LENGTH_MAX:
        raise _Refused(f"the number {text[:20]}... is too long", text)
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if len(text) > NUMBER_LENGTH_MAX or not math.isfinite(value):
        raise _Refused(f"the number {text:.20} is too large or too long", text)
    return value


def _constant(text: str) -> float:
    raise _Refused(f"{text} is no number that JSON knows", text)


def _line_of_token(text: str, wanted: str) -> int | None:
    """Line of the first such token, or of the first key that occurs twice."""
    if wanted == "twice":
        seen: set[Path] = set()
        for path, start in _elements(text):
            if path in seen:
                return _line(text, start)
            seen.add(path)
    found = next((match for match in _TOKEN.finditer(text) if match[0] == wanted), None)
    return _line(text, found.start()) if found else None


def json_line(text: str, path: Path) -> int | None:
    """Line of the element at `path`, or of the innermost of its parents that exists."""
    start = innermost(_elements(text), path)
    return None if start is None else _line(text, start)


def innermost(elements: Iterable[tuple[Path, int]], path: Path) -> int | None:
    """Return where the element at `path` is, or the innermost of its parents that exists."""
    found, depth = None, 0
    for element, where in elements:
        if len(element) > depth and element == path[: len(element)]:
            found, depth = where, len(element)
    return found


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _elements(text: str) -> Iterator[tuple[Path, int]]:
    """Path and position of each key and list item of a text, in order; faults end the walk."""
    path: list[str | int] = []
    kinds: list[str] = []
    expect_key = False
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word in "}]":
            if not kinds:
                return
            kinds.pop()
            path.pop()
            expect_key = False
        elif word == ",":
            expect_key = bool(kinds) and kinds[-1] == "{"
            if kinds and kinds[-1] == "[":
                last = path[-1]
                path[-1] = last + 1 if isinstance(last, int) else 0
        elif expect_key and word[0] == '"':
            path[-1] = _string(word)
            expect_key = False
            yield tuple(path), token.start()
        elif word != ":":
            if kinds and kinds[-1] == "[":
                yield tuple(path), token.start()
            if word in "{[":
                kinds.append(word)
                path.append("" if word == "{" else 0)
                expect_key = word == "{"


def _string(word: str) -> str:
    try:
        return str(json.loads(word))
    except json.JSONDecodeError:
        return word[1:-1]


def dump_json(value: object) -> str:
    """Return a value as JSON text; what fits one line of `WIDTH` columns stands on one line."""
    return _dump(value, 0, 0) + "\n"


def _dump(value: object, indent: int, used: int) -> str:
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or not value or indent + used + len(flat) < WIDTH:
        return flat
    inner = indent + 2
    if isinstance(value, dict):
        keys = {key: json.dumps(key, ensure_ascii=False) + ": " for key in value}
        parts = [keys[key] + _dump(item, inner, len(keys[key])) for key, item in value.items()]
        opening, closing = "{", "}"
    else:
        parts = [_dump(item, inner, 0) for item in value]
        opening, closing = "[", "]"
    space = " " * inner
    return f"{opening}\n{space}" + f",\n{space}".join(parts) + f"\n{' ' * indent}{closing}"
