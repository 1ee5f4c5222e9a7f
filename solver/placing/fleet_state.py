"""What is free on a fleet right now, and what each VM holds: the state of the online scheduler."""

from __future__ import annotations

import numpy as np

from numaplace.models.fleet import Fleet
from numaplace.models.instance import Place
from numaplace.models.rates import Contention, busy_load, contention, stacked
from numaplace.models.schedule import REJECTED
from numaplace.models.trace import NEVER_MS, Ints, Trace
from numaplace.models.units import MILLI, PageSize, to_milli
from numaplace.solver.placing.arrivals import ArrivalMix
from numaplace.solver.placing.ledger import NOW, Amounts, Ledger, Use

Pair = tuple[int, int]  # An amount on the first and on the second place of a VM
Parts = tuple[Pair, Pair, Pair]


class FleetState:
    """A ledger in whole vCPUs, kept up to date as VMs come and go, and what policies are told.

    Parameters
    ----------
    fleet, trace
        Where VMs go, and which there are.

    Attributes
    ----------
    ledger
        What is free; its views `free_cpu` and `free_mib` are of places, now.
    runnable
        VCPUs of VMs that may run on each place; all vCPUs of a VM of two cells count on both.
    spanning
        By pair of places: vCPUs of the VMs cut over just this pair.
    host_end_ms
        When the last VM of each host is predicted to end; 0 on an empty host.
    slots
        Slot of each VM of the trace, `REJECTED` if it has none (yet).
    now_ms
        The clock.
    mix
        Sizes of the VMs that have come.
    contention, never_contends
        CPU contention of all places, and whether VMs that fit can never contend.
    """

    def __init__(self, fleet: Fleet, trace: Trace) -> None:
        self.fleet, self.trace = fleet, trace
        pools = {PageSize.SMALL: fleet.memory_mib}
        self.ledger = Ledger(fleet.cpu_capacity, pools, fleet.host_start[:-1])
        self.free_cpu = self.ledger.free_cpu[0]
        self.free_mib = self.ledger.free_mib[PageSize.SMALL][0]
        self.runnable: Ints = np.zeros(fleet.num_places, np.int64)
        self._runnable = memoryview(self.runnable)  # type: ignore[arg-type]
        self.spanning: Ints = np.zeros(fleet.num_slots - fleet.num_places, np.int64)
        self.host_end_ms: Ints = np.zeros(fleet.num_hosts, np.int64)
        self.slots: Ints = np.full(len(trace), REJECTED)
        self._residents: list[dict[int, Use]] = [{} for _ in range(fleet.num_hosts)]
        # Lists, since single numbers are read from them faster than from arrays.
        loads = [to_milli(busy_load(vcpus, trace.utilisation)) for vcpus in trace.vcpu_parts]
        amounts = (trace.vcpu_parts, trace.memory_parts_mib, loads)
        pairs = [zip(*(part.tolist() for part in parts), strict=True) for parts in amounts]
        kept: dict[Parts, Parts] = {}  # equal ones once
        self._parts = [kept.setdefault(parts, parts) for parts in zip(*pairs, strict=True)]
        self._predicted = np.minimum(trace.predicted_end_ms, NEVER_MS).tolist()
        self.contention = _contention(fleet)
        room_milli = fleet.cpu_capacity * MILLI
        self.never_contends = bool(np.all(room_milli <= self.contention.cores_milli))
        self.mix = ArrivalMix(fleet, trace)
        self.now_ms = 0

    def parts(self, vm: int) -> Parts:
        """VCPUs, MiB and load in milli-vCPU of a VM, each on its first and second place."""
        return self._parts[vm]

    def take(self, vm: int, slot: int) -> None:
        """Give a VM a slot that is free."""
        self.slots[vm] = slot
        use = self._use(vm, slot)
        host = use.host_index
        self._change(vm, slot, use, 1)
        self._residents[host][vm] = use
        end = self._predicted[vm]
        if end > self.host_end_ms[host]:
            self.host_end_ms[host] = end

    def release(self, vm: int) -> None:
        """Free what a VM holds; its slot stays on record."""
        slot = int(self.slots[vm])
        host = self.fleet.host_of(slot)
        residents = self._residents[host]
        self._change(vm, slot, residents.pop(vm), -1)
        if self._predicted[vm] >= self.host_end_ms[host]:
            self.host_end_ms[host] = max((self._predicted[other] for other in residents), default=0)

    def _use(self, vm: int, slot: int) -> Use:
        first, (vcpus, mib, load) = self.fleet.first.item(slot), self._parts[vm]
        host = self.fleet.place_host.item(first)
        cpu: Amounts = ((first, vcpus[0]),)
        pages: Amounts = ((first, mib[0]),)
        loads: Amounts = ((first, load[0]),)
        if vcpus[1]:
            second = self.fleet.second.item(slot)
            cpu, pages = (*cpu, (second, vcpus[1])), (*pages, (second, mib[1]))
            loads = (*loads, (second, load[1]))
        return Use(host, PageSize.SMALL, cpu, pages, loads, ())

    def _change(self, vm: int, slot: int, use: Use, sign: int) -> None:
        first, second = self._parts[vm][0]
        vcpus = sign * (first + second)
        if second:
            self.spanning[slot - self.fleet.num_places] += vcpus
        for place, _ in use.cpu:
            self._runnable[place] += vcpus
        self.ledger.change(use, NOW, sign)
        self.ledger.host_vms[use.host_index] += sign


def _contention(fleet: Fleet) -> Contention[Ints]:
    """Contention of all places, in order."""
    curves: list[Contention[int]] = []
    for host, count in fleet.shapes:
        places = [Place(k, 0, k, host, node) for k, node in enumerate(host.nodes)]
        curves += [contention(place) for place in places] * count
    return stacked(curves)
