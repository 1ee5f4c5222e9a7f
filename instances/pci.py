"""What kind of device a PCI class is.

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
"""

from __future__ import annotations

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

    Parameters
    ----------
    pci_class
        Base and sub-class, 0x0200 for Ethernet.
    vendor, product
        PCI ids, None if unknown.
    """
    kind = _EXACT.get(pci_class) or _BASE.get(pci_class >> 8)
    plain = vendor in _DISPLAY_VENDORS or (vendor, product) in _DISPLAY_PRODUCTS
    return "display" if kind == "gpu" and plain else kind
