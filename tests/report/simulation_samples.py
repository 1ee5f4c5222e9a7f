"""Simulations made up by hand, of which every number is known."""

from __future__ import annotations

from functools import cache
from itertools import product

from numaplace.models.cost import Term
from numaplace.models.instance import Instance
from numaplace.models.vm import Vm
from numaplace.solver.simulator.counters import GuestCount, Outcome
from numaplace.solver.simulator.plans import Simulated
from numaplace.solver.simulator.runs import Repeated
from numaplace.solver.simulator.talk import Configuration, points
from numaplace.solver.simulator.talk_run import Experiment, TalkSetup
from numaplace.tests.builders import make_instance

S = 1_000_000
SPREAD = 0.02


def instance(names: tuple[str, ...] = ("web", "db")) -> Instance:
    """One host named ``host``, VMs of 2 vCPUs, the last of which want half a CPU each."""
    vms = [Vm(name, 2, 64) for name in names[:-1]]
    return make_instance(*vms, Vm(names[-1], 2, 64, utilisation=0.5), name="pair")


def outcome(web_s: float, db_s: float, *, time_s: int = 10) -> Outcome:
    """A run in which two VMs do so many seconds of work."""
    web = GuestCount("web", 2, web_s * S, 15 * S, 5 * S, 0.25, (10 * S, 5 * S), 40)
    db = GuestCount("db", 2, db_s * S, 10 * S, 0, 0.0, (0, 10 * S), 10)
    return Outcome(time_s * S, (web, db), {1.0: 30, 2.0: 10}, 5, 700, 9000)


def repeated(*, complete: bool = True) -> Repeated:
    """Two repetitions: 1.4 and 1.6 vCPUs of throughput of ``web``, 0.9 each of ``db``."""
    runs = tuple(
        Simulated({"host": outcome(web, 9.0)}, 3.0, {Term.CPU_CONTENTION: 450_000})
        for web in (14.0, 16.0)
    )
    return Repeated(runs, 2) if complete else Repeated(runs[:1], 2, complete=False)


def talk_outcome(vms: int, work_s: float) -> Outcome:
    """A run of the talk in which each VM does so much work, in a second."""
    guests = [GuestCount(f"vm{n}", 2, work_s * S, 3 * S, S, 0.5, (S, 0), 3) for n in range(vms)]
    dom0 = GuestCount("Domain-0", 16, 0.5 * S, S, S, 0.5, (S, 0), 3)
    return Outcome(S, (*guests, dom0), {1.0: 7}, 1, 2, 3)


_WORK = {
    Configuration.ALL_CPUS: 1.0,
    Configuration.AUTO_PINNING: 1.25,
    Configuration.AUTO_AFFINITY: 1.5,
}


@cache
def experiment(
    counts: tuple[int, ...] = (2, 10), repetitions: int = 3, missing: int = 0
) -> Experiment:
    """All configurations, 1000 bops a vCPU of work; the deviation is a tenth of all-cpus' mean."""
    jobs = [(c, n, r) for c in Configuration for n in counts for r in range(repetitions)]
    kept = jobs[: len(jobs) - missing]
    shift = {0: 0.0, 1: -0.1, 2: 0.1}
    found = {job: talk_outcome(job[1], _WORK[job[0]] + shift[job[2]]) for job in kept}
    setup = TalkSetup(counts=counts, repetitions=repetitions, time_s=1.0, seed=5)
    spread = dict.fromkeys(product(Configuration, counts), SPREAD)
    return Experiment(setup, found, tuple(points(found, 1000.0, spread)), missing)
