"""What a real Xen did, as rows of a table that is kept with the project."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from xen_trace import Measured

ROWS = Path(__file__).parent / "xen" / "schedule.csv"
LOADS = {"always": (0, 0), "sleeping": (20_000, 10_000)}
"""Microseconds that a guest's vCPU is busy and asleep in turn."""
VCPUS = 2
"""Of each guest."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What ran: load and affinity of the guests, how many, and the number of the run."""

    load: str
    affinity: str
    guests: int
    run: int


@dataclass(frozen=True, slots=True)
class Row:
    """What a real scheduler did: a scene, on which Xen, and what its trace says."""

    scheduler: str
    scene: Scene
    xen: str
    measured: Measured

    @property
    def what(self) -> str:
        """Kind of run, as on the command line."""
        return f"{self.scheduler}/{self.scene.load}/{self.scene.affinity}/{self.scene.guests}"


def read_rows(path: Path) -> list[Row]:
    """Read rows; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [_row(line) for line in csv.DictReader(file)]


def _row(line: dict[str, str]) -> Row:
    found = Measured(**{field.name: float(line[field.name]) for field in fields(Measured)})
    scene = Scene(line["load"], line["affinity"], int(line["guests"]), int(line["run"]))
    return Row(line["scheduler"], scene, line["xen"], found)


def add_rows(path: Path, rows: Sequence[Row]) -> None:
    """Append rows."""
    lines = [
        {"scheduler": row.scheduler, **asdict(row.scene), "xen": row.xen}
        | {key: f"{value:.4g}" for key, value in asdict(row.measured).items()}
        for row in rows
    ]
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, lines[0], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(lines)
