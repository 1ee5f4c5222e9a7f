"""PCI addresses in one form, the kernel's: a VM's request by address then means a host's device.

``0000:3b:00.0`` is domain, bus, slot and function in small hexadecimal letters. A domain has four
digits, or as many as it needs: ``00000000:3b:00.0``, as some tools print it, is the same address.
"""

from __future__ import annotations

import re

from numaplace.models.errors import InputError

_ADDRESS = re.compile(
    r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})(?:\.([0-7*]))?", re.ASCII | re.IGNORECASE
)


def parse_pci_address(text: str, *, thing: str, field: str) -> str:
    """Return the address of one function; ``3b:00.0`` lies in domain 0.

    Raises
    ------
    InputError
        If it is no PCI address, or one of all functions of a slot.
    """
    address, whole = parse_pci_functions(text, thing=thing, field=field)
    if whole:
        raise _no_address(text, thing, field)
    return address


def parse_pci_functions(text: str, *, thing: str, field: str) -> tuple[str, bool]:
    """Return the address of a function, and whether `text` means all functions of its slot.

    ``3b:00`` and ``3b:00.*`` do; the address of function 0 is returned for them.

    Raises
    ------
    InputError
        If it is no PCI address.
    """
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        raise _no_address(text, thing, field)
    domain, bus, slot, function = match.groups()
    if int(slot, 16) > 31:
        raise InputError(thing, field, f"{text.strip()!r:.60} has a slot above 1f")
    whole = function in (None, "*")
    number = 0 if whole else int(function)
    return pci_address(int(domain or "0", 16), int(bus, 16), int(slot, 16), number), whole


def one_function(text: str, *, thing: str, field: str, notes: list[str]) -> str:
    """Return the address of a function; of all of a slot function 0, with a note."""
    address, whole = parse_pci_functions(text, thing=thing, field=field)
    if whole:
        told = f"all functions of PCI slot {address[:-2]} are asked for; only function 0 is kept"
        notes.append(f"{thing}: {told}")
    return address


def pci_address(domain: int, bus: int, slot: int, function: int) -> str:
    """Return the address of a function, ``0000:3b:00.0``."""
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def _no_address(text: str, thing: str, field: str) -> InputError:
    reason = f"{text.strip()!r:.60} is no PCI address like 0000:3b:00.0"
    return InputError(thing, field, reason)
