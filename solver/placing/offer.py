"""What a scoring rule sees: the choices for one VM (or one cell of it), as arrays.

Each attribute is worked out when a rule first asks for it, so that a rule pays for what it uses.
What an engine does not know is 0 everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np

from numaplace.models.trace import Ints, Reals
from numaplace.models.units import PageSize
from numaplace.solver.placing.ledger import NOW, Ledger

DIGITS = 9  # Digits that count when shares are compared: what is equal on paper must be equal here


T = TypeVar("T")


class Lazy(Generic[T]):
    """An attribute that is worked out when first asked for; without the lock of Python 3.11's."""

    def __init__(self, work: Callable[[Any], T]) -> None:
        self.work, self.name, self.__doc__ = work, work.__name__, work.__doc__

    def __get__(self, offer: Any, owner: object = None) -> T:
        found = offer.__dict__[self.name] = self.work(offer)
        return found


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
        return np.zeros(len(self.slots), np.int64)

    @Lazy
    def host(self) -> Ints:
        """Host of each choice."""
        return self.ledger.place_host[self.first]

    def total(self, of_places: Ints) -> Ints:
        """Sum of an amount by place over the places of each choice."""
        return of_places[self.first] + of_places[self.second] if self.cut else of_places[self.first]

    @Lazy
    def left_cpu(self) -> Ints:
        """CPU that the places of each choice have left once the VM is there."""
        return self.total(self.free_cpu) - sum(self.cpu)

    @Lazy
    def left_mib(self) -> Ints:
        """MiB they have left."""
        return self.total(self.free_mib) - sum(self.mib)

    @Lazy
    def left(self) -> Reals:
        """Room left: share of the places' CPU plus share of their memory."""
        ledger = self.ledger
        share = self.left_cpu / self.total(ledger.cpu_whole)
        room: Reals = share + self.left_mib / self.total(ledger.mib_whole[self.size])
        return room.round(DIGITS)

    @Lazy
    def host_free(self) -> tuple[Ints, Ints]:
        """CPU and MiB that the host of each choice has free."""
        ledger, host = self.ledger, self.host
        cpu = ledger.least(ledger.host_free_cpu, self.rows)[host]
        return cpu, ledger.least(ledger.host_free_mib, self.rows)[host]

    @Lazy
    def host_left(self) -> Reals:
        """Room the whole host has left, as `left`."""
        ledger, host, (cpu, mib) = self.ledger, self.host, self.host_free
        share = (cpu - sum(self.cpu)) / ledger.host_cpu[host]
        room: Reals = share + (mib - sum(self.mib)) / ledger.host_mib[host]
        return room.round(DIGITS)

    @Lazy
    def emptiness(self) -> Reals:
        """Free CPU plus free memory of the host, each from 0 (least of all hosts) to 1 (most)."""
        weight: Reals = np.zeros(len(self))
        for free in self.host_free:
            low, high = int(free[free.argmin()]), int(free[free.argmax()])
            weight += (free - low) / max(1, high - low)
        return weight.round(DIGITS)

    @Lazy
    def unevenness(self) -> Reals:
        """Variance, over the nodes of its host that have pCPUs, of the CPU left free."""
        ledger, host = self.ledger, self.host
        nodes = ledger.host_nodes[host]
        squares: Reals | Ints = ledger.by_host(self.free_cpu**2)[host]
        for places, cpu in zip((self.first, self.second)[: 1 + self.cut], self.cpu, strict=False):
            squares = squares - 2 * self.free_cpu[places] * cpu + cpu**2
        total = self.host_free[0] - sum(self.cpu)
        variance: Reals = squares / nodes - (total / nodes) ** 2
        return variance.round(DIGITS)

    @Lazy
    def busy(self) -> tuple[Ints, Ints]:
        """CPU in use on the places, the less busy one first."""
        used = self.ledger.cpu_capacity - self.free_cpu
        first = used[self.first]
        if not self.cut:
            return first, first
        second = used[self.second]
        return np.minimum(first, second), np.maximum(first, second)

    @Lazy
    def misplaced(self) -> Ints:
        """1 where there are devices that the VM does not want, or not those that it wants."""
        return self.none

    @Lazy
    def runnable(self) -> Ints:
        """VCPUs that may run on the places; those that may run on both count twice."""
        return self.none

    @Lazy
    def runnable_once(self) -> Ints:
        """The same, each counted once."""
        return self.none

    @Lazy
    def loss(self) -> Ints:
        """Loss in micro-vCPU that the VM would add; of a cell never more than that."""
        return self.none

    @Lazy
    def room_lost(self) -> Reals | Ints:
        """Weighted number of the VMs that usually come for which there is no room afterwards."""
        return self.none

    @Lazy
    def extends(self) -> Reals | Ints:
        """Share of the VM's predicted life for which it would be the last on its host."""
        return self.none
