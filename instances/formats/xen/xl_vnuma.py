"""xl's ``vnuma``: the virtual NUMA nodes of a guest.

A list with one list per virtual node, in order, of ``key=value`` strings: ``pnode`` (the host's
node it is built on), ``size`` (MiB), ``vcpus`` (``0-1,4``) and ``vdistances`` (its distances to
all virtual nodes).
"""

from __future__ import annotations

from numaplace.instances.formats.found import FoundCell
from numaplace.instances.formats.guest import missing_vcpus
from numaplace.instances.formats.xen.xl_text import XlValue
from numaplace.instances.ranges import parse_ids, parse_whole
from numaplace.models.errors import InputError, check_int
from numaplace.models.topology import ID_MAX, MIB_MAX
from numaplace.models.vm import CELLS_MAX, VCPUS_MAX

_KEYS = ("pnode", "size", "vcpus", "vdistances")


def parse_vnuma(nodes: tuple[XlValue, ...], thing: str, notes: list[str]) -> tuple[FoundCell, ...]:
    """Return the virtual nodes of a guest called `thing` in messages.

    `InputError` for a missing or impossible value, a vCPU in two nodes or in none, or pnodes given
    to some nodes only.
    """
    check_int(thing, "number of virtual nodes", len(nodes), 0, CELLS_MAX)
    things = [f"{thing}, virtual node {index}" for index in range(len(nodes))]
    options = [_options(*each) for each in zip(things, nodes, strict=True)]
    cells = tuple(_cell(*each, len(nodes)) for each in zip(things, options, strict=True))
    owned = [frozenset(cell.vcpus) for cell in cells]
    highest = max((max(own) for own in owned), default=-1)
    missing = missing_vcpus(
        owned, highest + 1, "", lambda at, reason: InputError(things[at], "vcpus", reason)
    )
    if missing:
        raise InputError(thing, "vcpus", f"vCPU {min(missing)} is in no virtual node")
    unbound = [index for index, cell in enumerate(cells) if cell.nodes is None]
    if unbound and len(unbound) < len(cells):
        reason = "is missing, other virtual nodes have it"
        raise InputError(things[unbound[0]], "pnode", reason)
    if any("vdistances" in each for each in options):
        notes.append(f"{thing}: the guest's own distances (vdistances) are not kept")
    return cells


def _cell(thing: str, options: dict[str, str], nodes: int) -> FoundCell:
    for key in ("vcpus", "size"):
        if key not in options:
            raise InputError(thing, key, "is missing")
    vcpus = parse_ids(options["vcpus"], thing=thing, field="vcpus", exclusions=False)
    check_int(thing, "number of vcpus", len(vcpus), 1, VCPUS_MAX)
    size_mib = parse_whole(options["size"], thing=thing, field="size", low=1, high=MIB_MAX)
    pnode = options.get("pnode")
    if "vdistances" in options:
        _check_distances(thing, options["vdistances"], nodes)
    bound = None
    if pnode is not None:
        bound = frozenset({parse_whole(pnode, thing=thing, field="pnode", high=ID_MAX)})
    return FoundCell(tuple(sorted(vcpus)), size_mib, bound)


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
