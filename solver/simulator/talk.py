"""The evaluation of the talk *NUMA and Virtualization, the case of Xen* (2012), simulated.

Two to ten VMs of 2 vCPUs and 960 MiB run SPECjbb2005 on a host with two Xeon E5620 and 12 GiB,
under three configurations: *all-cpus* (nothing placed, memory striped over both nodes),
*auto-pinning* (automatic placement of Xen 4.2: pinned to a node), *auto-affinity* (what became Xen
4.3: memory on a node, vCPUs would rather run there). Only the two-VM row is published in numbers;
parameters are calibrated on it and on nothing else (`calibrate`), all other points are predictions.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product

from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.vm import Vm
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.solver.simulator.balance import Release
from numaplace.solver.simulator.counters import Outcome
from numaplace.solver.simulator.engine import simulate
from numaplace.solver.simulator.from_plan import SimulatedAffinity, scenarios, striped
from numaplace.solver.simulator.machine import Machine
from numaplace.solver.simulator.scenario import Guest, GuestCpu, Hypervisor, Scenario

VM_COUNTS = (2, 4, 6, 8, 10)
REPETITIONS = 3
TIME_S = 60.0
WARM_UP_S = 2.0
DOM0 = "Domain-0"


class Configuration(StrEnum):
    """Configurations of the talk."""

    ALL_CPUS = "all-cpus"
    AUTO_PINNING = "auto-pinning"
    AUTO_AFFINITY = "auto-affinity"


@dataclass(frozen=True, slots=True)
class Published:
    """Throughput a VM of the two-VM row: floating ("unpinned") and pinned.

    From the Xen commit ebce2d836c (2012-12-18), before the change; of sysbench cpu, which gives
    seconds, the inverse.
    """

    unpinned: float
    pinned: float

    @property
    def ratio(self) -> float:
        """What floating leaves of the pinned throughput."""
        return self.unpinned / self.pinned


SPECJBB = Published(43150.63, 49591.06)
SYSBENCH_MEMORY = Published(485.563, 550.977)
SYSBENCH_CPU = Published(1 / 50.08, 1 / 47.82)


@dataclass(frozen=True, slots=True)
class Workload:
    """Parameters of the simulation.

    Parameters
    ----------
    cache_refill_us
        Work lost when a vCPU comes to another last-level cache; from sysbench cpu.
    specjbb_intensity, memory_intensity
        Memory intensity of SPECjbb2005 and of sysbench memory; from their rows.
    dom0_utilisation, dom0_busy_ms
        What each of dom0's 16 vCPUs does. Assumed, not calibrated: nothing is published of it.
    """

    cache_refill_us: float
    specjbb_intensity: float
    memory_intensity: float
    dom0_utilisation: float = 0.02
    dom0_busy_ms: float = 1.0


@dataclass(frozen=True, slots=True)
class Point:
    """One configuration with one number of VMs.

    Parameters
    ----------
    configuration, vms
        What ran.
    scores
        Aggregate SPECjbb2005-like throughput (bops) of each repetition.
    remote_share, wait_share, steals
        Means over repetitions: share of remote accesses and share of wanted time spent waiting, of
        all VMs but dom0; vCPUs stolen a second.
    calibrated
        Whether parameters were calibrated on this very point.
    """

    configuration: Configuration
    vms: int
    scores: tuple[float, ...]
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


def talk_instance(vms: int, intensity: float) -> Instance:
    """The host with some of the talk's VMs."""
    guests = tuple(Vm(f"vm{n + 1}", 2, 960, memory_intensity=intensity) for n in range(vms))
    return Instance((talk_host(),), guests, name=f"talk-{vms}")


def scenario(configuration: Configuration, vms: int, intensity: float, work: Workload) -> Scenario:
    """One configuration with some VMs and dom0."""
    instance = talk_instance(vms, intensity)
    plan, told, release = _placed(configuration, instance)
    hypervisor = Hypervisor(release, cache_refill_us=work.cache_refill_us)
    (found,) = scenarios(instance, plan, told, hypervisor).values()
    return replace(found, guests=(*found.guests, _dom0(found.machine, work)))


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


def _dom0(machine: Machine, work: Workload) -> Guest:
    nodes = len(machine.node_mask)
    cpu = GuestCpu(machine.everywhere, machine.everywhere, (1.0 / nodes,) * nodes)
    return Guest(
        DOM0, (cpu,) * machine.size, utilisation=work.dom0_utilisation, busy_ms=work.dom0_busy_ms
    )


def vm_throughput(outcome: Outcome) -> float:
    """Work of all VMs but dom0, in vCPUs."""
    return _without_dom0(outcome).throughput


def _without_dom0(outcome: Outcome) -> Outcome:
    return replace(outcome, guests=tuple(g for g in outcome.guests if g.name != DOM0))


def bops_per_vcpu(work: Workload, *, time_s: float = TIME_S, seed: int = 0) -> float:
    """SPECjbb2005 operations a second that one vCPU's work stands for: from the pinned two VMs."""
    pinned = scenario(Configuration.AUTO_PINNING, 2, work.specjbb_intensity, work)
    found = simulate(pinned, time_s, seed=seed, warm_up_s=WARM_UP_S)
    return 2 * SPECJBB.pinned / vm_throughput(found)


def jobs(
    counts: Sequence[int] = VM_COUNTS, repetitions: int = REPETITIONS
) -> list[tuple[Configuration, int, int]]:
    """What is run: configuration, number of VMs, and repetition."""
    return list(product(Configuration, counts, range(repetitions)))


def run(job: tuple[Configuration, int, int], work: Workload, time_s: float, seed: int) -> Outcome:
    """Simulate one repetition; those of one number have one seed in all configurations."""
    configuration, vms, repetition = job
    found = scenario(configuration, vms, work.specjbb_intensity, work)
    return simulate(found, time_s, seed=seed + repetition, warm_up_s=WARM_UP_S)


def points(outcomes: dict[tuple[Configuration, int, int], Outcome], bops: float) -> Iterator[Point]:
    """Put repetitions together."""
    groups: dict[tuple[Configuration, int], list[Outcome]] = {}
    for (configuration, vms, _), outcome in outcomes.items():
        groups.setdefault((configuration, vms), []).append(outcome)
    for (configuration, vms), found in groups.items():
        stolen = [sum(o.steals.values()) / (o.time_us / 1e6) for o in found]
        found = [_without_dom0(outcome) for outcome in found]
        yield Point(
            configuration,
            vms,
            tuple(bops * vm_throughput(o) for o in found),
            statistics.fmean(o.remote_share for o in found),
            statistics.fmean(o.wait_share for o in found),
            statistics.fmean(stolen),
            vms == 2 and configuration is not Configuration.AUTO_AFFINITY,
        )


# ---- calibration --------------------------------------------------------------------------------


def calibrate(
    *, time_s: float = 20.0, seeds: Sequence[int] = (100, 101, 102), steps: int = 14
) -> Workload:
    """Find the parameters that reproduce the three published two-VM rows, by bisection.

    Sysbench cpu has no memory intensity, so what floating costs it is the price of coming to
    another cache; the other two rows then give the memory intensities. Seeds differ from those of
    the experiment.
    """
    work = Workload(0.0, 0.0, 0.0)

    def ratio(intensity: float, with_refill: float) -> float:
        tried = replace(work, cache_refill_us=with_refill)
        sums = [
            sum(
                vm_throughput(
                    simulate(
                        scenario(configuration, 2, intensity, tried),
                        time_s,
                        seed=seed,
                        warm_up_s=WARM_UP_S,
                    )
                )
                for seed in seeds
            )
            for configuration in (Configuration.ALL_CPUS, Configuration.AUTO_PINNING)
        ]
        return sums[0] / sums[1]

    refill = _bisect(lambda us: ratio(0.0, us), SYSBENCH_CPU.ratio, 20_000.0, steps)
    jbb = _bisect(lambda mu: ratio(mu, refill), SPECJBB.ratio, 1.0, steps)
    memory = _bisect(lambda mu: ratio(mu, refill), SYSBENCH_MEMORY.ratio, 1.0, steps)
    return Workload(refill, jbb, memory)


def _bisect(ratio: Callable[[float], float], wanted: float, high: float, steps: int) -> float:
    """Return where a falling function is as wanted, or `high` if it never falls so far."""
    low = 0.0
    for _ in range(steps):
        middle = (low + high) / 2
        if ratio(middle) > wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


CALIBRATED = Workload(6259.16, 0.425446, 0.366669)
"""What `calibrate()` gives."""
