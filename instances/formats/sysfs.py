"""Hosts from Linux's sysfs: the live machine (``/``), a copy of it in a folder, or a tar archive.

Format: the kernel's ``Documentation/ABI/stable/sysfs-devices-node``, ``admin-guide/cputopology``
and ``admin-guide/mm/numaperf`` (the HMAT under ``nodeN/access*/initiators``). Archives are those
of hwloc's ``hwloc-gather-topology``. Rows of distances list the nodes that are online.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Hashable, Iterable
from pathlib import Path

from numaplace.instances.files import STDIN
from numaplace.instances.filetree import Archive, Below, Folder, Tree
from numaplace.instances.formats.sysfs_pci import read_devices
from numaplace.instances.hostparts import (
    THREADS_MAX,
    CpuFacts,
    HugePools,
    default_name,
    finish_host,
    huge_pools,
    other_pages_note,
    pcpus_by_node,
)
from numaplace.instances.ranges import format_ids, parse_ids, parse_mask, parse_whole
from numaplace.instances.reading import Reading, located
from numaplace.models.errors import InputError
from numaplace.models.topology import DISTANCE_MAX, ID_MAX, MIB_MAX, NODES_MAX, Host, NumaNode

CPU = "sys/devices/system/cpu"
NODE = "sys/devices/system/node"
_WANTED = re.compile(
    r"(^|/)sys/(devices/system/(cpu|node)/|bus/pci/devices/|devices/pci)"
    r"|(^|/)proc/(meminfo|hwloc-nofile-info|sys/kernel/hostname)$"
)
_MEMORY = re.compile(r"MemTotal:\s*(\S+)\s*kB")
_HUGE = re.compile(r"hugepages-(\d{1,12})kB", re.ASCII)
_KIB_MAX = MIB_MAX * 1024
Values = dict[tuple[int, int], float]


def sniff(head: str, path: Path) -> bool:
    """Tell whether a path is a folder or an archive that may hold a copy of sysfs."""
    name = path.name.lower()
    return path.is_dir() or re.search(r"\.(tar(\.(bz2|gz|xz))?|tgz|tbz2?|txz)$", name) is not None


def read_host(path: Path, name: str | None = None) -> Reading[Host]:
    """Read a host from sysfs.

    Parameters
    ----------
    path
        ``/`` for the machine at hand, a folder or a tar archive with a ``sys`` in it.
    name
        Name of the host; None takes the machine's, or else the file's.

    Raises
    ------
    InputError
        If there is no such copy, or it describes no valid host.
    """
    with located(str(path)):
        return _host(_open(path), path, name)


def _host(tree: Tree, path: Path, name: str | None) -> Reading[Host]:
    notes: list[str] = []
    online = _list(tree, f"{CPU}/online")
    ids = _node_ids(tree)
    if ids:
        owner = _owners(tree, ids, online, notes)
        nodes = [_node(tree, number, notes) for number in ids]
    else:
        notes.append("the kernel tells no NUMA node: the machine is taken as node 0")
        ids = [0]
        owner = dict.fromkeys(online if online is not None else _cpu_ids(tree), 0)
        nodes = [NumaNode(0, memory_mib=_memory_mib(tree, "proc/meminfo", notes))]
    pcpus = pcpus_by_node(_cpu(tree, cpu, node, notes) for cpu, node in sorted(owner.items()))
    nodes = [
        NumaNode(n.id, pcpus.get(n.id, ()), n.memory_mib, n.reserved_mib, n.pages_2m, n.pages_1g)
        for n in nodes
    ]
    latency, bandwidth = _access(tree, ids)
    home = {number: frozenset(p.id for p in pcpus.get(number, ())) for number in ids}
    devices = read_devices(tree, home, notes)
    return finish_host(
        name or _host_name(tree, path) or default_name(path),
        nodes,
        list(dict.fromkeys(notes)),
        distances=_distances(tree, ids),
        latency_ns=latency,
        bandwidth_mbps=bandwidth,
        devices=devices,
    )


def _open(path: Path) -> Tree:
    if path == STDIN:
        raise InputError("sysfs", "", "must be a folder or an archive, not standard input")
    if not path.exists():
        raise InputError("sysfs", "", "does not exist")
    tree: Tree = Folder(path) if path.is_dir() else Archive(path, _WANTED)
    for folder in ("", *tree.names("")):
        below = Below(tree, folder) if folder else tree
        if below.names(CPU) or below.names(NODE):
            return below
    reason = f"has no {CPU} in it, nor in a folder right below"
    raise InputError("sysfs", "", reason)


def _host_name(tree: Tree, path: Path) -> str | None:
    if path.resolve() == Path("/"):
        return platform.node() or None
    hostname = tree.text("proc/sys/kernel/hostname")
    gathered = re.search(r"^HostName:\s*(\S+)", tree.text("proc/hwloc-nofile-info") or "", re.M)
    return gathered[1] if gathered else (hostname or "").strip() or None


def _list(tree: Tree, path: str) -> frozenset[int] | None:
    text = tree.text(path)
    if text is None:
        return None
    return parse_ids(text, thing=path, field="", exclusions=False)


def _list_or_mask(tree: Tree, *paths: str) -> frozenset[int] | None:
    """Return the first of several files that is there; names that end in ``list`` hold lists."""
    for path in paths:
        text = tree.text(path)
        if text is None or not (text.strip() or path.endswith("list")):
            continue
        if path.endswith("list"):
            return _list(tree, path)
        return parse_mask(text, thing=path, field="")
    return None


def _whole(tree: Tree, path: str, low: int, high: int) -> int | None:
    text = tree.text(path)
    if text is None or not text.strip():
        return None
    return parse_whole(text, thing=path, field="", low=low, high=high)


def _numbered(tree: Tree, folder: str, prefix: str) -> list[int]:
    pattern = re.compile(rf"{prefix}(\d{{1,7}})", re.ASCII)
    found = (pattern.fullmatch(name) for name in tree.names(folder))
    return sorted(int(match[1]) for match in found if match)


def _cpu_ids(tree: Tree) -> list[int]:
    return _numbered(tree, CPU, "cpu")


def _node_ids(tree: Tree) -> list[int]:
    ids = _numbered(tree, NODE, "node")
    online = _list(tree, f"{NODE}/online")
    kept = [number for number in ids if online is None or number in online]
    if len(kept) > NODES_MAX:
        raise InputError("sysfs", NODE, f"has more than {NODES_MAX} nodes")
    return kept


def _owners(
    tree: Tree, ids: Iterable[int], online: frozenset[int] | None, notes: list[str]
) -> dict[int, int]:
    """Return the node of each CPU that is online."""
    owner: dict[int, int] = {}
    offline: set[int] = set()
    for number in ids:
        folder = f"{NODE}/node{number}"
        for cpu in _list_or_mask(tree, f"{folder}/cpulist", f"{folder}/cpumap") or ():
            if online is not None and cpu not in online:
                offline.add(cpu)
            elif cpu in owner:
                reason = f"CPU {cpu} is on nodes {owner[cpu]} and {number}"
                raise InputError(folder, "cpulist", reason)
            else:
                owner[cpu] = number
    if offline:
        notes.append(f"CPUs {format_ids(offline)} are offline: left out")
    nowhere = (online or frozenset()) - set(owner)
    if nowhere:
        notes.append(f"CPUs {format_ids(nowhere)} are on no NUMA node: left out")
    return owner


def _cpu(tree: Tree, cpu: int, node: int, notes: list[str]) -> CpuFacts:
    folder = f"{CPU}/cpu{cpu}/topology"
    package = _whole(tree, f"{folder}/physical_package_id", -1, ID_MAX)
    number = _whole(tree, f"{folder}/core_id", -1, ID_MAX)
    # core_id repeats, within a package even (one per die, one per node): siblings do not.
    siblings = _list_or_mask(
        tree,
        f"{folder}/core_cpus_list",
        f"{folder}/thread_siblings_list",
        f"{folder}/core_cpus",
        f"{folder}/thread_siblings",
    )
    core: Hashable = cpu
    if siblings:
        if cpu not in siblings or len(siblings) > THREADS_MAX:
            raise InputError(folder, "siblings", f"are not the threads of one core with CPU {cpu}")
        core = ("siblings", min(siblings))
    elif number is not None and number >= 0:
        core = ("core", node, package, tree.text(f"{folder}/die_id"), number)
    else:
        notes.append("the kernel does not tell all cores: such a CPU is taken as one core")
    if package is None or package < 0:
        package = node
        notes.append("the kernel does not tell all packages: the node is taken for it")
    return CpuFacts(cpu, node, core, package, _last_cache(tree, cpu))


def _last_cache(tree: Tree, cpu: int) -> Hashable:
    """Return the level of the last cache, 2 or higher, and the first CPU there; None if unknown."""
    last, shared = 1, None
    for number in _numbered(tree, f"{CPU}/cpu{cpu}/cache", "index"):
        folder = f"{CPU}/cpu{cpu}/cache/index{number}"
        level = _whole(tree, f"{folder}/level", 0, 16)
        if level is not None and level > last and (tree.text(f"{folder}/type") or "")[:1] != "I":
            cpus = _list_or_mask(tree, f"{folder}/shared_cpu_list", f"{folder}/shared_cpu_map")
            last, shared = level, cpus
    return (last, min(shared)) if shared else None


def _node(tree: Tree, number: int, notes: list[str]) -> NumaNode:
    folder = f"{NODE}/node{number}"
    pools = _pools(tree, number, notes)
    return NumaNode(
        number,
        memory_mib=_memory_mib(tree, f"{folder}/meminfo", notes),
        reserved_mib=pools.other_mib,
        pages_2m=pools.pages_2m,
        pages_1g=pools.pages_1g,
    )


def _memory_mib(tree: Tree, path: str, notes: list[str]) -> int:
    text = tree.text(path)
    match = _MEMORY.search(text or "")
    if text is None:
        notes.append(f"there is no {path}: the node has no memory")
        return 0
    if match is None:
        raise InputError(path, "MemTotal", "is missing")
    kib = parse_whole(match[1], thing=path, field="MemTotal", high=_KIB_MAX)
    return kib // 1024


def _pools(tree: Tree, number: int, notes: list[str]) -> HugePools:
    folder = f"{NODE}/node{number}/hugepages"
    counts: dict[int, int] = {}
    for entry in tree.names(folder):
        match = _HUGE.fullmatch(entry)
        if match is None:
            continue
        total = _whole(tree, f"{folder}/{entry}/nr_hugepages", 0, MIB_MAX) or 0
        free = _whole(tree, f"{folder}/{entry}/free_hugepages", 0, MIB_MAX)
        counts[int(match[1])] = total
        if free is not None and free < total:
            notes.append(f"node {number}: {total - free} of {total} {entry} are in use now")
    pools = huge_pools(counts)
    notes += other_pages_note(number, pools)
    return pools


def _distances(tree: Tree, ids: list[int]) -> Values:
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


def _access(tree: Tree, ids: list[int]) -> tuple[Values, Values]:
    """Return latency in ns and bandwidth in MB/s from the best initiators of each node.

    ``access1`` counts CPUs only, ``access0`` also other initiators, and is older.
    """
    latency: Values = {}
    bandwidth: Values = {}
    for target in ids:
        for access in ("access1", "access0"):
            folder = f"{NODE}/node{target}/{access}/initiators"
            near = [number for number in _numbered(tree, folder, "node") if number in ids]
            if near:
                slow = _whole(tree, f"{folder}/read_latency", 0, DISTANCE_MAX)
                wide = _whole(tree, f"{folder}/read_bandwidth", 0, MIB_MAX)
                latency.update({(n, target): float(slow) for n in near if slow})
                bandwidth.update({(n, target): float(wide) for n in near if wide})
                break
    return latency, bandwidth
