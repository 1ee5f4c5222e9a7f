"""Run queues that several pCPUs share, and how loaded they are: what credit2 keeps.

After the description of Xen's ``xen/common/sched/credit2.c``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from numaplace.models.units import ceil_div
from numaplace.solver.simulator.guest import VCpu
from numaplace.solver.simulator.machine import Machine, members

WINDOW_US = (1 << 30) // 1000
"""Time over which loads are averaged."""
PCPUS_MAX = 16
"""Most pCPUs that share a queue."""


@dataclass(slots=True)
class Average:
    """Mean of something over the last second: older values fade."""

    mean: float
    since_us: int = 0

    def update(self, value: float, now: int) -> None:
        """Take in that it had a value until now."""
        self.mean += min(1.0, (now - self.since_us) / WINDOW_US) * (value - self.mean)
        self.since_us = now


@dataclass(slots=True, eq=False)
class Runqueue:
    """A queue of vCPUs, most credit first, and the pCPUs that take from it.

    Parameters
    ----------
    pcpus, cores
        Its pCPUs, and the threads of each of its cores.
    last
        PCPU given to the last vCPU that came here.

    Attributes
    ----------
    waiting, all
        VCPUs that wait, and all that belong here.
    running
        How many want to run.
    balanced
        Mean of that, as if each vCPU had always been where balancing has put it.
    heaviest
        Greatest weight of a vCPU.
    """

    pcpus: int
    cores: Sequence[int]
    last: int
    waiting: list[VCpu] = field(default_factory=list)
    all: list[VCpu] = field(default_factory=list)
    running: int = 0
    balanced: Average = field(default_factory=lambda: Average(0.0))
    heaviest: int = 1

    def change(self, by: int, now: int) -> None:
        """Let one more or less want to run (or 0: bring the mean up to date)."""
        self.balanced.update(self.running, now)
        self.running += by

    def insert(self, vcpu: VCpu) -> None:
        """Let a vCPU wait behind those that have as much credit."""
        at = next((at for at, v in enumerate(self.waiting) if v.credit < vcpu.credit), None)
        self.waiting.insert(len(self.waiting) if at is None else at, vcpu)

    def weigh(self) -> None:
        """Find the greatest weight anew."""
        self.heaviest = max((v.domain.weight for v in self.all), default=1)

    def idle_cores(self, idle: int) -> int:
        """PCPUs whose core is all idle."""
        found = 0
        for core in self.cores:
            if core & idle == core:
                found |= core
        return found


def runqueues(machine: Machine) -> list[Runqueue]:
    """Return a queue for each socket, further ones where it has too many pCPUs."""
    most = machine.size // ceil_div(machine.size, PCPUS_MAX)
    found: list[Runqueue] = []
    for socket in dict.fromkeys(machine.socket_mask):
        cores = list(dict.fromkeys(machine.core_mask[p] for p in members(socket)))
        parts: list[list[int]] = []
        for core in cores:
            room = [p for p in parts if (sum(p) | core).bit_count() <= most]
            part = min(room, key=lambda p: sum(p).bit_count(), default=None)
            if part is None:
                parts.append([core])
            else:
                part.append(core)
        found += [Runqueue(sum(part), part, members(sum(part))[0]) for part in parts]
    return found
