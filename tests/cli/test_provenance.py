"""What a plan's file tells of how it came about, and what commands make of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from numaplace import __version__
from numaplace.instances.formats.document.io import read_instance, read_plan, read_told_plan
from numaplace.instances.formats.document.plain import instance_digest
from numaplace.tests.cli.conftest import Run, document

GIANT = {"name": "giant", "vcpus": 64, "memory_mib": 1024}


@pytest.fixture
def planned(run: Run, tmp_path: Path) -> dict[str, Any]:
    """The document of an optimal plan (plan.json) that leaves out a VM of a.json."""
    given = document()
    (tmp_path / "a.json").write_text(json.dumps({**given, "vms": [*given["vms"], GIANT]}), "utf-8")
    done = run("solve", "a.json", "--out", "plan.json", "--seed", 7, "--quiet")
    assert done.exit_code == 0
    found: dict[str, Any] = json.loads((tmp_path / "plan.json").read_text("utf-8"))
    return found


def _write(path: Path, plan: dict[str, Any], **changed: object) -> None:
    told = {**plan["provenance"], **changed}
    path.write_text(json.dumps({**plan, "provenance": told}), "utf-8")


def test_a_plan_tells_how_it_came_about(planned: dict[str, Any], tmp_path: Path) -> None:
    """Status, bounds, gaps, reasons, solver, version, seed, time and the instance's digest."""
    told = planned["provenance"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", told.pop("made_at"))
    assert told.pop("runtime_s") > 0
    assert "giant" in told["unplaced"] and told.pop("unplaced")["giant"]
    assert told == {
        "solver": "cpsat",
        "version": __version__,
        "seed": 7,
        "status": "optimal",
        "stages": [
            {"stage": "value", "objective": 6000, "bound": 6000, "gap": 0.0},
            {"stage": "loss", "objective": 0, "bound": 0, "gap": 0.0},
        ],
        "instance_sha256": instance_digest(read_instance(tmp_path / "a.json")),
    }


def test_commands_use_it(run: Run, planned: dict[str, Any], tmp_path: Path) -> None:
    """Report, show and check know how good the plan is and why a VM is not placed."""
    reason = planned["provenance"]["unplaced"]["giant"]
    for command in ("check", "show"):
        done = run(command, "a.json", "plan.json")
        said = " ".join(done.stdout.split())
        assert f"made by cpsat (numaplace {__version__}, seed 7) at 20" in said
        assert "proven optimal" in said and not done.stderr
        plain = json.loads(run(command, "a.json", "plan.json", "--json").stdout)
        assert plain["proof_holds"] is True and plain["provenance"]["status"] == "optimal"
    assert reason[:30] in run("show", "a.json", "plan.json").stdout
    assert run("report", "a.json", "plan.json", "--out", "r.html").exit_code == 0
    page = (tmp_path / "r.html").read_text("utf-8")
    assert "Proven: no plan is better." in page and reason[:30] in page
    assert "not told" not in page


def test_it_says_if_the_instance_has_changed(
    run: Run, planned: dict[str, Any], tmp_path: Path
) -> None:
    """Then nothing is claimed; another name or place of the file is no change."""
    text = (tmp_path / "a.json").read_text("utf-8")
    (tmp_path / "renamed.json").write_text(text.replace('"small"', '"large"'), "utf-8")
    assert run("check", "renamed.json", "plan.json").stderr == ""
    (tmp_path / "other.json").write_text(text.replace("1024", "1025"), "utf-8")
    told = "plan.json: the instance has changed since the plan was made by cpsat at 20"
    for command in ("check", "show"):
        done = run(command, "other.json", "plan.json")
        assert (done.exit_code, told in done.stderr) == (0, True)
        assert "optimal" not in done.stdout
    done = run("report", "other.json", "plan.json", "--out", "r.html")
    assert told in done.stderr
    assert "it is not known how good it is" in (tmp_path / "r.html").read_text("utf-8")


def test_it_says_if_the_plan_was_changed(run: Run, planned: dict[str, Any], tmp_path: Path) -> None:
    """A plan edited by hand is not the one that something is proven of."""
    del planned["placements"]["vm3"]
    _write(tmp_path / "plan.json", planned)
    done = run("check", "a.json", "plan.json")
    assert done.exit_code == 0 and "optimal" not in done.stdout
    assert "the plan is not the one that was made by cpsat" in done.stderr


def test_old_plans_are_read(run: Run, planned: dict[str, Any], tmp_path: Path) -> None:
    """Files without it say as much as they did."""
    del planned["provenance"]
    (tmp_path / "old.json").write_text(json.dumps(planned), "utf-8")
    done = run("check", "a.json", "old.json")
    assert (done.exit_code, done.stderr) == (0, "") and "made by" not in done.stdout
    assert read_plan(tmp_path / "old.json") == read_plan(tmp_path / "plan.json")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"colour": "red"}, "provenance.colour: is no field known here"),
        ({"status": "infeasible"}, "status: must be 'optimal' or 'feasible'"),
        ({"instance_sha256": "abc"}, "instance_sha256: must be 64 digits"),
        ({"made_at": "yesterday"}, "made_at: must be like 2026-"),
        ({"seed": -1}, "seed: -1 is below 0"),
        (
            {"stages": [{"stage": "loss", "objective": 2, "bound": 1}]},
            "status: is optimal, but a stage is not proven",
        ),
    ],
)
def test_faults_of_it_are_told(
    run: Run, planned: dict[str, Any], tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    """As those of the plan itself: file, line, element, reason; exit code 2."""
    _write(tmp_path / "plan.json", planned, **changed)
    done = run("check", "a.json", "plan.json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("numaplace: error: plan.json:") and words in done.stderr


@pytest.mark.parametrize(
    ("line", "within"),
    [
        ("solve run.json", ""),
        ("solve run.json --all", "every VM is placed"),
        ("balloon run.json", ""),
        ("rebalance run.json", "VMs that run stay placed"),
        (
            "rebalance run.json --budget-mib 64 --budget-moves 1",
            "VMs that run stay placed, copies are at most 64 MiB, moves are at most 1",
        ),
        ("room run.json vm3", "room is made for 'vm3' by the cheapest moves"),
    ],
)
@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_every_plan_that_is_written_carries_it(
    run: Run, planned: dict[str, Any], tmp_path: Path, line: str, within: str, suffix: str
) -> None:
    """With what the proof holds within; JSON on standard output holds the same plan."""
    running = {name: planned["placements"][name] for name in ("vm1", "vm2")}
    current = {"current": {"placements": running}}
    (tmp_path / "run.json").write_text(json.dumps({**document(), **current}), "utf-8")
    done = run(*line.split(), "--json", "--out", f"new.{suffix}")
    assert done.exit_code == 0
    plan, told = read_told_plan(tmp_path / f"new.{suffix}")
    assert told is not None and told.within == within
    assert told.instance_sha256 == instance_digest(read_instance(tmp_path / "run.json"))
    printed = json.loads(done.stdout)["plan"]
    assert printed["provenance"].get("within", "") == within
    assert set(printed["placements"]) == set(plan.placements)
    shown = run("check", "run.json", f"new.{suffix}")
    assert (shown.exit_code, shown.stderr) == (0, "")
    said = " ".join(shown.stdout.split())
    assert f"proven optimal, where {within}" in said if within else "proven optimal" in said


def test_a_plan_pasted_as_current_brings_it_along(
    run: Run, planned: dict[str, Any], tmp_path: Path
) -> None:
    """`current` may hold what a plan's file holds beside the placements."""
    del planned["format"]
    given = {**document(), "current": planned}
    given["current"]["placements"].pop("vm3")
    (tmp_path / "b.json").write_text(json.dumps(given), "utf-8")
    assert run("show", "b.json").exit_code == 0
