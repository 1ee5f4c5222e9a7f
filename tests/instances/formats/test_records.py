"""The records of the formats: complete, documented, and enough to add a format."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import numaplace
from numaplace.instances.formats.format import Format
from numaplace.instances.formats.registry import FORMATS, HOST_FORMATS, VM_FORMATS, WRITTEN_FORMATS
from numaplace.tests.instances.formats.formats_page import PAGE, formats_page

ROOT = Path(numaplace.__file__).parent
TOY = '''"""Toys: ``toy NAME VCPUS MIB`` is a VM, ``box NAME CPUS MIB`` a host of one node."""

from numaplace.instances.formats.format import Format, one_host, one_vm
from numaplace.instances.hostparts import CpuFacts, finish_host, pcpus_by_node
from numaplace.instances.reading import Reading
from numaplace.models.topology import NumaNode
from numaplace.models.vm import Vm


def read_box(path):
    _, name, cpus, mib = path.read_text().split()
    pcpus = pcpus_by_node(CpuFacts(n, 0, n) for n in range(int(cpus)))
    return finish_host(name, [NumaNode(0, pcpus[0], int(mib))], [])


def read_toys(path, host):
    words = (line.split() for line in path.read_text().splitlines())
    return Reading(tuple(Vm(name, int(vcpus), int(mib)) for _, name, vcpus, mib in words))


def write(placed, affinity, source, file):
    text = f"toy {placed.vm.name} {placed.vm.vcpus} {placed.vm.memory_mib}\\n"
    return Reading(text, ("toys know no pCPUs",))


TOYS = Format(
    *("toys", "toys", __doc__),
    sniff=lambda head, path: head.startswith(("toy ", "box ")),
    read_hosts=one_host(read_box),
    read_vms=read_toys,
    write=write,
    parts=one_vm,
    suffix=".toy",
    system="toys",
)
'''


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: each.name)
def test_each_record_is_whole(each: Format) -> None:
    """It does something, says what, and what it writes has a suffix and a word on affinity."""
    assert each.read_hosts or each.read_vms or each.write
    assert each.title and each.doc and "None\n" not in each.doc + "\n"
    if each.write:
        assert each.suffix.startswith(".")
        assert each.soft or each.system
    if each.place or each.parts:
        assert each.read_vms


def test_names_are_unique() -> None:
    """No format hides another one."""
    assert len({each.name for each in FORMATS}) == len(FORMATS)
    counted = (len(HOST_FORMATS), len(VM_FORMATS), len(WRITTEN_FORMATS))
    assert counted == tuple(
        sum(bool(can) for can in column)
        for column in zip(*((f.read_hosts, f.read_vms, f.write) for f in FORMATS), strict=True)
    )


def test_page_is_up_to_date() -> None:
    """docs/formats.md says what the sources do."""
    assert PAGE.read_text(encoding="utf-8") == formats_page()


def test_a_format_is_one_file_and_a_line(tmp_path: Path) -> None:
    """In a copy of the package it is listed, imported and applied, sources edited too."""
    copy = tmp_path / "numaplace"
    ignored = shutil.ignore_patterns(".*", "tests", "benchmarks", "docs", "__pycache__", "build")
    shutil.copytree(ROOT, copy, ignore=ignored)
    (copy / "instances" / "formats" / "toys.py").write_text(TOY, encoding="utf-8")
    registry = copy / "instances" / "formats" / "registry.py"
    line = "from numaplace.instances.formats.toys import TOYS\n"
    text = registry.read_text(encoding="utf-8")
    text = text.replace("\nHEAD_BYTES", f"\n{line}\nHEAD_BYTES", 1)
    registry.write_text(text.replace("    *(xen.COMMANDS", "    TOYS,\n    *(xen.COMMANDS", 1))
    (tmp_path / "box").write_text("box b 4 4096\n", encoding="utf-8")
    (tmp_path / "vms").write_text("toy a 2 1024\n", encoding="utf-8")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "numaplace", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout + done.stderr

    assert run("-V") and str(copy) in subprocess.run(
        [sys.executable, "-c", "import numaplace; print(numaplace.__file__)"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout  # fmt: skip
    assert "  toys  " in run("import", "--help")
    run("import", "--host", "box", "--vms", "toys:vms", "--out", "i.json")
    vms = json.loads((tmp_path / "i.json").read_text(encoding="utf-8"))["vms"]
    assert [(vm["name"], vm["vcpus"], vm["memory_mib"]) for vm in vms] == [("a", 2, 1024)]
    run("solve", "i.json", "--solver", "greedy", "--out", "p.json", "-q")
    said = run("apply", "i.json", "p.json", "-f", "toys", "--source", "vms")
    assert "toy a 2 1024" in said and "VM 'a': toys know no pCPUs" in said
    assert said.count("VM 'a'") == 1
