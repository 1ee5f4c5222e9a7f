"""What commands load before they answer: not the time, which depends on the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from numaplace.tests.instances.formats.sysfs_tree import machine


def _loaded(*arguments: object) -> set[str]:
    command = [sys.executable, "-X", "importtime", "-m", "numaplace", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def _within(loaded: set[str], *packages: str) -> set[str]:
    return {name for name in loaded if f"{name}.".startswith(tuple(f"{p}." for p in packages))}


def test_help_loads_no_command() -> None:
    loaded = _loaded("--help")
    assert "numaplace.commands.manual" in loaded
    assert not _within(loaded, "numpy", "yaml", "numaplace.instances", "numaplace.models.instance")
    assert not _within(loaded, "numaplace.solver.registry", "numaplace.commands.plans", "joblib")


def test_numad_loads_no_other_reader_and_no_solver(tmp_path: Path) -> None:
    """Libvirt waits for it while it starts a domain."""
    for name, text in machine()[0].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "Node 0 MemFree: 2048 kB\n" * name.endswith("node0/meminfo"))
    loaded = _loaded("numad", "-w", "1:1", "--host", f"sysfs:{tmp_path}")
    assert "numaplace.instances.formats.linux.sysfs" in loaded
    assert not _within(loaded, "yaml", "rich", "ortools", "joblib", "numaplace.solver.registry")
    assert not _within(loaded, "numaplace.instances.formats.document", "numaplace.report.tables")
