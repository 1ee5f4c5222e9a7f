"""xl's ``cpus``, ``cpus_soft`` and ``vnuma``: where a guest's vCPUs may run and its memory lie.

``cpus``: sets of pCPUs named by pCPU or by NUMA node. The grammar of xl.cfg(5): terms between
commas, applied from left to right, each ``all``, a pCPU or a range of them, or ``node:``
(``nodes:``) and a node or a range of them, ``^`` in front takes away: ``all,^node:1``,
``nodes:0-3,^node:2``, ``1,node:1,^6``. One such text holds for every vCPU, a list of them gives
one to each.

``vnuma``: a list with one list per virtual node, in order, of ``key=value`` strings: ``pnode`` (the
host's node it is built on), ``size`` (MiB), ``vcpus`` (``0-1,4``) and ``vdistances`` (its distances
to all virtual nodes).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from numaplace.instances.formats.found import FoundCell
from numaplace.instances.formats.guest import missing_vcpus
from numaplace.instances.formats.xen.xl_text import XlValue
from numaplace.instances.ranges import IDS_MAX, parse_ids, parse_whole
from numaplace.models.errors import InputError, check_int
from numaplace.models.topology import ID_MAX, MIB_MAX, Host
from numaplace.models.vm import CELLS_MAX, VCPUS_MAX

TERMS_MAX = 10_000
NAMED_MAX = 1 << 22
_VNUMA_KEYS = ("pnode", "size", "vcpus", "vdistances")
_TERM = re.compile(r"(\^?)\s*(nodes?:)?\s*(?:(all)|([0-9]{1,9})(?:-([0-9]{1,9}))?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class CpuTerm:
    """A term: pCPUs (or nodes) `first` to `last`, added or taken away; `every` is ``all``."""

    excluded: bool = False
    by_node: bool = False
    every: bool = False
    first: int = 0
    last: int = 0

    @property
    def ids(self) -> range:
        """Ids of the pCPUs or nodes it names."""
        return range(self.first, self.last + 1)


Affinity = tuple[CpuTerm, ...]


def parse_affinity(text: str, *, thing: str, field: str) -> Affinity:
    """Return the terms of one affinity.

    `InputError` for what the grammar does not know, ``^all`` (as xl refuses it), reversed ranges,
    and more than `TERMS_MAX` terms.
    """
    words = [word.strip() for word in text.split(",", TERMS_MAX + 1)]
    if len(words) > TERMS_MAX:
        raise InputError(thing, field, f"has more than {TERMS_MAX} terms")
    terms = tuple(_term(word, thing, field) for word in words if word)
    if not terms:
        raise InputError(thing, field, "names no pCPU")
    return terms


def _term(word: str, thing: str, field: str) -> CpuTerm:
    match = _TERM.fullmatch(word)
    if match is None:
        raise InputError(thing, field, f"{word!r:.60} is no pCPU, range, 'all' or 'node:N'")
    excluded, by_node = match[1] == "^", match[2] is not None
    if match[3]:
        if excluded:
            raise InputError(thing, field, f"{word!r:.60}: 'all' cannot be taken away")
        return CpuTerm(every=True)
    first, last = int(match[4]), int(match[5] or match[4])
    if last < first:
        raise InputError(thing, field, f"range {word!r:.60} is reversed")
    if last > ID_MAX:
        raise InputError(thing, field, f"id {last} is above {ID_MAX}, the largest allowed")
    if last - first >= IDS_MAX:
        raise InputError(thing, field, f"{word!r:.60} names more than {IDS_MAX} ids")
    return CpuTerm(excluded, by_node, False, first, last)


def check_size(affinities: Iterable[Affinity], *, thing: str, field: str) -> None:
    """Raise `InputError` if affinities name more ids than is reasonable to look at."""
    named = sum(len(term.ids) for affinity in affinities for term in affinity)
    if named > NAMED_MAX:
        raise InputError(thing, field, f"names {named} ids one by one, more than {NAMED_MAX}")


def restricts(affinity: Affinity) -> bool:
    """Tell whether an affinity is more than a plain ``all``."""
    last_all = max((i for i, term in enumerate(affinity) if term.every), default=-1)
    return last_all < 0 or any(term.excluded for term in affinity[last_all + 1 :])


def named_nodes(affinity: Affinity) -> frozenset[int] | None:
    """Nodes of an affinity that names nodes only; None if a host must tell what is meant."""
    if any(term.every or not term.by_node for term in affinity):
        return None
    return _together(affinity, lambda term: term.ids)


def pcpus_of(affinity: Affinity, host: Host) -> frozenset[int]:
    """The pCPUs that an affinity means on `host`; nodes it does not have hold none."""
    own = {node.id: [pcpu.id for pcpu in node.pcpus] for node in host.nodes}

    def named(term: CpuTerm) -> Iterable[int]:
        if not term.every and not term.by_node:
            return term.ids
        return [p for node in (own if term.every else term.ids) for p in own.get(node, ())]

    return _together(affinity, named)


def _together(affinity: Affinity, named: Callable[[CpuTerm], Iterable[int]]) -> frozenset[int]:
    ids: set[int] = set()
    for term in affinity:
        if term.excluded:
            ids.difference_update(named(term))
        else:
            ids.update(named(term))
    return frozenset(ids)


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
        notes.append("the guest's own distances (vdistances) are not kept")
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
        if not sign or key not in _VNUMA_KEYS:
            wanted = ", ".join(f"{known}=" for known in _VNUMA_KEYS)
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
