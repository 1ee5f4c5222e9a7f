"""PCI addresses have one form, whoever writes them."""

import pytest

from numaplace.instances.pci import parse_pci_address, parse_pci_functions, pci_address
from numaplace.models.errors import InputError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("3B:00.1", "0000:3b:00.1"),
        (" 0000:3b:00.1 ", "0000:3b:00.1"),
        ("00000000:3B:00.1", "0000:3b:00.1"),
        ("10000:e1:00.0", "10000:e1:00.0"),
        ("00010000:e1:00.0", "10000:e1:00.0"),
        ("3:1f.7", "0000:03:1f.7"),
    ],
)
def test_one_form(text: str, address: str) -> None:
    """A missing domain is 0000, letters are small, zeros beyond four digits of a domain go."""
    assert parse_pci_address(text, thing="VM 'a'", field="pci") == address
    assert parse_pci_functions(text, thing="VM 'a'", field="pci") == (address, False)


@pytest.mark.parametrize("text", ["", "0000:3b:00.8", "0000:3b:00.0\n;", "x:3b:00.0", "3b:20.0"])
def test_no_address(text: str) -> None:
    """What is no address is told by thing, field and text."""
    for parse in (parse_pci_address, parse_pci_functions):
        with pytest.raises(InputError, match=r"'a'.*pci.*(PCI address|slot above 1f)"):
            parse(text, thing="VM 'a'", field="pci")


@pytest.mark.parametrize("text", ["3b:00", "0000:3b:00.*"])
def test_all_functions_of_a_slot(text: str) -> None:
    """A slot stands for its function 0 where that is allowed, and is no address elsewhere."""
    assert parse_pci_functions(text, thing="VM 'a'", field="pci") == ("0000:3b:00.0", True)
    with pytest.raises(InputError, match="no PCI address"):
        parse_pci_address(text, thing="VM 'a'", field="pci")


def test_address_from_numbers() -> None:
    """Numbers, as libvirt writes them, give the same form."""
    assert pci_address(0, 0x3B, 0x1F, 7) == "0000:3b:1f.7"
