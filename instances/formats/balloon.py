"""Memory in whole pages, and the least a VM may be ballooned to, as its other settings allow."""

from __future__ import annotations

from collections.abc import Sequence

from numaplace.models.units import PageSize, ceil_div
from numaplace.models.vm import MemoryMode


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
