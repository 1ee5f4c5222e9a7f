"""What a simulation counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Segment:
    """A vCPU that ran on a pCPU from one time to another (microseconds)."""

    pcpu: int
    vcpu: str
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class GuestCount:
    """What one VM did.

    Parameters
    ----------
    name, vcpus, utilisation
        The VM.
    work_us
        Work done, in microseconds of a vCPU that runs alone with all memory local.
    run_us, wait_us
        Time its vCPUs ran, and wanted to run but did not.
    remote_share
        Share of its memory accesses that left the node, by time run.
    node_us
        Time its vCPUs ran on each node, by position.
    moves
        How often one of its vCPUs came to another pCPU.
    """

    name: str
    vcpus: int
    work_us: float
    run_us: int
    wait_us: int
    remote_share: float
    node_us: tuple[int, ...]
    moves: int
    utilisation: float = 1.0

    def throughput(self, time_us: int) -> float:
        """Work done in vCPUs: 1 is what one vCPU does that runs alone with all memory local."""
        return self.work_us / time_us if time_us else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a simulation.

    Parameters
    ----------
    time_us
        Simulated time that was counted (after the warm-up).
    guests
        By VM.
    steals
        VCPUs taken from another pCPU's queue, by relative distance of the two nodes.
    migrations
        Moves by the scheduler's own choice at a tick.
    switches
        Times a pCPU changed to another vCPU.
    events
        Events handled.
    segments
        Who ran where, if that was asked for.
    """

    time_us: int
    guests: tuple[GuestCount, ...]
    steals: dict[float, int]
    migrations: int
    switches: int
    events: int
    segments: tuple[Segment, ...] = ()

    @property
    def throughput(self) -> float:
        """Work of all VMs in vCPUs."""
        return sum(guest.throughput(self.time_us) for guest in self.guests)

    @property
    def remote_share(self) -> float:
        """Share of the memory accesses that left their node, by time run."""
        run = sum(guest.run_us for guest in self.guests)
        far = sum(guest.remote_share * guest.run_us for guest in self.guests)
        return far / run if run else 0.0

    @property
    def fairness(self) -> float:
        """Jain's index of what the VMs get of the work they want: 1 if all get the same share.

        Jain, Chiu, Hawe: A quantitative measure of fairness and discrimination (1984).
        """
        each = [g.work_us / (g.vcpus * g.utilisation) for g in self.guests if g.utilisation]
        squares = len(each) * sum(work * work for work in each)
        return sum(each) ** 2 / squares if squares else 1.0

    @property
    def wait_share(self) -> float:
        """Share of the time that vCPUs wanted to run for which they waited."""
        wait = sum(guest.wait_us for guest in self.guests)
        run = sum(guest.run_us for guest in self.guests)
        return wait / (wait + run) if wait + run else 0.0


@dataclass(slots=True)
class Tally:
    """Counts that grow while a simulation runs."""

    steals: Counter[float] = field(default_factory=Counter)
    migrations: int = 0
    switches: int = 0
    events: int = 0
    segments: list[Segment] = field(default_factory=list)
