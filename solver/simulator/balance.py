"""Where a virtual CPU goes, and whose work an idle pCPU takes: the credit scheduler's balancing.

After the description of Xen's ``xen/common/sched/credit.c``. Release 4.2 has one step and knows no
nodes. Since 4.3 there are two steps, first over the pCPUs a vCPU would rather use (soft affinity;
node affinity then), next over all it may use. Today's (4.17) looks for work from behind the pCPU
that had some last time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from numaplace.solver.simulator.guest import VCpu
from numaplace.solver.simulator.machine import Machine, cyclic, next_in


class Release(StrEnum):
    """Which credit scheduler: 4.2 in one step, 4.3 in two with node affinity, or today's."""

    XEN_4_2 = "4.2"
    XEN_4_3 = "4.3"
    XEN_4_17 = "4.17"


def steps(vcpu: VCpu, release: Release) -> tuple[int, ...]:
    """Sets of pCPUs to look at, one after the other."""
    if release is Release.XEN_4_2 or vcpu.soft == vcpu.hard:
        return (vcpu.hard,)
    return (vcpu.soft, vcpu.hard)


def pick(
    vcpu: VCpu,
    idle: int,
    machine: Machine,
    bias: list[int],
    release: Release,
    *,
    lonely: bool,
    commit: bool = True,
) -> int:
    """Return the pCPU on which a vCPU should be.

    It stays where it is if that is in its set and idle (or nobody else waits there), unless another
    idle pCPU has more idle threads on its core, or one on another socket more than twice as many
    there.

    Parameters
    ----------
    vcpu
        Who asks.
    idle
        Idle pCPUs.
    bias
        Of each pCPU, the one chosen last among its idle neighbours.
    lonely
        Whether nobody waits on the vCPU's own pCPU: that counts as idle then, whoever runs there.
    commit
        Whether to keep in `bias` what was chosen.
    """
    chosen, asked = vcpu.pcpu, -1
    for mask in steps(vcpu, release):
        chosen = vcpu.pcpu if mask >> vcpu.pcpu & 1 else next_in(mask, vcpu.pcpu)
        idlers = idle | 1 << chosen if lonely and chosen == vcpu.pcpu else idle
        left = idlers & mask
        if left and not left >> chosen & 1:
            chosen = next_in(left, chosen)
        left &= ~(1 << chosen)
        while left:  # look for one with quieter neighbours
            other = next_in(left, chosen)
            if machine.socket_mask[chosen] >> other & 1:
                factor, near = 1, machine.core_mask
            else:
                factor, near = 2, machine.socket_mask
            there = idlers & near[other]
            if (idlers & near[chosen]).bit_count() * factor < there.bit_count():
                asked, chosen = other, next_in(there & left, bias[other])
                left &= ~machine.core_mask[chosen]
            else:
                left &= ~there
        if idlers >> chosen & 1:
            break
    if commit and asked >= 0:
        bias[asked] = chosen
    return chosen


def victim(
    thief: int,
    priority: int,
    queues: Sequence[list[VCpu]],
    waiting: int,
    machine: Machine,
    release: Release,
    last: list[int],
    choosy: bool = True,
) -> VCpu | None:
    """Return the vCPU that a pCPU takes from another's queue; None if there is none for it.

    Parameters
    ----------
    thief, priority
        The pCPU, and the class of the best in its own queue: only higher ones are taken.
    queues, waiting
        Queues of all pCPUs, best first, and the set of those that may be taken from.
    last
        Of each node, the pCPU from which something was taken last (changed here; 4.17).
    choosy
        Whether some vCPU would rather run on some of the pCPUs it may use.
    """
    waiting &= ~(1 << thief)
    for soft in (True, False) if choosy and release is not Release.XEN_4_2 else (False,):
        alone = not waiting & (waiting - 1)
        for peer in (
            (waiting.bit_length() - 1,)
            if alone and waiting
            else _peers(waiting, thief, machine, release, last)
        ):
            for vcpu in queues[peer]:
                if vcpu.priority <= priority:
                    break
                if vcpu.leaving or (soft and vcpu.soft == vcpu.hard):
                    continue  # without a preference the next step is for it
                if (vcpu.soft if soft else vcpu.hard) >> thief & 1:
                    last[machine.node_of[peer]] = peer
                    return vcpu
    return None


def _peers(
    waiting: int, thief: int, machine: Machine, release: Release, last: Sequence[int]
) -> Iterator[int]:
    """PCPUs in the order in which work is looked for on them.

    From behind the thief around in 4.2; then node by node from its own on by index (not by
    distance), each from its lowest on in 4.3, from behind the last victim in 4.17.
    """
    if release is Release.XEN_4_2:
        yield from cyclic(waiting, thief)
        return
    masks, own = machine.node_mask, machine.node_of[thief]
    for node in (*range(own, len(masks)), *range(own)):
        there = waiting & masks[node]
        if there:
            yield from cyclic(there, last[node] if release is Release.XEN_4_17 else -1)
