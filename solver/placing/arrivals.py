"""Which sizes of VMs have come so far, and how many of them free room would still take.

The measure of fragmentation is that of Weng and others, Beware of Fragmentation: Scheduling
GPU-Sharing Workloads with Fragmentation Gradient Descent (USENIX ATC 2023), for vCPUs and memory of
NUMA nodes: room counts by what the VMs that usually come could make of it. Here a size weighs by
its share of arrivals and by its vCPUs squared: a large hole is what small VMs destroy.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from numaplace.models.fleet import Fleet
from numaplace.models.trace import Ints, Reals, Trace

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

    Parameters
    ----------
    whole
        Weighted number of one-cell VMs that a node would take.
    halves
        For each size that is cut: weight of a VM, and the number of its cells a node would take.
    """

    whole: Reals
    halves: tuple[tuple[float, Ints], ...]


class ArrivalMix:
    """Sizes of the VMs seen.

    Parameters
    ----------
    fleet, trace
        Nodes to look at, and VMs that will be seen.
    """

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
    most = np.maximum.reduceat(amounts, starts)[host]
    top = amounts == most
    alone = np.add.reduceat(top.astype(np.int64), starts)[host] == 1
    second = np.maximum.reduceat(np.where(top, 0, amounts), starts)[host]
    other: Ints = np.where(top & alone, second, most)
    return other
