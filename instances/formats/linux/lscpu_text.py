"""The forms that ``lscpu`` writes: JSON, the table of ``-e``, that of ``-p``, and the summary.

Up to util-linux 2.38 a dash in JSON is bare, which is no JSON. A table's rows are dictionaries by
column in lower case, a summary pairs of field and value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from numaplace.instances.formats.document.json_text import parse_json
from numaplace.models.errors import InputError

_BARE_DASH = re.compile(r'("\s*:\s*)-(?=\s*[,}])')
_EXTENDED = re.compile(r"^[ \t]*(?:[A-Z][\w:%-]*[ \t]+)*CPU(?:[ \t]+[A-Z][\w:%-]*)*[ \t]*$", re.M)
_PARSABLE = re.compile(r"^#[ \t]*((?:[\w:%-]*,)*CPU(?:,[\w:%-]*)*)[ \t]*$", re.M | re.I)
_SUMMARY = re.compile(r"^[ \t]*(?:CPU\(s\)|NUMA node\d+ CPU\(s\))[ \t]*:", re.M)
_PAIR = re.compile(r"\s*([^:]+?)\s*:\s*(.*?)\s*")
_MORE = re.compile(r"\s+[0-9a-fx,-]+\s*", re.ASCII)  # a list that was too long for the terminal
_CACHE = re.compile(r"l[1-9][di]?", re.ASCII)
_DEPTH_MAX = 20

Row = dict[str, Any]
Pairs = list[tuple[str, str]]


def looks_like_lscpu(head: str) -> bool:
    """Tell whether a text that starts with `head` is one of the forms."""
    if re.match(r'\s*\{\s*"(lscpu|cpus)"\s*:\s*\[', head):
        return True
    return any(form.search(head) for form in (_EXTENDED, _PARSABLE, _SUMMARY))


def read_forms(text: str) -> tuple[list[Any] | None, Pairs]:
    """Return the rows of a table, or None and the pairs of a summary.

    `InputError` if it is none of the forms.
    """
    if text.lstrip().startswith(("{", "[")):
        document = _json(text)
        if isinstance(document.get("cpus"), list):
            return document["cpus"], []
        if isinstance(document.get("lscpu"), list):
            return None, list(_nested(document["lscpu"]))
        raise InputError("lscpu", "", "has neither 'cpus' nor 'lscpu' in it")
    if match := _PARSABLE.search(text):
        return list(_parsable(match[1].split(","), text)), []
    if match := _EXTENDED.search(text):
        return list(_extended(match[0].split(), text, match.end())), []
    return None, _summary(text)


def _json(text: str) -> dict[str, Any]:
    try:
        document = parse_json(text, thing="lscpu")
    except InputError:
        document = parse_json(_BARE_DASH.sub(r"\1null", text), thing="lscpu")
    if not isinstance(document, dict):
        raise InputError("lscpu", "", "must be a JSON object")
    return document


def _nested(items: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield fields and their data, whether nested in ``children`` or flat."""
    if not isinstance(items, list) or depth > _DEPTH_MAX:
        raise InputError("lscpu", "children", "must be a list of fields")
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("field"), str):
            raise InputError("lscpu", "field", "is missing in an entry of the list")
        data = item.get("data")
        yield item["field"].rstrip(":"), "" if data is None else str(data)
        if "children" in item:
            yield from _nested(item["children"], depth + 1)


def _extended(names: list[str], text: str, start: int) -> Iterator[Row]:
    first = text.count("\n", 0, start) + 1
    for line, content in enumerate(text[start:].splitlines(), start=first):
        words = content.split()
        if not words:
            continue
        if len(words) != len(names):
            reason = f"has {len(words)} values for {len(names)} columns"
            raise InputError("lscpu", f"row {content.strip()!r:.60}", reason, line=line)
        yield dict(zip((name.lower() for name in names), words, strict=True))


def _parsable(names: list[str], text: str) -> Iterator[Row]:
    """Yield the rows of ``-p``: each cache is a column there, the last ones may be missing."""
    columns = [name.lower() for name in names]
    caches = [at for at, name in enumerate(columns) if _CACHE.fullmatch(name)]
    for line, content in enumerate(text.splitlines(), start=1):
        if content.startswith("#") or not content.strip():
            continue
        words = [word.strip() for word in content.split(",")]
        least = min(caches, default=len(columns))
        if not least <= len(words) <= len(columns):
            reason = f"has {len(words)} values for {len(columns)} columns"
            raise InputError("lscpu", f"row {content!r:.60}", reason, line=line)
        row: Row = {name: word or None for name, word in zip(columns, words, strict=False) if name}
        told = [row.pop(columns[at], None) for at in caches]
        if caches:
            row[":".join(columns[at] for at in caches)] = ":".join(word for word in told if word)
        yield row


def _summary(text: str) -> Pairs:
    pairs: Pairs = []
    for content in text.splitlines():
        if pairs and _MORE.fullmatch(content):
            pairs[-1] = (pairs[-1][0], pairs[-1][1] + content.strip())
        elif match := _PAIR.fullmatch(content):
            pairs.append((match[1], match[2]))
    return pairs
