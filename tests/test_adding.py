"""Adding a rule, a term, a format, a policy and a table touches the files that the docs list.

All are added to one copy of the package, one after the other, and used there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data" / "adding"
PARTS = ("rule", "linear term", "format", "policy", "table")
PRINTED = {
    "docs/fields.md": ("numaplace", "schema", "--markdown"),
    "instances/data/numaplace-instance-1.schema.json": ("numaplace", "schema", "instance"),
    "docs/formats.md": ("numaplace.tests.instances.formats.formats_page",),
}
TABLE = """
from numaplace.commands.printing import OutputKind, Printing
from numaplace.report.tables.memory import MEMORY, memory_table
from numaplace.tests.builders import make_host
host = make_host()
for kind in OutputKind:
    table = lambda: memory_table(host)
    Printing(kind).answer(lambda: MEMORY.plain(host), lambda: [table()], table)
    print("----" if kind is not OutputKind.CSV else "", flush=True)
"""


class Copy:
    """A copy of the package that things are added to, and what each touched."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "numaplace"
        ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist")
        shutil.copytree(ROOT, self.root, ignore=ignored)
        self.touched: dict[str, set[str]] = {}

    def add(self, part: str) -> None:
        """Make the edits of a file under tests/data/adding: blocks before or after an anchor."""
        before = self._texts()
        text = (DATA / f"{part.replace(' ', '_')}.txt").read_text(encoding="utf-8")
        for edit in re.split("^=== ", text, flags=re.MULTILINE)[1:]:
            head, _, block = edit.partition("\n")
            name, side, anchor = (*head.split(" ", 2), "", "")[:3]
            path = self.root / name
            old = path.read_text(encoding="utf-8") if side else ""
            assert not side or old.count(anchor) == 1, f"{name}: {old.count(anchor)} x {anchor!r}"
            at = old.find(anchor)
            at = old.rfind("\n", 0, at) + 1 if side == "before" else old.find("\n", at) + 1
            path.write_text(old[:at] + block + old[at:], encoding="utf-8")
        for name, command in PRINTED.items():
            (self.root / name).write_text(self.run(*command), encoding="utf-8")
        after = self._texts()
        self.touched[part] = {name for name in after if after[name] != before.get(name)}

    def _texts(self) -> dict[str, bytes]:
        paths = (p for p in self.root.rglob("*") if p.is_file() and p.suffix != ".pyc")
        return {p.relative_to(self.root).as_posix(): p.read_bytes() for p in paths}

    def run(self, *module: str, script: str = "") -> str:
        """What a module of the copy, or a script, says."""
        done = subprocess.run(
            [sys.executable, *(("-c", script) if script else ("-m", *module))],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def listed(part: str) -> set[str]:
    """Files that docs/architecture.md lists for what is added."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found = re.search(rf"^### A {part}\n(.*?)^##", text, re.MULTILINE | re.DOTALL)
    assert found, part
    return set(re.findall(r"^\* `([^`]+)`: ", found[1], re.MULTILINE))


def test_adding(tmp_path: Path) -> None:
    """One test, so that one process makes the copy."""
    copy = Copy(tmp_path)
    for part in PARTS:
        copy.add(part)
        assert copy.touched[part] == listed(part)
    assert copy.run(script="import numaplace; print(numaplace.__file__)").startswith(str(tmp_path))
    rule_and_term_are_obeyed_and_priced_alike(copy)
    format_is_sniffed_imported_and_applied(copy)
    policy_replays(copy)
    table_is_drawn_and_written_and_has_a_schema(copy)
    shutil.rmtree(copy.root)


def rule_and_term_are_obeyed_and_priced_alike(copy: Copy) -> None:
    """A plan is refused; verifier and engines agree on cases, and all solvers on instances."""
    said = copy.run(script=(DATA / "use.py").read_text(encoding="utf-8"))
    assert said.split() == ["rule", "term", "agree"]


def format_is_sniffed_imported_and_applied(copy: Copy) -> None:
    """It is listed in the help; VMs and hosts are read without its name, and texts edited."""
    box, vms = copy.folder / "box", copy.folder / "vms"
    box.write_text("box b 4 4096\n", encoding="utf-8")
    vms.write_text("toy a 2 1024\n", encoding="utf-8")
    assert "  toys  " in copy.run("numaplace", "import", "--help")
    copy.run("numaplace", "import", "--host", "box", "--vms", "vms", "--out", "i.json")
    read = json.loads((copy.folder / "i.json").read_text(encoding="utf-8"))["vms"]
    assert [(vm["name"], vm["vcpus"], vm["memory_mib"]) for vm in read] == [("a", 2, 1024)]
    copy.run("numaplace", "solve", "i.json", "--solver", "greedy", "--out", "p.json", "-q")
    said = copy.run("numaplace", "apply", "i.json", "p.json", "-f", "toys", "--source", "vms")
    assert "toy a 2 1024" in said and said.count("VM 'a'") == 1
    assert "VM 'a': toys know no pCPUs" in said


def policy_replays(copy: Copy) -> None:
    """Best fit fills a node with two VMs, worst fit leaves no node whole for the third."""
    rows = ["vmid,cpu,mem,at,lt", "1,2,1,0,10", "2,2,1,1,10", "3,4,1,2,10"]
    (copy.folder / "trace.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    words = ("--hosts", "2x4x8", "--policies", "best_fit,worst_fit", "-c", "policy,accepted")
    said = copy.run("numaplace", "replay", "trace.csv", *words, "-o", "csv")
    assert said.split() == ["policy,accepted", "best_fit,3", "worst_fit,2"]


def table_is_drawn_and_written_and_has_a_schema(copy: Copy) -> None:
    """One declaration is a table, JSON and CSV, and is published."""
    drawn, plain, csv = copy.run(script=TABLE).split("\n----\n")
    nodes = json.loads(plain)["nodes"]
    assert json.loads(plain)["format"] == "numaplace-memory/1" and len(nodes) == 2
    assert drawn.split("\n")[0] == "host" and drawn.count("4 GiB") == 2
    assert csv.split() == ["node,memory_mib", "0,4096", "1,4096"]
    schema = json.loads(copy.run("numaplace", "schema", "memory"))
    assert schema["required"] == ["format", "host", "nodes"]
