"""Hosts from Linux's sysfs: the live machine (``/``), a copy of it in a folder, or a tar archive.

Format: the kernel's ``Documentation/ABI/stable/sysfs-devices-node``, ``admin-guide/cputopology``
and ``admin-guide/mm/numaperf`` (the HMAT under ``nodeN/access*/initiators``). Archives are those
of hwloc's ``hwloc-gather-topology``. Rows of distances list the nodes that are online.

Told are cores, caches, memory (all and free), pages, distances, HMAT, devices with SR-IOV.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Hashable, Iterable
from dataclasses import replace
from pathlib import Path

from numaplace.instances.files import STDIN
from numaplace.instances.filetree import Archive, FileTree, Folder
from numaplace.instances.formats.format import Format, one_host
from numaplace.instances.formats.linux.sysfs_parts import (
    NODE,
    numbered,
    read_access,
    read_devices,
    read_distances,
    read_free,
    read_gpu_nodes,
    read_list,
    read_list_or_mask,
    read_memory_mib,
    read_node,
    read_whole,
)
from numaplace.instances.hostmemory import HostReading
from numaplace.instances.hostparts import (
    THREADS_MAX,
    CpuFacts,
    default_name,
    finish_host,
    pcpus_by_node,
)
from numaplace.instances.ranges import format_ids, parse_ids
from numaplace.instances.reading import naming_file
from numaplace.models.errors import InputError
from numaplace.models.topology import ID_MAX, NODES_MAX, NumaNode

CPU = "sys/devices/system/cpu"
_WANTED = re.compile(
    r"(^|/)sys/(devices/system/(cpu|node)/|bus/pci/devices/|devices/pci)"
    r"|(^|/)proc/(meminfo|hwloc-nofile-info|sys/kernel/hostname|driver/nvidia/gpus/.*/numa_status)$"
)


def sniff(head: str, path: Path) -> bool:
    """Tell whether a path is a folder or an archive that may hold a copy of sysfs."""
    name = path.name.lower()
    return path.is_dir() or re.search(r"\.(tar(\.(bz2|gz|xz))?|tgz|tbz2?|txz)$", name) is not None


@naming_file
def read_host(path: Path) -> HostReading:
    """Read a host from ``/``, a folder or a tar archive with ``sys``; `InputError` without."""
    tree = _open(path)
    notes: list[str] = []
    ids = _node_ids(tree)
    if ids:
        owner = _owners(tree, ids, notes)
        nodes = [read_node(tree, number, notes) for number in ids]
        free = {number: read_free(tree, number) for number in ids}
    else:
        notes.append("the kernel tells no NUMA node: the machine is taken as node 0")
        ids = [0]
        online, offline = _online(tree)
        owner = dict.fromkeys(set(_cpu_ids(tree)) - offline if online is None else online, 0)
        nodes = [NumaNode(0, memory_mib=read_memory_mib(tree, "proc/meminfo", notes))]
        free = {0: read_free(tree, None)}
    notes += _cpuset_notes(tree, owner, ids)
    pcpus = pcpus_by_node(_cpu(tree, cpu, node, notes) for cpu, node in sorted(owner.items()))
    nodes = [replace(node, pcpus=pcpus.get(node.id, ())) for node in nodes]
    latency, bandwidth = read_access(tree, ids)
    home = {number: frozenset(p.id for p in pcpus.get(number, ())) for number in ids}
    devices = read_devices(tree, home, notes)
    return finish_host(
        _host_name(tree, path) or default_name(path),
        nodes,
        list(dict.fromkeys(notes)),
        distances=read_distances(tree, ids),
        latency_ns=latency,
        bandwidth_mbps=bandwidth,
        devices=devices,
        free={number: found for number, found in free.items() if found is not None},
        gpu=read_gpu_nodes(tree),
    )


def _open(path: Path) -> FileTree:
    if path == STDIN:
        raise InputError("sysfs", "", "must be a folder or an archive, not standard input")
    if not path.exists():
        raise InputError("sysfs", "", "does not exist")
    tree: FileTree = Folder(path) if path.is_dir() else Archive(path, _WANTED)
    for folder in ("", *tree.names("")):
        tree.base = folder
        if tree.names(CPU) or tree.names(NODE):
            return tree
    raise InputError("sysfs", "", f"has no {CPU} in it, nor in a folder right below")


def _host_name(tree: FileTree, path: Path) -> str | None:
    if path.resolve() == Path("/"):
        return platform.node() or None
    hostname = tree.text("proc/sys/kernel/hostname")
    gathered = re.search(r"^HostName:\s*(\S+)", tree.text("proc/hwloc-nofile-info") or "", re.M)
    return gathered[1] if gathered else (hostname or "").strip() or None


def _cpu_ids(tree: FileTree) -> list[int]:
    return numbered(tree, CPU, "cpu")


def _node_ids(tree: FileTree) -> list[int]:
    ids = numbered(tree, NODE, "node")
    online = read_list(tree, f"{NODE}/online")
    kept = [number for number in ids if online is None or number in online]
    if len(kept) > NODES_MAX:
        raise InputError("sysfs", NODE, f"has more than {NODES_MAX} nodes")
    return kept


def _online(tree: FileTree) -> tuple[frozenset[int] | None, set[int]]:
    """Return the CPUs that are online; if no list tells them, those that say they are not."""
    online = read_list(tree, f"{CPU}/online")
    if online is not None:
        return online, set()
    each = {cpu: tree.text(f"{CPU}/cpu{cpu}/online") or "" for cpu in _cpu_ids(tree)}
    return None, {cpu for cpu, text in each.items() if text.strip() == "0"}


def _cpuset_notes(tree: FileTree, owner: Iterable[int], ids: Iterable[int]) -> list[str]:
    """Remark on what the live machine has, but this process may not use (its cgroup's cpuset)."""
    status = tree.text("proc/self/status") or ""
    notes: list[str] = []
    for word, name, there in (("Cpus", "CPUs", set(owner)), ("Mems", "nodes' memory", set(ids))):
        match = re.search(rf"^{word}_allowed_list:\s*([0-9,-]+)$", status, re.MULTILINE)
        if match and there - (may := parse_ids(match[1], thing=word, field="")):
            notes.append(
                f"this process may use {name} {format_ids(there & may)} of {format_ids(there)} only"
                " (cpuset): all are read, VMs may have a cpuset of their own"
            )
    return notes


def _owners(tree: FileTree, ids: Iterable[int], notes: list[str]) -> dict[int, int]:
    """Return the node of each CPU that is online."""
    owner: dict[int, int] = {}
    online, offline = _online(tree)
    for number in ids:
        folder = f"{NODE}/node{number}"
        for cpu in read_list_or_mask(tree, f"{folder}/cpulist", f"{folder}/cpumap") or ():
            if cpu in offline or (online is not None and cpu not in online):
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


def _cpu(tree: FileTree, cpu: int, node: int, notes: list[str]) -> CpuFacts:
    folder = f"{CPU}/cpu{cpu}/topology"
    package = read_whole(tree, f"{folder}/physical_package_id", -1, ID_MAX)
    number = read_whole(tree, f"{folder}/core_id", -1, ID_MAX)
    # core_id repeats, within a package even (one per die, one per node): siblings do not.
    siblings = read_list_or_mask(
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
        groups = tuple(tree.text(f"{folder}/{name}_id") for name in ("die", "cluster"))
        core = ("core", node, package, groups, number)
    else:
        notes.append("the kernel does not tell all cores: such a CPU is taken as one core")
    if package is None or package < 0:
        package = node
        notes.append("the kernel does not tell all packages: the node is taken for it")
    return CpuFacts(cpu, node, core, package, _last_cache(tree, cpu))


def _last_cache(tree: FileTree, cpu: int) -> Hashable:
    """Return the level of the last cache, 2 or higher, and the first CPU there; None if unknown."""
    last, shared = 1, None
    for number in numbered(tree, f"{CPU}/cpu{cpu}/cache", "index"):
        folder = f"{CPU}/cpu{cpu}/cache/index{number}"
        level = read_whole(tree, f"{folder}/level", 0, 16)
        if level is not None and level > last and (tree.text(f"{folder}/type") or "")[:1] != "I":
            cpus = read_list_or_mask(tree, f"{folder}/shared_cpu_list", f"{folder}/shared_cpu_map")
            last, shared = level, cpus
    return (last, min(shared)) if shared else None


def _from_sys(path: Path) -> HostReading:
    """Read a copy of sysfs from the folder that holds ``sys``; ``sys`` itself is meant so, too."""
    itself = path.name == "sys" and (path / "devices" / "system").is_dir()
    return read_host(path.resolve().parent if itself else path)


SYSFS = Format(
    *("sysfs", "a copy of Linux's /sys, folder or tar archive", __doc__),
    sniff=sniff,
    read_hosts=one_host(_from_sys),
)
