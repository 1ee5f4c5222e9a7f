"""xl's ``cpus`` and ``cpus_soft``: sets of pCPUs named by pCPU or by NUMA node.

The grammar of xl.cfg(5): terms between commas, applied from left to right, each ``all``, a pCPU
or a range of them, or ``node:`` (``nodes:``) and a node or a range of them, ``^`` in front takes
away: ``all,^node:1``, ``nodes:0-3,^node:2``, ``1,node:1,^6``. One such text holds for every vCPU,
a list of them gives one to each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from numaplace.instances.ranges import IDS_MAX
from numaplace.models.errors import InputError
from numaplace.models.topology import ID_MAX, Host

TERMS_MAX = 10_000
NAMED_MAX = 1 << 22
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
    nodes: set[int] = set()
    for term in affinity:
        if term.excluded:
            nodes.difference_update(term.ids)
        else:
            nodes.update(term.ids)
    return frozenset(nodes)


def pcpus_of(affinity: Affinity, host: Host) -> frozenset[int]:
    """The pCPUs that an affinity means on `host`; nodes it does not have hold none."""
    own = {node.id: [pcpu.id for pcpu in node.pcpus] for node in host.nodes}
    pcpus: set[int] = set()
    for term in affinity:
        if term.every:
            named = [pcpu for ids in own.values() for pcpu in ids]
        elif term.by_node:
            named = [pcpu for node in term.ids if node in own for pcpu in own[node]]
        else:
            named = list(term.ids)
        if term.excluded:
            pcpus.difference_update(named)
        else:
            pcpus.update(named)
    return frozenset(pcpus)
