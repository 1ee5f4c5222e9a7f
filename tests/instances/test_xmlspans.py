"""XML edited in place: only what is changed changes."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numaplace.instances.xmlfile import parse_xml
from numaplace.instances.xmlspans import NewElement, XmlText
from numaplace.models.errors import InputError
from numaplace.tests.instances.formats.vm_files import VMS

TEXT = """<?xml version='1.0' encoding='UTF-8'?>
<!-- é > before --><domain  type='kvm'>
  <name>dätä &amp; x</name>
  <vcpu placement="auto"  cpuset='0-3' >4</vcpu>
  <cputune>
    <vcpupin vcpu='0' cpuset='1'/><vcpupin vcpu='1' cpuset='1'/>
    <!-- kept -->
  </cputune>
  <cpu mode='a>b'/>
  <empty></empty>
</domain>
<!-- behind -->
"""


def found(xml: XmlText, path: str) -> Element:
    span = xml.root.find(path)
    assert span is not None
    return span


@pytest.mark.parametrize("path", sorted(VMS.glob("*.xml")), ids=lambda path: path.name)
def test_without_changes_the_text_stays(path: Path) -> None:
    """Not a byte changes."""
    text = path.read_bytes().decode()
    assert XmlText(text, "f").result() == text


def test_attributes_change_in_place() -> None:
    """Quotes and blanks stay, what is new stands behind the last attribute."""
    xml = XmlText(TEXT, "f")
    xml.set_attributes(found(xml, "vcpu"), placement="sta\"tic'", cpuset=None, current=2)
    old, new = """placement="auto"  cpuset='0-3' >""", """placement="sta&quot;tic'" current='2' >"""
    assert xml.result() == TEXT.replace(old, new)


def test_texts_change_in_place() -> None:
    """Whatever a text holds is escaped."""
    xml = XmlText(TEXT, "f")
    xml.set_text(found(xml, "name"), "a<&b")
    assert xml.result() == TEXT.replace("dätä &amp; x", "a&lt;&amp;b")


def test_elements_come_and_go() -> None:
    """New ones stand behind those of the same tag, indented as their neighbours."""
    xml = XmlText(TEXT, "f")
    xml.remove(list(xml.root.iterfind("cputune/vcpupin"))[1])
    xml.remove(found(xml, "name"))
    xml.add(found(xml, "cputune"), NewElement("vcpupin", {"vcpu": 2}))
    xml.add(found(xml, "cpu"), NewElement("numa", children=(NewElement("cell", {"id": 0}),)))
    xml.add(found(xml, "empty"), NewElement("full", text="<"))
    expected = (
        TEXT.replace("  <name>dätä &amp; x</name>\n", "")
        .replace("<vcpupin vcpu='1' cpuset='1'/>", "\n    <vcpupin vcpu='2'/>")
        .replace(
            "<cpu mode='a>b'/>",
            "<cpu mode='a>b'>\n    <numa>\n      <cell id='0'/>\n    </numa>\n  </cpu>",
        )
        .replace("<empty></empty>", "<empty>\n    <full>&lt;</full>\n  </empty>")
    )
    assert xml.result() == expected


def test_line_ends_are_those_of_the_text() -> None:
    """A file of Windows stays one."""
    xml = XmlText(TEXT.replace("\n", "\r\n"), "f")
    xml.add(xml.root, NewElement("vcpu", text="1"))
    assert "\n" not in xml.result().replace("\r\n", "")


@pytest.mark.parametrize(
    "text", ["<a><b></a>", "", "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", "no xml"]
)
def test_unsafe_or_broken_text_is_refused(text: str) -> None:
    """The same parser as everywhere looks at it first."""
    with pytest.raises(InputError, match="f"):
        XmlText(text, "f")


@given(
    st.text(alphabet="aé<>&'\"\U0001f600 \n", max_size=20), st.text(alphabet="x&'\"<", max_size=9)
)
def test_offsets_count_bytes(comment: str, value: str) -> None:
    """Whatever stands in front of an element, it is the one that changes."""
    text = f"<a><!--{comment}--><b k='1'/><c>t</c></a>".replace("--->", "-- ->")
    try:
        xml = XmlText(text, "f")
    except InputError:
        return
    xml.set_attributes(found(xml, "b"), k=value, m=value)
    root = parse_xml(xml.result(), "f")
    assert root[0].attrib == {"k": value, "m": value}
    assert xml.result().startswith(text[: text.index("<b")])
    assert xml.result().endswith("/><c>t</c></a>")
