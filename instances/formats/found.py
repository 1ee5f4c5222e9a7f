"""What a configuration says of where a VM runs, in every format: pins, guest cells, nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from numaplace.models.vm import Vm

_PIN = re.compile(r"\s*([0-9]{1,9})\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class FoundCell:
    """A guest cell of a file: its vCPUs, and the nodes its memory is bound to (None: not said)."""

    vcpus: tuple[int, ...]
    size_mib: int
    nodes: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a file says of where a VM runs.

    Parameters
    ----------
    asked
        The VM, as its reader reads it.
    target_mib
        Memory that it has now.
    pins
        pCPUs of each vCPU; empty if some vCPU may run anywhere.
    own
        The pCPU of each vCPU, if each has just one and no two the same; else empty.
    cells
        Guest cells.
    nodes
        Nodes of all memory, None: not said.
    """

    asked: Vm
    target_mib: int
    pins: tuple[frozenset[int], ...] = ()
    own: tuple[int, ...] = ()
    cells: tuple[FoundCell, ...] = ()
    nodes: frozenset[int] | None = None

    @property
    def bound(self) -> bool:
        """Whether something says on which nodes its memory lies."""
        return bool(self.nodes) or (bool(self.cells) and all(cell.nodes for cell in self.cells))


def own_pcpus(texts: Sequence[str], vcpus: int) -> tuple[int, ...]:
    """Return the pCPU of each vCPU, if the texts say just one for each; else none.

    A pin is one pCPU (``3``); a set may have a single one, too, and then it is a range (``3-3``):
    so `PlacedVm.pins` tells dedicated vCPUs from shared ones that have one pCPU left.
    """
    pins = [int(match[1]) for text in texts if (match := _PIN.fullmatch(text))]
    return tuple(pins) if len(pins) == len(texts) == len(set(pins)) == vcpus else ()
