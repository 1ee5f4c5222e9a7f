"""PCI devices in hwloc's XML, virtual functions counted with their physical one.

hwloc does not tell which functions are virtual. They sit behind the bridge of the physical one,
and either their PCI id is known to be one of a virtual function, or they have no link of their own
while the physical one has (SR-IOV reserves those bits).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from numaplace.instances.pci import VIRTUAL, kind_of
from numaplace.instances.pci_address import parse_pci_address
from numaplace.instances.xmlfile import attribute, error_at, real_attribute
from numaplace.models.errors import InputError
from numaplace.models.topology import Device

_TYPE = re.compile(r"([0-9a-f]{4}) \[([0-9a-f]{4}):([0-9a-f]{4})\]", re.ASCII | re.IGNORECASE)
_GBPS_MAX = 1e9


@dataclass(frozen=True, slots=True)
class Pci:
    """A function: the device, the nodes it is local to bit by bit, its bridge and its link."""

    device: Device
    nodeset: int
    bridge: int
    link_gbps: float | None


def read_pci(element: Element, nodeset: int, bridge: int, root: str | None) -> Pci | None:
    """Return the function that a ``PCIDev`` is; None if VMs do not ask for such devices."""
    text = attribute(element, "pci_type")
    match = _TYPE.match(text)
    if match is None:
        raise error_at(element, "pci_type", f"{text!r:.60} is not like '0200 [8086:10c9] ...'")
    kind = kind_of(int(match[1], 16), int(match[2], 16), int(match[3], 16))
    if kind is None:
        return None
    try:
        address = parse_pci_address(
            attribute(element, "pci_busid"), thing="<object>", field="pci_busid"
        )
    except InputError as error:
        raise error_at(element, "pci_busid", error.reason) from None
    told = element.get("pci_link_speed") is not None
    link = real_attribute(element, "pci_link_speed", 0.0, _GBPS_MAX) if told else None
    device = Device(address, kind, vendor_product=f"{match[2]}:{match[3]}".lower(), pcie_root=root)
    return Pci(device, nodeset, bridge, link)


def fold_virtual(found: Sequence[Pci], notes: list[str]) -> list[Pci]:
    """Return the functions that are not virtual, those with virtual ones standing for these.

    Which of several physical functions a virtual one belongs to is not told: all share them.
    """
    groups: dict[tuple[int, str, str], list[Pci]] = {}
    for pci in found:
        vendor = (pci.device.vendor_product or "")[:4]
        groups.setdefault((pci.bridge, pci.device.kind, vendor), []).append(pci)
    folded: list[Pci] = []
    for group in groups.values():
        linked = any(pci.link_gbps for pci in group)
        parts: tuple[list[Pci], list[Pci]] = ([], [])
        for pci in group:
            known = pci.device.vendor_product in VIRTUAL
            parts[known or (linked and pci.link_gbps == 0)].append(pci)
        real, virtual = parts
        if not virtual or not real:
            folded += group
            continue
        for index, pci in enumerate(real):
            share = len(virtual[index :: len(real)]) or 1
            folded.append(replace(pci, device=replace(pci.device, functions=share)))
        names = ", ".join(pci.device.address for pci in real)
        notes.append(
            f"device {names:.80}: stands for its {len(virtual)} virtual functions, is not free"
            " itself"
        )
    return folded
