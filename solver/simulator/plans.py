"""Simulate what the hypervisor makes of a plan, and set it against what the cost predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from numaplace.models.cost import UNSEEN, Term, evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.units import to_vcpus
from numaplace.solver.simulator.counters import Outcome
from numaplace.solver.simulator.engine import simulate
from numaplace.solver.simulator.from_plan import SimulatedAffinity, scenarios
from numaplace.solver.simulator.scenario import Hypervisor

"""Terms of the cost that are wishes or one-time prices, not a loss of speed while VMs run."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of a plan.

    Parameters
    ----------
    hosts
        Outcome by host, without what dom0 did; hosts without VMs are left out.
    wanted
        Work the placed VMs would do alone, with all memory local, in vCPUs.
    predicted_micro
        Loss that the cost predicts for what is simulated, in micro-vCPU, by term.
    """

    hosts: Mapping[str, Outcome]
    wanted: float
    predicted_micro: Mapping[Term, int]

    @property
    def throughput(self) -> float:
        """Work of all VMs in vCPUs."""
        return sum(outcome.throughput for outcome in self.hosts.values())

    @property
    def lost(self) -> float:
        """Simulated loss in vCPUs."""
        return self.wanted - self.throughput

    @property
    def predicted(self) -> float:
        """Predicted loss in vCPUs."""
        return to_vcpus(sum(self.predicted_micro.values()))


def simulate_plan(
    instance: Instance,
    plan: Plan,
    time_s: float = 60.0,
    *,
    affinity: SimulatedAffinity | Mapping[str, SimulatedAffinity] = SimulatedAffinity.HARD,
    hypervisor: Hypervisor | None = None,
    busy_ms: float = 20.0,
    seed: int = 0,
    warm_up_s: float = 1.0,
    timeline: bool = False,
    should_stop: Callable[[], bool] | None = None,
    on_host: Callable[[str], None] | None = None,
) -> Simulated:
    """Simulate every host of a plan.

    Parameters
    ----------
    instance, plan
        The plan must obey every rule. VMs run all at once, whatever their start and end.
    time_s, warm_up_s
        Simulated seconds that count, and those before them.
    affinity
        What the hypervisor is told of the plan, for all VMs or by name.
    hypervisor, busy_ms, seed, timeline, should_stop
        See `Hypervisor`, `scenarios` and `numaplace.solver.simulator.engine.simulate`.
    on_host
        Told the name of each host before it is simulated.
    """
    found: dict[str, Outcome] = {}
    for name, scenario in scenarios(instance, plan, affinity, hypervisor, busy_ms).items():
        if on_host is not None:
            on_host(name)
        outcome = simulate(
            scenario,
            time_s,
            seed=seed,
            warm_up_s=warm_up_s,
            timeline=timeline,
            should_stop=should_stop,
        )
        if scenario.hypervisor.dom0:
            outcome = replace(outcome, guests=outcome.guests[:-1])
        found[name] = outcome
    terms = {t: m for t, m in evaluate(instance, plan).terms.items() if t not in UNSEEN}
    placed = [instance.vm(name) for name in plan.placements]
    return Simulated(found, sum(vm.vcpus * vm.utilisation for vm in placed), terms)
