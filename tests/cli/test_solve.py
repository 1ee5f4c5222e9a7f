"""`numaplace solve`: what it prints, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from numaplace.instances.formats.document.io import read_instance, read_plan
from numaplace.models.verify import violations
from numaplace.tests.cli.conftest import Run


def test_json_is_all_of_standard_output(run: Run, instance: Path) -> None:
    """With --json the output parses, and tells status, cost, stages and the plan."""
    result = run("solve", instance, "--json", "--workers", 1)
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (document["status"], document["vms_placed"]) == ("optimal", 3)
    assert document["cost"]["loss_micro"] == 0
    assert [stage["stage"] for stage in document["stages"]] == ["value", "loss"]
    assert set(document["plan"]["placements"]) == {"vm1", "vm2", "vm3"}


def test_tables_name_what_matters(run: Run, instance: Path) -> None:
    """Without --json: verdict, nodes and every VM, within 80 columns and without escape codes."""
    result = run("solve", instance, "--solver", "greedy")
    assert result.exit_code == 0
    for word in ("small", "greedy", "feasible", "node 0", "node 1", "vm1", "vm2", "vm3", "Plan"):
        assert word in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_quiet_prints_nothing(run: Run, instance: Path) -> None:
    """--quiet leaves only the exit code."""
    result = run("solve", instance, "--solver", "greedy", "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_plan_and_picture_are_written(run: Run, instance: Path, tmp_path: Path) -> None:
    """The plan that --out writes obeys the rules; the picture is a PNG."""
    out, picture = tmp_path / "plan.yaml", tmp_path / "plan.png"
    result = run("solve", instance, "--solver", "greedy", "--out", out, "--picture", picture)
    assert result.exit_code == 0
    assert violations(read_instance(instance), read_plan(out)) == []
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize("option", ["--out", "--picture"])
def test_files_are_not_overwritten(
    run: Run, instance: Path, tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that exists is refused before any solving, and left as it is; --force replaces it."""
    there = tmp_path / ("there.json" if option == "--out" else "there.png")
    there.write_text("mine", encoding="utf-8")
    command = ["solve", instance, "--solver", "greedy", option, there]
    with monkeypatch.context() as patch:
        patch.setattr("numaplace.commands.running.solve", lambda *_: pytest.fail())
        result = run(*command)
    assert result.exit_code == 2
    assert result.stderr == f"numaplace: error: {there}: file: exists, --force overwrites it\n"
    assert there.read_text(encoding="utf-8") == "mine"
    assert run(*command, "--force").exit_code == 0
    assert there.read_bytes() != b"mine"


def test_a_vm_too_large_is_infeasible(run: Run, crowded: Path, tmp_path: Path) -> None:
    """Nothing can be placed: exit code 3, the reason is told, no plan is written."""
    out = tmp_path / "plan.json"
    result = run("solve", crowded, "--out", out)
    assert result.exit_code == 3
    assert "giant" in result.stdout
    assert "nothing can be placed" in result.stdout and "No loss" not in result.stdout
    assert not out.exists()


@pytest.mark.parametrize("name", ["plan.txt", "plan"])
def test_plans_are_written_as_what_can_be_read(
    run: Run, instance: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another suffix is refused before any solving."""
    monkeypatch.setattr("numaplace.commands.running.solve", lambda *_: pytest.fail())
    result = run("solve", instance, "--out", name)
    reason = "the name must end in one of .json, .yaml, .yml"
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"numaplace: error: {name}: file: {reason}\n"


def test_all_makes_every_vm_required(run: Run, tmp_path: Path, instance: Path) -> None:
    """One VM too many: a plan without --all, exit code 3 with it."""
    document = json.loads(instance.read_text(encoding="utf-8"))
    document["vms"].append({"name": "giant", "vcpus": 64, "memory_mib": 1024})
    path = tmp_path / "more.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    some = run("solve", path, "--json")
    assert (some.exit_code, list(json.loads(some.stdout)["unplaced"])) == (0, ["giant"])
    every = run("solve", path, "--all", "--json")
    assert (every.exit_code, json.loads(every.stdout)["status"]) == (3, "infeasible")
    assert json.loads(every.stdout)["plan"] is None


def test_heuristic_without_a_plan_is_no_proof(run: Run, crowded: Path) -> None:
    """A heuristic that places nothing proves nothing: exit code 4."""
    assert run("solve", crowded, "--solver", "first_fit").exit_code == 4


def test_hint_must_be_a_plan_for_the_instance(run: Run, instance: Path, tmp_path: Path) -> None:
    """A plan of another instance is refused as a hint, its own is taken."""
    own, other = tmp_path / "own.json", tmp_path / "other.json"
    assert run("solve", instance, "--solver", "greedy", "--out", own).exit_code == 0
    assert run("solve", "talk-2", "--solver", "greedy", "--out", other).exit_code == 0
    assert run("solve", instance, "--hint", own).exit_code == 0
    refused = run("solve", instance, "--hint", other)
    assert refused.exit_code == 2
    assert f"{other}: plan: VM 'vm1': " in refused.stderr


def test_hint_must_obey_the_rules(run: Run, instance: Path, tmp_path: Path) -> None:
    """A plan that breaks a rule is refused as a hint with the rule's name."""
    hint = tmp_path / "hint.json"
    run("solve", instance, "--solver", "greedy", "--out", hint)
    document = json.loads(hint.read_text(encoding="utf-8"))
    document["placements"]["vm1"]["cells"][0]["vcpus"] = 1
    hint.write_text(json.dumps(document), encoding="utf-8")
    refused = run("solve", instance, "--hint", hint)
    assert refused.exit_code == 2
    assert "[cells]" in refused.stderr and refused.stderr.count("\n") == 1


def test_standard_input_is_an_instance(run: Run, instance: Path) -> None:
    """`-` reads the instance from standard input."""
    text = instance.read_text(encoding="utf-8")
    result = run("solve", "-", "--solver", "greedy", "--json", stdin=text)
    assert json.loads(result.stdout)["vms_placed"] == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["solve", "nowhere"], "'nowhere': is neither a file nor in the catalogue (talk-2, "),
        (["solve", "nowhere.json"], "nowhere.json: file: cannot be read (no such file"),
        (["solve", "talk-2", "--solver", "magic"], "'magic' is unknown, choose one of auto, cpsat"),
        (["solve", "talk-2", "--picture", "a.gif"], "a.gif: picture: a picture's name ends in"),
        (["solve", "talk-2", "--out", "no/where.json"], "its folder does not exist"),
        (["compare", "cxl", "--csv", "a.png", "--plot", "a.png"], "would be written twice"),
        (["solve", "talk-2", "--time", "-1"], "time_limit_s: -1.0 is outside"),
        (["solve", "talk-2", "--time", "nan"], "time_limit_s: must be finite"),
        (["solve", "talk-2", "--workers", "x"], "Invalid value for '--workers'"),
        (["solve", "talk-2", "--milp-backend", "x"], "Invalid value for '--milp-backend'"),
        (["solve", "talk-2", "--nonsense"], "No such option: --nonsense"),
        (["solve"], "Missing argument 'INSTANCE'"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
)
def test_bad_arguments_are_one_line(run: Run, arguments: list[str], words: str) -> None:
    """Exit code 2, nothing on standard output, one line that says what is wrong."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr and result.stderr.count("\n") == 1
