"""What a scoring rule sees: the choices for one VM (or one cell of it), as arrays.

Each attribute is worked out when a rule first asks for it, so that a rule pays for what it uses.
What an engine does not know is 0 everywhere.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from numaplace.models.trace import Ints, Reals
from numaplace.models.units import PageSize
from numaplace.solver.placing.ledger import NOW, Ledger

DIGITS = 9  # Digits that count when shares are compared: what is equal on paper must be equal here


class Offer:
    """Choices for a VM; all arrays have one entry a choice, in order of `slots`.

    Attributes
    ----------
    slots
        Numbers of the choices.
    first, second
        Their places; the same twice unless the VM is `cut` over two.
    cpu, mib
        What the VM takes of each of the two, as the ledger counts it.
    expecting
        Whether VMs that this one talks to are still to come.
    """

    slots: Ints
    first: Ints
    second: Ints
    cpu: tuple[int | Ints, int] = (0, 0)
    mib: tuple[int, int] = (0, 0)
    cut = False
    expecting = False

    def __init__(self, ledger: Ledger, rows: slice = NOW, size: PageSize = PageSize.SMALL) -> None:
        self.ledger, self.rows, self.size = ledger, rows, size
        self.free_cpu = ledger.least(ledger.free_cpu, rows)
        self.free_mib = ledger.least(ledger.free_mib[size], rows)

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def none(self) -> Ints:
        """0 for every choice."""
        return np.zeros(len(self), np.int64)

    @cached_property
    def host(self) -> Ints:
        """Host of each choice."""
        return self.ledger.place_host[self.first]

    def total(self, of_places: Ints) -> Ints:
        """Sum of an amount by place over the places of each choice."""
        return of_places[self.first] + of_places[self.second] if self.cut else of_places[self.first]

    @cached_property
    def left_cpu(self) -> Ints:
        """CPU that the places of each choice have left once the VM is there."""
        return self.total(self.free_cpu) - sum(self.cpu)

    @cached_property
    def left_mib(self) -> Ints:
        """MiB they have left."""
        return self.total(self.free_mib) - sum(self.mib)

    @cached_property
    def left(self) -> Reals:
        """Room left: share of the places' CPU plus share of their memory."""
        ledger = self.ledger
        cpu = self.left_cpu / np.maximum(1, self.total(ledger.cpu_capacity))
        pools = ledger.mib_capacity[self.size]
        room: Reals = cpu + self.left_mib / np.maximum(1, self.total(pools))
        return room.round(DIGITS)

    @cached_property
    def host_free(self) -> tuple[Ints, Ints]:
        """CPU and MiB that the host of each choice has free."""
        ledger, host = self.ledger, self.host
        cpu = ledger.least(ledger.host_free_cpu, self.rows)[host]
        return cpu, ledger.least(ledger.host_free_mib, self.rows)[host]

    @cached_property
    def host_left(self) -> Reals:
        """Room the whole host has left, as `left`."""
        ledger, host, (cpu, mib) = self.ledger, self.host, self.host_free
        share = (cpu - sum(self.cpu)) / ledger.host_cpu[host]
        room: Reals = share + (mib - sum(self.mib)) / ledger.host_mib[host]
        return room.round(DIGITS)

    @cached_property
    def emptiness(self) -> Reals:
        """Free CPU plus free memory of the host, each from 0 (least of all hosts) to 1 (most)."""
        weight: Reals = np.zeros(len(self))
        for free in self.host_free:
            weight += (free - free.min()) / max(1, int(free.max() - free.min()))
        return weight.round(DIGITS)

    @cached_property
    def unevenness(self) -> Reals:
        """Variance, over the nodes of its host that have pCPUs, of the CPU left free."""
        ledger, host = self.ledger, self.host
        nodes = ledger.by_host((ledger.cpu_capacity > 0).astype(np.int64))[host]
        squares: Reals | Ints = ledger.by_host(self.free_cpu**2)[host]
        for places, cpu in zip((self.first, self.second), self.cpu, strict=True):
            squares = squares - 2 * self.free_cpu[places] * cpu + cpu**2
        total = self.host_free[0] - sum(self.cpu)
        variance: Reals = squares / nodes - (total / nodes) ** 2
        return variance.round(DIGITS)

    @cached_property
    def busy(self) -> tuple[Ints, Ints]:
        """CPU in use on the places, the less busy one first."""
        used = self.ledger.cpu_capacity - self.free_cpu
        first, second = used[self.first], used[self.second]
        return np.minimum(first, second), np.maximum(first, second)

    @cached_property
    def misplaced(self) -> Ints:
        """1 where there are devices that the VM does not want, or not those that it wants."""
        return self.none

    @cached_property
    def runnable(self) -> Ints:
        """VCPUs that may run on the places; those that may run on both count twice."""
        return self.none

    @cached_property
    def runnable_once(self) -> Ints:
        """The same, each counted once."""
        return self.none

    @cached_property
    def loss(self) -> Ints:
        """Loss in micro-vCPU that the VM would add; of a cell never more than that."""
        return self.none

    @cached_property
    def room_lost(self) -> Reals | Ints:
        """Weighted number of the VMs that usually come for which there is no room afterwards."""
        return self.none

    @cached_property
    def extends(self) -> Reals | Ints:
        """Share of the VM's predicted life for which it would be the last on its host."""
        return self.none
