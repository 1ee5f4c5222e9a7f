"""What a Xen domain takes beside its memory."""

from __future__ import annotations

from numaplace.models.units import ceil_div


def domain_mib(vcpus: int, memory_mib: int) -> int:
    """Return the free memory that libxl wants of nodes for a domain, in MiB.

    Its memory, 1 MiB for each vCPU, 4 KiB for each MiB (what pages are tracked with) and 1 MiB, all
    in steps of 2 MiB: `libxl__get_required_paging_memory`, `libxl__domain_need_memory_calculate`
    (tools/libs/light, release 4.17). HVM guests want 1 MiB more, and those with shadow paging
    4 KiB more for each MiB.
    """
    return 2 * ceil_div(256 * (memory_mib + vcpus + 1) + memory_mib, 512)
