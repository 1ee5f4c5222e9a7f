"""The evaluation of the talk *NUMA and Virtualization, the case of Xen* (2012), simulated.

Two to ten VMs of 2 vCPUs and 960 MiB run SPECjbb2005 on a host with two Xeon E5620 and 12 GiB,
under three configurations: *all-cpus* (nothing placed, memory striped over both nodes),
*auto-pinning* (automatic placement of Xen 4.2: pinned to a node), *auto-affinity* (what became Xen
4.3: memory on a node, vCPUs would rather run there). `published` says what was measured,
`calibration` how a program's traits are found; all other points are predictions.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from math import hypot, isnan, log, sqrt
from operator import mul

from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.vm import Vm
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.solver.simulator.balance import Release
from numaplace.solver.simulator.counters import Outcome
from numaplace.solver.simulator.engine import simulate
from numaplace.solver.simulator.from_plan import DOM0, SimulatedAffinity, scenarios, striped
from numaplace.solver.simulator.machine import Machine
from numaplace.solver.simulator.published import PublishedRow, TalkProgram, row
from numaplace.solver.simulator.scenario import Dom0, Hypervisor, Scenario

VM_COUNTS = (2, 4, 6, 8, 10)
REPETITIONS = 3
TIME_S = 60.0
WARM_UP_S = 2.0
SLOPE_STEP = 0.02
DOM0_LOAD = Dom0(16, 0.14, 3.5)
"""As traced in a real Xen (`benchmarks/xen`); there dom0 had 4 vCPUs, here it has one a pCPU."""

TURBO = (1.0, 1.0, 19 / 20, 19 / 20)
"""Clock by busy cores of a socket: 2.66 GHz at most, a step of 133 MHz less from three cores on.

The step is that of the X5670, the same family (its turbo ratios: 25, 25, 24, 24, 24, 24)."""

REFILL_US = 12 * 1024**2 / (10 * 64) * 0.084
"""12 MiB of last-level cache, by ten lines of 64 bytes (Nehalem's fill buffers) every 84 ns."""


class Configuration(StrEnum):
    """Configurations of the talk."""

    ALL_CPUS = "all-cpus"
    AUTO_PINNING = "auto-pinning"
    AUTO_AFFINITY = "auto-affinity"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a program does to the machine; `calibration.fit` finds it.

    Parameters
    ----------
    score
        Throughput, in the program's unit, that a vCPU's work stands for.
    intensity
        Memory intensity.
    smt_yield
        What a core yields with two threads busy with it: SMT, and all that threads take from one
        another in caches and at the memory.
    covariance
        Of ln score, intensity and yield, by the deviations of what they are calibrated on.
    """

    score: float
    intensity: float
    smt_yield: float
    covariance: tuple[tuple[float, ...], ...] = ()

    def spread(self, slopes: Sequence[float]) -> float:
        """Relative standard deviation of what has such slopes by ln score, intensity and yield."""
        pairs = zip(slopes, self.covariance, strict=False)
        return sqrt(sum(a * sum(map(mul, slopes, line)) for a, line in pairs))


@dataclass(frozen=True, slots=True)
class Point:
    """One configuration with one number of VMs.

    Parameters
    ----------
    configuration, vms
        What ran.
    scores
        Aggregate SPECjbb2005-like throughput (bops) of each repetition.
    spread
        Relative standard deviation by what the parameters are calibrated on.
    remote_share, wait_share, steals
        Means over repetitions: share of remote accesses and share of wanted time spent waiting, of
        all VMs but dom0; vCPUs stolen a second.
    calibrated
        Whether parameters were calibrated on this very point.
    """

    configuration: Configuration
    vms: int
    scores: tuple[float, ...]
    spread: float
    remote_share: float
    wait_share: float
    steals: float
    calibrated: bool

    @property
    def mean(self) -> float:
        """Mean score."""
        return statistics.fmean(self.scores)

    @property
    def deviation(self) -> float:
        """Standard deviation of the scores (of a sample)."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else 0.0

    @property
    def uncertainty(self) -> float:
        """Standard deviation by both, the runs' and the calibration's."""
        return hypot(self.deviation, self.spread * self.mean)


def talk_host() -> Host:
    """Two Xeon E5620: 2 nodes of 4 cores with 2 threads, 6 GiB each.

    Latency is that of the X5650, the same design: 67 and 105 ns behind 40 cycles at 2.4 GHz.
    """
    nodes = tuple(
        NumaNode(
            n,
            tuple(PCpu(8 * n + t, core=4 * n + t // 2, socket=n, llc=n) for t in range(8)),
            memory_mib=6144,
            reserved_mib=1024,
        )
        for n in range(2)
    )
    latency = ((84.0, 122.0), (122.0, 84.0))
    return Host("e5620", nodes, ((10, 20), (20, 10)), latency_ns=latency, vcpu_overcommit=2.0)


def talk_instance(vms: int, intensity: float, smt_yield: float | None = None) -> Instance:
    """The host with some of the talk's VMs."""
    guests = tuple(
        Vm(f"vm{n + 1}", 2, 960, memory_intensity=intensity, smt_yield=smt_yield)
        for n in range(vms)
    )
    return Instance((talk_host(),), guests, name=f"talk-{vms}")


def scenario(
    configuration: Configuration, vms: int, traits: Traits, *, changed: bool = False
) -> Scenario:
    """One configuration with some VMs and dom0; `changed`: wake-ups after the commit, as in 4.3."""
    instance = talk_instance(vms, traits.intensity, traits.smt_yield)
    plan, told, release = _placed(configuration, instance)
    if changed:
        release = Release.XEN_4_3
    hypervisor = Hypervisor(release, cache_refill_us=REFILL_US, turbo=TURBO, dom0=DOM0_LOAD)
    (found,) = scenarios(instance, plan, told, hypervisor).values()
    if configuration is not Configuration.ALL_CPUS:
        return found
    starts = _created(found.machine, vms)
    guests = [
        replace(guest, cpus=tuple(replace(cpu, start=next(starts)) for cpu in guest.cpus))
        for guest in found.guests[:vms]
    ]
    return replace(found, guests=(*guests, *found.guests[vms:]))


def _created(machine: Machine, vms: int) -> Iterator[int]:
    """PCPUs on which Xen 4.2 creates the vCPUs of VMs of two.

    The first on the pCPU with the fewest vCPUs (dom0 has one on each) among the last threads of
    cores, the highest of equals; the second on the next pCPU. After ``default_vcpu0_location``.
    """
    last = [mask.bit_length() - 1 for mask in dict.fromkeys(machine.core_mask)]
    count = Counter[int]()
    for _ in range(vms):
        first = min(last, key=lambda pcpu: (count[pcpu], -pcpu))
        for pcpu in (first, (first + 1) % machine.size):
            count[pcpu] += 1
            yield pcpu


def _placed(
    configuration: Configuration, instance: Instance
) -> tuple[Plan, SimulatedAffinity, Release]:
    if configuration is Configuration.ALL_CPUS:
        names = [vm.name for vm in instance.vms]
        plan = striped(instance, instance.hosts[0], names)
        return plan, SimulatedAffinity.NONE, Release.XEN_4_2
    pinning = configuration is Configuration.AUTO_PINNING
    result = solve(instance, "xen_4_2" if pinning else "xen", SolveParams(explain=False))
    assert result.plan is not None
    assert len(result.plan) == len(instance.vms)
    if pinning:
        return result.plan, SimulatedAffinity.HARD, Release.XEN_4_2
    return result.plan, SimulatedAffinity.SOFT, Release.XEN_4_3


def vm_throughput(outcome: Outcome) -> float:
    """Work of all VMs but dom0, in vCPUs."""
    return _without_dom0(outcome).throughput


def _without_dom0(outcome: Outcome) -> Outcome:
    return replace(outcome, guests=tuple(g for g in outcome.guests if g.name != DOM0))


def jobs(
    counts: Sequence[int] = VM_COUNTS, repetitions: int = REPETITIONS
) -> list[tuple[Configuration, int, int]]:
    """What is run: configuration, number of VMs, and repetition."""
    return list(product(Configuration, counts, range(repetitions)))


def run(job: tuple[Configuration, int, int], traits: Traits, time_s: float, seed: int) -> Outcome:
    """Simulate one repetition; those of one number have one seed in all configurations."""
    configuration, vms, repetition = job
    found = scenario(configuration, vms, traits)
    return simulate(found, time_s, seed=seed + repetition, warm_up_s=WARM_UP_S)


def vm_work(
    configuration: Configuration,
    vms: int,
    traits: Traits,
    *,
    changed: bool = False,
    time_s: float = 5.0,
    seeds: Sequence[int] = (0,),
) -> float:
    """Work of one of some VMs in vCPUs, the mean of some runs.

    VMs are always busy, so who runs where does not depend on what they are: with the same seeds,
    the work is a smooth function of the traits.
    """
    found = scenario(configuration, vms, traits, changed=changed)
    runs = [simulate(found, time_s, seed=seed, warm_up_s=WARM_UP_S) for seed in seeds]
    return statistics.fmean(vm_throughput(run) for run in runs) / vms


def slopes(work: Callable[[Traits], float], traits: Traits) -> tuple[float, float, float]:
    """How ln(score x work) grows with ln score, intensity and yield."""
    here = log(work(traits))
    intensity, smt_yield = traits.intensity + SLOPE_STEP, traits.smt_yield + SLOPE_STEP
    by_intensity = log(work(replace(traits, intensity=intensity))) - here
    by_yield = log(work(replace(traits, smt_yield=smt_yield))) - here
    return 1.0, by_intensity / SLOPE_STEP, by_yield / SLOPE_STEP


def points(
    outcomes: Mapping[tuple[Configuration, int, int], Outcome],
    bops: float,
    spread: Mapping[tuple[Configuration, int], float],
) -> Iterator[Point]:
    """Put repetitions together; `spread`: how uncertain the calibration leaves each point."""
    groups: dict[tuple[Configuration, int], list[Outcome]] = {}
    for (configuration, vms, _), outcome in outcomes.items():
        groups.setdefault((configuration, vms), []).append(outcome)
    for (configuration, vms), found in groups.items():
        stolen = [sum(o.steals.values()) / (o.time_us / 1e6) for o in found]
        found = [_without_dom0(outcome) for outcome in found]
        known = published(configuration, vms)
        yield Point(
            configuration,
            vms,
            tuple(bops * vm_throughput(o) for o in found),
            spread.get((configuration, vms), 0.0),
            statistics.fmean(o.remote_share for o in found),
            statistics.fmean(o.wait_share for o in found),
            statistics.fmean(stolen),
            known is not None and known.fitted,
        )


def published(configuration: Configuration, vms: int) -> PublishedRow | None:
    """Return the row of SPECjbb2005 that a point is to be held against; None if there is none."""
    if configuration is Configuration.AUTO_AFFINITY:
        return None
    found = row(TalkProgram.SPECJBB, vms, pinned=configuration is Configuration.AUTO_PINNING)
    return None if isnan(found.value) else found


CALIBRATED = {
    TalkProgram.SPECJBB: Traits(
        24921.4,
        0.619916,
        1.08135,
        (
            (0.000368859, 0.001929979, -0.000863448),
            (0.001929979, 0.038451881, -0.006266237),
            (-0.000863448, -0.006266237, 0.005426155),
        ),
    ),
    TalkProgram.MEMORY: Traits(
        276.458,
        0.551368,
        1.47341,
        (
            (1.8262e-05, 9.2288e-05, -6.0292e-05),
            (9.2288e-05, 0.00537412, -0.000739065),
            (-6.0292e-05, -0.000739065, 0.00076935),
        ),
    ),
    TalkProgram.CPU: Traits(
        0.0105102,
        0.0,
        1.41086,
        ((9.8602e-05, 0.0, -0.000218877), (0.0, 0.0, 0.0), (-0.000218877, 0.0, 0.001032854)),
    ),
}
"""What `calibration.calibrate` gives (`numaplace talk --recalibrate`)."""
