"""The command line, run within the process of the tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from numaplace.cli import app
from numaplace.report.tables.documents import published_schema

Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command line in an empty folder, 80 columns wide; its result has both streams."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)

    def run_in_process(*args: object, stdin: str | None = None) -> Any:
        result = CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        if "--json" in args and result.stdout.startswith(("{", "[")):
            keeps_its_schema(str(args[0]), json.loads(result.stdout))
        return result

    return run_in_process


def keeps_its_schema(command: str, printed: Any) -> None:
    """Assert that what a command printed is what the published schema of its format says."""
    if command != "schema":
        name = printed["format"] if isinstance(printed, dict) else command
        validator(name.removeprefix("numaplace-").partition("/")[0]).validate(printed)


@cache
def validator(name: str) -> Any:
    """Return what validates documents of a format."""
    return jsonschema.Draft202012Validator(published_schema(name))


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    """A file of a host with two nodes of 4 pCPUs and 8 GiB, and three VMs that fit."""
    path = tmp_path / "small.json"
    path.write_text(json.dumps(document()), encoding="utf-8")
    return path


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A file whose VM, wanted to be placed, is larger than the host."""
    path = tmp_path / "crowded.json"
    vms = [{"name": "giant", "vcpus": 64, "memory_mib": 1024}]
    path.write_text(json.dumps({**document(), "vms": vms}), encoding="utf-8")
    return path


def document() -> dict[str, Any]:
    """Return a small instance as a document."""
    nodes = [{"id": n, "cores": 4, "threads_per_core": 1, "memory_mib": 8192} for n in (0, 1)]
    return {
        "format": "numaplace-instance/1",
        "name": "small",
        "hosts": [{"name": "rack", "nodes": nodes}],
        "vms": [{"name": f"vm{n}", "vcpus": 2, "memory_mib": 4096} for n in (1, 2, 3)],
    }
