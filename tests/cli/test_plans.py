"""`numaplace check`, `show` and `compare`."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from numaplace.models.cost import Term
from numaplace.models.units import MICRO
from numaplace.report.tables.words import loss as loss_words
from numaplace.tests.cli.conftest import Run


@pytest.fixture
def plan(run: Run, instance: Path, tmp_path: Path) -> Path:
    """A valid plan for the small instance."""
    path = tmp_path / "plan.json"
    assert run("solve", instance, "--solver", "greedy", "--out", path).exit_code == 0
    return path


@pytest.fixture
def broken(plan: Path, tmp_path: Path) -> Path:
    """A plan with a VM too many on node 0, and its memory as well."""
    document = json.loads(plan.read_text(encoding="utf-8"))
    for placement in document["placements"].values():
        placement["cells"] = [{"node": 0, "vcpus": 2, "memory_mib": {"0": 4096}}]
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_check_of_a_valid_plan(run: Run, instance: Path, plan: Path) -> None:
    """Exit code 0 and what the plan loses."""
    result = run("check", instance, plan, "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["valid"], document["violations"]) == (0, True, [])
    assert document["cost"]["loss_micro"] == 0
    assert "obeys every rule" in run("check", instance, plan).stdout


def test_check_lists_violations(run: Run, instance: Path, broken: Path) -> None:
    """Exit code 1; each rule broken is named with the place."""
    result = run("check", instance, broken, "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["valid"], document["cost"]) == (1, False, None)
    rules = {violation["rule"] for violation in document["violations"]}
    assert rules == {"memory_capacity", "shared_cpus"}
    table = run("check", instance, broken)
    assert table.exit_code == 1
    assert "shared_cpus" in table.stdout and "memory_capacity" in table.stdout
    assert run("check", instance, broken, "--quiet").stdout == ""


def test_check_of_a_plan_for_something_else(run: Run, plan: Path) -> None:
    """Names that do not exist are violations, not a crash."""
    result = run("check", "talk-2", plan, "--json")
    found = json.loads(result.stdout)["violations"]
    assert result.exit_code == 1
    assert {violation["rule"] for violation in found} == {"known_names"}


def test_show_instance(run: Run, instance: Path) -> None:
    """An instance alone: sums, empty nodes, distances and VMs; no rule is broken by no plan."""
    result = run("show", instance)
    assert result.exit_code == 0
    sums, distances = "1 host (2 nodes, 8 pCPUs, 16 GiB)", "distance, 10 = local"
    for words in (sums, "3 VMs", "node 0", "node 1", "0/8 GiB", distances, "vm3"):
        assert words in result.stdout
    assert json.loads(run("show", instance, "--json").stdout)["violations"] == []


def test_show_plan(run: Run, instance: Path, plan: Path) -> None:
    """A plan: bars, distances, tables; as JSON the use of each node."""
    shown = run("show", instance, plan).stdout
    assert "3 of 3 VMs placed" in shown and "distance, 10 = local" in shown
    assert "break" not in shown
    document = json.loads(run("show", instance, plan, "--json").stdout)
    nodes = document["nodes"]
    assert document["violations"] == []
    assert [node["node"] for node in nodes] == [0, 1]
    assert sum(sum(node["vcpus"].values()) for node in nodes) == 6


def test_show_draws_a_plan_that_breaks_rules(
    run: Run, instance: Path, broken: Path, tmp_path: Path
) -> None:
    """What is wrong with a plan can be looked at; it is told first, in the title and as JSON."""
    picture = tmp_path / "broken.svg"
    result = run("show", instance, broken, "--picture", picture)
    assert result.exit_code == 0
    assert result.stdout.startswith("The plan breaks rules in 2 places")
    assert "small, breaks 2 rules" in result.stdout
    assert result.stdout.index("shared_cpus") < result.stdout.index("small, breaks")
    found = json.loads(run("show", instance, broken, "--json").stdout)["violations"]
    assert {violation["rule"] for violation in found} == {"memory_capacity", "shared_cpus"}
    assert ElementTree.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_show_refuses_a_plan_with_unknown_names(run: Run, plan: Path) -> None:
    """What does not exist cannot be shown: one line, exit code 2."""
    result = run("show", "talk-2", plan)
    assert result.exit_code == 2
    assert f"{plan}: plan: VM 'vm1': host 'rack' does not exist" in result.stderr


def test_compare_writes_rows_and_a_plot(run: Run, instance: Path, tmp_path: Path) -> None:
    """JSON, CSV and the table hold one row per instance, solver and seed."""
    rows_file, plot = tmp_path / "rows.csv", tmp_path / "rows.svg"
    command = ["compare", instance, "talk-2", "--solvers", "greedy,first_fit", "--seeds", "0-1"]
    result = run(*command, "--csv", rows_file, "--plot", plot, "--json")
    rows = json.loads(result.stdout)["rows"]
    assert result.exit_code == 0
    assert [(row["instance"], row["solver"], row["seed"]) for row in rows] == [
        (name, solver, seed)
        for name in ("small", "talk-2")
        for solver in ("greedy", "first_fit")
        for seed in (0, 1)
    ]
    with rows_file.open(encoding="utf-8", newline="") as stream:
        written = list(csv.DictReader(stream))
    assert [row["solver"] for row in written] == [row["solver"] for row in rows]
    assert {row["loss_cpu_contention"] for row in written} == {"0.0"}
    assert plot.read_text(encoding="utf-8").startswith("<?xml")
    table = run(*command).stdout
    assert "Comparison on small" in table and "Comparison on talk-2" in table


def test_compare_gap_is_to_the_best_bound(run: Run, instance: Path) -> None:
    """The exact solver's bound is what the heuristic is measured by."""
    result = run("compare", instance, "--solvers", "greedy,cpsat", "--workers", 1, "--json")
    greedy, exact = json.loads(result.stdout)["rows"]
    assert (greedy["status"], greedy["loss_gap"]) == ("feasible", 0.0)
    assert (exact["status"], exact["loss_gap"]) == ("optimal", 0.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--solvers", "greedy,magic"], "'magic' is unknown"),
        (["--solvers", ","], "',' is unknown"),
        (["--seeds", "x"], "'x' is no id"),
        (["--plot", "a.txt"], "a picture's name ends in"),
        (["--csv", "small.json"], "small.json: file: is read as "),
        (["--csv", "old.csv"], "old.csv: file: exists"),
    ],
)
def test_compare_checks_its_options_first(
    run: Run, instance: Path, options: list[str], words: str
) -> None:
    """Bad options end in one line before anything is solved."""
    (instance.parent / "old.csv").touch()
    result = run("compare", instance, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("columns", [60, 300])
def test_compare_tells_the_loss_by_term(
    run: Run, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """Terms are columns of the table if there is room, else a table of their own; none is lost."""
    monkeypatch.setenv("COLUMNS", str(columns))
    command = ["compare", "relations", "--solvers", "first_fit,greedy"]
    table = run(*command).stdout
    rows = json.loads(run(*command, "--json").stdout)["rows"]
    assert ("Loss by term" in table) == (columns == 60)
    assert max(map(len, table.splitlines())) <= columns
    terms = {f"loss_{term}" for term in Term}
    losses = [row[key] for row in rows for key in terms if row[key]]
    shown = set(table.split())
    assert len(losses) > 2
    assert [loss for loss in losses if loss_words(round(loss * MICRO)) not in shown] == []
    assert {"first_fit", "greedy", "feasible", "cooperation", "competition"} <= shown


def test_unnamed_instances_are_called_like_their_file(run: Run, instance: Path) -> None:
    """What has no name is shown under that of its file."""
    document = json.loads(instance.read_text(encoding="utf-8"))
    del document["name"]
    unnamed = instance.with_name("rack-7.json")
    unnamed.write_text(json.dumps(document), encoding="utf-8")
    assert run("show", unnamed).stdout.startswith("rack-7  1 host")
    solved = run("solve", unnamed, "--solver", "greedy").stdout
    assert solved.startswith("rack-7  greedy: feasible")


def test_many_hosts_are_shown_on_one_screen_and_one_of_them_in_full(
    run: Run, tmp_path: Path
) -> None:
    host = "{name: n, count: 20, nodes: [{id: 0, cores: 4, memory_mib: 1024}]}"
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(
        f"format: numaplace-instance/1\nhosts: [{host}]\n"
        "vms: [{name: v, count: 20, vcpus: 2, memory_mib: 256}]\n"
    )
    plan = tmp_path / "plan.json"
    shown = run("solve", fleet, "--solver", "first_fit", "--out", plan).stdout
    assert len(shown.splitlines()) < 40 and "Hosts by shape" in shown
    one = run("show", fleet, plan, "--host", "n1").stdout
    assert "node 0" in one and "Hosts by shape" not in one
    missing = run("show", fleet, plan, "--host", "m1")
    assert missing.exit_code == 2 and "'m1' is no host" in missing.stderr
