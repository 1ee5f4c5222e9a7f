"""Pins of vCPUs to pCPUs, and what they mean for nodes.

Hypervisors pin to pCPUs; a `Vm` knows nodes. A set of pCPUs becomes the set of nodes they lie
on, for which the host must be known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from numaplace.instances.ranges import format_ids, parse_ids
from numaplace.instances.reading import shown
from numaplace.models.errors import InputError
from numaplace.models.topology import Host
from numaplace.models.vm import Vm

_SHOWN_MAX = 4


def resolve_pins(
    vm: Vm,
    pcpus: frozenset[int] | None,
    host: Host | None,
    notes: list[str],
    field: str = "hard_nodes",
) -> Vm:
    """Return `vm` with pCPUs that its vCPUs must (or should) run on as the nodes of `field`.

    A set that covers every node of the host wholly restricts nothing and becomes None. Without
    a host the pins are left out, for its caller to tell; None is any pCPU.

    Raises
    ------
    InputError
        If `host` has none of the pCPUs.
    """
    if pcpus is None or host is None:
        return vm
    given: dict[str, Any] = {field: _nodes(vm, field, pcpus, host, notes)}
    return replace(vm, **given)


def _nodes(
    vm: Vm, field: str, pcpus: frozenset[int], host: Host, notes: list[str]
) -> frozenset[int] | None:
    has = {node.id: frozenset(pcpu.id for pcpu in node.pcpus) for node in host.nodes if node.pcpus}
    nodes = frozenset(node for node, own in has.items() if own & pcpus)
    if not nodes:
        reason = f"host {host.name!r} has none of the pCPUs {format_ids(pcpus)}"
        raise InputError(f"VM {vm.name!r}", field, reason)
    missing = pcpus - frozenset[int]().union(*has.values())
    if missing:
        notes.append(
            f"VM {vm.name!r}: pCPUs {format_ids(missing)} it is pinned to are not on host "
            f"{host.name!r}"
        )
    partly = frozenset(node for node in nodes if not has[node] <= pcpus)
    if partly:
        notes.append(
            f"VM {vm.name!r}: its pCPUs {format_ids(pcpus)} are only a part of node(s) "
            f"{format_ids(partly)}; whole nodes were taken"
        )
    return None if nodes == has.keys() and not partly else nodes


def changed_pins(thing: str, was: Iterable[tuple[str, str | None, str]]) -> tuple[str, ...]:
    """Return a remark on what of a source was pinned by hand and is something else now.

    Parameters
    ----------
    thing
        The VM.
    was
        What is pinned, the text the source has for it (None: nothing), and the new one.
    """
    changes = [f"{what} from {a} to {b}" for what, a, b in was if a and not _same(a, b)]
    return (f"{thing}: pinned by hand, changed: {shown(changes, _SHOWN_MAX)}",) if changes else ()


def _same(old: str, new: str) -> bool:
    """Whether two texts mean the same: lists of ids, or words."""
    if old == new:
        return True
    try:
        old_ids, new_ids = (parse_ids(text, thing="pins", field="") for text in (old, new))
    except InputError:
        return False
    return old_ids == new_ids
