"""What the Xen commit ebce2d836c (2012-12-18) publishes of the talk's host, row by row.

Two and six VMs of 2 vCPUs and 960 MiB at once, floating (``cpus="all"``) or pinned, before and
after that commit, which changed whom a waking vCPU wakes. Its rows of ten VMs are not here: they
are predicted, to be held against numbers by which nothing was chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class TalkProgram(StrEnum):
    """Programs that ran in the VMs."""

    SPECJBB = "SPECjbb2005"
    MEMORY = "sysbench memory"
    CPU = "sysbench cpu"


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """Throughput of one VM.

    Parameters
    ----------
    program, vms, pinned, changed
        What ran, how many at once, whether pinned, and whether with the commit.
    value, deviation
        Bops, sysbench's throughput, or runs a second (sysbench cpu is published in seconds); NaN
        for what is predicted only.
    """

    program: TalkProgram
    vms: int
    pinned: bool
    changed: bool
    value: float = float("nan")
    deviation: float = float("nan")

    @property
    def fitted(self) -> bool:
        """Whether parameters of its program are calibrated on it."""
        floating = self.vms == 2 and self.program is not TalkProgram.CPU
        return not self.changed and self.value == self.value and (self.pinned or floating)


_Table = dict[int, tuple[tuple[float, ...], ...]]
UNKNOWN = 0.01
"""Share of the value that counts as deviation where none is known: that of sysbench memory."""

# Floating before and after, pinned before and after: value, and deviation where it is known.
_SPECJBB: _Table = {
    2: ((43150.63, 1359.56), (43275.43, 606.28), (49591.06, 952.93), (49594.20, 799.58)),
    6: ((29274.29, 1024.40), (29716.19, 1290.19), (33538.25, 1089.21), (33671.76, 1077.68)),
}
_MEMORY: _Table = {
    2: ((485.563, 6.053), (487.832, 0.760), (550.977, 2.351), (550.870, 0.814)),
    6: ((401.363,), (409.968,), (443.150,), (454.011,)),
}
_CPU_S: _Table = {
    2: ((50.08,), (49.67,), (47.82,), (47.83,)),
    6: ((63.26,), (61.68,), (62.69,), (62.76,)),
}


def _rows(program: TalkProgram, table: _Table) -> Iterator[PublishedRow]:
    for vms, cells in table.items():
        for at, (value, *known) in enumerate(cells):
            value = 1.0 / value if program is TalkProgram.CPU else value
            deviation = known[0] if known else UNKNOWN * value
            yield PublishedRow(program, vms, at >= 2, bool(at % 2), value, deviation)


ROWS = (
    *_rows(TalkProgram.SPECJBB, _SPECJBB),
    *_rows(TalkProgram.MEMORY, _MEMORY),
    *_rows(TalkProgram.CPU, _CPU_S),
)


def row(program: TalkProgram, vms: int, *, pinned: bool, changed: bool = False) -> PublishedRow:
    """Return the row of one case; its value is NaN if it is not known."""
    case = (program, vms, pinned, changed)
    known = (r for r in ROWS if (r.program, r.vms, r.pinned, r.changed) == case)
    return next(known, PublishedRow(*case))
