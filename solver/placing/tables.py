"""What equal VMs are offered, kept from one to the next.

A *table* has what the places of an instance are to a cell of one kind of VM, relations with other
VMs left aside. When the next VM of the kind comes, only hosts with changes since are looked at.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from numaplace.solver.placing.arrays import Bools, Ints, Reals
from numaplace.solver.placing.matching import FORBIDDEN

ENTRIES_MAX = 1 << 22
"""Places of all tables together: some 100 MB."""


@dataclass(slots=True)
class KindTable:
    """Places for a cell: whether it fits, the loss, and the rest of its price by the rule.

    `keys` are the prices, `seen` is the number of the last change that is in it.
    """

    allowed: Bools
    fits: Bools
    loss: Ints
    rest: Reals
    keys: Reals
    seen: int = -1

    def enter(self, at: Any, fits: Bools, loss: Ints | int, rest: Reals | Ints) -> None:
        """Say what some places are."""
        self.fits[at], self.loss[at], self.rest[at] = fits, loss, rest
        self.keys[at] = np.where(fits, loss + rest, FORBIDDEN)


class KindTables(dict[Hashable, KindTable]):
    """Tables by what they are of; those made first are forgotten when they are too many."""

    def add(self, key: Hashable, allowed: Bools) -> KindTable:
        """Return a new table of the places that its kind may use, with nothing entered."""
        while self and (len(self) + 1) * len(allowed) > ENTRIES_MAX:
            del self[next(iter(self))]
        size = len(allowed)
        loss, (rest, keys) = np.zeros(size, np.int64), np.zeros((2, size))
        self[key] = KindTable(allowed, np.zeros(size, np.bool_), loss, rest, keys)
        return self[key]
