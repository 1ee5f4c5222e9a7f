"""What a real Xen did, as rows of a table that is kept with the project."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from xen_trace import Measured, measure, records, seats

ROWS = Path(__file__).parent / "xen" / "schedule.csv"
LOADS = {"always": (0, 0), "sleeping": (20_000, 10_000)}
"""Microseconds that a guest's vCPU is busy and asleep in turn."""
VCPUS = 2
"""Of each guest."""
PLAIN = tuple(field.name for field in fields(Measured) if field.name not in ("dom0", "seats"))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of run, on the command line SCHEDULER/LOAD/AFFINITY/GUESTS."""

    scheduler: str
    load: str
    affinity: str
    guests: int

    @classmethod
    def read(cls, text: str) -> Kind:
        """Read a word of the command line."""
        scheduler, load, affinity, guests = text.split("/")
        return cls(scheduler, load, affinity, int(guests))

    def __str__(self) -> str:
        return f"{self.scheduler}/{self.load}/{self.affinity}/{self.guests}"


@dataclass(frozen=True, slots=True)
class Row:
    """What a real scheduler did in one run of a kind, on which Xen, with what turns of QEMU."""

    kind: Kind
    run: int
    xen: str
    turn_us: int
    measured: Measured


def read_run(kind: Kind, console: str, trace: bytes) -> Measured:
    """Sum up what a run left; guests are at home on the nodes in turn, as libxl places them."""
    sat = seats(console.split("== before")[1].split("== after")[0])
    domains = sorted({domain for domain, _ in sat})
    homes = {domain: number % 2 for number, domain in enumerate(domains)}
    return measure(records(trace), sat, homes, hard=kind.affinity == "hard")


def read_rows(path: Path) -> list[Row]:
    """Read rows; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [_row(line) for line in csv.DictReader(file)]


def _row(line: dict[str, str]) -> Row:
    kind = Kind(line["scheduler"], line["load"], line["affinity"], int(line["guests"]))
    cpus = [word.split("x") for word in line["dom0"].split()]
    dom0 = tuple((float(share), float(ms)) for share, ms in cpus)
    sat = tuple(map(int, line["seats"].split()))
    plain = {name: float(line[name]) for name in PLAIN}
    found = Measured(dom0=dom0, seats=sat, **plain)
    return Row(kind, int(line["run"]), line["xen"], int(line["turn_us"]), found)


def add_rows(path: Path, rows: Sequence[Row]) -> None:
    """Append rows; dom0 as SHARExBURST_MS of each of its vCPUs."""
    lines = [
        {**asdict(row.kind), "run": row.run, "xen": row.xen, "turn_us": row.turn_us}
        | {name: f"{getattr(row.measured, name):.4g}" for name in PLAIN}
        | {"seats": " ".join(map(str, row.measured.seats))}
        | {"dom0": " ".join(f"{share:.3g}x{ms:.3g}" for share, ms in row.measured.dom0)}
        for row in rows
    ]
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, lines[0], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(lines)
