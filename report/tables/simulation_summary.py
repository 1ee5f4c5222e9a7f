"""What simulations of a plan come to: means and deviations of repetitions; rank correlation."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from numaplace.models.instance import Instance
from numaplace.solver.simulator.counters import GuestCount, Outcome
from numaplace.solver.simulator.runs import Repeated
from numaplace.solver.simulator.scenario import US_PER_S


@dataclass(frozen=True, slots=True)
class Repeats:
    """Mean and standard deviation (of a sample; 0 for one number) of repetitions."""

    mean: float
    deviation: float
    count: int


@dataclass(frozen=True, slots=True)
class VmSummary:
    """What one VM did: means over repetitions.

    `throughput` is work in vCPUs, `wanted` what it would do alone with all memory local; `remote`
    the share of accesses that left the node, `waited` of the wanted time spent waiting; `moves` how
    often a second one of its vCPUs came to another pCPU.
    """

    name: str
    vcpus: int
    throughput: Repeats
    wanted: float
    remote: float
    waited: float
    moves: float


@dataclass(frozen=True, slots=True)
class HostSummary:
    """What one host did: `all` its VMs together, and its scheduler, each a second.

    vCPUs stolen by relative distance, migrations by the scheduler's own choice, switches of the
    running vCPU; `fairness` is Jain's index of the work per vCPU.
    """

    all: VmSummary
    vms: tuple[VmSummary, ...]
    steals: dict[float, float]
    migrations: float
    switches: float
    fairness: float


def repeats(numbers: Sequence[float]) -> Repeats:
    """Return mean and deviation of at least one number."""
    deviation = statistics.stdev(numbers) if len(numbers) > 1 else 0.0
    return Repeats(statistics.fmean(numbers), deviation, len(numbers))


def host_summaries(instance: Instance, repeated: Repeated) -> list[HostSummary]:
    """Return a summary of each host that was simulated, in the order of the instance."""
    if not repeated.runs:
        return []
    return [
        _host_summary(instance, name, [run.hosts[name] for run in repeated.runs])
        for name in repeated.runs[0].hosts
    ]


def _host_summary(instance: Instance, name: str, outcomes: Sequence[Outcome]) -> HostSummary:
    vms = tuple(
        _vm_summary(instance, [outcome.guests[at] for outcome in outcomes], outcomes)
        for at in range(len(outcomes[0].guests))
    )
    together = VmSummary(
        name,
        sum(vm.vcpus for vm in vms),
        repeats([outcome.throughput for outcome in outcomes]),
        sum(vm.wanted for vm in vms),
        _mean(outcomes, lambda outcome: outcome.remote_share),
        _mean(outcomes, lambda outcome: outcome.wait_share),
        sum(vm.moves for vm in vms),
    )
    distances = sorted({distance for outcome in outcomes for distance in outcome.steals})
    return HostSummary(
        together,
        vms,
        {d: _mean(outcomes, lambda o, d=d: _a_second(o.steals.get(d, 0), o)) for d in distances},  # type: ignore[misc]
        _mean(outcomes, lambda outcome: _a_second(outcome.migrations, outcome)),
        _mean(outcomes, lambda outcome: _a_second(outcome.switches, outcome)),
        _mean(outcomes, lambda outcome: outcome.fairness),
    )


def _vm_summary(
    instance: Instance, guests: Sequence[GuestCount], outcomes: Sequence[Outcome]
) -> VmSummary:
    name, pairs = guests[0].name, list(zip(guests, outcomes, strict=True))
    return VmSummary(
        name,
        guests[0].vcpus,
        repeats([guest.throughput(outcome.time_us) for guest, outcome in pairs]),
        guests[0].vcpus * instance.vm(name).utilisation,
        statistics.fmean(guest.remote_share for guest in guests),
        statistics.fmean(waited_share(guest) for guest in guests),
        statistics.fmean(_a_second(guest.moves, outcome) for guest, outcome in pairs),
    )


def waited_share(guest: GuestCount) -> float:
    """Share of the time that a VM's vCPUs wanted to run for which they waited."""
    wanted = guest.wait_us + guest.run_us
    return guest.wait_us / wanted if wanted else 0.0


def _mean(outcomes: Sequence[Outcome], number: Callable[[Outcome], float]) -> float:
    return statistics.fmean(number(outcome) for outcome in outcomes)


def _a_second(count: int, outcome: Outcome) -> float:
    return count / (outcome.time_us / US_PER_S)


# ---- rank correlation ---------------------------------------------------------------------------
