"""PCI devices: what kind a class is, and addresses in one form.

======================  =====================================================
kind                    PCI class (base and sub-class)
======================  =====================================================
``nic``                 02xx network, except the two below
``infiniband``          0207 and 0c06 InfiniBand, 0208 fabric (Omni-Path)
``gpu``                 0300 VGA, 0301 XGA, 0302 3D, 0380 other display
``display``             the same classes, if it is a management or emulated card
``nvme``                0108 non-volatile memory
``storage``             01xx other mass storage, 0c04 Fibre Channel
``accelerator``         0b40 co-processor, 12xx processing accelerator
``memory``              0502 CXL memory
======================  =====================================================

Everything else (bridges, timers, USB, ...) is no device a VM asks for.

Addresses are the kernel's, so that a VM's request by address means a host's device:
``0000:3b:00.0`` is domain, bus, slot and function in small hexadecimal letters. A domain has four
digits, or as many as it needs: ``00000000:3b:00.0``, as some tools print it, is the same address.
"""

from __future__ import annotations

import re

from numaplace.models.errors import InputError

_EXACT = {
    0x0207: "infiniband",
    0x0208: "infiniband",
    0x0C06: "infiniband",
    0x0300: "gpu",
    0x0301: "gpu",
    0x0302: "gpu",
    0x0380: "gpu",
    0x0108: "nvme",
    0x0C04: "storage",
    0x0B40: "accelerator",
    0x0502: "memory",
}
_BASE = {0x01: "storage", 0x02: "nic", 0x12: "accelerator"}

# ASPEED, Matrox, Cirrus, Bochs/QEMU, QXL, virtio, VMware, Hyper-V: no GPU that a VM wants.
_DISPLAY_VENDORS = {0x1A03, 0x102B, 0x1013, 0x1234, 0x1B36, 0x1AF4, 0x15AD, 0x1414}
_DISPLAY_PRODUCTS = {(0x1002, 0x515E), (0x1002, 0x4752)}  # ATI ES1000, Rage XL

VIRTUAL = frozenset(
    f"{vendor}:{product}"
    for vendor, products in {
        "8086": "10ca 10ed 1515 1520 154c 1565 15a8 15c5 1889 37c9 37cd 4941 0443 145c",
        "15b3": "1002 1004 1014 1016 1018 101a 101c 101e a2d3",
        "14e4": "16ad 16dc 1806",
    }.items()
    for product in products.split()
)
"""PCI ids of SR-IOV's virtual functions: network cards, QuickAssist."""


def kind_of(pci_class: int, vendor: int | None = None, product: int | None = None) -> str | None:
    """Return the kind of a device, None if VMs do not ask for such devices.

    `pci_class` is base and sub-class, 0x0200 for Ethernet; `vendor` and `product` are PCI ids.
    """
    kind = _EXACT.get(pci_class) or _BASE.get(pci_class >> 8)
    plain = vendor in _DISPLAY_VENDORS or (vendor, product) in _DISPLAY_PRODUCTS
    return "display" if kind == "gpu" and plain else kind


_ADDRESS = re.compile(
    r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})(?:\.([0-7*]))?", re.ASCII | re.IGNORECASE
)


def parse_pci_address(text: str, *, thing: str, field: str) -> str:
    """Return the address of one function; ``3b:00.0`` lies in domain 0.

    `InputError` if it is no PCI address, or one of all functions of a slot.
    """
    address, whole = parse_pci_functions(text, thing=thing, field=field)
    if whole:
        raise _no_address(text, thing, field)
    return address


def parse_pci_functions(text: str, *, thing: str, field: str) -> tuple[str, bool]:
    """Return the address of a function, and whether `text` means all functions of its slot.

    ``3b:00`` and ``3b:00.*`` do; the address of function 0 is returned for them. `InputError` if it
    is no PCI address.
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
        notes.append(told)
    return address


def pci_address(domain: int, bus: int, slot: int, function: int) -> str:
    """Return the address of a function, ``0000:3b:00.0``."""
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def _no_address(text: str, thing: str, field: str) -> InputError:
    reason = f"{text.strip()!r:.60} is no PCI address like 0000:3b:00.0"
    return InputError(thing, field, reason)
