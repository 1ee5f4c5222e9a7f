"""`numaplace rebalance`: what it prints, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from numaplace.instances.catalog import load_catalog
from numaplace.instances.formats.document.io import instance_to_dict, read_plan
from numaplace.models.verify import violations
from numaplace.tests.cli.conftest import Run


def test_json_is_all_of_standard_output(run: Run) -> None:
    """Budget, losses, what is moved, every step in order, and the plan."""
    result = run("rebalance", "re-planning", "--budget-mib", 3000, "--json", "--workers", 1)
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["status"] == "optimal"
    assert document["budget"] == {"mib": 3000, "moves": None, "seconds": None}
    assert 0 < document["moved_mib"] <= 3000
    assert document["moved_mib"] == sum(step["moved_mib"] for step in document["steps"])
    losses = document["lasting_loss_micro"]
    assert losses["after"] < losses["before"]
    assert set(document["plan"]["placements"]) == {"db", "web", "batch1", "batch2"}
    assert document["curve"] == []


def test_tables_tell_the_order(run: Run) -> None:
    """Verdict, effort and the moves, within 80 columns."""
    result = run("rebalance", "re-planning", "--workers", 1)
    assert result.exit_code == 0
    for word in ("optimal", "2 moves, 6 GiB copied", "web", "db", "batch2", "start", "in order"):
        assert word in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert result.stderr == ""


def test_plan_and_curve_are_written(run: Run, tmp_path: Path) -> None:
    """The plan obeys every rule; the curve is a PNG, and its table is shown."""
    out, curve = tmp_path / "plan.yaml", tmp_path / "curve.png"
    options = ("--time", 3, "--workers", 1, "--out", out, "--curve", curve)
    result = run("rebalance", "re-planning", *options)
    assert result.exit_code == 0
    assert violations(load_catalog("re-planning"), read_plan(out)) == []
    assert curve.read_bytes().startswith(b"\x89PNG\r\n")
    assert "Trade-off" in result.stdout
    again = run("rebalance", "re-planning", *options)
    assert (again.exit_code, again.stdout) == (2, "")


def test_nothing_pays_back_in_a_second(run: Run) -> None:
    """A short horizon leaves memory where it is."""
    options = ("--pays-back", "0.02", "--budget-moves", 0, "--json", "--workers", 1)
    document = json.loads(run("rebalance", "re-planning", *options).stdout)
    assert document["horizon_s"] == pytest.approx(1.2)
    assert document["moved_mib"] == document["moves"] == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("talk-2",), "current: is missing"),
        (("re-planning", "--budget-mib", -1), "budget: mib: is negative (-1)"),
        (("re-planning", "--budget-seconds", "nan"), "budget: seconds: must be finite"),
        (("re-planning", "--pays-back", 0), "--pays-back: 0.0 is outside"),
        (("re-planning", "--curve", "curve.txt"), "picture's name ends in"),
    ],
)
def test_bad_input_is_one_line(run: Run, arguments: tuple[object, ...], complaint: str) -> None:
    """Exit code 2, nothing on standard output."""
    result = run("rebalance", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_quiet_prints_nothing(run: Run) -> None:
    """--quiet leaves only the exit code."""
    result = run("rebalance", "re-planning", "--quiet", "--workers", 1)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_where_vms_are_now_comes_from_a_plan(run: Run, tmp_path: Path) -> None:
    """From its file, or pasted as it was written under `current`: then nothing is to be moved."""
    out, pasted = tmp_path / "plan.json", tmp_path / "pasted.json"
    assert run("rebalance", "re-planning", "--workers", 1, "--out", out).exit_code == 0
    instance = instance_to_dict(load_catalog("re-planning"))
    pasted.write_text(json.dumps({**instance, "current": json.loads(out.read_text())}))
    for source in (("re-planning", "--current", out), (pasted,)):
        document = json.loads(run("rebalance", *source, "--json", "--workers", 1).stdout)
        assert (document["status"], document["steps"]) == ("optimal", [])
    assert run("rebalance", "re-planning", "--current", tmp_path / "none.json").exit_code == 2
    assert run("rebalance", pasted, "--out", pasted, "--force").exit_code == 2
