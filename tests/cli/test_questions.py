"""`numaplace room`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from numaplace.tests.cli.conftest import Run, document


@pytest.fixture
def running(tmp_path: Path) -> Path:
    """Two nodes of 4 pCPUs, on each a VM of two; vm3 does not run."""
    placements: dict[str, Any] = {
        f"vm{n + 1}": {
            "host": "rack",
            "cells": [{"node": n, "vcpus": 2, "memory_mib": {str(n): 4096}}],
        }
        for n in (0, 1)
    }
    path = tmp_path / "running.json"
    text = json.dumps({**document(), "current": {"placements": placements}})
    path.write_text(text, encoding="utf-8")
    return path


def test_room_that_is_there(run: Run, running: Path) -> None:
    """A VM of the instance that does not run fits; nothing moves."""
    done = run("room", running, "vm3", "--json")
    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["status"], answer["changes"]) == (0, "optimal", [])
    assert answer["placement"]["host"] == "rack" and answer["price_micro"] == 0
    assert "fits as things are" in run("room", running, "vm3").stdout


def test_room_that_is_made(run: Run, running: Path, tmp_path: Path) -> None:
    """A VM as wide as a node pushes one aside; the plan is written and can be checked."""
    sizes = ("--vcpus", 4, "--memory-mib", 4096, "--workers", 1)
    plan = tmp_path / "plan.json"
    done = run("room", running, *sizes, "--out", plan, "--json")
    answer = json.loads(done.stdout)
    assert (done.exit_code, len(answer["changes"]), answer["vm"]) == (0, 1, "new")
    assert answer["changes"][0]["change"] == "moves"
    assert set(json.loads(plan.read_text())["placements"]) == {"vm1", "vm2", "new"}
    table = run("room", running, *sizes, "--goal", "moves")
    assert "fits after 1 change: nothing cheaper can give way" in table.stdout
    assert "What gives way" in table.stdout
    assert run("room", running, *sizes, "--quiet").stdout == ""


def test_no_room(run: Run, running: Path) -> None:
    """Exit code 3, with the rule that stands in the way."""
    done = run("room", running, "--vcpus", 5, "--memory-mib", 64, "--set", "max_cells=2")
    assert done.exit_code == 3
    assert "proven" in done.stdout and "shared_cpus" in done.stdout.replace("\n", " ")


def test_room_for_the_vm_of_a_file(run: Run, instance: Path, running: Path, tmp_path: Path) -> None:
    """One VM in any format; where VMs run may be told by a plan."""
    file, plan = tmp_path / "one.json", tmp_path / "now.json"
    one = {**document(), "vms": [{"name": "extra", "vcpus": 1, "memory_mib": 512}]}
    file.write_text(json.dumps(one), encoding="utf-8")
    assert run("room", running, file, "--json").exit_code == 0
    assert run("solve", instance, "--solver", "greedy", "--out", plan).exit_code == 0
    done = run("room", instance, file, "--current", plan, "--json")
    assert (done.exit_code, json.loads(done.stdout)["vm"]) == (0, "extra")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name one VM"),
        (["vm3", "--vcpus", "2"], "name one VM"),
        (["vm3", "--set", "max_cells=2"], "name one VM"),
        (["vm9"], "'vm9' is no VM of the instance, and no file"),
        (["vm1"], "runs already"),
        (["--vm", "vm3"], "--vm: is now its name after INSTANCE"),
        (["--vcpus", "2", "--set", "cpu_policy=none"], "must be shared or dedicated"),
        (["--vcpus", "2"], "--memory-mib: is missing"),
        (["--vcpus", "0", "--memory-mib", "64"], "0 is below 1"),
        (["--vcpus", "2", "--memory-mib", "64", "--set", "name=vm3"], "in the instance already"),
        (["--vcpus", "2", "--memory-mib", "64", "--solver", "greedy"], "one that proves"),
        (["--vcpus", "2", "--memory-mib", "64", "--goal", "x"], "one of moves, loss"),
        (["running.json"], "in the instance already|holds 3 VMs"),
    ],
)
def test_bad_input(run: Run, running: Path, arguments: list[str], words: str) -> None:
    """One line, exit code 2."""
    done = run("room", running, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert any(word in done.stderr for word in words.split("|"))
    assert done.stderr.count("\n") == 1


def test_room_needs_a_current_plan(run: Run, instance: Path) -> None:
    """Without it, nobody knows what would have to move."""
    done = run("room", instance, "vm3")
    assert done.exit_code == 2 and "must be known" in done.stderr


def test_sharing(run: Run) -> None:
    """Ways to share as a table, in words and as JSON."""
    done = run("sharing", "page-sharing", "--workers", 1, "--json")
    rows = {row["sharing"]: row for row in json.loads(done.stdout)["rows"]}
    assert done.exit_code == 0
    assert [row["vms_placed"] for row in rows.values()] == [4, 7, 8, 8]
    assert rows["across nodes"]["saved_mib"] == 12800
    table = run("sharing", "page-sharing", "--workers", 1)
    assert "Sharing within nodes instead of none: +6 of value" in table.stdout.replace("\n", " ")
    assert run("sharing", "page-sharing", "--quiet").stdout == ""


def test_sharing_needs_groups(run: Run, instance: Path) -> None:
    """Without VMs that have pages in common there is no question."""
    done = run("sharing", instance)
    assert done.exit_code == 2 and "sharing: is missing" in done.stderr
    assert run("sharing", "page-sharing", "--solver", "greedy").exit_code == 2


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A host of four small nodes."""
    nodes = [{"id": n, "cores": 4, "memory_mib": 8192} for n in range(4)]
    path = tmp_path / "other.json"
    text = json.dumps({**document(), "hosts": [{"name": "other", "nodes": nodes}], "vms": []})
    path.write_text(text, encoding="utf-8")
    return path


def test_guest_numa(run: Run, other: Path) -> None:
    """All VMs wider than a node, each with its choices; elsewhere they may have been told wrong."""
    command = ("guest-numa", "guest-numa", "--workers", 1, "--max-cells", 2)
    done = run(*command, "--what-if", other, "--json")
    guests = json.loads(done.stdout)["guests"]
    assert (done.exit_code, [guest["vm"] for guest in guests]) == (0, ["blind", "aware"])
    for guest in guests:
        assert [(len(c["cells"]), c["told"]) for c in guest["choices"]] == [
            (1, False),
            (2, False),
            (2, True),
        ]
        assert guest["choices"][0]["status"] == "infeasible" and guest["best"] == 2
        assert guest["choices"][2]["what_if"]["wrong_micro"] > 0
    table = run(*command, "--what-if", other).stdout
    assert "wrong by" in table and max(map(len, table.splitlines())) <= 80
    assert "elsewhere" not in run(*command, "--vm", "small1").stdout
    assert run(*command, "--quiet").stdout == ""


def test_no_guest_is_wide(run: Run, instance: Path) -> None:
    """Then there is nothing to choose, which is no error."""
    done = run("guest-numa", instance)
    assert done.exit_code == 0 and "No VM is wider than a node" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--vm", "vm9"], "VM 'vm9' is not in the instance"),
        (["--max-cells", "0"], "0 is below 1"),
        (["--solver", "nova"], "one that proves"),
        (["--what-if", "none.json"], "none.json"),
    ],
)
def test_guest_numa_bad_input(run: Run, instance: Path, arguments: list[str], words: str) -> None:
    """One line, exit code 2."""
    done = run("guest-numa", instance, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr and done.stderr.count("\n") == 1
