"""XML is parsed without entities, within bounds, and errors name line and element."""

import pytest

from numaplace.instances.xmlfile import (
    ELEMENTS_MAX,
    attribute,
    child,
    line_of,
    parse_xml,
    place_of,
    real_attribute,
    whole_attribute,
    whole_text,
)
from numaplace.models.errors import InputError

TEXT = """<?xml version="1.0" encoding="UTF-16"?>
<!DOCTYPE a SYSTEM "never-read.dtd">
<a>
  <b x="7"
     y="1.5">12</b>tail
  <b>&lt;&#65;</b>
</a>
"""


def test_elements_know_where_they_are() -> None:
    """Lines, texts, tails and character references come out right; a DOCTYPE line is allowed."""
    root = parse_xml(TEXT, "f.xml", roots=("a",))
    first, second = root.findall("b")
    assert (line_of(root), line_of(first), line_of(second)) == (3, 4, 6)
    assert place_of(first, "x")["file"] == "f.xml"
    assert (first.text, (first.tail or "").strip(), second.text) == ("12", "tail", "<A")


def test_getters() -> None:
    """Attributes and texts come as checked numbers."""
    b = child(parse_xml(TEXT, "f.xml"), "b")
    assert whole_attribute(b, "x") == 7
    assert real_attribute(b, "y", 0, 2) == 1.5
    assert whole_text(b) == 12


def test_getters_name_file_line_element_and_field() -> None:
    """Every refusal is one line with the place."""
    root = parse_xml(TEXT, "f.xml")
    b = child(root, "b")
    with pytest.raises(InputError, match=r"^f\.xml:4: <b>: z: attribute is missing$"):
        attribute(b, "z")
    with pytest.raises(InputError, match=r"^f\.xml:4: <b>: y: must be a whole number"):
        whole_attribute(b, "y")
    with pytest.raises(InputError, match=r"^f\.xml:4: <b>: x: 7 is above 5"):
        whole_attribute(b, "x", 0, 5)
    with pytest.raises(InputError, match=r"^f\.xml:4: <b>: x: 7 is outside 0 to 5"):
        real_attribute(b, "x", 0, 5)
    with pytest.raises(InputError, match=r"^f\.xml:3: <a>: has no <c> in it$"):
        child(root, "c")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "f.xml:1: XML: is no well-formed XML"),
        ("<a>\n<b></a>", "f.xml:2: XML: is no well-formed XML"),
        ("<a>\n&nbsp;</a>", "f.xml:2: XML: is no well-formed XML"),
        ('<!DOCTYPE a [<!ENTITY x "y">]>\n<a/>', "entity, which is forbidden"),
        ('<!DOCTYPE a [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]>\n<a/>', "forbidden"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "forbidden"),
        ("<a>" * 500, "f.xml:1: <a>: is nested deeper"),
        ("<c/>", "f.xml:1: <c>: is the root element, must be <a> or <b>"),
    ],
)
def test_bad_documents_are_refused(text: str, words: str) -> None:
    """Syntax errors, entities of any sort, depth and a foreign root end in one line."""
    with pytest.raises(InputError) as caught:
        parse_xml(text, "f.xml", roots=("a", "b"))
    assert words in str(caught.value)


def test_number_of_elements_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document of too many elements is given up."""
    assert ELEMENTS_MAX >= 100_000
    monkeypatch.setattr("numaplace.instances.xmlfile.ELEMENTS_MAX", 10)
    parse_xml("<a>" + "<b/>" * 9 + "</a>", "f.xml")
    with pytest.raises(InputError, match="more than 10"):
        parse_xml("<a>" + "<b/>" * 10 + "</a>", "f.xml")
