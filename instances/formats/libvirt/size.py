"""Sizes in libvirt's XML: a whole number and a unit, KiB unless it says otherwise.

As libvirt reads them: ``b`` and ``bytes`` are bytes, ``K``, ``M``, ``G``, ``T``, ``P`` and ``E``
alone or with ``iB`` are powers of 1024, with ``B`` powers of 1000; case does not matter.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

from numaplace.instances.ranges import parse_whole
from numaplace.instances.xmlfile import attribute, error_at, place_of
from numaplace.models.topology import MIB_MAX
from numaplace.models.units import ceil_div

KIB = 1024
MIB = 1024**2
_UNIT = re.compile(r"([kmgtpe])(|ib|b)")


def size_bytes(element: Element, unit: str | None, text: str, field: str = "") -> int:
    """Return a size in bytes; `InputError` naming `element` for what is none, or too large."""
    word = (unit or "KiB").lower()
    match = _UNIT.fullmatch(word)
    if match is None and word not in ("b", "byte", "bytes"):
        raise error_at(element, "unit", f"{unit!r:.20} is no unit libvirt knows (KiB, MiB, GB...)")
    factor = 1
    if match is not None:
        factor = (1000 if match[2] == "b" else 1024) ** ("kmgtpe".index(match[1]) + 1)
    number = parse_whole(text, high=10**24, **place_of(element, field))
    if number * factor > MIB_MAX * MIB:
        raise error_at(element, field, f"{number} {unit or 'KiB'} is above {MIB_MAX} MiB, the most")
    return number * factor


def text_bytes(element: Element) -> int:
    """Return the size an element holds as text, in bytes."""
    return size_bytes(element, element.get("unit"), element.text or "")


def attribute_bytes(element: Element, name: str) -> int:
    """Return the size an attribute holds, in bytes."""
    return size_bytes(element, element.get("unit"), attribute(element, name), name)


def to_mib(size: int) -> int:
    """Bytes in MiB, rounded up as libvirt does for a guest's memory."""
    return ceil_div(size, MIB)
