"""The command balloon."""

import json
from pathlib import Path

from numaplace.tests.cli.conftest import Run


def test_targets_as_table_and_json(run: Run, tmp_path: Path) -> None:
    result = run("balloon", "ballooning", "--workers", 1, "--out", tmp_path / "plan.json")
    assert result.exit_code == 0
    assert "Balloon targets" in result.stdout
    assert "taken away 4 GiB" in result.stdout
    again = run("balloon", "ballooning", tmp_path / "plan.json", "--json")
    found = json.loads(again.stdout)
    assert sum(-target["change_mib"] for target in found["targets"]) == 4096
    assert found["cost"]["loss_micro_by_term"]["ballooning"] > 0


def test_nothing_to_balloon(run: Run) -> None:
    result = run("balloon", "talk-2", "--workers", 1)
    assert result.exit_code == 0
    assert "can be ballooned" in result.stdout


def test_no_plan_and_bad_plans(run: Run, crowded: Path, tmp_path: Path) -> None:
    result = run("balloon", crowded, "--workers", 1)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "giant" in result.stderr
    (tmp_path / "broken.json").write_text("{}", encoding="utf-8")
    assert run("balloon", "talk-2", tmp_path / "broken.json").exit_code == 2
