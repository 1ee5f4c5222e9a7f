"""The README's commands and examples are run as they stand."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from numaplace.instances.formats.document.io import read_instance
from numaplace.models.result import SolveStatus
from numaplace.solver.registry import solve

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DATA = ROOT / "tests" / "data"
# Files the five-minute tour takes as the reader's own.
OWN_FILES = {"host.xml": DATA / "hosts" / "hwloc-v2.xml", "web1.xml": DATA / "vms" / "database.xml"}


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def _commands() -> list[list[str]]:
    lines = [line[2:] for block in _blocks("console") for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("numaplace ")]


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "numaplace.cli", *command[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_python_example() -> None:
    """The example runs and finds what the text below it says."""
    (code,) = _blocks("python")
    names: dict[str, object] = {}
    exec(code, names)
    result = names["result"]
    assert result.status is SolveStatus.OPTIMAL
    assert result.cost.loss_micro == round(0.5 * (2.1 - 1) * 1e6)


def test_yaml_example(tmp_path: Path) -> None:
    """The instance written by hand is read and planned."""
    (text,) = _blocks("yaml")
    path = tmp_path / "rack.yaml"
    path.write_text(text, encoding="utf-8")
    result = solve(read_instance(path))
    assert result.status is SolveStatus.OPTIMAL
    assert len(result.plan) == 3


def test_commands(tmp_path: Path) -> None:
    """Every numaplace command of the tour succeeds, in order, in an empty folder."""
    for name, source in OWN_FILES.items():
        shutil.copyfile(source, tmp_path / name)
    (tmp_path / "more.csv").write_text("name,vcpus,memory_mib,count\napp,1,256,3\n", "utf-8")
    commands = _commands()
    assert [command[1] for command in commands] == [
        "catalog",
        "solve",
        "compare",
        "import",
        "solve",
        "check",
    ]
    for command in commands:
        if "--picture" in command:
            pytest.importorskip("matplotlib", reason="the tour draws a picture")
        done = _run(command, tmp_path)
        assert done.returncode == 0, f"{shlex.join(command)}: {done.stderr}"
        assert done.stdout
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")


def test_links() -> None:
    """Files the README points to exist."""
    targets = re.findall(r"\]\((docs/[^)#]+)\)", README)
    assert len(targets) >= 5
    assert [target for target in targets if not (ROOT / target).is_file()] == []
