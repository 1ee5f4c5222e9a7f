"""Relations between VMs: cooperation, competition, together, apart, shared pages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations, product
from typing import Annotated, Any, ClassVar, TypeVar

from numaplace.models.errors import InputError, check_int, check_unique
from numaplace.models.fields import Name, Size, checked, thing_of
from numaplace.models.topology import SomeMib
from numaplace.models.vm import Weight

GROUP_MAX = 10_000
WISH_MAX = 500  # VMs of a group whose pairs are priced


class Scope(StrEnum):
    """Where two VMs meet: one last-level cache, one node, or one host.

    Any other word is the key of a label of hosts: they meet on hosts where it has one value. A host
    without the label is a domain of its own.
    """

    LLC = "llc"
    NODE = "node"
    HOST = "host"


_Members = Annotated[tuple[Name, ...], Size(2, GROUP_MAX, "VMs"), "Names of the VMs."]


@dataclass(frozen=True, slots=True)
class Cooperation:
    """Two VMs that talk.

    Cells count by their share of the VM's vCPUs; r is the mean of both directions. With a scope
    distance does not count, only whether they share a host, or a label of hosts.
    """

    THING: ClassVar[str] = "cooperation of {0.first!r:.80} and {0.second!r:.80}"

    first: Annotated[Name, "Name of a VM."]
    second: Annotated[Name, "Name of the other."]
    weight: Annotated[Weight, "Lost per unit of (r - 1) between them; with a scope, lost at all."]
    scope: Annotated[
        Name | None, "`host` or the key of a label: lost unless they share it. Not given: distance."
    ] = None

    def __post_init__(self) -> None:
        _check_pair(checked(self), self)
        if self.scope in (Scope.LLC, Scope.NODE):
            reason = "must be 'host' or the key of a label; without any, distance counts"
            raise InputError(thing_of(self), "scope", reason)


@dataclass(frozen=True, slots=True)
class Competition:
    """Two VMs that get in each other's way."""

    THING: ClassVar[str] = "competition of {0.first!r:.80} and {0.second!r:.80}"

    first: Annotated[Name, "Name of a VM."]
    second: Annotated[Name, "Name of the other."]
    weight: Annotated[Weight, "Lost if they meet in the scope."]
    scope: Annotated[
        Name, "Where they meet: `llc`, `node`, `host`, or the key of a label of hosts."
    ] = Scope.NODE

    def __post_init__(self) -> None:
        _check_pair(checked(self), self)


@dataclass(frozen=True, slots=True)
class _VmGroup:
    THING: ClassVar[str] = "group of {0.listed!r:.80}"

    vms: _Members
    scope: Annotated[Name, "`node`, `host`, or the key of a label of hosts."] = Scope.NODE

    def __post_init__(self) -> None:
        thing = checked(self)
        check_unique(thing, "vms", self.vms)
        if self.scope == Scope.LLC:
            reason = "must be 'node', 'host' or the key of a label, not 'llc'"
            raise InputError(thing, "scope", reason)

    @property
    def listed(self) -> str:
        """Names of the VMs, for people."""
        return ", ".join(map(str, self.vms))


@dataclass(frozen=True, slots=True)
class Together(_VmGroup):
    """VMs that, where placed, use the very same nodes (or host, or hosts of one label)."""

    THING: ClassVar[str] = "together of {0.listed!r:.80}"

    def softened(self, weight: float) -> tuple[Cooperation, ...]:
        """Return the wish in its place: a cooperation of each pair, for nodes by distance."""
        check_int(thing_of(self), "number of VMs with a weight", len(self.vms), 2, WISH_MAX)
        scope = None if self.scope == Scope.NODE else self.scope
        return tuple(Cooperation(a, b, weight, scope) for a, b in combinations(self.vms, 2))


@dataclass(frozen=True, slots=True)
class Apart(_VmGroup):
    """VMs no two of which may use one node (host, hosts of one label) at the same time.

    `domains` tells which may all the same: `Apart(domains=(("a", "b"), ("c",)), scope="rack")`
    keeps c off the racks of a and b, which may share one.
    """

    THING: ClassVar[str] = "apart of {0.listed!r:.80}"

    vms: Annotated[
        tuple[Name, ...],
        Size(0, GROUP_MAX, "VMs"),
        "Names of the VMs, 2 at least; not given: those of `domains`.",
    ] = ()
    domains: Annotated[
        tuple[tuple[Name, ...], ...],
        Size(0, GROUP_MAX),
        "Sets of its VMs that may meet; a VM in none may meet no other.",
    ] = ()

    def __post_init__(self) -> None:
        inside = [name for domain in self.domains for name in domain]
        if not self.vms:
            object.__setattr__(self, "vms", tuple(inside))
        _VmGroup.__post_init__(self)
        thing = thing_of(self)
        check_int(thing, "number of VMs", len(self.vms), 2, GROUP_MAX)
        check_unique(thing, "domains", inside)
        for name in sorted(set(inside) - set(self.vms)):
            raise InputError(thing, "domains", f"VM {name!r} is not among its vms")

    @property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """Its VMs in sets that may not meet one another."""
        inside = {name for domain in self.domains for name in domain}
        return (*filter(None, self.domains), *((n,) for n in self.vms if n not in inside))

    def softened(self, weight: float) -> tuple[Competition, ...]:
        """Return the wish in its place: a competition of each pair that may not meet."""
        check_int(thing_of(self), "number of VMs with a weight", len(self.vms), 2, WISH_MAX)
        pairs = (pair for two in combinations(self.parts, 2) for pair in product(*two))
        return tuple(Competition(a, b, weight, self.scope) for a, b in pairs)

    def allies(self, name: str) -> frozenset[str]:
        """Return the VMs that one of its VMs may meet, and itself."""
        return next((frozenset(d) for d in self.domains if name in d), frozenset({name}))


G = TypeVar("G", Together, Apart)


@dataclass(frozen=True, slots=True)
class SharingGroup:
    """VMs with equal pages, kept once per node that holds a copy."""

    THING: ClassVar[str] = "sharing group {0.name!r:.80}"

    name: Annotated[Name, "Unique in an instance."]
    vms: Annotated[_Members, "Members; a VM is in one group at most."]
    shared_mib: Annotated[SomeMib, "What all members have in common, part of the memory of each."]
    across_nodes: Annotated[
        bool,
        "Whether a member may read a copy on another node of its host, at the price of the "
        "distance. If not, each node with a member's cell holds a copy.",
    ] = False

    def __post_init__(self) -> None:
        check_unique(checked(self), "vms", self.vms)


def narrowed(groups: Iterable[G], names: Collection[str]) -> Iterator[G]:
    """Yield the groups that still have two members of those names, with these alone."""
    for group in groups:
        changes: dict[str, Any] = {"vms": tuple(name for name in group.vms if name in names)}
        if isinstance(group, Apart):
            changes["domains"] = tuple(tuple(filter(names.__contains__, d)) for d in group.domains)
        if len(changes["vms"]) > 1:
            yield replace(group, **changes)


def _check_pair(thing: str, pair: Cooperation | Competition) -> None:
    if pair.first == pair.second:
        raise InputError(thing, "second", "a VM has no relation with itself")
