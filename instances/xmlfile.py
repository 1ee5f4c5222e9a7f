"""XML files parsed safely into elements that know the line they came from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from numaplace.instances.ranges import parse_ids, parse_whole
from numaplace.models.errors import InputError
from numaplace.models.topology import ID_MAX

DEPTH_MAX = 200
ELEMENTS_MAX = 500_000


class Located(Element):
    """An element with its file, its line, and the offsets in bytes of its tags.

    `start` is that of its first byte, `close` that of its end tag (of ``<a/>`` the same).
    """

    file: str = ""
    line: int = 0
    start: int = 0
    close: int = 0


class _Builder:
    """Builds the tree for the parser, counting elements and depth."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.parser: Any = None
        self.root: Element | None = None
        self.open: list[Located] = []
        self.last: Element | None = None
        self.count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> Element:
        element = Located(tag, attributes)
        element.file, element.line = self.file, self.parser.CurrentLineNumber
        element.start = self.parser.CurrentByteIndex
        self.count += 1
        if self.count > ELEMENTS_MAX:
            raise error_at(element, "", f"is one element more than {ELEMENTS_MAX}, the most read")
        if len(self.open) >= DEPTH_MAX:
            raise error_at(element, "", f"is nested deeper than {DEPTH_MAX} elements")
        if self.open:
            self.open[-1].append(element)
        else:
            self.root = element
        self.open.append(element)
        self.last = None
        return element

    def end(self, tag: str) -> Element:
        self.last = element = self.open.pop()
        element.close = self.parser.CurrentByteIndex
        return element

    def data(self, text: str) -> None:
        if self.last is not None:
            self.last.tail = (self.last.tail or "") + text
        elif self.open:
            self.open[-1].text = (self.open[-1].text or "") + text

    def close(self) -> Element | None:
        return self.root


def parse_xml(text: str, file: str, *, roots: tuple[str, ...] = ()) -> Element:
    """Parse XML text; a DOCTYPE line is allowed, entities are not.

    Parameters
    ----------
    text
        The document.
    file
        Name for error messages.
    roots
        Tags the root element may have; empty allows any.

    Raises
    ------
    InputError
        With the line, for bad syntax, declared or external entities, or a document too deep or
        too large.
    """
    builder = _Builder(file)
    parser = DefusedXMLParser(target=builder, forbid_dtd=False, forbid_entities=True)
    builder.parser = parser.parser
    try:
        parser.feed(text)
        root: Element | None = parser.close()
    except DefusedXmlException:
        line = builder.parser.CurrentLineNumber
        reason = "declares or uses an entity, which is forbidden"
        raise InputError("XML", "DOCTYPE", reason, file=file, line=line) from None
    except ParseError as error:
        line = error.position[0] if hasattr(error, "position") else None
        reason = f"is no well-formed XML ({str(error).split(':')[0]})"
        raise InputError("XML", "", reason, file=file, line=line) from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError("XML", "", f"cannot be parsed ({error})", file=file) from None
    if root is None:
        raise InputError("XML", "", "holds no element", file=file)
    if roots and root.tag not in roots:
        wanted = " or ".join(f"<{tag}>" for tag in roots)
        raise error_at(root, "", f"is the root element, must be {wanted}")
    return root


def line_of(element: Element) -> int | None:
    """Line an element starts on; None if it was not read by `parse_xml`."""
    return element.line if isinstance(element, Located) else None


@contextmanager
def at_element(element: Element) -> Iterator[None]:
    """Make every `InputError` raised inside one of the element."""
    try:
        yield
    except InputError as error:
        raise error_at(element, error.field, error.reason) from None


def place_of(element: Element, field: str) -> dict[str, Any]:
    """Return what the parsers of `ranges` want to know of where a text stands, as keywords."""
    file = element.file if isinstance(element, Located) else None
    thing = f"<{element.tag:.80}>"
    return {"thing": thing, "field": field, "file": file, "line": line_of(element)}


def error_at(element: Element, field: str, reason: str) -> InputError:
    """Make an `InputError` that names the element, its file and its line."""
    return InputError(reason=reason, **place_of(element, field))


def child(element: Element, path: str) -> Element:
    """Return the child at a path; `InputError` if there is none."""
    found = element.find(path)
    if found is None:
        raise error_at(element, "", f"has no <{path}> in it")
    return found


def attribute(element: Element, name: str) -> str:
    """Return an attribute; `InputError` if it is missing."""
    value = element.get(name)
    if value is None:
        raise error_at(element, name, "attribute is missing")
    return value


def whole_attribute(element: Element, name: str, low: int = 0, high: int = ID_MAX) -> int:
    """Return an attribute that is a whole number in ``[low, high]``; `InputError` otherwise."""
    return _whole(element, name, attribute(element, name), low, high)


def ids_attribute(element: Element, name: str) -> frozenset[int]:
    """Return the ids that an attribute lists (``1-4,^3``); `InputError` for what is no list."""
    return parse_ids(attribute(element, name), **place_of(element, name))


def real_attribute(element: Element, name: str, low: float, high: float) -> float:
    """Return an attribute that is a finite number in ``[low, high]``; `InputError` otherwise."""
    text = attribute(element, name)
    try:
        value = float(text)
    except ValueError:
        raise error_at(element, name, f"must be a number, not {text!r:.60}") from None
    if not math.isfinite(value) or not low <= value <= high:
        raise error_at(element, name, f"{text:.60} is outside {low} to {high}")
    return value


def whole_text(element: Element, low: int = 0, high: int = ID_MAX) -> int:
    """Return an element's text as a whole number in ``[low, high]``; `InputError` otherwise."""
    return _whole(element, "", element.text or "", low, high)


def _whole(element: Element, field: str, text: str, low: int, high: int) -> int:
    return parse_whole(text, low=low, high=high, **place_of(element, field))
