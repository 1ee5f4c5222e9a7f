"""PCI addresses of passed-through devices, in the one form that devices of hosts have."""

from __future__ import annotations

import re

from numaplace.models.errors import InputError

_ADDRESS = re.compile(
    r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})(?:\.([0-7*]))?",
    re.ASCII | re.IGNORECASE,
)


def parse_pci_address(text: str, *, thing: str, field: str) -> tuple[str, bool]:
    """Return an address as ``0000:3b:00.0``, and whether it names all functions of a slot.

    ``3b:00.0`` lies in domain 0; ``3b:00`` and ``3b:00.*`` name all functions, for which the
    address of function 0 is returned.

    Raises
    ------
    InputError
        If it is no PCI address.
    """
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        raise InputError(thing, field, f"{text.strip()!r:.60} is no PCI address")
    domain, bus, slot, function = match.groups()
    if int(slot, 16) > 31:
        raise InputError(thing, field, f"{text.strip()!r:.60} has a slot above 1f")
    whole = function in (None, "*")
    number = 0 if whole else int(function)
    return pci_address(int(domain or "0", 16), int(bus, 16), int(slot, 16), number), whole


def pci_address(domain: int, bus: int, slot: int, function: int) -> str:
    """Return the address of a function, ``0000:3b:00.0``."""
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"
