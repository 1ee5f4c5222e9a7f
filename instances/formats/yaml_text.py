"""YAML as text, cut down to what JSON can say.

Of YAML's many ways only the plain ones are read: no anchors, aliases, merge keys or tags (they can
blow up a small file into a huge one, or mean code), no second document, and of unquoted words only
`null`, `true`, `false` and decimal numbers are special: ``no``, ``0x1f``, ``12:30`` and
``2024-01-01`` are words like any other.
"""

from __future__ import annotations

import math
import re

import yaml

from numaplace.instances.formats.json_text import NUMBER_LENGTH_MAX, Path
from numaplace.models.errors import InputError

SIZE_MAX = 8 * 2**20
"""Longest YAML text in characters; JSON, which reads a hundred times faster, may be longer."""

DEPTH_MAX = 40

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


class _Loader(yaml.SafeLoader):
    """Composes nodes; refuses what this module does not read."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _refused("anchors and aliases are not read", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise _refused("tags are not read", event.start_mark)
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise _refused(f"is nested deeper than {DEPTH_MAX} levels", event.start_mark)
        node = super().compose_node(parent, index)  # type: ignore[arg-type]
        self.depth -= 1
        return node


# Resolvers of their own, in place of YAML 1.1's, which see numbers in 12:30 and truth in `no`.
_Loader.yaml_implicit_resolvers = {}
_Dumper.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _WORDS:
    _Loader.add_implicit_resolver(_tag, _pattern, _first)
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)


class _Refused(yaml.MarkedYAMLError):
    """Something that is YAML but not read here."""


def _refused(reason: str, mark: yaml.Mark) -> _Refused:
    return _Refused(problem=reason, problem_mark=mark)


def parse_yaml(text: str, file: str | None = None) -> object:
    """Return the value of a YAML text; `InputError` with file and line if it is faulty."""
    line: int | None = None
    if len(text) > SIZE_MAX:
        reason = f"is longer than {SIZE_MAX} characters of YAML: use JSON"
        raise InputError("document", "", reason, file=file)
    try:
        return _plain(_compose(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        problem = error.problem or error.context
        reason = f"{problem}" if isinstance(error, _Refused) else f"is no YAML: {problem}"
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        reason = f"is no YAML: the character #x{error.character:04x} is not allowed"
    except RecursionError:
        reason = "is nested too deeply"
    raise InputError("document", "", reason, file=file, line=line)


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _plain(node: yaml.Node | None) -> object:
    if node is None:
        return None
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        result: dict[str, object] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refused("a key must be a word or a number", key.start_mark)
            if key.value in result:
                raise _refused(f"the key {key.value!r:.80} occurs twice", key.start_mark)
            result[key.value] = _plain(item)
        return result
    return _scalar(node)


def _scalar(node: yaml.Node) -> object:
    word: str = node.value
    if node.tag == _NULL:
        return None
    if node.tag == _BOOL:
        return word == "true"
    if node.tag not in (_INT, _FLOAT):
        return word
    if len(word) > NUMBER_LENGTH_MAX:
        raise _refused(f"the number {word[:20]}... is too long", node.start_mark)
    if node.tag == _INT:
        return int(word)
    try:
        value = float(word)
    except ValueError:  # YAML's own spellings of infinity and NaN
        value = math.nan
    if not math.isfinite(value):
        raise _refused(f"{word} is no finite number", node.start_mark)
    return value


def yaml_line(text: str, path: Path) -> int | None:
    """Line of the element at `path`, or of the innermost of its parents that exists."""
    node = _compose(text)
    line: int | None = None
    for step in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == step]
            if not found:
                break
            line = found[0][0].start_mark.line + 1
            node = found[0][1]
        else:
            break
    return line


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
