"""`numaplace report`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from numaplace.tests.cli.conftest import Run


def test_report_without_a_plan_solves(run: Run, instance: Path, tmp_path: Path) -> None:
    """The file is written, JSON tells what is in it, the remark goes to standard error."""
    out = tmp_path / "r.html"
    done = run("report", instance, "--out", out, "--workers", 1, "--json")
    document = json.loads(done.stdout)
    assert (done.exit_code, document["result"]["status"], document["moves"]) == (0, "optimal", [])
    assert document["cost"]["before"] is None and document["cost"]["after"]["loss_micro"] == 0
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    again = run("report", instance, "--out", out, "--solver", "greedy", "--force")
    assert (again.exit_code, again.stdout) == (0, "")
    assert f"report written to {out}" in again.stderr
    quiet = run("report", instance, "--out", out, "--solver", "greedy", "--force", "--quiet")
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, "", "")


def test_report_of_two_plans(run: Run, instance: Path, tmp_path: Path) -> None:
    """PLAN is compared with --before, move by move."""
    paths = {name: tmp_path / f"{name}.json" for name in ("old", "new")}
    for path, node in zip(paths.values(), (0, 1), strict=True):
        cell = {"node": node, "vcpus": 2, "memory_mib": {str(node): 4096}}
        placements = {"vm1": {"host": "rack", "cells": [cell]}}
        path.write_text(json.dumps({"format": "numaplace-plan/1", "placements": placements}))
    out = tmp_path / "r.html"
    command = ("report", instance, paths["new"], "--before", paths["old"], "--out", out, "--json")
    document = json.loads(run(*command).stdout)
    (move,) = document["moves"]
    assert (move["vm"], move["change"], move["moved_mib"]) == ("vm1", "moves", 4096)
    assert (move["from"]["nodes"], move["to"]["nodes"]) == ([0], [1])
    assert document["result"] is None and document["violations"] == []
    assert "show-before" in out.read_text(encoding="utf-8")


def test_report_of_what_does_not_fit(run: Run, crowded: Path, tmp_path: Path) -> None:
    """Exit code 3, and the report says why."""
    out = tmp_path / "r.html"
    done = run("report", crowded, "--out", out, "--workers", 1)
    assert done.exit_code == 3
    assert "giant" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "r.txt"], "must end in one of .html"),
        (["--out", "no/r.html"], "folder does not exist"),
        (["--out", "r.html", "--before", "none.json"], "cannot be read"),
        (["--out", "r.html", "--solver", "magic"], "'magic' is unknown"),
        ([], "--out"),
    ],
)
def test_bad_input(run: Run, instance: Path, arguments: list[str], words: str) -> None:
    """One line, exit code 2, nothing written."""
    done = run("report", instance, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr and done.stderr.count("\n") == 1
    assert not Path("r.html").exists()
