"""Every malformed file there is ends with one clear line and exit code 2, and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from numaplace.instances.formats.registry import HOST_FORMATS, VM_FORMATS
from numaplace.tests.cli.conftest import Run

DATA = Path(__file__).parents[1] / "data"
MALFORMED = DATA / "malformed"
HOST = DATA / "hosts" / "hwloc-v2.xml"
DOCUMENTS = ("json", "yaml")
FOLDERS = sorted(path.name for path in MALFORMED.iterdir())


def _commands(folder: str, file: Path, out: Path) -> list[list[object]]:
    """Return every way to hand a file of that kind to the command line."""
    outs = ["--out", out]
    if folder in DOCUMENTS:
        solve = ["solve", file, "--solver", "greedy", *outs]
        return [solve, ["show", file], ["import", "--host", f"numaplace:{file}"]]
    if folder == "plan":
        solve = ["solve", "talk-2", "--solver", "greedy", "--hint", file, *outs]
        return [["check", "talk-2", file], ["show", "talk-2", file], solve]
    name = folder.replace("_", "-")
    if name in HOST_FORMATS:
        return [["import", "--host", f"{name}:{file}", *outs]]
    return [["import", "--host", HOST, "--vms", f"{name}:{file}", *outs]]


def test_each_folder_is_named_after_a_format() -> None:
    """The walk below leaves no folder out."""
    formats = {name.replace("-", "_") for name in (*HOST_FORMATS, *VM_FORMATS)}
    assert set(FOLDERS) <= formats | {*DOCUMENTS, "plan"}
    assert len(FOLDERS) >= 14


@pytest.mark.parametrize("folder", FOLDERS)
def test_malformed_files_are_refused(folder: str, run: Run, tmp_path: Path) -> None:
    """Exit code 2, one line that names the file, no traceback, nothing on stdout, no file."""
    expected = json.loads((MALFORMED / folder / "expected.json").read_text(encoding="utf-8"))
    assert expected
    for name, words in expected.items():
        for command in _commands(folder, MALFORMED / folder / name, tmp_path / "out.json"):
            result = run(*command)
            line = result.stderr
            assert (name, result.exit_code) == (name, 2), (command, line)
            assert line.startswith("numaplace: error: ") and line.count("\n") == 1, (command, line)
            assert "Traceback" not in line
            assert [word for word in words if word not in line] == [], (command, line)
            assert result.stdout == ""
            assert list(tmp_path.iterdir()) == []
