"""PCI classes become the kinds that VMs ask for."""

import pytest

from numaplace.instances.pci import kind_of


@pytest.mark.parametrize(
    ("pci_class", "ids", "kind"),
    [
        (0x0200, (0x8086, 0x10FB), "nic"),
        (0x0280, (0x8086, 0x2723), "nic"),
        (0x0207, (0x15B3, 0x1017), "infiniband"),
        (0x0C06, (0x15B3, 0x6746), "infiniband"),
        (0x0302, (0x10DE, 0x1DB8), "gpu"),
        (0x0300, (0x10DE, 0x2204), "gpu"),
        (0x0300, (0x1A03, 0x2000), "display"),
        (0x0300, (0x1002, 0x515E), "display"),
        (0x0300, (None, None), "gpu"),
        (0x0108, (0x144D, 0xA80A), "nvme"),
        (0x0107, (0x1000, 0x0097), "storage"),
        (0x0C04, (0x1077, 0x2532), "storage"),
        (0x1200, (0x1D0F, 0x7164), "accelerator"),
        (0x0B40, (0x8086, 0x37C8), "accelerator"),
        (0x0502, (0x8086, 0x0D93), "memory"),
        (0x0604, (0x8086, 0x2030), None),
        (0x0C03, (0x8086, 0xA36D), None),
    ],
)
def test_kinds(pci_class: int, ids: tuple[int | None, int | None], kind: str | None) -> None:
    """Management and emulated display cards are no GPUs; bridges and USB are no devices."""
    assert kind_of(pci_class, *ids) == kind
