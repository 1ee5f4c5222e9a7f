"""`numaplace simulate` and `numaplace talk`."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from numaplace.solver.simulator.published import PublishedRow
from numaplace.solver.simulator.talk import Traits
from numaplace.tests.cli.conftest import Run
from numaplace.tests.cli.test_process import NUMAPLACE

SHORT = ("--time", 0.3, "--set", "warm_up=0.2")
SVG = "{http://www.w3.org/2000/svg}svg"


@pytest.fixture
def plan(run: Run, instance: Path, tmp_path: Path) -> Path:
    """A valid plan for the small instance: two VMs on one node, one on the other."""
    path = tmp_path / "plan.json"
    assert run("solve", instance, "--solver", "greedy", "--out", path).exit_code == 0
    return path


def test_simulate_plans_first(run: Run, instance: Path) -> None:
    """Pinned VMs that fill no node do all their work, with all memory local."""
    result = run("simulate", instance, *SHORT, "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (0, "")
    assert found["plan_from"] == "plan of greedy" and len(found["plan"]["placements"]) == 3
    assert set(found["affinity"].values()) == {"hard"} and found["release"] == "4.17"
    assert found["wanted_vcpus"] == 6 and found["throughput_vcpus"]["mean"] == pytest.approx(6)
    assert found["predicted_loss_vcpus"] == 0 and found["not_placed"] == []
    (one,) = found["runs"]
    for vm in one["hosts"]["rack"]["vms"]:
        assert vm["remote_share"] == 0 and sum(vm["node_us"].values()) == vm["run_us"]
        assert vm["run_us"] == pytest.approx(2 * 300_000)
    table = run("simulate", instance, *SHORT).stdout
    assert "6.000 of 6.000 wanted" in table and "predicted by the cost 0.000" in table
    assert run("simulate", instance, *SHORT, "--quiet").stdout == ""


def test_simulate_a_plan_told_softly(run: Run, instance: Path, plan: Path) -> None:
    """Affinities by VM; the same seed gives the same document."""
    command = ["simulate", instance, plan, *SHORT, "--affinity", "soft", "--seed", 7]
    command += ["--affinity", "vm2=hard", "--affinity", "vm3=none", "--json"]
    first, again = run(*command), run(*command)
    found = json.loads(first.stdout)
    assert first.stdout == again.stdout
    assert found["affinity"] == {"vm1": "soft", "vm2": "hard", "vm3": "none"}
    assert found["plan_from"] == "plan of plan.json"
    assert found["plan"] == json.loads(plan.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("configuration", "planner", "affinity", "release", "remote"),
    [
        ("all-cpus", "hosts of the plan of greedy, memory striped", "none", "4.2", 0.5),
        ("auto-pinning", "plan of xen_4_2", "hard", "4.2", 0.0),
        ("auto-affinity", "plan of xen", "soft", "4.3", 0.0),
    ],
)
def test_configurations_of_the_talk(
    run: Run, configuration: str, planner: str, affinity: str, release: str, remote: float
) -> None:
    command = ["simulate", "talk-2", *SHORT, "--configuration", configuration, "--json"]
    found = json.loads(run(*command).stdout)
    assert (found["plan_from"], found["release"]) == (planner, release)
    assert set(found["affinity"].values()) == {affinity}
    outcome = found["runs"][0]["hosts"]["e5620"]
    assert outcome["remote_share"] == pytest.approx(remote, abs=0.02)
    assert 0 < outcome["throughput_vcpus"] <= 4


def test_repetitions_have_a_mean_and_a_deviation(run: Run) -> None:
    command = ["simulate", "talk-10", *SHORT, "--repetitions", 3, "--seed", 5]
    found = json.loads(run(*command, "--json").stdout)
    assert [each["seed"] for each in found["runs"]] == [5, 6, 7]
    works = [each["hosts"]["e5620"]["vms"][0]["work_us"] for each in found["runs"]]
    assert len(set(works)) > 1
    table = run(*command).stdout
    mean = sum(works) / 3 / 300_000
    assert f"{mean:.3f} ± 0." in table and "3 repetitions" in table and "seeds 5 to 7" in table
    assert found["predicted_loss_micro_by_term"] == {"cpu_contention": 11_200_000}


def test_timeline_is_drawn(run: Run, instance: Path, tmp_path: Path) -> None:
    picture = tmp_path / "who.svg"
    command = ["simulate", instance, *SHORT, "--timeline", picture, "--set", "timeline_ms=100"]
    assert run(*command).exit_code == 0
    assert ElementTree.parse(picture).getroot().tag == SVG
    before = picture.read_bytes()
    refused = run(*command)
    assert refused.exit_code == 2 and "exists, --force overwrites it" in refused.stderr
    assert run(*command, "--force").exit_code == 0 and picture.read_bytes() == before


def test_a_plan_that_breaks_rules_is_not_simulated(
    run: Run, instance: Path, plan: Path, tmp_path: Path
) -> None:
    """Exit code 1 and what `check` prints."""
    document = json.loads(plan.read_text(encoding="utf-8"))
    for placement in document["placements"].values():
        placement["cells"] = [{"node": 0, "vcpus": 2, "memory_mib": {"0": 4096}}]
    plan.write_text(json.dumps(document), encoding="utf-8")
    picture = tmp_path / "who.svg"
    for options in ([], ["--json"], ["--quiet"]):
        found = run("simulate", instance, plan, "--timeline", picture, *options)
        assert found.exit_code == 1
        assert found.stdout == run("check", instance, plan, *options).stdout
    assert not picture.exists()


def test_an_instance_without_a_plan(run: Run, crowded: Path) -> None:
    """It ends as `solve` does."""
    found = run("simulate", crowded, *SHORT, "--json")
    expected = run("solve", crowded, "--solver", "greedy", "--json")
    assert found.exit_code == expected.exit_code != 0
    assert json.loads(found.stdout)["plan"] is None


def test_vms_without_a_place_are_told(run: Run, instance: Path) -> None:
    document = json.loads(instance.read_text(encoding="utf-8"))
    document["vms"].append({"name": "giant", "vcpus": 64, "memory_mib": 1024})
    instance.write_text(json.dumps(document), encoding="utf-8")
    result = run("simulate", instance, *SHORT)
    assert result.exit_code == 0 and "giant" not in result.stdout
    assert "1 of 4 VMs are not placed, and left out" in result.stderr
    assert json.loads(run("simulate", instance, *SHORT, "--json").stdout)["not_placed"] == ["giant"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--affinity", "web=soft"], "--affinity: VM 'web' does not exist"),
        (["--affinity", "vm1=softly"], "must be [NAME=]none|hard|soft|both, not 'vm1=softly'"),
        (["--affinity", "vm1"], "must be [NAME="),
        (["--affinity", "=soft"], "must be [NAME="),
        (["--affinity", "vm1=soft", "--affinity", "vm1=hard"], "VM 'vm1' occurs twice"),
        (["--affinity", "soft", "--affinity", "hard"], "is given twice for all VMs"),
        (["--vm-affinity", "vm1=soft"], "--vm-affinity: is now --affinity NAME=AFFINITY"),
        (["--plan-time=3"], "--plan-time: is now --set plan_time=VALUE"),
        (["--set", "busy_ms"], "must be KEY=VALUE with KEY one of warm_up, busy_ms"),
        (["--set", "busy_ms=1e3"], "--set busy_ms: must be a number, not '1e3'"),
        (["--set", "busy_ms=1", "--set", "busy_ms=2"], "busy_ms occurs twice"),
        (["plan.json", "--solver", "xen"], "--solver: plans, but a PLAN is given"),
        (["plan.json", "--configuration", "all-cpus"], "settles what PLAN says"),
        (["--solver", "xen", "--configuration", "all-cpus"], "settles what --solver says"),
        (["--affinity", "soft", "--configuration", "all-cpus"], "settles what --affinity says"),
        (["--set", "release=4.2", "--configuration", "all-cpus"], "what --set release says"),
        (["--scheduler", "credit3"], "--scheduler"),
        (["--scheduler", "credit2", "--set", "release=4.3"], "is of credit, not of --scheduler"),
        (["--scheduler", "credit", "--configuration", "all-cpus"], "what --scheduler says"),
        (["--set", "start_ms=-1"], "start_gap_ms"),
        (["--dom0", "4,0.5"], "must be VCPUS,PCPUS,BUSY_MS as 4,0.5,10, not '4,0.5'"),
        (["--dom0", "1.5,1,10"], "must be VCPUS,PCPUS,BUSY_MS"),
        (["--dom0", "4,5,10"], "dom0: busy pCPUs: 5.0 is outside 0 to 4"),
        (["--time", 0], "--time: 0.0 is outside"),
        (["--time", "nan"], "--time: must be finite"),
        (["--repetitions", 0], "--repetitions: 0 is below 1"),
        (["--set", "timeline_ms=0"], "timeline_ms: 0.0 is outside"),
        (["--timeline", "who.txt"], "a picture's name ends in"),
        (["--solver", "magic"], "'magic' is unknown"),
        (["--affinity", "firm"], "--affinity"),
        (["--set", "release=5"], "release: must be one of 4.2, 4.3, 4.17, not '5'"),
        (["--release", "4.3"], "--release: is now --set release=VALUE"),
    ],
)
def test_simulate_checks_its_options_first(
    run: Run, instance: Path, plan: Path, options: list[object], words: str
) -> None:
    result = run("simulate", instance, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr and result.stderr.count("\n") == 1


# ---- talk ---------------------------------------------------------------------------------------

BRIEF = ("talk", "--time", 0.2, "--vms", "2,4", "--repetitions", 2)


def test_talk_has_all_points(run: Run, tmp_path: Path) -> None:
    """Table, CSV, JSON and picture tell of the same points."""
    rows_file, plot = tmp_path / "talk.csv", tmp_path / "talk.svg"
    result = run(*BRIEF, "--workers", 1, "--csv", rows_file, "--plot", plot, "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(found["points"]) == 6 and len(found["runs"]) == 12 and found["runs_missing"] == 0
    with rows_file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row, point in zip(rows, found["points"], strict=True):
        assert (row["configuration"], row["vms"]) == (point["configuration"], str(point["vms"]))
        assert (
            float(row["bops_mean"]) == point["bops_mean"] == pytest.approx(sum(point["bops"]) / 2)
        )
    assert ElementTree.parse(plot).getroot().tag == SVG
    names = {vm["name"] for vm in found["runs"][0]["outcome"]["vms"]}
    assert names == {"vm1", "vm2", "Domain-0"}
    table = run(*BRIEF, "--workers", 1).stdout
    for point in found["points"]:
        assert f"{point['bops_mean']:.0f} ± {point['bops_uncertainty']:.0f}" in table
    assert "43150.63 ± 1359.56" in table and table.count("calibrated  ") == 2


def test_talk_recalibrates(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traits and rows come first, and the runs are made with those traits."""
    import numaplace.solver.simulator.calibration as module

    monkeypatch.setattr(module, "DRAWS", 2)
    monkeypatch.setattr(module, "simulated_work", lambda: _work)

    def _work(case: PublishedRow, traits: Traits) -> float:
        shared = 1.0 if case.vms == 2 else (1 + traits.smt_yield) / 3
        return 2 * shared / (1.0 + (0.0 if case.pinned else 0.2) * traits.intensity)

    command = ["talk", "--time", 0.1, "--vms", "2", "--repetitions", 1, "--recalibrate"]
    text = " ".join(run(*command, "--workers", 1).stdout.split())
    assert text.startswith("CALIBRATED = { TalkProgram.SPECJBB: Traits(")
    assert text.count("SPECjbb2005 6 pinned before 33538.2 33538.2") == 1
    found = json.loads(run(*command, "--workers", 1, "--json").stdout)["traits"]
    assert found["smt_yield"] == pytest.approx(3 * 33538.25 / 49591.06 - 1, abs=1e-5)
    assert found["intensity"] == pytest.approx((49591.06 / 43150.63 - 1) / 0.2, abs=1e-5)
    assert "memory intensity 0.746, SMT yield 1.029" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--vms", "2,12"], "--vms: 12 is above 10"),
        (["--vms", "two"], "--vms: must be numbers with commas, not 'two'"),
        (["--vms", ","], "--vms: names no number"),
        (["--repetitions", 0], "--repetitions: 0 is below 1"),
        (["--workers", -1], "--workers: is negative"),
        (["--time", 0], "--time: 0.0 is outside"),
        (["--plot", "talk.gif"], "a picture's name ends in"),
    ],
)
def test_talk_checks_its_options_first(run: Run, options: list[object], words: str) -> None:
    result = run("talk", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.slow
def test_ctrl_c_hands_over_the_runs_made_by_then() -> None:
    """The first Ctrl-C ends the experiment: points of complete runs, exit code 0."""
    command = [*NUMAPLACE, "talk", "--time", "20", "--repetitions", "40", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        time.sleep(6)
        assert process.poll() is None, "done too soon for this test"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=40)
    found = json.loads(out)
    assert (process.returncode, err) == (0, "")
    assert found["runs_missing"] > 0
    assert len(found["runs"]) + found["runs_missing"] == 600


@pytest.mark.parametrize("command", ["simulate", "talk"])
def test_both_explain_themselves(run: Run, command: str) -> None:
    """They are in the manual with an example, and have help of their own within 80 columns."""
    manual = run("--help").stdout
    assert "Simulations" in manual and f"numaplace {command} " in manual
    text = run(command, "--help").stdout
    assert f"{command} [OPTIONS]" in text and max(map(len, text.splitlines())) <= 80
