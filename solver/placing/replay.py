"""The engine: the VMs of a trace arrive and leave; each is placed by a rule, or rejected."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from numaplace.models.fleet import Fleet
from numaplace.models.schedule import REJECTED, Goal, worth
from numaplace.models.trace import NEVER_MS, NO_NODE, Ints, Trace
from numaplace.solver.placing.fleet_state import FleetState
from numaplace.solver.placing.rules import Rule, choose
from numaplace.solver.placing.slot_offer import SlotOffer

SAMPLES = 200
NOT_SEEN = -2  # Slot of a VM that had not arrived when the replay was stopped


@dataclass(frozen=True, slots=True)
class Sample:
    """The fleet right after one arrival.

    Parameters
    ----------
    seen, accepted
        VMs that have arrived by then, and those placed.
    cpu, memory, hosts_used
        Shares of the fleet's vCPUs and memory in use, and of the hosts that run a VM.
    node_cpu
        The 10th, 50th and 90th percentile over nodes of the share of vCPUs in use.
    fragmentation
        Share of the free vCPUs that a VM of the mix seen so far, sizes weighing by their vCPUs,
        could not use, because of their node or for want of memory there.
    split_guest, node_affinity, cpu_contention
        Loss of the VMs that run, in micro-vCPU.
    """

    time_ms: int
    seen: int
    accepted: int
    cpu: float
    memory: float
    node_cpu: tuple[float, float, float]
    hosts_used: float
    fragmentation: float
    split_guest: int
    node_affinity: int
    cpu_contention: int


@dataclass(frozen=True, slots=True)
class Replay:
    """What a rule made of a trace.

    Parameters
    ----------
    slots
        Slot of each VM, `REJECTED` if it got none, `NOT_SEEN` if the replay was stopped before.
    full, fragmented
        VMs rejected because the fleet's free vCPUs or memory were too few in all, and though they
        were enough.
    latency_ns, samples
        Time of each decision; the fleet over time.
    """

    slots: Ints
    full: int
    fragmented: int
    latency_ns: Ints
    samples: tuple[Sample, ...]

    @property
    def complete(self) -> bool:
        """Whether every VM has been seen."""
        return not bool((self.slots == NOT_SEEN).any())

    def reached(self, trace: Trace) -> dict[Goal, int]:
        """What was reached by each goal; VMs not seen count as rejected."""
        slots = np.maximum(self.slots, REJECTED)
        return {goal: worth(trace, slots, goal) for goal in Goal}


@dataclass(slots=True)
class _Losses:
    """Losses of the VMs that run, as far as they have any."""

    split_guest: int = 0
    node_affinity: int = 0
    of_vm: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, state: FleetState, vm: int, slot: int) -> None:
        if state.trace.cells[vm] == 1 and state.trace.soft_node[vm] == NO_NODE:
            return
        offer = SlotOffer(state, vm, np.array([slot]))
        mine = int(offer.split_loss[0]), int(offer.affinity_loss[0])
        self.of_vm[vm] = mine
        self.split_guest += mine[0]
        self.node_affinity += mine[1]

    def drop(self, vm: int) -> None:
        split, affinity = self.of_vm.pop(vm, (0, 0))
        self.split_guest -= split
        self.node_affinity -= affinity


def replay(
    trace: Trace,
    fleet: Fleet,
    rule: Rule,
    *,
    samples: int = SAMPLES,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Replay:
    """Let the VMs of a trace arrive and leave, each placed by `rule` where it fits or rejected.

    At equal times VMs leave before others arrive. A rule is not asked whether to accept: operators
    do not turn a customer away while there is room. At most `samples` are taken; `should_stop` is
    asked, and `on_progress` told the number of VMs seen, now and then.
    """
    state, losses = FleetState(fleet, trace), _Losses()
    latency: Ints = np.zeros(len(trace), np.int64)
    taken: list[Sample] = []
    every = max(1, -(-len(trace) // max(1, samples)))
    starts, ends = trace.start_ms.tolist(), trace.end_ms.tolist()
    leaving: list[tuple[int, int]] = []
    full = fragmented = accepted = 0
    for vm, start in enumerate(starts):
        if vm % every == 0 and should_stop is not None and should_stop():
            state.slots[vm:] = NOT_SEEN
            break
        while leaving and leaving[0][0] <= start:
            gone = heapq.heappop(leaving)[1]
            state.release(gone)
            losses.drop(gone)
        state.now_ms = start
        began = time.perf_counter_ns()
        slot = decide(state, vm, rule)
        latency[vm] = time.perf_counter_ns() - began
        if slot is not None:
            accepted += 1
            losses.add(state, vm, slot)
            if ends[vm] < NEVER_MS:
                heapq.heappush(leaving, (ends[vm], vm))
        elif _has_room(state, vm):
            fragmented += 1
        else:
            full += 1
        if (vm + 1) % every == 0 or vm + 1 == len(trace):
            taken.append(_sample(state, losses, vm + 1, accepted))
            if on_progress is not None:
                on_progress(vm + 1)
    return Replay(state.slots, full, fragmented, latency, tuple(taken))


def decide(state: FleetState, vm: int, rule: Rule) -> int | None:
    """Place a VM that has arrived; None if it fits nowhere."""
    state.mix.see(vm)
    offer = SlotOffer(state, vm)
    if not len(offer):
        return None
    slot = choose(offer, rule)
    state.take(vm, slot)
    return slot


def _has_room(state: FleetState, vm: int) -> bool:
    """Tell whether the fleet as a whole has as much free as a VM needs."""
    cpu, mib = int(state.trace.vcpus[vm]), int(state.trace.memory_mib[vm])
    return bool(state.free_cpu.sum() >= cpu and state.free_mib.sum() >= mib)


def _sample(state: FleetState, losses: _Losses, seen: int, accepted: int) -> Sample:
    fleet = state.fleet
    has_cpus = fleet.cpu_capacity > 0
    busy = 1.0 - state.free_cpu[has_cpus] / fleet.cpu_capacity[has_cpus]
    low, middle, high = (float(share) for share in np.quantile(busy, (0.1, 0.5, 0.9)))
    return Sample(
        time_ms=state.now_ms,
        seen=seen,
        accepted=accepted,
        cpu=1.0 - int(state.free_cpu.sum()) / int(fleet.cpu_capacity.sum()),
        memory=1.0 - int(state.free_mib.sum()) / max(1, int(fleet.memory_mib.sum())),
        node_cpu=(low, middle, high),
        hosts_used=float((state.ledger.host_vms > 0).mean()),
        fragmentation=state.mix.fragmentation(state.free_cpu, state.free_mib, fleet),
        split_guest=losses.split_guest,
        node_affinity=losses.node_affinity,
        cpu_contention=state.contention(),
    )
