"""Where a virtual CPU goes, and whose work an idle pCPU takes: the credit scheduler's balancing.

After the description of Xen's ``xen/common/sched/credit.c`` (releases 4.2 and 4.3). Release 4.3
looks in two steps, first at the pCPUs a vCPU would rather use (soft affinity; node affinity then),
next at all it may use; 4.2 has one step and knows no nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from numaplace.solver.simulator.guest import VCpu
from numaplace.solver.simulator.machine import Machine, members, next_in


class Release(StrEnum):
    """Which credit scheduler: one step of 4.2, or two steps with node affinity, as since 4.3."""

    XEN_4_2 = "4.2"
    XEN_4_3 = "4.3"


def steps(vcpu: VCpu, release: Release) -> tuple[int, ...]:
    """Sets of pCPUs to look at, one after the other."""
    if release is Release.XEN_4_2 or vcpu.soft == vcpu.hard:
        return (vcpu.hard,)
    return (vcpu.soft, vcpu.hard)


def pick(vcpu: VCpu, idle: int, machine: Machine, bias: list[int], release: Release) -> int:
    """Return the pCPU on which a vCPU should be.

    It stays where it is if that is in its set and idle (or its own), unless another idle pCPU has
    more idle threads on its core, or one on another socket more than twice as many there.

    Parameters
    ----------
    vcpu
        Who asks; it counts as idle the pCPU on which it runs.
    idle
        Idle pCPUs.
    bias
        Of each pCPU, the one chosen last among its idle neighbours (changed here).
    """
    chosen = vcpu.pcpu
    for mask in steps(vcpu, release):
        chosen = vcpu.pcpu if mask >> vcpu.pcpu & 1 else next_in(mask, vcpu.pcpu)
        idlers = idle & mask
        if vcpu.running and chosen == vcpu.pcpu:
            idlers |= 1 << chosen
        if idlers and not idlers >> chosen & 1:
            chosen = next_in(idlers, chosen)
        found_idle = bool(idlers >> chosen & 1)
        chosen = _spread(chosen, idlers & ~(1 << chosen), idlers, machine, bias)
        if found_idle:
            break
    return chosen


def _spread(chosen: int, left: int, idlers: int, machine: Machine, bias: list[int]) -> int:
    """Look for an idle pCPU with quieter neighbours."""
    while left:
        other = next_in(left, chosen)
        if machine.socket_mask[chosen] >> other & 1:
            factor, near = 1, machine.core_mask
        else:
            factor, near = 2, machine.socket_mask
        # Neither counts itself among its idle neighbours less than the other does.
        here = (idlers & near[chosen]).bit_count()
        there_mask = idlers & near[other]
        if here * factor < there_mask.bit_count():
            chosen = next_in(there_mask, bias[other])
            bias[other] = chosen
            left &= ~(1 << chosen)
        else:
            left &= ~there_mask
            left &= ~(1 << other)
    return chosen


def victim(
    thief: int,
    priority: int,
    queues: Sequence[list[VCpu]],
    waiting: int,
    machine: Machine,
    release: Release,
) -> VCpu | None:
    """Return the vCPU that a pCPU takes from another's queue; None if there is none for it.

    Parameters
    ----------
    thief, priority
        The pCPU, and the class of the best in its own queue: only higher ones are taken.
    queues, waiting
        Queues of all pCPUs, best first, and the set of those that are not empty.
    """
    waiting &= ~(1 << thief)
    if not waiting:
        return None
    if release is Release.XEN_4_2:
        return _first(thief, priority, queues, _cyclic(waiting, thief), soft=False)
    peers = _by_node(waiting, machine, machine.node_of[thief])
    return _first(thief, priority, queues, peers, soft=True) or _first(
        thief, priority, queues, peers, soft=False
    )


def _first(
    thief: int, priority: int, queues: Sequence[list[VCpu]], peers: Sequence[int], *, soft: bool
) -> VCpu | None:
    for peer in peers:
        for vcpu in queues[peer]:
            if vcpu.priority <= priority:
                break
            if soft and vcpu.soft == vcpu.hard:
                continue  # it has no preference: the next step is for it
            if (vcpu.soft if soft else vcpu.hard) >> thief & 1:
                return vcpu
    return None


def _cyclic(mask: int, after: int) -> list[int]:
    """PCPUs in order of number, from the one behind `after` around."""
    numbers = members(mask)
    return [n for n in numbers if n > after] + [n for n in numbers if n <= after]


def _by_node(mask: int, machine: Machine, first: int) -> list[int]:
    """PCPUs node by node, from node `first` on by index (not by distance), each from its lowest."""
    masks = machine.node_mask
    if not mask & (mask - 1):
        return members(mask)
    found: list[int] = []
    for node_mask in masks[first:] + masks[:first]:
        if mask & node_mask:
            found += members(mask & node_mask)
    return found
