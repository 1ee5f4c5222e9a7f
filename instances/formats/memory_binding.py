"""Where guest NUMA cells bind their memory, joined into what a whole VM can say.

A `Vm` has one memory mode and one set of memory nodes; libvirt's ``memnode`` and Proxmox's
``numaN`` bind each cell by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numaplace.instances.ranges import format_ids
from numaplace.models.vm import MemoryMode

_STRICTEST = (MemoryMode.STRICT, MemoryMode.PREFERRED, MemoryMode.INTERLEAVE)


@dataclass(frozen=True, slots=True)
class Binding:
    """Memory mode, and the nodes it speaks of (None: not said)."""

    mode: MemoryMode = MemoryMode.PREFERRED
    nodes: frozenset[int] | None = None


UNBOUND = Binding()
"""Memory near its vCPUs if it fits, else anywhere."""


def join_bindings(name: str, cells: Sequence[Binding | None], notes: list[str]) -> Binding:
    """Return one binding for the VM `name` whose cells are bound as given (None: unbound).

    All nodes together, in the strictest mode; if some cells are bound and others are not, none
    is kept. Whatever is lost is noted.
    """
    bound = [cell for cell in cells if cell is not None]
    if not bound:
        return UNBOUND
    if len(bound) < len(cells):
        notes.append(
            f"VM {name!r}: only {len(bound)} of its {len(cells)} guest NUMA cells bind their "
            "memory to host nodes; left out, as this cannot be said for single cells"
        )
        return UNBOUND
    if len(set(bound)) == 1:
        return bound[0]
    mode = min((cell.mode for cell in bound), key=_STRICTEST.index)
    nodes: frozenset[int] | None = None
    if all(cell.nodes is not None for cell in bound):
        nodes = frozenset[int]().union(*(cell.nodes or frozenset() for cell in bound))
    shown = "any node" if nodes is None else f"nodes {format_ids(nodes)}"
    notes.append(
        f"VM {name!r}: its guest NUMA cells bind their memory differently; taken together as mode "
        f"{mode} on {shown}"
    )
    return Binding(mode, nodes)
