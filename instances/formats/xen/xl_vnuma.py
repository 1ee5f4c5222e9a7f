"""xl's ``vnuma``: the virtual NUMA nodes of a guest.

A list with one list per virtual node, in order, of ``key=value`` strings: ``pnode`` (the host's
node it is built on), ``size`` (MiB), ``vcpus`` (``0-1,4``) and ``vdistances`` (its distances to
all virtual nodes).
"""

from __future__ import annotations

from dataclasses import dataclass

from numaplace.instances.formats.xen.xl_text import XlValue
from numaplace.instances.ranges import parse_ids, parse_whole
from numaplace.models.errors import InputError, check_int
from numaplace.models.topology import ID_MAX, MIB_MAX
from numaplace.models.vm import CELLS_MAX, VCPUS_MAX

_KEYS = ("pnode", "size", "vcpus", "vdistances")


@dataclass(frozen=True, slots=True)
class VirtualNode:
    """One virtual node; `pnode` is None if the file does not bind it."""

    vcpus: frozenset[int]
    size_mib: int
    pnode: int | None
    has_distances: bool


def parse_vnuma(nodes: tuple[XlValue, ...], thing: str) -> tuple[VirtualNode, ...]:
    """Return the virtual nodes of a guest called `thing` in error messages.

    Raises
    ------
    InputError
        For a missing or impossible value, a vCPU in two nodes or in none, or pnodes given to
        some nodes only.
    """
    check_int(thing, "number of virtual nodes", len(nodes), 0, CELLS_MAX)
    parsed = tuple(
        _virtual_node(f"{thing}, virtual node {index}", node, len(nodes))
        for index, node in enumerate(nodes)
    )
    _check_vcpus(parsed, thing)
    unbound = [index for index, node in enumerate(parsed) if node.pnode is None]
    if unbound and len(unbound) < len(parsed):
        reason = "is missing, other virtual nodes have it"
        raise InputError(f"{thing}, virtual node {unbound[0]}", "pnode", reason)
    return parsed


def _virtual_node(thing: str, node: XlValue, nodes: int) -> VirtualNode:
    options = _options(thing, node)
    for key in ("vcpus", "size"):
        if key not in options:
            raise InputError(thing, key, "is missing")
    vcpus = parse_ids(options["vcpus"], thing=thing, field="vcpus", exclusions=False)
    check_int(thing, "number of vcpus", len(vcpus), 1, VCPUS_MAX)
    size_mib = parse_whole(options["size"], thing=thing, field="size", low=1, high=MIB_MAX)
    pnode = options.get("pnode")
    if "vdistances" in options:
        _check_distances(thing, options["vdistances"], nodes)
    return VirtualNode(
        vcpus,
        size_mib,
        None if pnode is None else parse_whole(pnode, thing=thing, field="pnode", high=ID_MAX),
        "vdistances" in options,
    )


def _options(thing: str, node: XlValue) -> dict[str, str]:
    if isinstance(node, str):
        raise InputError(thing, "", f"is {node!r:.60}, must be a list of 'key=value'")
    options: dict[str, str] = {}
    for item in node:
        key, sign, value = item.partition("=") if isinstance(item, str) else ("", "", "")
        key = key.strip()
        if not sign or key not in _KEYS:
            wanted = ", ".join(f"{known}=" for known in _KEYS)
            raise InputError(thing, "", f"{item!r:.60} is none of {wanted}")
        if key in options:
            raise InputError(thing, key, "is given twice")
        options[key] = value.strip()
    return options


def _check_distances(thing: str, text: str, nodes: int) -> None:
    words = text.split(",")
    if len(words) != nodes:
        reason = f"has {len(words)} distances, must have one per virtual node, {nodes}"
        raise InputError(thing, "vdistances", reason)
    for word in words:
        parse_whole(word, thing=thing, field="vdistances", low=10, high=255)


def _check_vcpus(nodes: tuple[VirtualNode, ...], thing: str) -> None:
    seen: set[int] = set()
    for index, node in enumerate(nodes):
        twice = node.vcpus & seen
        if twice:
            reason = f"vCPU {min(twice)} is in another virtual node too"
            raise InputError(f"{thing}, virtual node {index}", "vcpus", reason)
        seen |= node.vcpus
    if seen and max(seen) != len(seen) - 1:
        missing = min(set(range(len(seen))) - seen)
        raise InputError(thing, "vcpus", f"vCPU {missing} is in no virtual node")
