"""Parts of sysfs: its small files, nodes (memory, pages, distances, the HMAT), PCI devices."""

from __future__ import annotations

import re
from collections.abc import Mapping

from numaplace.instances.filetree import FileTree
from numaplace.instances.hostmemory import Free
from numaplace.instances.hostparts import sized_node
from numaplace.instances.pci import kind_of, parse_pci_address
from numaplace.instances.ranges import parse_ids, parse_mask, parse_whole
from numaplace.models.errors import InputError
from numaplace.models.topology import DISTANCE_MAX, ID_MAX, MIB_MAX, Device, NumaNode

NODE = "sys/devices/system/node"
_GPUS = "proc/driver/nvidia/gpus"
_MEMORY = re.compile(r"MemTotal:\s*(\S+)\s*kB")
_FREE = re.compile(r"(MemFree|Inactive\(file\)):\s*([0-9]{1,15})\s*kB")
_HUGE = re.compile(r"hugepages-(\d{1,12})kB", re.ASCII)
_KIB_MAX = MIB_MAX * 1024
Values = dict[tuple[int, int], float]


def read_node(tree: FileTree, number: int, notes: list[str]) -> NumaNode:
    """Return a node with its memory and pages, without its CPUs."""
    folder = f"{NODE}/node{number}"
    memory_mib = read_memory_mib(tree, f"{folder}/meminfo", notes)
    return sized_node(number, memory_mib, _huge_pages(tree, number, notes), notes)


def read_memory_mib(tree: FileTree, path: str, notes: list[str]) -> int:
    """Return all the memory of a meminfo."""
    text = tree.text(path)
    match = _MEMORY.search(text or "")
    if text is None:
        notes.append(f"there is no {path}: the node has no memory")
        return 0
    if match is None:
        raise InputError(path, "MemTotal", "is missing")
    kib = parse_whole(match[1], thing=path, field="MemTotal", high=_KIB_MAX)
    return kib // 1024


def read_free(tree: FileTree, number: int | None) -> Free | None:
    """Return what nobody has, and the file cache not used of late; None if it is not told."""
    folder = "proc" if number is None else f"{NODE}/node{number}"
    found = dict(_FREE.findall(tree.text(f"{folder}/meminfo") or ""))
    if "MemFree" not in found:
        return None
    pools = _pools(tree, folder)
    counts = {kib: total if free is None else free for kib, (total, free) in pools.items()}
    pages_2m, pages_1g = counts.get(2048, 0), counts.get(1048576, 0)
    free_mib = sum(int(kib) for kib in found.values()) // 1024
    return Free(free_mib + 2 * pages_2m + 1024 * pages_1g, pages_2m, pages_1g)


def _huge_pages(tree: FileTree, number: int, notes: list[str]) -> dict[int, int]:
    pools = _pools(tree, f"{NODE}/node{number}")
    for kib, (total, free) in pools.items():
        if free is not None and free < total:
            pages = f"hugepages-{kib}kB"
            notes.append(f"node {number}: {total - free} of {total} {pages} are in use now")
    return {kib: total for kib, (total, _) in pools.items()}


def _pools(tree: FileTree, folder: str) -> dict[int, tuple[int, int | None]]:
    """Return how many huge pages there are in all, and free if that is told, by size in KiB."""
    pools: dict[int, tuple[int, int | None]] = {}
    for entry in tree.names(f"{folder}/hugepages"):
        if match := _HUGE.fullmatch(entry):
            pool = f"{folder}/hugepages/{entry}"
            total = read_whole(tree, f"{pool}/nr_hugepages", 0, MIB_MAX) or 0
            free = read_whole(tree, f"{pool}/free_hugepages", 0, MIB_MAX)
            pools[int(match[1])] = total, free
    return pools


def read_distances(tree: FileTree, ids: list[int]) -> Values:
    """Return the SLIT; a row lists the nodes that are online."""
    distances: Values = {}
    for number in ids:
        path = f"{NODE}/node{number}/distance"
        words = (tree.text(path) or "").split()
        if words and len(words) != len(ids):
            raise InputError(path, "", f"has {len(words)} values for {len(ids)} nodes")
        for other, word in zip(ids, words, strict=False):
            distances[number, other] = parse_whole(word, thing=path, field="", high=DISTANCE_MAX)
    return distances


def read_access(tree: FileTree, ids: list[int]) -> tuple[Values, Values]:
    """Return latency in ns and bandwidth in MB/s from the best initiators of each node.

    ``access1`` counts CPUs only, ``access0`` also other initiators, and is older.
    """
    latency: Values = {}
    bandwidth: Values = {}
    for target in ids:
        for access in ("access1", "access0"):
            folder = f"{NODE}/node{target}/{access}/initiators"
            near = [number for number in numbered(tree, folder, "node") if number in ids]
            if near:
                slow = read_whole(tree, f"{folder}/read_latency", 0, DISTANCE_MAX)
                wide = read_whole(tree, f"{folder}/read_bandwidth", 0, MIB_MAX)
                latency.update({(n, target): float(slow) for n in near if slow})
                bandwidth.update({(n, target): float(wide) for n in near if wide})
                break
    return latency, bandwidth


def read_gpu_nodes(tree: FileTree) -> dict[int, bool]:
    """Return the nodes that NVIDIA's driver names as memory of its GPUs."""
    texts = [tree.text(f"{_GPUS}/{gpu}/numa_status") or "" for gpu in tree.names(_GPUS)]
    found = (re.search(r"^Node:\s*(\d{1,7})$", text, re.MULTILINE | re.ASCII) for text in texts)
    return {int(match[1]): True for match in found if match}


def read_list(tree: FileTree, path: str) -> frozenset[int] | None:
    """Return the ids of a list; None if there is no such file."""
    text = tree.text(path)
    return None if text is None else parse_ids(text, thing=path, field="", exclusions=False)


def read_list_or_mask(tree: FileTree, *paths: str) -> frozenset[int] | None:
    """Return the first of several files that is there; names that end in ``list`` hold lists."""
    for path in paths:
        text = tree.text(path)
        if text is None or not (text.strip() or path.endswith("list")):
            continue
        if path.endswith("list"):
            return read_list(tree, path)
        return parse_mask(text, thing=path, field="")
    return None


def read_whole(tree: FileTree, path: str, low: int, high: int) -> int | None:
    """Return a whole number; None if the file is absent or empty."""
    text = (tree.text(path) or "").strip()
    return parse_whole(text, thing=path, field="", low=low, high=high) if text else None


def numbered(tree: FileTree, folder: str, prefix: str) -> list[int]:
    """Return the numbers behind a prefix in a folder's names, ascending."""
    pattern = re.compile(rf"{prefix}(\d{{1,7}})", re.ASCII)
    found = (pattern.fullmatch(name) for name in tree.names(folder))
    return sorted(int(match[1]) for match in found if match)


DEVICES = "sys/bus/pci/devices"
_DEVICES_MAX = 65536
_ROOT = re.compile(r"(?:^|/)pci([0-9a-f]{4,8}:[0-9a-f]{2})/", re.ASCII)
_HEX = re.compile(r"(?:0x)?[0-9a-f]{1,8}", re.ASCII | re.IGNORECASE)


def read_devices(
    tree: FileTree, pcpus: Mapping[int, frozenset[int]], notes: list[str]
) -> list[Device]:
    """Return the devices that VMs may ask for (see `numaplace.instances.pci`).

    A physical function with SR-IOV stands for its virtual functions: they are counted in
    `functions`, not listed. What is left out or unknown is told in `notes`. `pcpus` are those that
    are online, by node.
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
    text = (tree.text(path) or "").strip()
    if text and not _HEX.fullmatch(text):
        raise InputError(path, "", f"must be a hexadecimal number, not {text!r:.60}")
    return int(text, 16) if text else None


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
    cpus = read_list_or_mask(tree, f"{folder}/local_cpulist", f"{folder}/local_cpus")
    return cpus or frozenset()


def _functions(tree: FileTree, folder: str, address: str, notes: list[str]) -> int:
    total = read_whole(tree, f"{folder}/sriov_totalvfs", 0, ID_MAX) or 0
    made = read_whole(tree, f"{folder}/sriov_numvfs", 0, ID_MAX) or 0
    if total and not made:
        notes.append(f"device {address}: {total} virtual functions are possible, none is made")
    return made or 1


def _root(tree: FileTree, folder: str) -> str | None:
    match = _ROOT.search(f"{tree.real(folder) or ''}/")
    return match[1] if match else None
