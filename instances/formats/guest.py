"""What configurations of VMs have in common: guest cells, whole pages, ballooning, bindings, pins.

A `Vm` has one memory mode and one set of memory nodes; libvirt's ``memnode`` and Proxmox's
``numaN`` bind each cell by itself. Hypervisors pin to pCPUs; a `Vm` knows nodes: a set of pCPUs
becomes the set of nodes they lie on, for which the host must be known.

Remarks here and in the readers are about the one VM; who reads its file puts its name in front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numaplace.instances.ranges import format_ids, parse_ids
from numaplace.instances.reading import shown
from numaplace.models.errors import InputError
from numaplace.models.topology import Host
from numaplace.models.units import PageSize, ceil_div
from numaplace.models.vm import Cell, DeviceRequest, GuestNuma, MemoryMode, Vm

PAGE_KIB = {PageSize.SMALL: 4, PageSize.HUGE_2M: 2048, PageSize.HUGE_1G: 1048576}
_SHOWN_MAX = 4
_STRICTEST = (MemoryMode.STRICT, MemoryMode.PREFERRED, MemoryMode.INTERLEAVE)


@dataclass(frozen=True, slots=True)
class Binding:
    """Memory mode, and the nodes it speaks of (None: not said)."""

    mode: MemoryMode = MemoryMode.PREFERRED
    nodes: frozenset[int] | None = None


UNBOUND = Binding()
"""Memory near its vCPUs if it fits, else anywhere."""


def guest_vm(
    name: str,
    vcpus: int,
    memory_mib: int,
    cells: Sequence[Cell],
    notes: list[str],
    *,
    least_mib: int | None = None,
    pages: PageSize = PageSize.SMALL,
    binding: Binding = UNBOUND,
    devices: tuple[DeviceRequest, ...] = (),
) -> Vm:
    """Return a VM of whole pages, which its file lets shrink to `least_mib` (None: not at all)."""
    parts = whole_pages([cell.memory_mib for cell in cells] or [memory_mib], pages, notes)
    cells = tuple(replace(c, memory_mib=mib) for c, mib in zip(cells, parts, strict=False))
    memory_mib = sum(parts)
    return Vm(
        name,
        vcpus,
        memory_mib,
        memory_min_mib=balloon_floor(memory_mib, least_mib, pages, binding.mode, notes),
        page_size=pages,
        memory_mode=binding.mode,
        memory_nodes=binding.nodes,
        guest_numa=GuestNuma.EXPLICIT if cells else GuestNuma.NONE,
        cells=cells,
        devices=devices,
    )


def note_plugged(now: int, vcpus: int, notes: list[str]) -> None:
    """Remark on a VM that starts with fewer vCPUs than it may get."""
    if now < vcpus:
        notes.append(f"starts with {now} vCPUs and may get {vcpus}; all count")


def missing_vcpus(
    cells: Sequence[frozenset[int]], vcpus: int, owner: str, error: Callable[[int, str], InputError]
) -> frozenset[int]:
    """Return the vCPUs that no guest cell names.

    Raises what `error` makes of a cell's number and the reason, if a vCPU is in two cells, or is
    not among those that the `owner` is said to have.
    """
    seen: set[int] = set()
    for number, own in enumerate(cells):
        if own & seen:
            raise error(number, f"vCPU {min(own & seen)} is in another cell too")
        if max(own, default=0) >= vcpus:
            raise error(number, f"vCPU {max(own)} does not exist, {owner} {vcpus}")
        seen |= own
    return frozenset(range(vcpus)) - seen


def whole_pages(parts: Sequence[int], page_size: PageSize, notes: list[str]) -> tuple[int, ...]:
    """Return amounts of memory in MiB rounded up to whole pages, with a note if that is more."""
    whole = tuple(ceil_div(mib, page_size.mib) * page_size.mib for mib in parts)
    if sum(whole) > sum(parts):
        told = f"{sum(parts)} MiB rounded up to {sum(whole)}, whole pages of {page_size}"
        notes.append(f"memory of {told}")
    return whole


def balloon_floor(
    memory_mib: int, least_mib: int | None, page_size: PageSize, mode: MemoryMode, notes: list[str]
) -> int | None:
    """Return `Vm.memory_min_mib` for a VM that its file lets shrink to `least_mib`.

    None if it keeps all its memory. Interleaved VMs keep it, too, and a floor is rounded up to
    whole huge pages; both are noted.
    """
    if least_mib is None or least_mib >= memory_mib:
        return None
    if mode is MemoryMode.INTERLEAVE:
        notes.append(f"is interleaved, so that ballooning to {least_mib} MiB is left out")
        return None
    floor = ceil_div(least_mib, page_size.mib) * page_size.mib
    if floor != least_mib:
        told = f"{least_mib} MiB rounded up to {floor}, whole pages of {page_size}"
        notes.append(f"least memory of {told}")
    return floor if floor < memory_mib else None


def join_bindings(cells: Sequence[Binding | None], notes: list[str]) -> Binding:
    """Return one binding for a VM whose cells are bound as given (None: unbound).

    All nodes together, in the strictest mode; if some cells are bound and others are not, none
    is kept. Whatever is lost is noted.
    """
    bound = [cell for cell in cells if cell is not None]
    if not bound:
        return UNBOUND
    if len(bound) < len(cells):
        notes.append(
            f"only {len(bound)} of its {len(cells)} guest NUMA cells bind their "
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
        f"its guest NUMA cells bind their memory differently; taken together as mode {mode} on "
        f"{shown}"
    )
    return Binding(mode, nodes)


def resolve_pins(
    vm: Vm,
    pcpus: frozenset[int] | None,
    host: Host | None,
    notes: list[str],
    field: str = "hard_nodes",
) -> Vm:
    """Return `vm` with pCPUs that its vCPUs must (or should) run on as the nodes of `field`.

    A set that covers every node of the host wholly restricts nothing and becomes None. Without a
    host the pins are left out, for its caller to tell; None is any pCPU. `InputError` if `host` has
    none of the pCPUs.
    """
    if pcpus is None or host is None:
        return vm
    has = {node.id: frozenset(pcpu.id for pcpu in node.pcpus) for node in host.nodes if node.pcpus}
    nodes = frozenset(node for node, own in has.items() if own & pcpus)
    if not nodes:
        reason = f"host {host.name!r} has none of the pCPUs {format_ids(pcpus)}"
        raise InputError(f"VM {vm.name!r}", field, reason)
    missing = pcpus - frozenset[int]().union(*has.values())
    if missing:
        notes.append(f"pCPUs {format_ids(missing)} it is pinned to are not on host {host.name!r}")
    partly = frozenset(node for node in nodes if not has[node] <= pcpus)
    if partly:
        told = f"are only a part of node(s) {format_ids(partly)}; whole nodes were taken"
        notes.append(f"its pCPUs {format_ids(pcpus)} {told}")
    given: dict[str, Any] = {field: None if nodes == has.keys() and not partly else nodes}
    return replace(vm, **given)


def changed_pins(was: Iterable[tuple[str, str | None, str]]) -> tuple[str, ...]:
    """Return a remark on what of a source was pinned by hand and is something else now.

    `was` is what is pinned, the text the source has for it (None: nothing), and the new one.
    """
    changes = [f"{what} from {a} to {b}" for what, a, b in was if a and not _same(a, b)]
    return (f"pinned by hand, changed: {shown(changes, _SHOWN_MAX)}",) if changes else ()


def _same(old: str, new: str) -> bool:
    """Whether two texts mean the same: lists of ids, or words."""
    if old == new:
        return True
    try:
        old_ids, new_ids = (parse_ids(text, thing="pins", field="") for text in (old, new))
    except InputError:
        return False
    return old_ids == new_ids
