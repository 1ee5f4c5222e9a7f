"""What runs: virtual CPUs and their domains, as scheduler and accounting change them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

DEFAULT_WEIGHT = 256
NO_CAP = 0


class Priority(IntEnum):
    """Classes of the credit scheduler; the numbers are Xen's."""

    BOOST = 0
    UNDER = -1
    OVER = -2
    IDLE = -64


@dataclass(slots=True, eq=False)
class VCpu:
    """A virtual CPU.

    Parameters
    ----------
    index, domain, number
        Number over all domains, its domain, and its number there.
    hard, soft
        PCPUs it may use, and those among them it would rather use; the same if it does not care.

    Attributes
    ----------
    pcpu
        Where it runs, or ran last and queues.
    running, runnable, parked
        On a pCPU; wanting one; held back by its domain's cap.
    moving, leaving
        To go to another pCPU as soon as it is off its own; off it, but not yet for others to take.
    priority, credit
        Class, and credit in hundredths (one is burnt a microsecond).
    active
        Whether it earns credit.
    started_us, burnt_us
        When it came to its pCPU, and up to when its time is accounted for.
    queued_us
        Since when it waits.
    """

    index: int
    domain: Domain
    number: int
    hard: int
    soft: int
    pcpu: int = 0
    running: bool = False
    runnable: bool = False
    parked: bool = False
    moving: bool = False
    leaving: bool = False
    priority: int = Priority.UNDER
    credit: int = 0
    active: bool = False
    started_us: int = 0
    burnt_us: int = 0
    queued_us: int = 0

    @property
    def name(self) -> str:
        """Name of its domain and its number."""
        return f"{self.domain.name}/{self.number}"


@dataclass(slots=True, eq=False)
class Domain:
    """A domain of the hypervisor: a VM, or dom0.

    Parameters
    ----------
    name
        Name of the VM.
    weight, cap
        Share of CPU time against others, and its limit in percent of a pCPU (0: none).
    """

    name: str
    weight: int = DEFAULT_WEIGHT
    cap: int = NO_CAP
    vcpus: list[VCpu] = field(default_factory=list)
    active: list[VCpu] = field(default_factory=list)
