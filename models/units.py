"""Units and the one place where costs are rounded.

Every cost is an integer number of *micro-vCPU*: a millionth of the work one vCPU does when it
runs alone with all its memory local. Solvers, verifier and reports all read the integers that
`to_micro` makes, so that they agree to the last digit.
"""

from __future__ import annotations

from enum import StrEnum

MICRO = 1_000_000
"""Micro-vCPU in one vCPU."""

MILLI = 1_000
"""Milli-vCPU in one vCPU; loads are counted in them."""

SLIT_LOCAL = 10
"""The distance of a NUMA node to itself in an ACPI SLIT."""


class PageSize(StrEnum):
    """Size of the pages that back a VM's memory; each size is a pool of its own on a node."""

    SMALL = "4K"
    HUGE_2M = "2M"
    HUGE_1G = "1G"

    @property
    def mib(self) -> int:
        """Granularity in MiB; the 4 KiB pool is counted in whole MiB."""
        return _PAGE_MIB[self]


_PAGE_MIB = {PageSize.SMALL: 1, PageSize.HUGE_2M: 2, PageSize.HUGE_1G: 1024}


def to_micro(vcpus: float) -> int:
    """Round a loss in vCPUs to micro-vCPU (half to even); the only rounding of a loss."""
    return round(vcpus * MICRO)


def to_milli(vcpus: float) -> int:
    """Round a load or a value in vCPUs to milli-vCPU (half to even)."""
    return round(vcpus * MILLI)


def ceil_div(numerator: int, denominator: int) -> int:
    """Divide integers, rounding up; `denominator` is positive."""
    return -(-numerator // denominator)
