"""Help, version, completion and the guided tour."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from numaplace import __version__
from numaplace.cli import app
from numaplace.commands.manual import COMMANDS
from numaplace.instances.catalog import list_catalog
from numaplace.instances.formats.registry import HOST_FORMATS, VM_FORMATS
from numaplace.solver.names import SOLVER_NAMES
from numaplace.tests.cli.conftest import Run
from numaplace.tests.test_layering import ROOT

COMMANDS_MAX, OPTIONS_MAX = 22, 15


def _loaded() -> dict[str, Any]:
    """Commands by name, with their modules imported."""
    for line in COMMANDS.values():
        import_module(f"numaplace.commands.{line.module}")
    return dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_is_a_manual(run: Run, arguments: list[str]) -> None:
    """Commands in groups, examples and exit codes, within 80 columns."""
    result = run(*arguments)
    assert result.exit_code == 0
    words = ("Plans", "Instances", "Examples", "Exit codes", "infeasible", *COMMANDS)
    assert [word for word in words if word not in result.stdout] == []
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(run: Run, command: str) -> None:
    """Every command explains itself, and no option goes without a word."""
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Usage: numaplace {command}" in result.stdout or f"{command} [OPTIONS]" in result.stdout


def test_the_list_of_commands_is_true() -> None:
    """What the help says without loading a command is what the command says."""
    loaded = _loaded()
    assert {command.callback.__module__ for command in loaded.values()} == {
        f"numaplace.commands.{path.stem}"
        for path in (ROOT / "commands").glob("*.py")
        if "@app.command" in path.read_text(encoding="utf-8")
    }
    assert len(app.registered_commands) == len(COMMANDS)
    for name, command in loaded.items():
        line = COMMANDS[name]
        assert command.callback.__module__ == f"numaplace.commands.{line.module}"
        assert " ".join(command.help.partition("\n\n")[0].split()) == line.text


def test_ceilings() -> None:
    """A command line that a person can keep in mind."""
    loaded = _loaded()
    assert len(loaded) <= COMMANDS_MAX
    options = {
        name: [param.name for param in command.params if param.param_type_name == "option"]
        for name, command in loaded.items()
    }
    assert {name: len(names) for name, names in options.items() if len(names) > OPTIONS_MAX} == {}


def test_help_of_import_lists_the_formats(run: Run) -> None:
    """Every format can be found without a look at the source; no default reads like code."""
    text = run("import", "--help").stdout
    listed = set(text.replace(",", " ").replace(".", " ").split())
    assert {*HOST_FORMATS, *VM_FORMATS} <= listed
    assert "<class" not in text


def test_version(run: Run) -> None:
    """--version tells the version of the package."""
    assert run("--version").stdout == f"numaplace {__version__}\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("numaplace solve talk-1", ["talk-10"]),
        ("numaplace solve x --solver first", ["first_fit"]),
        ("numaplace compare x --solvers greedy,cp", ["greedy,cpsat"]),
        ("numaplace generate 8n-3", ["8n-30vm"]),
        ("numaplace replay t --policies nova,greedy_r", ["nova,greedy_room"]),
        ("numaplace apply x y --format com", ["commands-xl", "commands-virsh"]),
        ("numaplace schema pl", ["plan"]),
        ("numaplace catalog cx", ["cxl"]),
    ],
)
def test_completion(
    run: Run, monkeypatch: pytest.MonkeyPatch, line: str, expected: list[str]
) -> None:
    """The shell completes names of instances, solvers, presets and formats."""
    words = line.split()
    monkeypatch.setenv("_NUMAPLACE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    from typer.testing import CliRunner

    result = CliRunner().invoke(app, [], prog_name="numaplace")
    assert result.stdout.split() == expected


def test_completion_offers_files_and_all_names(run: Run, instance: Path) -> None:
    """Instances are completed from the catalogue and from the folder."""
    from numaplace.instances.lookup import complete_instance

    names = [entry.name for entry in list_catalog()]
    assert complete_instance("")[: len(names)] == names
    assert complete_instance("sma") == ["small-fleet", "small.json"]
    assert "cpsat" in SOLVER_NAMES


@pytest.mark.slow
def test_demo_runs_twice(run: Run, tmp_path: Path) -> None:
    """The tour writes plans and pictures, says where, and may be taken again."""
    first = run("demo", "--time", 5)
    assert first.exit_code == 0
    files = {path.name for path in (tmp_path / "demo-out").iterdir()}
    assert {"talk-10-plan.png", "talk-10-plan.svg", "talk-10-plan.json"} <= files
    assert {"comparison.png", "comparison.svg"} <= files
    assert all(str(Path("demo-out") / name) in first.stdout for name in files)
    again = run("demo", "--time", 5, "--json")
    rows = json.loads(again.stdout)["rows"]
    assert again.exit_code == 0
    assert {row["solver"] for row in rows} >= {"greedy", "cpsat"}


def test_demo_needs_a_folder(run: Run, instance: Path) -> None:
    """A file in place of the folder is refused."""
    result = run("demo", "--out", instance)
    assert result.exit_code == 2
    assert f"{instance}: folder: cannot be made" in result.stderr
