"""Units and the one place where costs are rounded.

Every cost is an integer number of *micro-vCPU*: a millionth of the work one vCPU does when it
runs alone with all its memory local. Solvers, verifier and reports all read the integers that
`to_micro` makes, so that they agree to the last digit.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Reals = npt.NDArray[np.float64]

MICRO = 1_000_000  # micro-vCPU in one vCPU
HALVES = 2 * MICRO
"""Halves of a micro-vCPU in one vCPU: programs of fleets count in vCPUs, losses in these."""

LEAST_VCPUS = 1 / MICRO  # a smaller loss cannot be counted
MILLI = 1_000  # milli-vCPU in one vCPU; loads are counted in them
SLIT_LOCAL = 10  # the distance of a NUMA node to itself in an ACPI SLIT


class PageSize(StrEnum):
    """Size of the pages that back a VM's memory; each size is a pool of its own on a node."""

    SMALL = "4K"
    HUGE_2M = "2M"
    HUGE_1G = "1G"

    @property
    def mib(self) -> int:
        """Granularity in MiB; the 4 KiB pool is counted in whole MiB."""
        return _PAGE_MIB[self]


_NUMBERS = (int, float)
_PAGE_MIB = {PageSize.SMALL: 1, PageSize.HUGE_2M: 2, PageSize.HUGE_1G: 1024}


@overload
def to_micro(vcpus: float) -> int: ...
@overload
def to_micro(vcpus: Reals) -> Ints: ...
def to_micro(vcpus: float | Reals) -> int | Ints:
    """Round losses in vCPUs to micro-vCPU (half to even); the only rounding of a loss."""
    return _rounded(vcpus * MICRO)


def _rounded(amount: float | Reals) -> int | Ints:
    return round(amount) if isinstance(amount, _NUMBERS) else amount.round().astype("int64")


def to_vcpus(micro: float) -> float:
    """Return a loss in micro-vCPU in vCPUs, for people."""
    return micro / MICRO


@overload
def to_milli(vcpus: float) -> int: ...
@overload
def to_milli(vcpus: Reals) -> Ints: ...
def to_milli(vcpus: float | Reals) -> int | Ints:
    """Round a load or a value in vCPUs to milli-vCPU (half to even)."""
    return _rounded(vcpus * MILLI)


@overload
def ceil_div(numerator: int, denominator: int) -> int: ...
@overload
def ceil_div(numerator: Ints, denominator: int | Ints) -> Ints: ...
def ceil_div(numerator: int | Ints, denominator: int | Ints) -> int | Ints:
    """Divide integers, rounding up; `denominator` is positive."""
    return -(-numerator // denominator)
