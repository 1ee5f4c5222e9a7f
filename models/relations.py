"""Relations between VMs: cooperation, competition, together, apart, shared pages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from numaplace.models.errors import InputError, check_unique
from numaplace.models.fields import Name, Only, Size, checked
from numaplace.models.topology import SomeMib
from numaplace.models.vm import Weight

GROUP_MAX = 10_000


class Scope(StrEnum):
    """Where two VMs meet: one last-level cache, one node, or one host."""

    LLC = "llc"
    NODE = "node"
    HOST = "host"


_Members = Annotated[tuple[Name, ...], Size(2, GROUP_MAX, "VMs"), "Names of the VMs."]


@dataclass(frozen=True, slots=True)
class Cooperation:
    """Two VMs that talk.

    Cells count by their share of the VM's vCPUs; r is the mean of both directions.
    """

    THING: ClassVar[str] = "cooperation of {0.first!r:.80} and {0.second!r:.80}"

    first: Annotated[Name, "Name of a VM."]
    second: Annotated[Name, "Name of the other."]
    weight: Annotated[Weight, "Lost per unit of (r - 1) between them."]

    def __post_init__(self) -> None:
        _check_pair(checked(self), self)


@dataclass(frozen=True, slots=True)
class Competition:
    """Two VMs that get in each other's way."""

    THING: ClassVar[str] = "competition of {0.first!r:.80} and {0.second!r:.80}"

    first: Annotated[Name, "Name of a VM."]
    second: Annotated[Name, "Name of the other."]
    weight: Annotated[Weight, "Lost if they meet in the scope."]
    scope: Annotated[Scope, "Where they meet."] = Scope.NODE

    def __post_init__(self) -> None:
        _check_pair(checked(self), self)


@dataclass(frozen=True, slots=True)
class _VmGroup:
    THING: ClassVar[str] = "group of {0.listed!r:.80}"

    vms: _Members
    scope: Annotated[Scope, Only((Scope.NODE.value, Scope.HOST.value)), "Where."] = Scope.NODE

    def __post_init__(self) -> None:
        check_unique(checked(self), "vms", self.vms)

    @property
    def listed(self) -> str:
        """Names of the VMs, for people."""
        return ", ".join(map(str, self.vms))


@dataclass(frozen=True, slots=True)
class Together(_VmGroup):
    """VMs that, where placed, use the very same nodes (or host)."""

    THING: ClassVar[str] = "together of {0.listed!r:.80}"


@dataclass(frozen=True, slots=True)
class Apart(_VmGroup):
    """VMs no two of which may use one node (or host) at the same time."""

    THING: ClassVar[str] = "apart of {0.listed!r:.80}"


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


def _check_pair(thing: str, pair: Cooperation | Competition) -> None:
    if pair.first == pair.second:
        raise InputError(thing, "second", "a VM has no relation with itself")
