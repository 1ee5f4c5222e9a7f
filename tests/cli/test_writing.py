"""Files that a command writes: nothing finished is lost, nothing that is read is written over."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from numaplace.tests.cli.conftest import Run, document

LONG = "x" * 300
TRACE = "vmid,cpu,mem,at,lt\n" + "".join(f"{n},2,4,{n},9\n" for n in range(6))
NO_SPACE = "cannot be written (no space left on device)"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with an instance that runs, a plan for it and a trace."""
    placements = {
        f"vm{n}": {
            "host": "rack",
            "cells": [{"node": 0 if n < 3 else 1, "vcpus": 2, "memory_mib": {}}],
        }
        for n in (1, 2, 3)
    }
    for n, placement in enumerate(placements.values()):
        placement["cells"][0]["memory_mib"] = {"0" if n < 2 else "1": 4096}  # type: ignore[index]
    running = {**document(), "current": {"placements": placements}}
    plan = {"format": "numaplace-plan/1", "placements": placements}
    for name, content in {"a.json": running, "plan.json": plan}.items():
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "trace.csv").write_text(TRACE, encoding="utf-8")
    return tmp_path


PLAN, INSTANCE = '"numaplace-plan/1"', '"numaplace-instance/1"'
WRITERS = [
    (f"solve a.json --out {LONG}.json", PLAN),
    (f"solve a.json --quiet --out {LONG}.yaml", "numaplace-plan/1"),
    (f"solve a.json --json --out {LONG}.json", PLAN),
    (f"solve a.json --picture {LONG}.png", "vm1"),
    (f"rebalance a.json --out {LONG}.json", PLAN),
    (f"rebalance a.json --curve {LONG}.png --time 4", "nothing is worth moving"),
    (f"room a.json --vcpus 1 --memory-mib 64 --out {LONG}.json", PLAN),
    (f"room a.json --vcpus 1 --memory-mib 64 --json --out {LONG}.json", PLAN),
    (f"balloon a.json --out {LONG}.json", PLAN),
    (f"balloon a.json --json --out {LONG}.json", PLAN),
    (f"report a.json --out {LONG}.html", PLAN),
    (f"report a.json --json --out {LONG}.html", PLAN),
    (f"compare a.json --solvers greedy --csv {LONG}.csv", "instance,solver,"),
    (f"compare a.json --solvers greedy --plot {LONG}.png", "greedy"),
    (f"show a.json plan.json --picture {LONG}.png", "vm1"),
    (f"simulate a.json plan.json --time 0.1 --timeline {LONG}.png", "vm1"),
    (f"talk --time 0.1 --repetitions 1 --vms 2 --workers 1 --csv {LONG}.csv", "configuration,"),
    (f"replay trace.csv --hosts 2x4x16 --policies first_fit --plot {LONG}.png", "first_fit"),
    (f"generate cxl --out {LONG}.json", INSTANCE),
    (f"import --host a.json --vms a.json --out {LONG}.json", INSTANCE),
]


@pytest.mark.parametrize(("line", "shown"), WRITERS)
def test_what_cannot_be_written_is_shown(run: Run, files: Path, line: str, shown: str) -> None:
    """Exit code 5, one line that names the file, and the answer on standard output."""
    arguments = line.split()
    done = run(*arguments)
    assert done.exit_code == 5, done.output
    assert done.stderr.count("numaplace: error: ") == 1
    assert f"{LONG}." in done.stderr and "cannot be written (file name too long)" in done.stderr
    assert shown in done.stdout
    if "--json" in arguments:
        json.loads(done.stdout)
    assert sorted(path.name for path in files.iterdir()) == ["a.json", "plan.json", "trace.csv"]


def test_one_file_fails_and_the_other_is_written(run: Run, files: Path) -> None:
    """Each file is tried."""
    done = run("solve", "a.json", "--out", f"{LONG}.json", "--picture", "plan.png")
    assert done.exit_code == 5
    assert (files / "plan.png").stat().st_size > 1000


def test_a_folder_that_goes_away_meanwhile(
    run: Run, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when the command began; the plan is on standard output."""
    import numaplace.commands.running as running

    (files / "gone").mkdir()
    solve = running.solve

    def and_gone(*arguments: object) -> object:
        (files / "gone").rmdir()
        return solve(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(running, "solve", and_gone)
    done = run("solve", "a.json", "--out", "gone/plan.json", "--quiet")
    assert done.exit_code == 5
    assert "gone/plan.json: file: cannot be written (no such file or directory)" in done.stderr
    assert set(json.loads(done.stdout)["placements"]) == {"vm1", "vm2", "vm3"}


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system without room; only root may mount one."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here: not root")
    (folder / "filler").write_bytes(bytes(4096))
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ["plan.json", "plan.yaml"])
def test_a_full_disk(run: Run, files: Path, full_disk: Path, name: str) -> None:
    """The plan is on standard output, nothing half is left, and what was there stays."""
    (full_disk / name).touch()
    done = run("solve", "a.json", "--out", full_disk / name, "--quiet", "--force")
    assert done.exit_code == 5
    assert f"full/{name}: file: {NO_SPACE}; what it was to hold is on standard" in done.stderr
    assert "vm3" in done.stdout
    assert sorted(path.name for path in full_disk.iterdir()) == ["filler", name]


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
def test_a_limit_on_file_sizes_as_a_process(files: Path) -> None:
    """As a full disk, for whoever is not root: the process ends with 5 and no traceback."""
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "from numaplace.__main__ import main\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "solve", "a.json", "--out", "p.json", "--quiet"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=files,
    )
    assert done.returncode == 5
    assert done.stderr.startswith("numaplace: error: p.json: file: cannot be written (file too ")
    assert set(json.loads(done.stdout)["placements"]) == {"vm1", "vm2", "vm3"}
    assert not list(files.glob("*p.json*"))


def test_a_full_standard_output_costs_no_file(files: Path) -> None:
    """The file is written although the table cannot be."""
    if not Path("/dev/full").exists():
        pytest.skip("no such device on this system")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "numaplace", "solve", "a.json", "--out", "p.json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
            cwd=files,
        )
    assert done.returncode == 5
    assert "standard output cannot be written" in done.stderr
    assert (files / "p.json").exists()


def test_apply_prints_what_it_cannot_write(run: Run, files: Path) -> None:
    """A VM's name may be longer than a file's; what can be written is."""
    text = (files / "a.json").read_text().replace("vm1", LONG[:253])
    (files / "a.json").write_text(text, encoding="utf-8")
    assert run("solve", "a.json", "--out", "long.json").exit_code == 0
    done = run("apply", "a.json", "long.json", "--format", "xl", "--out", "new")
    assert done.exit_code == 5
    assert f"new/{LONG[:253]}.cfg: file: cannot be written (file name too long)" in done.stderr
    assert f'name = "{LONG[:253]}"' in done.stdout and "vm2" not in done.stdout
    assert sorted(path.name for path in (files / "new").iterdir()) == ["vm2.cfg", "vm3.cfg"]


def test_apply_that_fails_leaves_no_folder(run: Run, files: Path) -> None:
    """Neither the folder nor those above it that were made for it; one that was there stays."""
    text = (files / "a.json").read_text().replace("vm1", LONG[:253])
    (files / "a.json").write_text(text, encoding="utf-8")
    assert run("solve", "a.json", "--out", "long.json").exit_code == 0
    apply = ("apply", "a.json", "long.json", "--format", "xl", "--vm", LONG[:253], "--out")
    (files / "old").mkdir()
    for folder, left in (("above/new", False), ("old/new", True)):
        assert run(*apply, folder).exit_code == 5
        assert (files / Path(folder).parent).exists() is left
        assert not (files / folder).exists()


def test_a_picture_that_cannot_be_made_is_named(
    run: Run, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What draws needs files of its own, such as a cache of fonts: standard output is not to blame.

    So it is with the system's other refusals that name no file.
    """

    def refused(*_args: object, **_more: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numaplace.commands.shown.figure_bytes", refused)
    done = run("show", "a.json", "--picture", "p.svg")
    assert (done.exit_code, "vm1" in done.stdout) == (5, True)
    assert "p.svg: file: cannot be made (no space left on device)" in done.stderr
    monkeypatch.setattr("numaplace.commands.running.solve", refused)
    done = run("solve", "a.json")
    assert done.exit_code == 5
    assert "numaplace: error: work: failed: No space left on device" in done.stderr


# ---- what is read is not written over ------------------------------------------------------------


def _same(files: Path, how: str) -> str:
    """Another way to name a.json."""
    link = files / "other.json"
    if how == "symbolic link":
        link.symlink_to("a.json")
    elif how == "hard link":
        os.link(files / "a.json", link)
    return {"itself": "a.json", "dots": "x/../a.json"}.get(how, "other.json")


@pytest.mark.parametrize("how", ["itself", "dots", "symbolic link", "hard link"])
def test_an_input_is_never_written_over(run: Run, files: Path, how: str) -> None:
    """Whatever leads to it, with --force as well; nothing is solved or written."""
    (files / "x").mkdir()
    before = (files / "a.json").read_bytes()
    name = _same(files, how)
    done = run("solve", "a.json", "--out", name, "--force")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"{name}: file: is read as 'a.json', and must not be written over" in done.stderr
    assert (files / "a.json").read_bytes() == before


@pytest.mark.parametrize(
    "line",
    [
        "solve a.json --hint plan.json --out plan.json",
        "rebalance a.json --out a.json",
        "room a.json --vcpus 1 --memory-mib 64 --out a.json",
        "balloon a.json plan.json --out plan.json",
        "report page.html --out page.html",
        "apply a.json plan.json --format xl --source vm1.cfg --out .",
        "apply a.json plan.json --format xl --source confs --out confs",
        "apply a.json plan.json --format xl --source vm1.cfg --out vm1.cfg",
        "import --host a.json --vms confs --out confs/a.json",
        "import --host a.json*2 --rename --out a.json",
        "import --host a.json --vms numaplace:plan.json --out plan.json",
        "compare a.json trace.csv --csv trace.csv",
        "replay trace.csv --hosts 2x4x16 --against optimal --store trace.csv",
    ],
)
def test_no_command_writes_over_what_it_reads(run: Run, files: Path, line: str) -> None:
    """Every file that is read counts."""
    shutil.copy(files / "a.json", files / "page.html")
    (files / "vm1.cfg").write_text('name = "vm1"\nvcpus = 2\nmemory = 4096\n', encoding="utf-8")
    (files / "confs").mkdir()
    shutil.copy(files / "vm1.cfg", files / "confs")
    shutil.copy(files / "a.json", files / "confs")
    before = {path: path.read_bytes() for path in files.rglob("*.*")}
    done = run(*line.split(), "--force")
    assert done.exit_code == 2
    assert "must not be written over" in done.stderr
    assert {path: path.read_bytes() for path in files.rglob("*.*")} == before


def test_standard_input_counts_as_read(files: Path) -> None:
    """`numaplace solve - --out a.json < a.json`."""
    with (files / "a.json").open("rb") as stream:
        done = subprocess.run(
            [sys.executable, "-m", "numaplace", "solve", "-", "--out", "a.json", "--force"],
            stdin=stream,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=files,
        )
    assert done.returncode == 2 and "must not be written over" in done.stderr


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("show a.json", ""),
        ("catalog", ""),
        ("generate cxl --out new.json", "new.json"),
        ("import --host a.json --out new.json", "new.json"),
        ("show a.json plan.json --picture new.png", "new.png"),
    ],
)
def test_quiet_prints_no_table(run: Run, files: Path, line: str, name: str) -> None:
    """Every command that prints tables can be told not to."""
    done = run(*line.split(), "--quiet")
    assert (done.exit_code, done.stdout) == (0, "")
    assert not name or (files / name).exists()
