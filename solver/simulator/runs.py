"""A plan simulated again and again, the talk's configurations for any instance, and timelines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from numaplace.models.errors import InputError, check_int, check_real
from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan
from numaplace.solver.simulator.balance import Release
from numaplace.solver.simulator.counters import Segment
from numaplace.solver.simulator.engine import simulate
from numaplace.solver.simulator.from_plan import SimulatedAffinity, scenarios, striped
from numaplace.solver.simulator.plans import Simulated, simulate_plan
from numaplace.solver.simulator.scenario import US_PER_S, Dom0, Hypervisor, SchedulerName
from numaplace.solver.simulator.talk import Configuration

PLANNERS = {
    Configuration.ALL_CPUS: ("greedy", SimulatedAffinity.NONE, Release.XEN_4_2),
    Configuration.AUTO_PINNING: ("xen_4_2", SimulatedAffinity.HARD, Release.XEN_4_2),
    Configuration.AUTO_AFFINITY: ("xen", SimulatedAffinity.SOFT, Release.XEN_4_3),
}
"""Solver, what the hypervisor is told, and scheduler of each configuration of the talk."""
START_MS = 100.0


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a plan is simulated.

    Parameters
    ----------
    affinity, vm_affinity
        What the hypervisor is told of the plan, and of single VMs by name.
    release, busy_ms, dom0, scheduler
        Which credit scheduler, mean length of a busy phase, what dom0 does, and who decides.
    start_ms
        Time between the starts of two VMs; if None, 100 under credit2, where it matters, else 0.
    time_s, warm_up_s
        Simulated seconds that count, and those before them.
    seed, repetitions
        Repetition k (from 0) has the seed `seed` + k.
    """

    affinity: SimulatedAffinity = SimulatedAffinity.HARD
    vm_affinity: Mapping[str, SimulatedAffinity] | None = None
    release: Release = Release.XEN_4_17
    busy_ms: float = 20.0
    time_s: float = 60.0
    warm_up_s: float = 1.0
    seed: int = 0
    repetitions: int = 1
    dom0: Dom0 | None = None
    scheduler: SchedulerName = SchedulerName.CREDIT
    start_ms: float | None = None

    def __post_init__(self) -> None:
        check_real("simulation", "--time", self.time_s, 0.001, 1e6)
        check_real("simulation", "warm_up", self.warm_up_s, 0, 1e6)
        check_real("simulation", "busy_ms", self.busy_ms, 0.1, 1e6)
        check_int("simulation", "--seed", self.seed, 0, 2**31 - 1)
        check_int("simulation", "--repetitions", self.repetitions, 1, 10_000)

    @property
    def hypervisor(self) -> Hypervisor:
        """Scheduler, what dom0 does, and how VMs start."""
        gap = 0.0 if self.scheduler is SchedulerName.CREDIT else START_MS
        return Hypervisor(
            self.release,
            dom0=self.dom0,
            scheduler=self.scheduler,
            start_gap_ms=gap if self.start_ms is None else self.start_ms,
        )

    def told(self, instance: Instance) -> dict[str, SimulatedAffinity]:
        """What the hypervisor is told of each VM.

        Raises
        ------
        InputError
            If `vm_affinity` names a VM that the instance does not have.
        """
        single = self.vm_affinity or {}
        names = [vm.name for vm in instance.vms]
        for name in single.keys() - set(names):
            raise InputError("simulation", "--affinity", f"VM {name!r:.80} does not exist")
        return {name: single.get(name, self.affinity) for name in names}


@dataclass(frozen=True, slots=True)
class Repeated:
    """Repetitions of a simulation.

    Parameters
    ----------
    runs
        Those that came to their end; or the only one that was begun, if that was stopped.
    wanted
        How many were asked for.
    complete
        Whether the runs came to their end.
    """

    runs: tuple[Simulated, ...]
    wanted: int
    complete: bool = True


def run_repeatedly(
    instance: Instance,
    plan: Plan,
    options: RunOptions,
    *,
    should_stop: Callable[[], bool] | None = None,
    on_step: Callable[[int, str], None] | None = None,
) -> Repeated:
    """Simulate a plan as often as asked, each time with the next seed.

    Parameters
    ----------
    instance, plan, options
        What is simulated.
    should_stop
        Asked often; once it answers True, what is done by then is returned.
    on_step
        Told the number of the repetition and the name of the host before each is simulated.
    """
    told = options.told(instance)
    done: list[Simulated] = []
    for number in range(options.repetitions):
        if done and should_stop is not None and should_stop():
            break
        found = simulate_plan(
            instance,
            plan,
            options.time_s,
            affinity=told,
            hypervisor=options.hypervisor,
            busy_ms=options.busy_ms,
            seed=options.seed + number,
            warm_up_s=options.warm_up_s,
            should_stop=should_stop,
            on_host=(lambda host, n=number: on_step(n, host)) if on_step else None,  # type: ignore[misc]
        )
        asked_us = round(options.time_s * US_PER_S)
        if all(outcome.time_us >= asked_us for outcome in found.hosts.values()):
            done.append(found)
        elif not done:
            begun = {name: outcome for name, outcome in found.hosts.items() if outcome.time_us}
            there = [n for n, placed in plan.placements.items() if placed.host in begun]
            wanted = sum(instance.vm(n).vcpus * instance.vm(n).utilisation for n in there)
            cut = (replace(found, hosts=begun, wanted=wanted),) if begun else ()
            return Repeated(cut, options.repetitions, complete=False)
    return Repeated(tuple(done), options.repetitions)


def floating(instance: Instance, plan: Plan) -> Plan:
    """Return what a hypervisor makes of a plan that keeps to its hosts, and to nothing else."""
    placements: dict[str, Placement] = {}
    for host in instance.hosts:
        names = [vm.name for vm in instance.vms if _host_of(plan, vm.name) == host.name]
        placements.update(striped(instance, host, names).placements)
    return Plan(placements)


def _host_of(plan: Plan, name: str) -> str | None:
    placement = plan.placements.get(name)
    return None if placement is None else placement.host


# ---- who ran where ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Timeline:
    """Who ran where on one host, from `start_us` to `end_us` after the begin of the simulation."""

    host: str
    pcpu_ids: tuple[int, ...]
    node_of: tuple[int, ...]
    node_ids: tuple[int, ...]
    vms: tuple[str, ...]
    segments: tuple[Segment, ...]
    start_us: int
    end_us: int


def timelines(
    instance: Instance,
    plan: Plan,
    options: RunOptions,
    span_ms: float,
    *,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[Timeline, ...]:
    """Return who runs where in the first milliseconds that count of the first repetition."""
    found: list[Timeline] = []
    told, hypervisor = options.told(instance), options.hypervisor
    all_scenarios = scenarios(instance, plan, told, hypervisor, options.busy_ms)
    span_s = min(span_ms / 1000, options.time_s)
    for name, scenario in all_scenarios.items():
        outcome = simulate(
            scenario,
            span_s,
            seed=options.seed,
            warm_up_s=options.warm_up_s,
            timeline=True,
            should_stop=should_stop,
        )
        warm = round(options.warm_up_s * US_PER_S)
        end, segments = warm + outcome.time_us, outcome.segments
        machine, nodes = scenario.machine, scenario.machine.host.nodes
        vms = tuple(guest.name for guest in scenario.guests)
        ids = tuple(node.id for node in nodes)
        found.append(
            Timeline(name, machine.pcpu_id, machine.node_of, ids, vms, tuple(segments), warm, end)
        )
    return tuple(found)
