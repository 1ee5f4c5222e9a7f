"""`numaplace import`, `generate`, `schema` and `catalog`."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from numaplace.instances.catalog import list_catalog
from numaplace.instances.formats.document.io import read_instance
from numaplace.tests.cli.conftest import Run
from numaplace.tests.instances.formats.sysfs_tree import machine, write_tree

DATA = Path(__file__).parents[1] / "data"
NUMACTL = DATA / "hosts" / "numactl-gaps.txt"


def test_import_prints_an_instance(run: Run, tmp_path: Path) -> None:
    """Without --out the instance is standard output, and can be read again."""
    vms = tmp_path / "vms.csv"
    vms.write_text("name,vcpus,memory_mib\nweb,1,512\n", encoding="utf-8")
    result = run("import", "--host", NUMACTL, "--vms", vms, "--name", "lab")
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (document["format"], document["name"]) == ("numaplace-instance/1", "lab")
    solved = run("solve", "-", "--solver", "greedy", "--json", stdin=result.stdout)
    assert json.loads(solved.stdout)["vms_placed"] == 1


def test_import_options_reach_the_hosts(run: Run, tmp_path: Path) -> None:
    """Copies, format, reserved memory, overcommit and SMT yield end up in the file."""
    out = tmp_path / "lab.json"
    source = f"numactl:{NUMACTL}*3"
    options = ["--reserve", 100, "--overcommit", 4, "--assume", "smt_yield=1.5"]
    result = run("import", "--host", source, *options, "--out", out)
    assert result.exit_code == 0
    hosts = read_instance(out).hosts
    assert len({host.name for host in hosts}) == 3
    assert {(host.vcpu_overcommit, host.smt_yield) for host in hosts} == {(4.0, 1.5)}
    assert 100 in {node.reserved_mib for node in hosts[0].nodes}
    assert "3 hosts" in result.stdout


def test_import_remarks_go_to_standard_error(run: Run) -> None:
    """What the reader assumed is told, one line each, without spoiling the JSON."""
    result = run("import", "--host", DATA / "hosts" / "lscpu-flat.json", "--memory", 4096)
    assert json.loads(result.stdout)["hosts"]
    assert result.stderr and all(
        line.startswith("numaplace: ") for line in result.stderr.splitlines()
    )


TWO_NODES = """available: 2 nodes (0-1)
node 0 cpus: 0 1
node 0 size: 16384 MB
node 0 free: 500 MB
node 1 cpus: 2 3
node 1 size: 16384 MB
node 1 free: 15000 MB
node distances:
node   0   1
  0:  10  21
  1:  21  10
"""


def test_import_takes_the_memory_that_is_wanted(run: Run, tmp_path: Path) -> None:
    """A VM of 8 GiB goes where 15,000 MB are free, not where 500 are, if that is wanted."""
    host, vms, out = tmp_path / "numactl.txt", tmp_path / "vms.csv", tmp_path / "lab.json"
    host.write_text(TWO_NODES, encoding="utf-8")
    vms.write_text("name,vcpus,memory_mib\nnew,2,8192\n", encoding="utf-8")
    source = ("import", "--host", host, "--vms", vms, "--out", out, "--force")
    whole = run(*source)
    assert "all there is (32768 MiB)" in whole.stderr and "--memory free" in whole.stderr
    free = run(*source, "--memory", "free")
    assert "free now (15500 of 32768 MiB)" in free.stderr
    assert [node.memory_mib for node in read_instance(out).hosts[0].nodes] == [500, 15000]
    assert free.exit_code == whole.exit_code == 0
    given = run(*source, "--memory", "4096")
    assert "not used: the file tells it" in given.stderr
    bad = run(*source, "--memory", "most")
    assert bad.exit_code == 2 and "must be total, free or a node's MiB, not 'most'" in bad.stderr


def test_import_keeps_gpu_memory_if_wanted(run: Run, tmp_path: Path) -> None:
    """As on a POWER9: memory 80 away from all CPUs is a GPU's, and no VM's unless asked for."""
    host = tmp_path / "numactl.txt"
    gpu = TWO_NODES.replace("cpus: 2 3", "cpus:").replace("21", "80").replace("node 1", "node 255")
    text = gpu.replace("(0-1)", "(0,255)").replace("node   0   1", "node   0   255")
    host.write_text(text.replace("  1:", "255:"), encoding="utf-8")
    nodes = {}
    for given in ((), ("--gpu-memory",)):
        result = run("import", "--host", host, *given)
        nodes[given] = [node["id"] for node in json.loads(result.stdout)["hosts"][0]["nodes"]]
        assert "nodes 255 are memory of GPUs" in result.stderr
    assert nodes == {(): [0], ("--gpu-memory",): [0, 255]}


def test_import_of_equal_names(run: Run) -> None:
    """Two hosts of one name are an error, unless --rename numbers them."""
    twice = ["import", "--host", NUMACTL, "--host", NUMACTL]
    assert run(*twice).exit_code == 2
    names = [host["name"] for host in json.loads(run(*twice, "--rename").stdout)["hosts"]]
    assert len(set(names)) == 2


def test_import_keeps_files(run: Run, instance: Path) -> None:
    """--out never overwrites without --force."""
    before = instance.read_text(encoding="utf-8")
    result = run("import", "--host", NUMACTL, "--out", instance)
    assert (result.exit_code, instance.read_text(encoding="utf-8")) == (2, before)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("foo:{file}", "unknown format 'foo', choose one of sysfs, numaplace, hwloc-xml"),
        ("{file}*abc", "copies must be a number, not 'abc'"),
        ("numactl:{file}*", "copies must be a number, not ''"),
    ],
)
def test_import_tells_what_is_wrong_with_a_source(run: Run, source: str, words: str) -> None:
    """A prefix that is no format and copies that are no number are named as such."""
    result = run("import", "--host", source.format(file=NUMACTL))
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr and result.stderr.count("\n") == 1


def test_import_takes_sysfs_itself(run: Run, tmp_path: Path) -> None:
    """Both the folder that holds `sys` and `sys` itself give the host."""
    write_tree(tmp_path / "copy", *machine())
    whole, itself = (
        run("import", "--host", f"sysfs:{folder}").stdout
        for folder in (tmp_path / "copy", tmp_path / "copy" / "sys")
    )
    assert json.loads(whole)["hosts"] == json.loads(itself)["hosts"] != []


def test_generate_is_repeatable(run: Run, tmp_path: Path) -> None:
    """The same seed gives the same instance, another seed another, --set changes it."""
    first, again, other = (
        run("generate", "io", "--seed", seed, "--set", "vms=4", "--json").stdout
        for seed in (1, 1, 2)
    )
    assert first == again != other
    assert len(json.loads(first)["vms"]) == 4
    out = tmp_path / "io.yaml"
    changed = ["--set", "shape=cxl", "--set", "cpu_load=0.9", "--set", "name=mine"]
    assert run("generate", "io", *changed, "--set", "device_share=0", "--out", out).exit_code == 0
    assert read_instance(out).name == "mine"
    assert any(not node.pcpus for node in read_instance(out).hosts[0].nodes)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "preset: must be one of 8n-30vm"),
        (["io", "--set", "vms"], "must be KEY=VALUE with KEY one of shape, hosts"),
        (["io", "--set", "speed=3"], "must be KEY=VALUE with KEY one of shape, hosts"),
        (["io", "--set", "vms=-3"], "vms: must be a whole number, not '-3'"),
        (["io", "--set", "cpu_load=much"], "cpu_load: must be a number, not 'much'"),
        (["io", "--set", "cpu_load=."], "cpu_load: must be a number, not '.'"),
        (["io", "--set", "shape=round"], "shape: must be one of 2n"),
        (["io", "--set", "device_share=7"], "device_share: 7.0 is outside 0 to 1"),
        (["io", "--seed", "-1"], "seed: is negative"),
    ],
)
def test_generate_refuses(run: Run, arguments: list[str], words: str) -> None:
    """Impossible parameters are named in one line."""
    result = run("generate", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr and result.stderr.count("\n") == 1


def test_schema_describes_the_files(run: Run, instance: Path, tmp_path: Path) -> None:
    """The printed schemas accept an instance and a plan, and refuse one as the other."""
    plan = tmp_path / "plan.json"
    run("solve", instance, "--solver", "greedy", "--out", plan)
    files = {"instance": instance, "plan": plan}
    schemas = {kind: json.loads(run("schema", kind).stdout) for kind in files}
    for kind, path in files.items():
        document = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.validate(document, schemas[kind])
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, schemas["plan" if kind == "instance" else "instance"])
    assert run("schema", "nonsense").exit_code == 2


def test_catalog_lists_and_prints(run: Run) -> None:
    """All names are listed; one is printed as an instance."""
    table = run("catalog").stdout
    names = [entry.name for entry in list_catalog()]
    assert all(name in table for name in names)
    assert [entry["name"] for entry in json.loads(run("catalog", "--json").stdout)] == names
    assert json.loads(run("catalog", "talk-2").stdout)["name"] == "talk-2"
    assert run("catalog", "nonsense").exit_code == 2
