"""What is free on a fleet right now, and what each VM holds: the state of the online scheduler."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from numaplace.models.fleet import Fleet
from numaplace.models.instance import Place
from numaplace.models.rates import Contention, ContentionLines, busy_load, contention
from numaplace.models.schedule import REJECTED
from numaplace.models.smt import crowding_milli
from numaplace.models.trace import NEVER_MS, Ints, Reals, Trace
from numaplace.models.units import PageSize, to_milli
from numaplace.models.vm import Vm
from numaplace.solver.placing.arrays import of_kinds
from numaplace.solver.placing.ledger import NOW, Amounts, Crowds, Ledger, Use

SIZES_MAX = 32
# Sizes that count, the most frequent ones; those cut over two nodes cost more time each.
CUT_SIZES_MAX = 4
# Steps of the tables at most, about; larger nodes are looked up in coarser steps.
CPU_STEPS, MEMORY_STEPS = 128, 256
GROWTH = 1.1  # Tables are made anew when so many times as many VMs have been seen
Size = tuple[int, int, int]  # VCPUs and MiB of the larger cell, and the number of cells


@dataclass(frozen=True, slots=True)
class RoomTables:
    """What free room is good for, by `ArrivalMix.index` of free vCPUs and memory.

    `whole` is the weighted number of one-cell VMs that a node would take; `halves` has, for each
    size that is cut, the weight of a VM and the number of its cells that a node would take.
    """

    whole: Reals
    halves: tuple[tuple[float, Ints], ...]


class ArrivalMix:
    """Sizes of the VMs of a trace that have been seen."""

    def __init__(self, fleet: Fleet, trace: Trace) -> None:
        vcpus, mib = trace.vcpu_parts[0].tolist(), trace.memory_parts_mib[0].tolist()
        self._sizes: list[Size] = list(zip(vcpus, mib, trace.cells.tolist(), strict=True))
        self._cpu_max, self._mib_max = int(fleet.cpu_capacity.max()), int(fleet.memory_mib.max())
        # Steps are powers of two: shifting is faster than dividing.
        self._cpu_shift = (self._cpu_max // CPU_STEPS).bit_length()
        self._mib_shift = (self._mib_max // MEMORY_STEPS).bit_length()
        self._columns = (self._mib_max >> self._mib_shift) + 1
        self._seen: Counter[Size] = Counter()
        self._count, self._remake_at = 0, 0.0
        self._tables: RoomTables | None = None

    def see(self, vm: int) -> None:
        """Count a VM that asks for a place."""
        self._seen[self._sizes[vm]] += 1
        self._count += 1
        if self._count >= self._remake_at:
            self._tables = None

    @property
    def tables(self) -> RoomTables:
        """Tables for the VMs seen so far."""
        if self._tables is None:
            self._tables = self._made()
            self._remake_at = self._count * GROWTH
        return self._tables

    def _made(self) -> RoomTables:
        rows = (self._cpu_max >> self._cpu_shift) + 1
        cpu = np.repeat(np.arange(rows) << self._cpu_shift, self._columns)
        mib = np.tile(np.arange(self._columns) << self._mib_shift, rows)
        whole: Reals = np.zeros(len(cpu))
        halves: list[tuple[float, Ints]] = []
        for (vcpus, need_mib, cells), times in self._seen.most_common(SIZES_MAX):
            weight = times / self._count * (vcpus * cells) ** 2
            takes = np.minimum(cpu // vcpus, mib // need_mib)
            if cells == 1:
                whole += weight * takes
            elif len(halves) < CUT_SIZES_MAX:
                halves.append((weight, takes))
        return RoomTables(whole, tuple(halves))

    def index(self, cpu: Ints, mib: Ints) -> Ints:
        """Entry of the tables for free vCPUs and memory, rounded down to steps."""
        at: Ints = (cpu >> self._cpu_shift) * self._columns + (mib >> self._mib_shift)
        return at

    def fragmentation(self, free_cpu: Ints, free_mib: Ints, fleet: Fleet) -> float:
        """Share of free vCPUs that VMs could not use, mean over the sizes seen by their vCPUs."""
        free, total, unusable = int(free_cpu.sum()), 0.0, 0.0
        starts = fleet.host_start[:-1]
        for (vcpus, mib, cells), times in self._seen.most_common(SIZES_MAX):
            takes = np.minimum(free_cpu // vcpus, free_mib // mib)
            if cells == 2:
                per_host = np.add.reduceat(takes, starts)
                takes = np.minimum(per_host // 2, per_host - np.maximum.reduceat(takes, starts))
            weight = times * vcpus * cells
            total += weight
            unusable += weight * max(0.0, 1.0 - int(takes.sum()) * vcpus * cells / max(1, free))
        return unusable / total if total and free else 0.0


def other_most(amounts: Ints, fleet: Fleet) -> Ints:
    """Return, for each place, the largest amount on another place of its host; 0 without one."""
    starts, host = fleet.host_start[:-1], fleet.place_host
    if len(amounts) == 2 * len(starts) and bool((np.diff(fleet.host_start) == 2).all()):
        swapped: Ints = amounts.reshape(-1, 2)[:, ::-1].ravel()
        return swapped
    most = np.maximum.reduceat(amounts, starts)[host]
    top = amounts == most
    alone = np.add.reduceat(top.astype(np.int64), starts)[host] == 1
    second = np.maximum.reduceat(np.where(top, 0, amounts), starts)[host]
    other: Ints = np.where(top & alone, second, most)
    return other


Pair = tuple[int, int]  # An amount on the first and on the second place of a VM
Parts = tuple[Pair, Pair, Pair]


class FleetState:
    """A ledger in whole vCPUs, kept up to date as VMs come and go, and what policies are told.

    Attributes
    ----------
    ledger
        What is free; its views `free_cpu` and `free_mib` are of places, now.
    runnable, spanning
        vCPUs of VMs that may run on each place, where all of a VM of two cells count on both; by
        pair of places those of the VMs cut over just this pair.
    host_end_ms
        When the last VM of each host is predicted to end; 0 on an empty host.
    slots
        Slot of each VM of the trace, `REJECTED` if it has none (yet).
    never_contends
        Whether VMs that fit can never contend for CPUs.
    """

    def __init__(self, fleet: Fleet, trace: Trace) -> None:
        self.fleet, self.trace = fleet, trace
        pools = {PageSize.SMALL: fleet.memory_mib}
        curves = _contention(fleet)
        room = zip(fleet.cpu_capacity.tolist(), curves, strict=True)
        self.never_contends = all(vcpus <= curve.cores for vcpus, curve in room)
        lines = None if self.never_contends else self._crowd(curves)
        self.ledger = Ledger(fleet.cpu_capacity, pools, fleet.host_start[:-1], lines)
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
        self.mix = ArrivalMix(fleet, trace)
        self.now_ms = 0

    def _crowd(self, curves: list[Contention]) -> ContentionLines:
        """Work out how VMs crowd hosts, which their memory intensity and a host's yield say."""
        yields, of_shape = np.unique(
            [host.smt_yield for host, _ in self.fleet.shapes], return_inverse=True
        )
        self._yield_of = of_shape[self.fleet.host_shape][self.fleet.place_host]
        waits = self.trace.memory_intensity
        intensities, self._intensity_of = np.unique(waits, return_inverse=True)
        vms = [Vm("vm", 1, 1, memory_intensity=mu) for mu in intensities.tolist()]
        self._crowdings = [tuple(crowding_milli(vm, y) for y in yields.tolist()) for vm in vms]
        self._weights: dict[tuple[int, ...], Ints] = {}
        return ContentionLines(curves, {s for found in self._crowdings for s in found})

    def contention(self) -> int:
        """CPU contention of all places now."""
        return 0 if self.never_contends else int(ContentionLines.loss(self.ledger.values[0]).sum())

    def weights(self, vm: int) -> Ints:
        """What a milli-vCPU of a VM adds to each line of CPU contention, by line and place."""
        crowdings = self._crowdings[self._intensity_of[vm]]
        if crowdings not in self._weights:
            assert self.ledger.lines is not None
            each = [self.ledger.lines.weights(s) for s in crowdings]
            self._weights[crowdings] = of_kinds(each, self._yield_of)
        return self._weights[crowdings]

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
        crowd: Crowds = ()
        if not self.never_contends:
            crowdings = self._crowdings[self._intensity_of[vm]]
            crowd = tuple((p, milli, crowdings[self._yield_of[p]]) for p, milli in loads)
        return Use(host, PageSize.SMALL, cpu, pages, loads, crowd, ())

    def _change(self, vm: int, slot: int, use: Use, sign: int) -> None:
        first, second = self._parts[vm][0]
        vcpus = sign * (first + second)
        if second:
            self.spanning[slot - self.fleet.num_places] += vcpus
        for place_index, _ in use.cpu:
            self._runnable[place_index] += vcpus
        self.ledger.change(use, NOW, sign)
        self.ledger.host_vms[use.host_index] += sign


def _contention(fleet: Fleet) -> list[Contention]:
    """Contention of all places, in order."""
    curves: list[Contention] = []
    for host, count in fleet.shapes:
        places = [Place(k, 0, k, host, node) for k, node in enumerate(host.nodes)]
        curves += [contention(place) for place in places] * count
    return curves
