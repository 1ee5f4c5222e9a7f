"""Simulate what a real Xen ran, and put both side by side."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

from xen_rows import LOADS, VCPUS, Kind, Row
from xen_trace import PER_NODE

from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.vm import Vm
from numaplace.solver.simulator.engine import simulate
from numaplace.solver.simulator.from_plan import SimulatedAffinity, scenarios
from numaplace.solver.simulator.scenario import Guest, GuestCpu, Hypervisor, Scenario, SchedulerName

HOME_WITHIN, WAIT_WITHIN, MOVES_FACTOR = 0.05, 0.02, 1.3
FEW_MOVES = 0.1
"""Moves a second below which a ratio says nothing: both have to be below."""
WARM_UP_S, SEEDS = 2.0, 8
"""Traces begin 1 to 4 s after guests start, when their credits still drift apart."""


@dataclass(frozen=True, slots=True)
class Shares:
    """What is compared.

    Parameters
    ----------
    home
        Share of running time at home.
    wait
        Share of wanted time waited.
    idle_wait
        Part of that in which a pCPU was idle: partly QEMU's, which lets pCPUs take turns.
    moves
        Moves a second of each vCPU.
    """

    home: float
    wait: float
    idle_wait: float
    moves: float


@dataclass(frozen=True, slots=True)
class Compared:
    """One kind of run with one length of QEMU's turns: means over real runs, and simulations."""

    kind: Kind
    turn_us: int
    runs: int
    dom0: float
    real: Shares
    spread: float
    simulated: Shares

    @property
    def within(self) -> tuple[bool, bool, bool]:
        """Whether home share (of those that have a home), wait share and moves agree."""
        real, simulated = self.real, self.simulated
        few = max(real.moves, simulated.moves) < FEW_MOVES
        ratio = (simulated.moves + 1e-9) / (real.moves + 1e-9)
        return (
            self.kind.affinity == "none" or abs(real.home - simulated.home) <= HOME_WITHIN,
            real.wait - real.idle_wait - WAIT_WITHIN <= simulated.wait <= real.wait + WAIT_WITHIN,
            few or 1 / MOVES_FACTOR <= ratio <= MOVES_FACTOR,
        )


def _host() -> Host:
    """The host that QEMU shows, whose threads do not slow each other down."""
    nodes = tuple(
        NumaNode(
            n,
            tuple(PCpu(8 * n + t, core=4 * n + t // 2, socket=n, llc=n) for t in range(PER_NODE)),
            memory_mib=1536,
        )
        for n in range(2)
    )
    return Host("qemu", nodes, ((10, 20), (20, 10)), vcpu_overcommit=2.0, smt_yield=2.0)


def scenario_of(row: Row) -> Scenario:
    """What is simulated for a run: guests and dom0, as busy as traced, and QEMU's turns."""
    kind, found, host = row.kind, row.measured, _host()
    busy = found.busy_ms / (found.busy_ms + found.idle_ms) if LOADS[kind.load][1] else 1.0
    at_once = min(16.0, VCPUS * kind.guests * busy + sum(share for share, _ in found.dom0))
    hypervisor = Hypervisor(
        scheduler=SchedulerName(kind.scheduler), turn_us=round(row.turn_us * at_once)
    )
    names = [f"v{number + 1}" for number in range(kind.guests)]
    vms = tuple(Vm(name, VCPUS, 8, utilisation=busy, memory_intensity=0.0) for name in names)
    homes = {name: number % 2 for number, name in enumerate(names)}
    cells = {name: PlacedCell(home, VCPUS, ((home, 8),)) for name, home in homes.items()}
    plan = Plan({name: Placement(host.name, (cell,)) for name, cell in cells.items()})
    told = SimulatedAffinity(kind.affinity)
    instance, busy_ms = Instance((host,), vms), found.busy_ms or 20.0
    (made,) = scenarios(instance, plan, told, hypervisor, busy_ms).values()
    sat = iter(found.seats)
    guests = (
        replace(guest, cpus=tuple(replace(cpu, start=next(sat)) for cpu in guest.cpus))
        for guest in made.guests
    )
    cpu = GuestCpu(made.machine.everywhere, made.machine.everywhere, (0.5, 0.5))
    # A guest for each vCPU of dom0, since they are not alike; weights count by vCPU anyway.
    dom0 = (
        Guest(f"dom0.{k}", (cpu,), utilisation=share, busy_ms=max(0.1, ms), steady=True)
        for k, (share, ms) in enumerate(found.dom0)
        if share
    )
    return replace(made, guests=(*guests, *dom0))


def _simulated(row: Row) -> Shares:
    """Means over some seeds."""
    made, seconds = scenario_of(row), row.measured.seconds
    found = []
    for seed in range(SEEDS):
        outcome = simulate(made, seconds, seed=seed, warm_up_s=WARM_UP_S)
        guests = outcome.guests[: row.kind.guests]
        run, wait = sum(g.run_us for g in guests), sum(g.wait_us for g in guests)
        home = sum(guest.node_us[number % 2] for number, guest in enumerate(guests))
        moves = sum(guest.moves for guest in guests) / seconds / (VCPUS * len(guests))
        found.append(Shares(home / run, wait / (wait + run), 0.0, moves))
    return _mean(found)


def _mean(found: Sequence[Shares]) -> Shares:
    return Shares(*(statistics.fmean(each) for each in zip(*map(astuple, found), strict=True)))


def compare(rows: Sequence[Row]) -> list[Compared]:
    """Put runs of one kind together, in the order in which they were recorded first."""
    kinds: dict[tuple[Kind, int], list[Row]] = {}
    for row in rows:
        kinds.setdefault((row.kind, row.turn_us), []).append(row)
    compared = []
    for (kind, turn_us), some in kinds.items():
        traced = [row.measured for row in some]
        real = [
            Shares(m.home_share, m.wait_share, m.idle_wait_share, m.moves_per_s) for m in traced
        ]
        homes = [each.home for each in real]
        spread = statistics.stdev(homes) if len(homes) > 1 else 0.0
        simulated = _mean([_simulated(row) for row in some])
        dom0 = statistics.fmean(sum(share for share, _ in found.dom0) for found in traced)
        compared.append(Compared(kind, turn_us, len(some), dom0, _mean(real), spread, simulated))
    return compared
