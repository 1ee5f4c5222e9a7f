"""The commands apply and numad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from numaplace.instances.formats.document.io import read_instance, read_plan
from numaplace.instances.formats.registry import VM_FORMATS
from numaplace.tests.cli.conftest import Run, document
from numaplace.tests.instances.formats.placements import read_xl_placement
from numaplace.tests.instances.formats.sysfs_tree import machine

READERS = {
    "xl": "xl-cfg",
    "libvirt": "libvirt-domain",
    "proxmox": "proxmox",
    "openstack": "openstack",
}
SUFFIXES = {"xl": "cfg", "libvirt": "xml", "proxmox": "conf", "openstack": "json"}


def cell(node: int) -> dict[str, Any]:
    return {"node": node, "vcpus": 2, "memory_mib": {str(node): 4096}}


@pytest.fixture
def plan(run: Run, instance: Path, tmp_path: Path) -> Path:
    """A plan of the small instance."""
    path = tmp_path / "plan.json"
    assert run("solve", instance, "--solver", "greedy", "--out", path, "-q").exit_code == 0
    return path


@pytest.mark.parametrize("kind", READERS)
def test_a_folder_of_files(run: Run, instance: Path, plan: Path, tmp_path: Path, kind: str) -> None:
    """A file for each VM, which the readers take; nothing on standard output."""
    out = tmp_path / "out"
    result = run("apply", instance, plan, "--format", kind, "--out", out)
    assert (result.exit_code, result.stdout) == (0, "")
    names = {f"vm{n}.{SUFFIXES[kind]}" for n in (1, 2, 3)}
    assert {path.name for path in out.iterdir()} == names
    for path in out.iterdir():
        vm = VM_FORMATS[READERS[kind]].read_vms(path, None).item[0]
        assert (vm.name, vm.vcpus, vm.memory_mib) == (path.stem, 2, 4096)


@pytest.mark.parametrize("kind", ["libvirt", "openstack"])
def test_standard_output_is_one_document(
    run: Run, instance: Path, plan: Path, tmp_path: Path, kind: str
) -> None:
    """Several VMs are read back from it."""
    result = run("apply", instance, plan, "--format", kind)
    path = tmp_path / "all"
    path.write_text(result.stdout, encoding="utf-8")
    vms = VM_FORMATS[READERS[kind]].read_vms(path, None).item
    assert [vm.name for vm in vms] == ["vm1", "vm2", "vm3"]


@pytest.mark.parametrize("kind", ["xl", "proxmox"])
def test_standard_output_names_its_parts(run: Run, instance: Path, plan: Path, kind: str) -> None:
    """Each file has its name above it; a single one is just that."""
    result = run("apply", instance, plan, "--format", kind)
    heads = [line for line in result.stdout.splitlines() if line.startswith("# ")]
    assert heads == [f"# vm{n}.{SUFFIXES[kind]}" for n in (1, 2, 3)]
    one = run("apply", instance, plan, "--format", kind, "--vm", "vm2").stdout
    assert one.startswith("name")
    assert one in result.stdout


@pytest.mark.parametrize("kind", ["commands-xl", "commands-virsh"])
def test_commands_are_a_script_for_each_host(
    run: Run, instance: Path, plan: Path, tmp_path: Path, kind: str
) -> None:
    """One line for each vCPU."""
    assert run("apply", instance, plan, "--format", kind, "--out", tmp_path).exit_code == 0
    text = (tmp_path / "rack.sh").read_text(encoding="utf-8")
    assert text.startswith("#!/bin/sh\nset -e\n")
    pins = [line for line in text.splitlines() if "vcpu-pin " in line or "vcpupin " in line]
    assert len(pins) == (3 if kind == "commands-xl" else 6)
    assert run("apply", instance, plan, "--format", kind).stdout == text


def test_a_source_is_edited(run: Run, instance: Path, plan: Path, tmp_path: Path) -> None:
    """Found by its name; comments stay; what is written is the plan."""
    source = tmp_path / "guest.cfg"
    source.write_text("# mine\nname = 'vm2'\nmemory = 1024\nvcpus = 2\n", encoding="utf-8")
    out = tmp_path / "out"
    result = run("apply", instance, plan, "-f", "xl", "--source", source, "--out", out)
    assert result.exit_code == 0
    assert (
        (out / "guest.cfg")
        .read_text(encoding="utf-8")
        .startswith("# mine\nname = 'vm2'\nmemory = 4096\nvcpus = 2\ncpus = ")
    )
    problem = read_instance(instance)
    planned = read_plan(plan).placements["vm2"]
    vm, host = problem.vm("vm2"), problem.hosts[0]
    read = read_xl_placement(out / "guest.cfg", problem, vm, host).item
    assert [(c.node, c.memory_mib) for c in read.cells] == [
        (c.node, c.memory_mib) for c in planned.cells
    ]
    other = run("apply", instance, plan, "-f", "xl", "--source", source, "--vm", "vm1")
    assert "is of VM 'vm2', its name stays" in other.stderr


@pytest.mark.parametrize("named", ["each", "folder", "pattern"])
def test_several_sources_keep_their_names(
    run: Run, instance: Path, plan: Path, tmp_path: Path, named: str
) -> None:
    """Every file is written under its own name, however it is named; what is no source is told."""
    folder = tmp_path / "qemu-server"
    folder.mkdir()
    for number in (1, 3):
        text = f"# vm {number}\nname: vm{number}\ncores: 2\nmemory: 4096\n"
        (folder / f"10{number}.conf").write_text(text, encoding="utf-8")
    (folder / "notes").write_text("mine", encoding="utf-8")
    (folder / "gone.conf").write_text("name: gone\ncores: 2\nmemory: 64\n", encoding="utf-8")
    sources = {
        "each": [folder / "101.conf", folder / "103.conf"],
        "folder": [folder],
        "pattern": [folder / "*.conf"],
    }[named]
    args = [word for source in sources for word in ("--source", source)]
    out = tmp_path / "new"
    result = run("apply", instance, plan, "-f", "proxmox", *args, "--out", out)
    assert result.exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["101.conf", "103.conf"]
    for number in (1, 3):
        text = (out / f"10{number}.conf").read_text(encoding="utf-8")
        assert text.startswith(f"# vm {number}\nname: vm{number}\n")
        assert "\naffinity: " in text
    assert ("'gone' is not placed by the plan: left out" in result.stderr) is (named != "each")
    assert ("of no known format: notes" in result.stderr) is (named == "folder")
    one = ("--vm", "vm3", "--out", tmp_path / "one")
    assert run("apply", instance, plan, "-f", "proxmox", *args, *one).exit_code == 0
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["103.conf"]


def test_several_domains_of_a_file(run: Run, instance: Path, plan: Path, tmp_path: Path) -> None:
    """Each is edited in its place; errors name the line of the file."""
    domain = "<domain>\n<name>vm{}</name><memory unit='MiB'>4096</memory><vcpu>2</vcpu>\n</domain>"
    inside = domain.format(3) + "\n<!-- é -->\n" + domain.format(1)
    source = tmp_path / "all.xml"
    source.write_text(f"<domains>\n{inside}\n</domains>\n", encoding="utf-8")
    out = tmp_path / "new.xml"
    args = ("apply", instance, plan, "-f", "libvirt", "--source", source)
    assert run(*args, "--out", out).exit_code == 0
    text = out.read_text(encoding="utf-8")
    assert text.startswith("<domains>\n<domain>\n<name>vm3</name>")
    assert text.endswith("</domain>\n</domains>\n")
    assert "</domain>\n<!-- é -->\n<domain>\n<name>vm1</name>" in text
    assert text.count("<vcpupin vcpu='1'") == text.count("<numatune>") == 2
    row = tmp_path / "row.xml"
    row.write_text(f"<?xml version='1.0'?>\n{inside}\n", encoding="utf-8")
    args_row = ("apply", instance, plan, "-f", "libvirt", "--source", row)
    assert run(*args_row, "--out", tmp_path / "row").exit_code == 0
    text = (tmp_path / "row" / "row.xml").read_text(encoding="utf-8")
    assert text.startswith("<?xml version='1.0'?>\n<domain>\n<name>vm3</name>")
    assert text.count("<numatune>") == 2
    dimm = "<devices><memory/></devices></domain>"
    bad = source.read_text(encoding="utf-8").replace("</domain>\n</domains>", f"{dimm}\n</domains>")
    source.write_text(bad, encoding="utf-8")
    assert "all.xml:8: <memory>: memory devices (DIMMs)" in run(*args).stderr


def test_a_vm_in_two_sources(run: Run, instance: Path, plan: Path, tmp_path: Path) -> None:
    """Which one is meant is not known; a VM in none is told as well."""
    for name in ("a.cfg", "b.cfg"):
        (tmp_path / name).write_text("name='vm1'\nmemory=1\n", encoding="utf-8")
    args = ("apply", instance, plan, "-f", "xl", "--source", tmp_path / "a.cfg")
    two = run(*args, "--source", tmp_path / "b.cfg")
    assert (two.exit_code, two.stdout) == (2, "")
    assert f"b.cfg: VM 'vm1': is in {tmp_path}/a.cfg, too" in two.stderr
    missing = run(*args, "--vm", "vm1", "--vm", "vm2")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert "VM 'vm2': is in none of the sources" in missing.stderr


@pytest.mark.parametrize(("kind", "name"), [("xl", "web1.cfg"), ("commands-virsh", "go.sh")])
def test_a_single_file_of_that_name(
    run: Run, instance: Path, plan: Path, tmp_path: Path, kind: str, name: str
) -> None:
    """`--out web1.cfg` is the file; for several there must be a folder."""
    args = ("apply", instance, plan, "-f", kind, "--out", tmp_path / name)
    only = ("--vm", "vm1") if kind == "xl" else ()
    assert run(*args, *only).exit_code == 0
    assert (tmp_path / name).is_file()
    assert "exists, --force" in run(*args, *only).stderr
    assert run(*args, *only, "--force").exit_code == 0
    if only:
        several = run(*args, "--force")
        assert several.exit_code == 2
        assert "is named like a file, and 3 are to be written" in several.stderr


def test_nothing_is_overwritten(run: Run, instance: Path, plan: Path, tmp_path: Path) -> None:
    """One file that exists, and none is written; --force overwrites."""
    (tmp_path / "vm3.cfg").write_text("mine", encoding="utf-8")
    result = run("apply", instance, plan, "-f", "xl", "--out", tmp_path)
    assert result.exit_code == 2
    assert "exists, --force overwrites it" in result.stderr
    assert not (tmp_path / "vm1.cfg").exists()
    assert (tmp_path / "vm3.cfg").read_text(encoding="utf-8") == "mine"
    assert run("apply", instance, plan, "-f", "xl", "--out", tmp_path, "--force").exit_code == 0
    assert (tmp_path / "vm3.cfg").read_text(encoding="utf-8") != "mine"


def test_a_plan_that_breaks_rules(run: Run, instance: Path, tmp_path: Path) -> None:
    """Exit code 1, the rules on standard error, nothing written."""
    path = tmp_path / "bad.json"
    placements = {f"vm{n}": {"host": "rack", "cells": [cell(0)]} for n in (1, 2, 3)}
    path.write_text(
        json.dumps({"format": "numaplace-plan/1", "placements": placements}), encoding="utf-8"
    )
    out = tmp_path / "out"
    for args in (
        ("apply", instance, path, "-f", "xl", "--out", out),
        ("numad", "-w", "1:1", "--taken", path, "--instance", instance),
    ):
        result = run(*args)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "[memory_capacity]" in result.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("kind", "name", "text", "words"),
    [
        ("xl", "a.cfg", "name = 'vm1\n", "a.cfg:1: xl configuration: a string is not closed"),
        ("xl", "a.cfg", "name='vm1'\nmemory=[1]\n", "a.cfg:2: VM 'vm1': memory: is a list"),
        ("libvirt", "a.xml", "<domain><name>vm1</domain>", "is no well-formed XML"),
        ("libvirt", "a.xml", "<!DOCTYPE d [<!ENTITY a 'b'>]><domain/>", "entity"),
        ("libvirt", "a.xml", "<domain><name>vm1</name><memory>x</memory></domain>", "a.xml:1:"),
        ("libvirt", "a.xml", "<domains/>", "holds none"),
        ("proxmox", "a.conf", "name vm1\n", "a.conf:1:"),
        ("proxmox", "a.conf", "name: vm1\ncores: x\n", "a.conf:2:"),
        ("openstack", "a.json", "{}", "format openstack edits no file"),
        ("commands-xl", "a.sh", "", "format commands-xl edits no file"),
        ("xl", "a.cfg", "name='vm9'\nmemory=1\n", "VM 'vm9': does not exist"),
    ],
)
def test_malformed_sources(
    run: Run,
    instance: Path,
    plan: Path,
    tmp_path: Path,
    kind: str,
    name: str,
    text: str,
    words: str,
) -> None:
    """One line says file, line and what is wrong; nothing is written."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    out = tmp_path / "out"
    result = run("apply", instance, plan, "-f", kind, "--source", path, "--out", out)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--vm", "vm9"), "VM 'vm9': does not exist"),
        (("--source", "-"), "not standard input"),
        (("--source", "none.xml"), "cannot be read"),
        (("--source", "none.xml", "--vm", "vm1", "--vm", "vm2"), "cannot be read"),
        (("--source", "none*.xml"), "none*.xml: source: no file matches"),
        (("--affinity", "soft"), "libvirt has no soft affinity"),
    ],
)
def test_bad_input(run: Run, instance: Path, plan: Path, args: tuple[str, ...], words: str) -> None:
    """One line on standard error, exit code 2."""
    result = run("apply", instance, plan, "-f", "libvirt", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_names_become_file_names(run: Run, tmp_path: Path) -> None:
    """No name leads out of the folder, no two share a file."""
    names = ["../up", ".hidden", "a b", "é%2F", "a/b"]
    vms = [{"name": name, "vcpus": 1, "memory_mib": 64} for name in names]
    path = tmp_path / "odd.json"
    path.write_text(json.dumps({**document(), "vms": vms}), encoding="utf-8")
    run("solve", path, "--solver", "greedy", "--out", "plan.json", "-q")
    out = tmp_path / "in" / "out"
    assert run("apply", path, "plan.json", "-f", "xl", "--out", out).exit_code == 0
    found = {file.name for file in out.iterdir()}
    assert found == {"%2E.%2Fup.cfg", "%2Ehidden.cfg", "a b.cfg", "é%252F.cfg", "a%2Fb.cfg"}
    assert [file.name for file in (tmp_path / "in").iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("wanted", "expected"), [("2:1024", "0\n"), ("5", "0-1\n"), ("2:9000", "0-1\n")]
)
def test_numad(run: Run, instance: Path, wanted: str, expected: str) -> None:
    """One node list, nothing else on standard output."""
    result = run("numad", "-w", wanted, "--host", instance)
    assert (result.exit_code, result.stdout) == (0, expected)


def test_numad_knows_what_is_taken(run: Run, tmp_path: Path, instance: Path) -> None:
    """Beside a VM on node 0, node 1."""
    path = tmp_path / "plan.json"
    placements = {"vm1": {"host": "rack", "cells": [cell(0)]}}
    path.write_text(
        json.dumps({"format": "numaplace-plan/1", "placements": placements}), encoding="utf-8"
    )
    more = ("--taken", path, "--instance", instance)
    assert run("numad", "-w", "4:4096", *more).stdout == "1\n"
    assert run("numad", "-w", "1:8192", *more).stdout == "1\n"
    result = run("numad", "-w", "1:99999", *more)
    assert (result.exit_code, result.stdout) == (0, "0-1\n")
    assert "nothing fits" in result.stderr


@pytest.mark.parametrize("folder", ["", "sys"])
def test_numad_takes_what_is_free_now(run: Run, tmp_path: Path, folder: str) -> None:
    """Of a live sysfs the free memory counts, not all there is."""
    files, _ = machine()
    for name, text in files.items():
        if name.endswith("node/node0/meminfo"):
            text += "Node 0 MemFree: 2048 kB\nNode 0 Inactive(file): 1024 kB\n"
        path = tmp_path / "live" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    source = tmp_path / "live" / folder
    assert run("numad", "-w", "1:3", "--host", source).stdout == "0\n"
    assert run("numad", "-w", "1:4", "--host", source).stdout == "2\n"
    assert run("numad", "-w", "1:4", "--host", f"sysfs:{source}").stdout == "2\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("-w", "x"), "must be CPUS[:MB], such as 4:8192"),
        (("-w", "0:1"), "must be CPUS[:MB]"),
        (("-w", "1:1", "--taken", "plan.json"), "go together"),
        (("-w", "1:1", "--host", "none"), "none"),
    ],
)
def test_numad_with_bad_input(run: Run, args: tuple[str, ...], words: str) -> None:
    """One line on standard error, exit code 2, nothing on standard output."""
    result = run("numad", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_numad_needs_to_know_the_host(run: Run, tmp_path: Path) -> None:
    """Of several hosts, the one that is named."""
    hosts = [{**document()["hosts"][0], "name": name} for name in ("a", "b")]
    path = tmp_path / "two.json"
    path.write_text(json.dumps({**document(), "hosts": hosts}), encoding="utf-8")
    empty = tmp_path / "plan.json"
    empty.write_text('{"format": "numaplace-plan/1", "placements": {}}', encoding="utf-8")
    more = ("--taken", empty, "--instance", path)
    assert run("numad", "-w", "1:1", *more, "--host", "b").stdout == "0\n"
    assert "describes 2 hosts" in run("numad", "-w", "1:1", "--host", path).stderr
