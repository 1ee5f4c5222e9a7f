"""Relations between VMs: cooperation, competition, together, apart, shared pages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from numaplace.models.errors import (
    InputError,
    check_choice,
    check_counted,
    check_int,
    check_name,
    check_unique,
)
from numaplace.models.topology import MIB_MAX
from numaplace.models.units import LEAST_VCPUS
from numaplace.models.vm import WEIGHT_MAX

GROUP_MAX = 10_000


class Scope(StrEnum):
    """Where two VMs meet: one last-level cache, one node, or one host."""

    LLC = "llc"
    NODE = "node"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Cooperation:
    """Two VMs that talk: `weight` vCPUs are lost per unit of (r - 1) between them.

    Cells count by their share of the VM's vCPUs; r is the mean of both directions.
    """

    first: str
    second: str
    weight: float

    def __post_init__(self) -> None:
        _check_pair("cooperation", self.first, self.second, self.weight)


@dataclass(frozen=True, slots=True)
class Competition:
    """Two VMs that get in each other's way: `weight` vCPUs are lost if they meet in the scope."""

    first: str
    second: str
    weight: float
    scope: Scope = Scope.NODE

    def __post_init__(self) -> None:
        _check_pair("competition", self.first, self.second, self.weight)
        thing = f"competition of {self.first!r:.80} and {self.second!r:.80}"
        check_choice(thing, "scope", self.scope, Scope)


@dataclass(frozen=True, slots=True)
class Together:
    """VMs that, where placed, use the very same nodes (or host)."""

    vms: tuple[str, ...]
    scope: Scope = Scope.NODE

    def __post_init__(self) -> None:
        _check_group("together", self.vms, self.scope)


@dataclass(frozen=True, slots=True)
class Apart:
    """VMs no two of which may use one node (or host) at the same time."""

    vms: tuple[str, ...]
    scope: Scope = Scope.NODE

    def __post_init__(self) -> None:
        _check_group("apart", self.vms, self.scope)


@dataclass(frozen=True, slots=True)
class SharingGroup:
    """VMs with equal pages, kept once per node that holds a copy.

    Parameters
    ----------
    name
        Unique in an instance.
    vms
        Members; a VM is in one group at most.
    shared_mib
        Memory all members have in common, part of the memory of each.
    across_nodes
        Whether a member may read a copy on another node of its host; it then pays the distance.
        If not, each node with a member's cell holds a copy.
    """

    name: str
    vms: tuple[str, ...]
    shared_mib: int
    across_nodes: bool = False

    def __post_init__(self) -> None:
        thing = f"sharing group {self.name!r:.80}"
        check_name(thing, "name", self.name)
        _check_members(thing, self.vms)
        check_int(thing, "shared_mib", self.shared_mib, 1, MIB_MAX)


def _check_pair(thing: str, first: str, second: str, weight: float) -> None:
    thing = f"{thing} of {first!r:.80} and {second!r:.80}"
    if first == second:
        raise InputError(thing, "second", "a VM has no relation with itself")
    check_counted(thing, "weight", weight, WEIGHT_MAX, LEAST_VCPUS)


def _check_group(word: str, vms: tuple[str, ...], scope: Scope) -> None:
    thing = f"{word} of {', '.join(map(str, vms))!r:.80}"
    _check_members(thing, vms)
    check_choice(thing, "scope", scope, Scope)
    if scope is Scope.LLC:
        raise InputError(thing, "scope", "must be 'node' or 'host'")


def _check_members(thing: str, vms: tuple[str, ...]) -> None:
    check_int(thing, "number of VMs", len(vms), 2, GROUP_MAX)
    check_unique(thing, "vms", vms)
