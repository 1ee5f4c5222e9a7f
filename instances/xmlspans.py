"""Changes to XML text that leave everything they do not concern as it is, to the byte.

Elements are found by their offsets in the text and only their own text is replaced: comments,
order, quotes, white space and line ends around them stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, quoteattr

from numaplace.instances.xmlfile import Located, parse_xml

_ATTRIBUTE = re.compile(rb"(\s+)([^\s=/>\"']+)(\s*=\s*)(\"[^\"]*\"|'[^']*')")
_TAG_END = re.compile(rb"(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")


class Span(NamedTuple):
    """Offsets of an element in bytes: its first, behind its start tag, its end tag, behind it.

    For ``<a/>`` the last three are equal.
    """

    start: int
    inner: int
    close: int
    end: int


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
    """XML text, its `root` as `xmlfile.parse_xml` reads it, and changes, which `result` applies."""

    def __init__(self, text: str, file: str) -> None:
        self.root = parse_xml(text, file)
        self.data = text.encode("utf-8")
        self.newline = "\r\n" if b"\r\n" in self.data else "\n"
        self._edits: list[tuple[int, int, bytes]] = []
        self._added: dict[Element, list[NewElement]] = {}
        self._attributes: dict[Element, dict[str, str | None]] = {}

    def span(self, element: Element) -> Span:
        """Return where an element is."""
        assert isinstance(element, Located)
        tag = _TAG_END.match(self.data, element.start)
        inner = tag.end() if tag else element.start
        if self.data[inner - 2 : inner] == b"/>":
            return Span(element.start, inner, inner, inner)
        return Span(element.start, inner, element.close, self.data.index(b">", element.close) + 1)

    def set_attributes(self, element: Element, **values: object) -> None:
        """Set attributes of an element, or take away those that are None."""
        changes = self._attributes.setdefault(element, {})
        for name, value in values.items():
            text = None if value is None else str(value)
            if element.get(name) != text:
                changes[name] = text

    def set_text(self, element: Element, text: str) -> None:
        """Set the text of an element without children."""
        if (element.text or "").strip() == text:
            return
        start, inner, close, end = self.span(element)
        if inner == end:  # <a/>
            head = self.data[start:end].rstrip(b">").rstrip(b"/").rstrip().decode()
            whole = f"{head}>{escape(text)}</{element.tag}>"
            self._edits.append((start, end, whole.encode()))
        else:
            self._edits.append((inner, close, escape(text).encode()))

    def remove(self, element: Element) -> None:
        """Take an element away, and its line if nothing else is on it."""
        start, _, _, end = self.span(element)
        before = self.data[:start].rstrip(b" \t")
        if before.endswith(b"\n"):
            start = len(before) - (2 if before.endswith(b"\r\n") else 1)
        self._edits.append((start, end, b""))

    def add(self, parent: Element, element: NewElement) -> None:
        """Add an element behind the last one of its tag in `parent`, else at its end."""
        self._added.setdefault(parent, []).append(element)

    def put(self, tag: str, *elements: NewElement) -> None:
        """Add elements to the root's element of a tag, which is made if there is none."""
        parent = self.root.find(tag)
        if parent is None:
            self.add(self.root, NewElement(tag, children=elements))
        else:
            self._added.setdefault(parent, []).extend(elements)

    def result(self) -> str:
        """Return the text with all changes."""
        edits = list(self._edits)
        for element, changes in self._attributes.items():
            edits += self._attribute_edits(element, changes)
        for parent, elements in self._added.items():
            edits += self._insertions(parent, elements)
        parts: list[bytes] = []
        position = 0
        for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
            parts += [self.data[position:start], new]
            position = max(position, end)
        return b"".join([*parts, self.data[position:]]).decode("utf-8")

    def _attribute_edits(
        self, element: Element, changes: Mapping[str, str | None]
    ) -> Iterator[tuple[int, int, bytes]]:
        end = self.span(element).start + 1 + len(element.tag.encode())
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
        self, parent: Element, elements: Sequence[NewElement]
    ) -> Iterator[tuple[int, int, bytes]]:
        start, behind_tag, close, end = self.span(parent)
        children = [(child.tag, self.span(child)) for child in parent]
        outer = self._indent(start)
        inner = self._indent(children[0][1].start) if children else outer + "  "
        step = inner[len(outer) :] if inner.startswith(outer) and inner != outer else "  "
        behind: dict[int, list[str]] = {}
        last = children[-1][1].end if children else behind_tag
        for element in elements:
            same = [span.end for tag, span in children if tag == element.tag]
            lines = [self.newline + inner + line for line in element.lines(step)]
            behind.setdefault(max(same, default=last), []).extend(lines)
        if behind_tag == end:  # <a/>
            body = "".join(line for lines in behind.values() for line in lines)
            stop = start + len(self.data[start:end].rstrip(b">").rstrip(b"/").rstrip())
            yield stop, end, f">{body}{self.newline}{outer}</{parent.tag}>".encode()
            return
        for place, lines in behind.items():
            text = "".join(lines)
            tail = self.data[place:close]
            if place == last and not tail.strip() and b"\n" not in tail:
                text += self.newline + outer
            yield place, place, text.encode()

    def _indent(self, start: int) -> str:
        """White space in front of an element if it begins its line."""
        line = self.data[self.data.rfind(b"\n", 0, start) + 1 : start].decode()
        return line if not line.strip() else line[: len(line) - len(line.lstrip())]
