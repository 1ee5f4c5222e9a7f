"""Memory that is free on each node of a machine at this moment, from its sysfs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from numaplace.instances.filetree import Below, Folder, Tree
from numaplace.models.topology import Host, NumaNode

_NODE = "sys/devices/system/node"
_FIELD = re.compile(r"(MemFree|Inactive\(file\)):\s*([0-9]{1,15})\s*kB")


def with_free_memory(host: Host, path: Path) -> Host:
    """Return `host` with just the memory that is free now, as far as sysfs at `path` tells.

    Free is what nobody has, and the file cache that was not used of late. Huge pages are left
    out: the answer is for guests on small pages.
    """
    tree: Tree = Folder(path.resolve().parent if path.name == "sys" else path)
    if not tree.names(_NODE):
        below = (Below(tree, folder) for folder in tree.names(""))
        tree = next((part for part in below if part.names(_NODE)), tree)
    return replace(host, nodes=tuple(_with_free(tree, node) for node in host.nodes))


def _with_free(tree: Tree, node: NumaNode) -> NumaNode:
    found = dict(_FIELD.findall(tree.text(f"{_NODE}/node{node.id}/meminfo") or ""))
    if "MemFree" not in found:
        return node
    free_mib = sum(int(kib) for kib in found.values()) // 1024
    return replace(
        node, memory_mib=min(free_mib, node.memory_mib), reserved_mib=0, pages_2m=0, pages_1g=0
    )
