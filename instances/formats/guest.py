"""What configurations of VMs have in common: vCPUs of guest cells, whole pages, ballooning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from numaplace.instances.formats.memory_binding import UNBOUND, Binding
from numaplace.models.errors import InputError
from numaplace.models.units import PageSize, ceil_div
from numaplace.models.vm import Cell, DeviceRequest, GuestNuma, MemoryMode, Vm


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
    parts = whole_pages(name, [cell.memory_mib for cell in cells] or [memory_mib], pages, notes)
    cells = tuple(replace(c, memory_mib=mib) for c, mib in zip(cells, parts, strict=False))
    memory_mib = sum(parts)
    return Vm(
        name,
        vcpus,
        memory_mib,
        memory_min_mib=balloon_floor(name, memory_mib, least_mib, pages, binding.mode, notes),
        page_size=pages,
        memory_mode=binding.mode,
        memory_nodes=binding.nodes,
        guest_numa=GuestNuma.EXPLICIT if cells else GuestNuma.NONE,
        cells=cells,
        devices=devices,
    )


def note_plugged(name: str, now: int, vcpus: int, notes: list[str]) -> None:
    """Remark on a VM that starts with fewer vCPUs than it may get."""
    if now < vcpus:
        notes.append(f"VM {name!r}: starts with {now} vCPUs and may get {vcpus}; all count")


def missing_vcpus(
    cells: Sequence[frozenset[int]], vcpus: int, owner: str, error: Callable[[int, str], InputError]
) -> frozenset[int]:
    """Return the vCPUs that no guest cell names.

    Raises
    ------
    InputError
        What `error` makes of a cell's number and the reason, if a vCPU is in two cells, or is not
        among those that the `owner` is said to have.
    """
    seen: set[int] = set()
    for number, own in enumerate(cells):
        if own & seen:
            raise error(number, f"vCPU {min(own & seen)} is in another cell too")
        if max(own, default=0) >= vcpus:
            raise error(number, f"vCPU {max(own)} does not exist, {owner} {vcpus}")
        seen |= own
    return frozenset(range(vcpus)) - seen


def whole_pages(
    name: str, parts: Sequence[int], page_size: PageSize, notes: list[str]
) -> tuple[int, ...]:
    """Return amounts of memory in MiB rounded up to whole pages, with a note if that is more."""
    whole = tuple(ceil_div(mib, page_size.mib) * page_size.mib for mib in parts)
    if sum(whole) > sum(parts):
        notes.append(
            f"VM {name!r}: memory of {sum(parts)} MiB rounded up to {sum(whole)}, whole pages of "
            f"{page_size}"
        )
    return whole


def balloon_floor(
    name: str,
    memory_mib: int,
    least_mib: int | None,
    page_size: PageSize,
    mode: MemoryMode,
    notes: list[str],
) -> int | None:
    """Return `Vm.memory_min_mib` for a VM that its file lets shrink to `least_mib`.

    None if it keeps all its memory. Interleaved VMs keep it, too, and a floor is rounded up to
    whole huge pages; both are noted.
    """
    if least_mib is None or least_mib >= memory_mib:
        return None
    if mode is MemoryMode.INTERLEAVE:
        notes.append(
            f"VM {name!r}: is interleaved, so that ballooning to {least_mib} MiB is left out"
        )
        return None
    floor = ceil_div(least_mib, page_size.mib) * page_size.mib
    if floor != least_mib:
        notes.append(
            f"VM {name!r}: least memory of {least_mib} MiB rounded up to {floor}, whole pages of "
            f"{page_size}"
        )
    return floor if floor < memory_mib else None
