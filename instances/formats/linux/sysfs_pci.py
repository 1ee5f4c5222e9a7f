"""PCI devices in sysfs (``sys/bus/pci/devices``), with their node, root and SR-IOV functions."""

from __future__ import annotations

import re
from collections.abc import Mapping

from numaplace.instances.filetree import FileTree
from numaplace.instances.formats.linux.sysfs_text import read_whole
from numaplace.instances.pci import kind_of
from numaplace.instances.pci_address import parse_pci_address
from numaplace.instances.ranges import parse_ids, parse_mask
from numaplace.models.errors import InputError
from numaplace.models.topology import ID_MAX, Device

DEVICES = "sys/bus/pci/devices"
_DEVICES_MAX = 65536
_ROOT = re.compile(r"(?:^|/)pci([0-9a-f]{4,8}:[0-9a-f]{2})/", re.ASCII)
_HEX = re.compile(r"(?:0x)?([0-9a-f]{1,8})", re.ASCII | re.IGNORECASE)


def read_devices(
    tree: FileTree, pcpus: Mapping[int, frozenset[int]], notes: list[str]
) -> list[Device]:
    """Return the devices that VMs may ask for (see `numaplace.instances.pci`).

    A physical function with SR-IOV stands for its virtual functions: they are counted in
    `functions`, not listed. What is left out or unknown is told in `notes`.

    Parameters
    ----------
    tree
        Where ``sys`` is.
    pcpus
        pCPUs that are online, by node.
    """
    addresses = tree.names(DEVICES)
    if len(addresses) > _DEVICES_MAX:
        reason = f"has more than {_DEVICES_MAX} devices"
        raise InputError("sysfs", DEVICES, reason)
    devices: list[Device] = []
    left_out = 0
    for address in addresses:
        if "physfn" in tree.names(f"{DEVICES}/{address}"):
            continue
        device = _device(tree, address, pcpus, notes)
        if device is None:
            left_out += 1
        else:
            devices.append(device)
    if left_out:
        notes.append(f"{left_out} PCI devices of kinds VMs do not ask for: left out")
    return devices


def _device(
    tree: FileTree, address: str, pcpus: Mapping[int, frozenset[int]], notes: list[str]
) -> Device | None:
    folder = f"{DEVICES}/{address}"
    pci_class = _hex(tree, f"{folder}/class")
    vendor, product = _hex(tree, f"{folder}/vendor"), _hex(tree, f"{folder}/device")
    kind = None if pci_class is None else kind_of(pci_class >> 8, vendor, product)
    if kind is None:
        return None
    known = vendor is not None and product is not None
    return Device(
        address=parse_pci_address(address, thing=folder, field="name"),
        kind=kind,
        nodes=_nodes(tree, folder, pcpus),
        functions=_functions(tree, folder, address, notes),
        vendor_product=f"{vendor:04x}:{product:04x}" if known else None,
        pcie_root=_root(tree, folder),
    )


def _hex(tree: FileTree, path: str) -> int | None:
    text = tree.text(path)
    if text is None or not text.strip():
        return None
    match = _HEX.fullmatch(text.strip())
    if match is None:
        reason = f"must be a hexadecimal number, not {text.strip()!r:.60}"
        raise InputError(path, "", reason)
    return int(match[1], 16)


def _nodes(tree: FileTree, folder: str, pcpus: Mapping[int, frozenset[int]]) -> frozenset[int]:
    """Return ``numa_node``; where the firmware does not tell it, the nodes of the local CPUs."""
    if len(pcpus) == 1:
        return frozenset(pcpus)
    node = read_whole(tree, f"{folder}/numa_node", -1, ID_MAX)
    if node is not None and node >= 0:
        return frozenset({node}) & set(pcpus)
    local = _local_cpus(tree, folder)
    everywhere = frozenset().union(*pcpus.values())
    if not local & everywhere or local >= everywhere:
        return frozenset()
    return frozenset(number for number, cpus in pcpus.items() if cpus & local)


def _local_cpus(tree: FileTree, folder: str) -> frozenset[int]:
    listed, mask = tree.text(f"{folder}/local_cpulist"), tree.text(f"{folder}/local_cpus")
    if listed is not None:
        return parse_ids(listed, thing=f"{folder}/local_cpulist", field="")
    if mask is not None and mask.strip():
        return parse_mask(mask, thing=f"{folder}/local_cpus", field="")
    return frozenset()


def _functions(tree: FileTree, folder: str, address: str, notes: list[str]) -> int:
    total = read_whole(tree, f"{folder}/sriov_totalvfs", 0, ID_MAX) or 0
    made = read_whole(tree, f"{folder}/sriov_numvfs", 0, ID_MAX) or 0
    if total and not made:
        notes.append(f"device {address}: {total} virtual functions are possible, none is made")
    return made or 1


def _root(tree: FileTree, folder: str) -> str | None:
    match = _ROOT.search(f"{tree.real(folder) or ''}/")
    return match[1] if match else None
