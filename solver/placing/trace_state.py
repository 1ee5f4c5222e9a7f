"""What is free on a fleet right now, and what each VM holds: the state of the online scheduler."""

from __future__ import annotations

import numpy as np

from numaplace.models.fleet import Fleet
from numaplace.models.instance import Place
from numaplace.models.rates import Contention, busy_load, contention, stacked
from numaplace.models.schedule import REJECTED
from numaplace.models.trace import NEVER_MS, Ints, Trace
from numaplace.models.units import MILLI, to_milli
from numaplace.solver.placing.mix import Mix


class FleetState:
    """Amounts in use on every place, kept up to date as VMs come and go.

    Parameters
    ----------
    fleet, trace
        Where VMs go, and which there are.

    Attributes
    ----------
    free_cpu, free_mib
        What each place has left.
    load_milli
        CPU load of each place: vCPUs times utilisation, in thousandths.
    runnable
        VCPUs of VMs that may run on each place; all vCPUs of a VM of two cells count on both.
    spanning
        By pair of places: vCPUs of the VMs cut over just this pair.
    host_free_cpu, host_free_mib, host_vms
        The same by host, and the number of VMs there.
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
        self.free_cpu = fleet.cpu_capacity.copy()
        self.free_mib = fleet.memory_mib.copy()
        self.load_milli: Ints = np.zeros(fleet.num_places, np.int64)
        self.runnable: Ints = np.zeros(fleet.num_places, np.int64)
        self.spanning: Ints = np.zeros(fleet.num_slots - fleet.num_places, np.int64)
        self.host_free_cpu = np.add.reduceat(fleet.cpu_capacity, fleet.host_start[:-1])
        self.host_free_mib = np.add.reduceat(fleet.memory_mib, fleet.host_start[:-1])
        self.host_cpu = np.maximum(1, self.host_free_cpu)
        self.host_mib = np.maximum(1, self.host_free_mib)
        self.host_vms: Ints = np.zeros(fleet.num_hosts, np.int64)
        self.host_end_ms: Ints = np.zeros(fleet.num_hosts, np.int64)
        self.slots: Ints = np.full(len(trace), REJECTED)
        self._residents: list[set[int]] = [set() for _ in range(fleet.num_hosts)]
        # Lists, since single numbers are read from them faster than from arrays.
        self._parts = [
            list(zip(*(part.tolist() for part in parts), strict=True))
            for parts in (trace.vcpu_parts, trace.memory_parts_mib)
        ]
        self._predicted = np.minimum(trace.predicted_end_ms, NEVER_MS).tolist()
        self._utilisation = trace.utilisation.tolist()
        self.contention = _contention(fleet)
        room_milli = fleet.cpu_capacity * MILLI
        self.never_contends = bool(np.all(room_milli <= self.contention.cores_milli))
        self.mix = Mix(fleet, trace)
        self.now_ms = 0

    def parts(self, vm: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """VCPUs and MiB of a VM, each on its first and second place."""
        return self._parts[0][vm], self._parts[1][vm]

    def take(self, vm: int, slot: int) -> None:
        """Give a VM a slot that is free."""
        self.slots[vm] = slot
        host = self._change(vm, slot, 1)
        self._residents[host].add(vm)
        end = self._predicted[vm]
        if end > self.host_end_ms[host]:
            self.host_end_ms[host] = end

    def release(self, vm: int) -> None:
        """Free what a VM holds; its slot stays on record."""
        slot = int(self.slots[vm])
        host = self._change(vm, slot, -1)
        residents = self._residents[host]
        residents.remove(vm)
        if self._predicted[vm] >= self.host_end_ms[host]:
            self.host_end_ms[host] = max((self._predicted[other] for other in residents), default=0)

    def _change(self, vm: int, slot: int, sign: int) -> int:
        fleet = self.fleet
        vcpus, mib = self.parts(vm)
        host = int(fleet.place_host[fleet.first[slot]])
        places = [int(fleet.first[slot])]
        if slot >= fleet.num_places:
            places.append(int(fleet.second[slot]))
            self.spanning[slot - fleet.num_places] += sign * sum(vcpus)
        for k, place in enumerate(places):
            self.free_cpu[place] -= sign * vcpus[k]
            self.free_mib[place] -= sign * mib[k]
            self.load_milli[place] += sign * to_milli(busy_load(vcpus[k], self._utilisation[vm]))
            self.runnable[place] += sign * sum(vcpus)
        self.host_free_cpu[host] -= sign * sum(vcpus)
        self.host_free_mib[host] -= sign * sum(mib)
        self.host_vms[host] += sign
        return host


def _contention(fleet: Fleet) -> Contention[Ints]:
    """Contention of all places, in order."""
    curves: list[Contention[int]] = []
    for host, count in fleet.shapes:
        places = [Place(k, 0, k, host, node) for k, node in enumerate(host.nodes)]
        curves += [contention(place) for place in places] * count
    return stacked(curves)
