"""What is simulated: VMs with the affinities of their vCPUs, their memory, and what they do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from numaplace.models.errors import check_int, check_real
from numaplace.solver.simulator.balance import Release
from numaplace.solver.simulator.guest import DEFAULT_WEIGHT, NO_CAP
from numaplace.solver.simulator.machine import Machine

US_PER_MS = 1000
US_PER_S = 1_000_000


@dataclass(frozen=True, slots=True)
class Reach:
    """Something a VM reaches on a node beside memory, such as a device.

    Parameters
    ----------
    node
        Position of the node.
    weight
        Time added to a unit of work per unit of (r - 1).
    """

    node: int
    weight: float


@dataclass(frozen=True, slots=True)
class GuestCpu:
    """One vCPU: pCPUs it may use and would rather use (masks), and where its accesses go.

    `access` is the share of its memory accesses by position of the node; it adds up to 1. `start`
    is the pCPU on which it was created, where it stays until the scheduler moves it; None: anywhere
    it likes, where it is quiet.
    """

    hard: int
    soft: int
    access: tuple[float, ...]
    start: int | None = None


@dataclass(frozen=True, slots=True)
class Guest:
    """A VM to simulate.

    Parameters
    ----------
    name
        Its name.
    cpus
        Its vCPUs.
    utilisation
        Share of the time that a vCPU runs if it need not wait. What slows it down does not make it
        run for longer: it gets less done.
    memory_intensity
        mu: share of its run time that waits for local memory, alone.
    bandwidth_mbps
        Memory bandwidth of the whole VM at full speed.
    busy_ms
        Mean CPU time of a busy phase; phases are between half and one and a half of it unless
        steady.
    drag
        Time added to a unit of work wherever it runs (ballooning).
    reaches
        Devices.
    weight, cap
        Of the scheduler.
    smt_yield
        What a core with two threads busy with it yields (`numaplace.models.smt`); the host's, that
        of programs that only compute, if None.
    steady
        Whether it is like dom0: lengths of its phases are exponentially distributed.
    """

    name: str
    cpus: tuple[GuestCpu, ...]
    utilisation: float = 1.0
    memory_intensity: float = 0.3
    bandwidth_mbps: float = 0.0
    busy_ms: float = 20.0
    drag: float = 0.0
    reaches: tuple[Reach, ...] = ()
    weight: int = DEFAULT_WEIGHT
    cap: int = NO_CAP
    smt_yield: float | None = None
    steady: bool = False

    def __post_init__(self) -> None:
        thing = f"VM {self.name!r:.80}"
        check_real(thing, "utilisation", self.utilisation, 0, 1)
        check_real(thing, "memory_intensity", self.memory_intensity, 0, 1)
        check_real(thing, "busy_ms", self.busy_ms, 0.1, 1e6)
        check_int(thing, "weight", self.weight, 1, 65535)
        check_int(thing, "cap", self.cap, 0, 100 * len(self.cpus))


@dataclass(frozen=True, slots=True)
class Talk:
    """Two VMs (by index) that wait for each other's messages.

    `weights` is the time added to a unit of each one's work per unit of (r - 1), r being the mean
    relative distance of where their vCPUs are.
    """

    first: int
    second: int
    weights: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Rivalry:
    """Two VMs (by index) that slow each other down while both run in one domain.

    `domains` gives the domain of each pCPU (last-level cache, node or host); `weights` is the time
    added to a unit of each one's work while all vCPUs of the other run there.
    """

    first: int
    second: int
    weights: tuple[float, float]
    domains: tuple[int, ...]


class SchedulerName(StrEnum):
    """Xen's schedulers: credit, and credit2, the default since 4.12."""

    CREDIT = "credit"
    CREDIT2 = "credit2"


@dataclass(frozen=True, slots=True)
class Dom0:
    """What dom0 does on every host: its vCPUs run everywhere, but not where others may not.

    Parameters
    ----------
    vcpus
        How many it has.
    pcpus
        PCPUs it keeps busy, all its vCPUs together.
    busy_ms
        Mean CPU time of a busy phase; phases are exponentially distributed.
    """

    vcpus: int
    pcpus: float
    busy_ms: float

    def __post_init__(self) -> None:
        check_int("dom0", "vCPUs", self.vcpus, 1, 4096)
        check_real("dom0", "busy pCPUs", self.pcpus, 0, self.vcpus)
        check_real("dom0", "busy phase in ms", self.busy_ms, 0.1, 1e6)


@dataclass(frozen=True, slots=True)
class Hypervisor:
    """Parameters of the scheduler and of the hardware around it.

    Parameters
    ----------
    release
        Which credit scheduler; credit2 is that of 4.17.
    timeslice_ms
        Time until a running vCPU is looked at again; ticks come three times as often, and credit is
        handed out once a timeslice.
    ratelimit_us
        Time a vCPU runs at least.
    cache_refill_us
        Work that one would lose which does nothing but wait for memory, when it comes to a
        last-level cache it was not on before: size of the cache over the bandwidth of a core.
    turbo
        Clock by number of busy cores of a socket, that of one being 1; empty: always the same.
    dom0
        What dom0 does; nothing if None.
    scheduler
        Who decides.
    start_gap_ms
        Time between the starts of two VMs; all start within a timeslice if 0. Matters to credit2,
        which then leaves VMs where they are.
    turn_us
        0, or how often an emulator comes round that runs one pCPU after the other: each looks for
        work in its turn only, so that timers and calls of other pCPUs are answered late.
    """

    release: Release = Release.XEN_4_17
    timeslice_ms: int = 30
    ratelimit_us: int = 1000
    cache_refill_us: float = 0.0
    turbo: tuple[float, ...] = ()
    dom0: Dom0 | None = None
    scheduler: SchedulerName = SchedulerName.CREDIT
    start_gap_ms: float = 0.0
    turn_us: int = 0

    def __post_init__(self) -> None:
        check_int("hypervisor", "timeslice_ms", self.timeslice_ms, 3, 1000)
        check_int("hypervisor", "ratelimit_us", self.ratelimit_us, 0, 1_000_000)
        check_real("hypervisor", "start_gap_ms", self.start_gap_ms, 0, 60_000)
        check_int("hypervisor", "turn_us", self.turn_us, 0, 1_000_000)
        check_real("hypervisor", "cache_refill_us", self.cache_refill_us, 0, 1e6)


@dataclass(frozen=True)
class Scenario:
    """A host and what runs on it."""

    machine: Machine
    guests: tuple[Guest, ...]
    talks: tuple[Talk, ...] = ()
    rivalries: tuple[Rivalry, ...] = ()
    hypervisor: Hypervisor = Hypervisor()

    def __post_init__(self) -> None:
        for guest in self.guests:
            for cpu in guest.cpus:
                thing = f"VM {guest.name!r:.80}"
                check_int(thing, "hard affinity", cpu.hard, 1, self.machine.everywhere)
                if not cpu.hard or cpu.soft & ~cpu.hard or not cpu.soft:
                    raise ValueError(f"{thing}: soft affinity is no part of the hard one")
