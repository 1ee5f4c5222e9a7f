"""The command replay, alone and against the optimum, as a person would use it."""

import csv
import io
import json
from pathlib import Path

import pytest

from numaplace.tests.cli.conftest import Run, validator

HEAD = "vmid,cpu,mem,at,lt\n"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Forty VMs of 1 to 4 vCPUs that arrive every ten seconds."""
    rows = [f"{i},{1 + i % 4},{2 * (1 + i % 3)},{10 * i},{60 + 17 * (i % 9)}" for i in range(40)]
    path = tmp_path / "trace.csv"
    path.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_replay_shows_a_table_and_a_picture(run: Run, trace: Path, tmp_path: Path) -> None:
    picture = tmp_path / "replay.png"
    result = run("replay", trace, "--hosts", "2x4x16*2", "--plot", picture)
    assert (result.exit_code, result.stderr) == (0, "")
    for policy in ("first_fit", "best_fit", "greedy_life"):
        assert policy in result.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_replay_as_json_counts_everything(run: Run, trace: Path) -> None:
    result = run("replay", trace, "--hosts", "2x4x16", "--policies", "all", "--json")
    found = json.loads(result.stdout)
    assert found["trace"]["rows"] == found["trace"]["vms"] == 40
    assert len(found["policies"]) == 9
    for policy in found["policies"]:
        rejected = policy["rejected_full"] + policy["rejected_fragmented"]
        assert policy["accepted"] + rejected == 40
        assert policy["samples"]


def test_faulty_rows_are_counted_and_told(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "faulty.csv"
    rows = ["a,2,4,0,10", "b,x,4,1,10", "c,2,4,-5,10", "d,64,4,2,10", "e,2,4,3,0", "f,1,1"]
    path.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")
    result = run("replay", path, "--hosts", "1x4x16", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)["trace"]
    assert (report["rows"], report["vms"]) == (6, 2)
    for words in ("not a number", "negative time", "no life", "broken row", "larger than any host"):
        assert words in result.stderr
    assert run("replay", path, "--hosts", "1x4x16", "--set", "strict=yes").exit_code == 2


def test_compare_with_the_optimum(run: Run, trace: Path, tmp_path: Path) -> None:
    arguments = [
        "replay", trace, "--hosts", "2x4x16", "--against", "optimal",
        "--windows", "2x20@1.0,1.5", "--policies", "first_fit,greedy_life", "--parallel", 1,
        "--store", tmp_path / "store", "--time", 20,
    ]  # fmt: skip
    result = run(*arguments, "--plot", tmp_path / "gaps.svg")
    assert result.exit_code == 0
    assert "Load 1:" in result.stdout
    assert "Load 1.5:" in result.stdout
    assert "optimum proven: value 2/2" in result.stdout
    rows = list(csv.DictReader(io.StringIO(run(*arguments, "-o", "csv").stdout)))
    assert len(rows) == 2 * 2 * 2
    assert b"<svg" in (tmp_path / "gaps.svg").read_bytes()
    again = json.loads(run(*arguments, "--json").stdout)
    assert again["jobs_reused"] == 2 * 2 * (2 + 3)
    assert again["jobs_missing"] == 0
    head, *lines = (tmp_path / "store").read_text(encoding="utf-8").splitlines()
    assert json.loads(head) == {"format": "numaplace-results/1"} and len(lines) == 20
    for line in (head, *lines):
        validator("results").validate(json.loads(line))


@pytest.mark.parametrize(
    ("old", "new"),
    [('"full": 0', '"full": "0"'), ('"bound": ', '"bound": 0.'), ('"optimal"', '"best"')],
)
def test_results_of_another_kind_are_none(
    old: str, new: str, run: Run, trace: Path, tmp_path: Path
) -> None:
    """A line whose record has a field of another kind is no result: that job is run again."""
    store = tmp_path / "store"
    arguments = [
        "replay", trace, "--hosts", "2x4x16", "--against", "optimal", "--windows", "1x5@1.0",
        "--policies", "first_fit", "--parallel", 1, "--set", "goals=value", "--time", 20,
        "--store", store, "--json",
    ]  # fmt: skip
    assert run(*arguments).exit_code == 0
    text = store.read_text(encoding="utf-8")
    assert text.count(old) == 1
    store.write_text(text.replace(old, new), encoding="utf-8")
    again = json.loads(run(*arguments).stdout)
    assert (again["jobs_reused"], again["jobs_missing"]) == (1, 0)
    assert json.loads(run(*arguments).stdout)["jobs_reused"] == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--hosts", "2x4"], "hosts: '2x4': is none of"),
        ([], "Missing option '--hosts'"),
        (["--hosts", "2x4x16", "--against", "greedy"], "--against: must be optimal"),
        (["--hosts", "2x4x16", "--parallel", "9999"], "--parallel: 9999 is above"),
        (["--hosts", "2x4x16", "--parallel", "spark"], "--parallel: must be loky, dask[=ADDRESS]"),
        (["--hosts", "2x4x16", "--seed", "99999999999"], "--seed: 99999999999 is above"),
        (["--hosts", "2x4x16", "--policies", "best"], "'best' is unknown"),
        (["--hosts", "2x4x16", "--windows", "1x40@much"], "loads must be numbers"),
        (["--hosts", "2x4x16", "--windows", "1x40@0"], "--windows: 0.0 is outside"),
        (["--hosts", "2x4x16", "--set", "goals=fun"], "'fun' is none of"),
        (["--hosts", "2x4x16", "--set", "solver=nova"], "solver: must be one of"),
        (["--hosts", "2x4x16", "--windows", "9x40"], "1 windows of 40 VMs fit"),
        (["--hosts", "2x4x16", "--windows", "0x40"], "--windows: 0 is below 1"),
        (["--hosts", "2x4x16", "--windows", "9"], "must be COUNTxVMS"),
        (["--hosts", "2x4x16", "--set", "lifetimes=maybe"], "lifetimes: must be exact"),
        (["--hosts", "2x4x16", "--set", "split_above=8m"], "split_above: must be vCPUs"),
        (["--hosts", "2x4x16", "--set", "columns=cpu"], "cpu"),
        (["--hosts", "2x4x16", "--seed", "0-2"], "--seed"),
        (["--hosts", "2x4x16", "--set", "strict=1"], "--set strict: must be yes or no"),
        (["--hosts", "2x4x16", "--set", "load=1"], "KEY one of columns"),
        (["--hosts", "2x4x16", "--min-vcpus=4"], "--min-vcpus: is now --set min_vcpus=VALUE"),
        (["--hosts", "2x4x16", "--csv=rows.csv"], "--csv: is now -o csv"),
        (["--hosts", "1x1x1", "--set", "min_vcpus=4"], "no VM of it is left"),
    ],
)
def test_bad_input(run: Run, trace: Path, arguments: list[str], words: str) -> None:
    """One line, exit code 2, nothing on standard output."""
    result = run("replay", trace, "--windows", "1x40", "--against", "optimal", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert words in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("old", [["--trace", "t.csv", "--hosts", "2x4x16"], ["x", "--trace=t"]])
def test_compare_names_what_takes_a_trace_now(run: Run, old: list[str]) -> None:
    result = run("compare", *old)
    words = "compare: --trace: is now numaplace replay FILE --against optimal"
    assert (result.exit_code, result.stderr) == (2, f"numaplace: error: {words}\n")


def test_a_replay_alone_takes_no_time(run: Run, trace: Path) -> None:
    for option in ("--time=3", "--windows=1x5", "--store=s", "--parallel=1"):
        result = run("replay", trace, "--hosts", "2x4x16", option)
        assert result.exit_code == 2
        assert f"{option.partition('=')[0]} goes with --against optimal" in result.stderr
    assert "goals" in run("replay", trace, "--hosts", "1x4x16", "--set", "goals=value").stderr


def test_a_store_is_no_other_file(run: Run, trace: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_bytes(trace.read_bytes())
    result = run(
        "replay", trace, "--hosts", "2x4x16", "--against", "optimal", "--windows", "1x5",
        "--store", other,
    )  # fmt: skip
    assert result.exit_code == 2
    assert "is no numaplace-results/1" in result.stderr
    assert other.read_text(encoding="utf-8").startswith(HEAD)
