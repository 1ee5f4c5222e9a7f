"""Nodes in sysfs: memory, pages, what is free, distances, the HMAT, whose memory is a GPU's."""

from __future__ import annotations

import re

from numaplace.instances.filetree import FileTree
from numaplace.instances.formats.linux.sysfs_text import numbered, read_whole
from numaplace.instances.hostmemory import Free
from numaplace.instances.hostparts import sized_node
from numaplace.instances.ranges import parse_whole
from numaplace.models.errors import InputError
from numaplace.models.topology import DISTANCE_MAX, MIB_MAX, NumaNode

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
    counts: dict[int, int] = {}
    for entry in tree.names(f"{folder}/hugepages"):
        if match := _HUGE.fullmatch(entry):
            paths = (f"{folder}/hugepages/{entry}/{name}_hugepages" for name in ("free", "nr"))
            told = (read_whole(tree, path, 0, MIB_MAX) for path in paths)
            counts[int(match[1])] = next((count for count in told if count is not None), 0)
    pages_2m, pages_1g = counts.get(2048, 0), counts.get(1048576, 0)
    free_mib = sum(int(kib) for kib in found.values()) // 1024
    return Free(free_mib + 2 * pages_2m + 1024 * pages_1g, pages_2m, pages_1g)


def _huge_pages(tree: FileTree, number: int, notes: list[str]) -> dict[int, int]:
    folder = f"{NODE}/node{number}/hugepages"
    counts: dict[int, int] = {}
    for entry in tree.names(folder):
        match = _HUGE.fullmatch(entry)
        if match is None:
            continue
        total = read_whole(tree, f"{folder}/{entry}/nr_hugepages", 0, MIB_MAX) or 0
        free = read_whole(tree, f"{folder}/{entry}/free_hugepages", 0, MIB_MAX)
        counts[int(match[1])] = total
        if free is not None and free < total:
            notes.append(f"node {number}: {total - free} of {total} {entry} are in use now")
    return counts


def read_distances(tree: FileTree, ids: list[int]) -> Values:
    """Return the SLIT; a row lists the nodes that are online."""
    distances: Values = {}
    for number in ids:
        path = f"{NODE}/node{number}/distance"
        words = (tree.text(path) or "").split()
        if not words:
            continue
        if len(words) != len(ids):
            reason = f"has {len(words)} values for {len(ids)} nodes"
            raise InputError(path, "", reason)
        for other, word in zip(ids, words, strict=True):
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
