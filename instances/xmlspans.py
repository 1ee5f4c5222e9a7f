"""Changes to XML text that leave everything they do not concern as it is, to the byte.

Elements are found by their offsets in the text and only their own text is replaced: comments,
order, quotes, white space and line ends around them stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from defusedxml.ElementTree import DefusedXMLParser

from numaplace.instances.xmlfile import parse_xml
from numaplace.models.errors import InputError

_ATTRIBUTE = re.compile(rb"(\s+)([^\s=/>\"']+)(\s*=\s*)(\"[^\"]*\"|'[^']*')")
_TAG_END = re.compile(rb"(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")


@dataclass(eq=False)
class Span:
    """An element of the text.

    Parameters
    ----------
    tag, attributes, text
        As in the tree; `text` is what stands directly in it, stripped.
    start, inner, close, end
        Offsets in bytes: of its first byte, behind its start tag, of its end tag, and behind it.
        For ``<a/>`` the last three are equal.
    line
        Line of its start tag.
    """

    tag: str
    attributes: dict[str, str]
    start: int
    inner: int
    close: int
    end: int
    line: int
    text: str = ""
    children: list[Span] = field(default_factory=list)

    def all(self, path: str) -> Iterator[Span]:
        """Elements below it at a path like ``cputune/vcpupin``."""
        first, _, rest = path.partition("/")
        for child in self.children:
            if child.tag == first:
                if rest:
                    yield from child.all(rest)
                else:
                    yield child

    def find(self, path: str) -> Span | None:
        """The first element at a path, None if there is none."""
        return next(self.all(path), None)


@dataclass(frozen=True)
class NewElement:
    """An element to be added."""

    tag: str
    attributes: Mapping[str, object] = field(default_factory=dict)
    text: str = ""
    children: Sequence[NewElement] = ()

    def lines(self, step: str) -> list[str]:
        """Lines of its text, indented by `step` a level."""
        words = [self.tag, *(f"{k}={_quoted(v)}" for k, v in self.attributes.items())]
        head = " ".join(words)
        if self.children:
            inner = [step + line for child in self.children for line in child.lines(step)]
            return [f"<{head}>", *inner, f"</{self.tag}>"]
        return [f"<{head}>{escape(self.text)}</{self.tag}>" if self.text else f"<{head}/>"]


def _quoted(value: object) -> str:
    double = quoteattr(str(value))
    return double if "'" in double or double[0] == "'" else f"'{double[1:-1]}'"


class XmlText:
    """XML text and the changes to it; `result` applies them.

    Parameters
    ----------
    text, file
        As for `xmlfile.parse_xml`, which refuses what is unsafe.
    """

    def __init__(self, text: str, file: str) -> None:
        parse_xml(text, file)
        self.file = file
        self.data = text.encode("utf-8")
        self.root = _spans(text, self.data)
        self.newline = "\r\n" if b"\r\n" in self.data else "\n"
        self._edits: list[tuple[int, int, bytes]] = []
        self._added: dict[Span, list[NewElement]] = {}
        self._attributes: dict[Span, dict[str, str | None]] = {}

    def error(self, span: Span, name: str, reason: str) -> InputError:
        """Make an error that names an element, its file and its line."""
        return InputError(f"<{span.tag:.80}>", name, reason, file=self.file, line=span.line)

    def set_attributes(self, span: Span, **values: object) -> None:
        """Set attributes of an element, or take away those that are None."""
        changes = self._attributes.setdefault(span, {})
        for name, value in values.items():
            if span.attributes.get(name) != (None if value is None else str(value)):
                changes[name] = None if value is None else str(value)

    def set_text(self, span: Span, text: str) -> None:
        """Set the text of an element without children."""
        if span.text == text:
            return
        if span.inner == span.end:  # <a/>
            head = self.data[span.start : span.end].rstrip(b">").rstrip(b"/").rstrip()
            tag = span.tag.encode()
            whole = head + b">" + escape(text).encode() + b"</" + tag + b">"
            self._edits.append((span.start, span.end, whole))
        else:
            self._edits.append((span.inner, span.close, escape(text).encode()))

    def remove(self, span: Span) -> None:
        """Take an element away, and its line if nothing else is on it."""
        start = span.start
        before = self.data[:start].rstrip(b" \t")
        if before.endswith(b"\n"):
            start = len(before) - (2 if before.endswith(b"\r\n") else 1)
        self._edits.append((start, span.end, b""))

    def add(self, parent: Span, element: NewElement) -> None:
        """Add an element behind the last one of its tag in `parent`, else at its end."""
        self._added.setdefault(parent, []).append(element)

    def put(self, tag: str, *elements: NewElement) -> None:
        """Add elements to the root's element of a tag, which is made if there is none."""
        parent = self.root.find(tag)
        if parent is None:
            self.add(self.root, NewElement(tag, children=elements))
            return
        for element in elements:
            self.add(parent, element)

    def result(self) -> str:
        """Return the text with all changes."""
        edits = list(self._edits)
        for span, changes in self._attributes.items():
            if changes:
                edits += self._attribute_edits(span, changes)
        for parent, elements in self._added.items():
            edits += self._insertions(parent, elements)
        parts: list[bytes] = []
        position = 0
        for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
            parts += [self.data[position:start], new]
            position = max(position, end)
        return b"".join([*parts, self.data[position:]]).decode("utf-8")

    def _attribute_edits(
        self, span: Span, changes: Mapping[str, str | None]
    ) -> Iterator[tuple[int, int, bytes]]:
        head = len(span.tag) + 1 if span.tag.isascii() else len(span.tag.encode()) + 1
        end = span.start + head
        left = dict(changes)
        while match := _ATTRIBUTE.match(self.data, end):
            end = match.end()
            name = match[2].decode()
            if name not in left:
                continue
            value = left.pop(name)
            if value is None:
                yield match.start(), match.end(), b""
            else:
                quote = match[4][:1].decode()
                safe = escape(value, {quote: "&quot;" if quote == '"' else "&apos;"})
                yield match.start(4), match.end(4), f"{quote}{safe}{quote}".encode()
        new = "".join(f" {k}={_quoted(v)}" for k, v in left.items() if v is not None)
        if new:
            yield end, end, new.encode()

    def _insertions(
        self, parent: Span, elements: Sequence[NewElement]
    ) -> Iterator[tuple[int, int, bytes]]:
        outer = self._indent(parent.start)
        inner = self._indent(parent.children[0].start) if parent.children else outer + "  "
        step = inner[len(outer) :] if inner.startswith(outer) and inner != outer else "  "
        behind: dict[int, list[str]] = {}
        last = parent.children[-1].end if parent.children else parent.inner
        for element in elements:
            same = [child.end for child in parent.children if child.tag == element.tag]
            lines = [self.newline + inner + line for line in element.lines(step)]
            behind.setdefault(max(same, default=last), []).extend(lines)
        if parent.inner == parent.end:  # <a/>
            body = "".join(line for lines in behind.values() for line in lines)
            stop = parent.start + self.data[parent.start : parent.end].rindex(b"/")
            while self.data[stop - 1 : stop].isspace():
                stop -= 1
            close = f">{body}{self.newline}{outer}</{parent.tag}>"
            yield stop, parent.end, close.encode()
            return
        for place, lines in behind.items():
            text = "".join(lines)
            tail = self.data[place : parent.close]
            if place == last and not tail.strip() and b"\n" not in tail:
                text += self.newline + outer
            yield place, place, text.encode()

    def _indent(self, start: int) -> str:
        """White space in front of an element if it begins its line."""
        line = self.data[self.data.rfind(b"\n", 0, start) + 1 : start].decode()
        return line if not line.strip() else line[: len(line) - len(line.lstrip())]


class _Locator:
    """Notes where elements begin and end; the text has been parsed safely before."""

    def __init__(self, text: bytes) -> None:
        self.bytes = text
        self.parser: Any = None
        self.open: list[Span] = []
        self.root: Span | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        begin: int = self.parser.CurrentByteIndex
        match = _TAG_END.match(self.bytes, begin)
        inner = match.end() if match else begin
        line: int = self.parser.CurrentLineNumber
        span = Span(tag, dict(attributes), begin, inner, inner, inner, line)
        if self.open:
            self.open[-1].children.append(span)
        else:
            self.root = span
        self.open.append(span)

    def end(self, tag: str) -> None:
        span = self.open.pop()
        span.text = span.text.strip()
        if self.bytes[span.inner - 2 : span.inner] != b"/>":
            span.close = self.parser.CurrentByteIndex
            span.end = self.bytes.index(b">", span.close) + 1

    def data(self, text: str) -> None:
        if self.open:
            self.open[-1].text += text

    def close(self) -> None:
        """Nothing is left to do."""


def _spans(text: str, data: bytes) -> Span:
    locator = _Locator(data)
    parser = DefusedXMLParser(target=locator, forbid_dtd=False, forbid_entities=True)
    locator.parser = parser.parser
    parser.feed(text)
    parser.close()
    if locator.root is None:
        raise InputError("XML", "", "holds no element")
    return locator.root
