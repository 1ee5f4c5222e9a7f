"""Instances and plans survive the way to disk and back, and the schema says what is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numaplace.instances.formats.document import schema, yaml_text
from numaplace.instances.formats.document.io import (
    instance_from_dict,
    instance_to_dict,
    plan_from_dict,
    plan_to_dict,
    read_instance,
    read_plan,
    write_instance,
    write_plan,
)
from numaplace.instances.formats.document.json_text import dump_json, json_line, parse_json
from numaplace.instances.formats.document.short import INSTANCE_FORMAT
from numaplace.instances.formats.document.yaml_text import dump_yaml, parse_yaml, yaml_line
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.units import PageSize
from numaplace.models.vm import Vm
from numaplace.tests.strategies import instances, random_small_instance

SHORT = """\
format: numaplace-instance/1
hosts:
  - name: xeon
    nodes:
      - {id: 0, cores: 4, threads_per_core: 2, cores_per_llc: 2, memory_mib: 6144}
      - {id: 1, cores: 4, threads_per_core: 2, socket: 1, memory_mib: 6144}
      - {id: 4, memory_mib: 8192, socket: 1}
vms:
  - {name: web, count: 3, vcpus: 2, memory_mib: 960, page_size: 4K}
  - {name: db, vcpus: 4, memory_mib: 1024, start: -5}
"""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(instances())
def test_instance_survives_json_and_yaml(instance: Instance) -> None:
    """Whatever the instance, its text in either language is read back as an equal instance."""
    document = instance_to_dict(instance)
    assert instance_from_dict(parse_json(dump_json(document))) == instance
    assert instance_from_dict(parse_yaml(dump_yaml(document))) == instance


@pytest.mark.parametrize("seed", range(40))
def test_plan_survives_json_and_yaml(seed: int) -> None:
    """A plan's text is read back as an equal plan."""
    plan = random_small_instance(seed).current or Plan()
    assert plan_from_dict(parse_json(dump_json(plan_to_dict(plan)))) == plan
    assert plan_from_dict(parse_yaml(dump_yaml(plan_to_dict(plan)))) == plan


@pytest.mark.parametrize("kind", ["instance", "plan"])
def test_published_schema_is_what_the_code_says(kind: str) -> None:
    """The schema in the package is valid JSON schema and up to date."""
    file = Path(schema.__file__).parents[2] / "data" / f"numaplace-{kind}-1.schema.json"
    published = json.loads(file.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(published)
    assert published == schema.json_schema(kind), "not up to date"


@pytest.mark.parametrize("seed", range(25))
def test_written_documents_obey_the_schema(seed: int) -> None:
    """What is written passes a JSON schema validator that knows nothing of numaplace."""
    instance = random_small_instance(seed)
    check = jsonschema.Draft202012Validator
    check(schema.json_schema("instance")).validate(instance_to_dict(instance))
    if instance.current is not None:
        check(schema.json_schema("plan")).validate(plan_to_dict(instance.current))


def test_unknown_schema_is_refused() -> None:
    """There are schemas of instances and plans only."""
    with pytest.raises(InputError, match="must be one of instance, plan, not 'host'"):
        schema.json_schema("host")


def test_short_forms_are_read() -> None:
    """Numbers of cores become pCPUs, a count becomes that many VMs."""
    instance = instance_from_dict(parse_yaml(SHORT))
    first, second, third = instance.hosts[0].nodes
    assert [pcpu.id for pcpu in second.pcpus] == list(range(8, 16))
    assert [pcpu.core for pcpu in first.pcpus] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [pcpu.llc for pcpu in first.pcpus] == [0, 0, 0, 0, 2, 2, 2, 2]
    assert {pcpu.socket for pcpu in second.pcpus} == {1}
    assert {pcpu.llc for pcpu in second.pcpus} == {None}
    assert third.threads == 0 and third.sockets == {1}
    assert [vm.name for vm in instance.vms] == ["web1", "web2", "web3", "db"]
    assert instance.vms[2].page_size is PageSize.SMALL


def test_short_forms_are_written() -> None:
    """What was written in short comes out in short."""
    document = instance_to_dict(instance_from_dict(parse_yaml(SHORT)))
    nodes = document["hosts"][0]["nodes"]
    assert nodes[0] == {
        "id": 0,
        "cores": 4,
        "threads_per_core": 2,
        "cores_per_llc": 2,
        "memory_mib": 6144,
    }
    assert document["vms"][0] == {"name": "web", "count": 3, "vcpus": 2, "memory_mib": 960}


def test_counted_cores_follow_listed_pcpus() -> None:
    """Short and long nodes on one host get different pCPU and core numbers."""
    nodes = [
        {"id": 0, "cores": 1, "threads_per_core": 2},
        {"id": 1, "pcpus": [{"id": 3, "core": 7}]},
    ]
    document = {"format": INSTANCE_FORMAT, "hosts": [{"name": "a", "nodes": nodes}]}
    instance = instance_from_dict(document)
    assert instance.hosts[0].nodes[0].pcpus == (PCpu(4, 8), PCpu(5, 8))
    assert instance_from_dict(instance_to_dict(instance)) == instance


def test_the_package_of_a_node_with_pcpus_is_kept() -> None:
    """It is not that of its pCPUs, so the node is not written by the number of its cores."""
    for socket in (0, 3):
        node = NumaNode(0, (PCpu(0, 0, 1), PCpu(1, 1, 1)), 1024, socket=socket)
        instance = Instance((Host("h", (node,)),), ())
        assert instance_from_dict(instance_to_dict(instance)) == instance


def test_names_that_only_look_like_a_series_are_kept() -> None:
    """VMs are written as one with a count only if their names run 1, 2, 3 after a common word."""
    names = ["a1", "a3", "b2", "b3", "c1", "c2", "1", "2", "d1", "d2x", " 1", "e11", "e12"]
    host = Host("h", (NumaNode(0),))
    instance = Instance((host,), tuple(Vm(name, 1, 64) for name in names))
    document = instance_to_dict(instance)
    counts = {vm["name"]: vm["count"] for vm in document["vms"] if "count" in vm}
    assert counts == {"c": 2, "e1": 2}
    assert instance_from_dict(document) == instance


def test_files_are_written_once_and_read_by_their_suffix(tmp_path: Path) -> None:
    """JSON and YAML files hold the same; an existing file is kept unless told otherwise."""
    instance = random_small_instance(3)
    for name in ("a.json", "a.yaml", "a.yml", "a.txt"):
        write_instance(instance, tmp_path / name)
        assert read_instance(tmp_path / name) == instance
        with pytest.raises(InputError, match=f"{name}: file: exists"):
            write_instance(instance, tmp_path / name)
        write_instance(instance, tmp_path / name, overwrite=True)
    assert (tmp_path / "a.yaml").read_text().startswith("format: ")
    plan = Plan({"v": Placement("h", (PlacedCell(0, 1, ((0, 5), (2, 6)), (3,), 20),))})
    write_plan(plan, tmp_path / "plan.yaml")
    assert read_plan(tmp_path / "plan.yaml") == plan


def test_yaml_without_suffix_is_known_by_its_first_sign(tmp_path: Path) -> None:
    """A file that does not start with a brace is read as YAML."""
    file = tmp_path / "instance"
    file.write_text(SHORT)
    assert len(read_instance(file).vms) == 4


def test_lines_of_elements() -> None:
    """The line of an element, or of the nearest parent that exists, is found in both languages."""
    value = {"a": {"b": [1, {"c": [5, {}, []], "d\n": 1}]}, "e": [[[2]], 3]}
    text = json.dumps(value, indent=1)
    paths: list[tuple[tuple[str | int, ...], str]] = [
        (("a",), '"a"'),
        (("a", "b", 0), "1,"),
        (("a", "b", 1, "c", 2), "[]"),
        (("a", "b", 1, "d\n"), '"d\\n": 1'),
        (("a", "b", 1, "x", 2), "{"),
        (("e", 0, 0, 0), "2"),
        (("e", 1), "3"),
        (("e", 7), '"e": ['),
    ]
    for path, words in paths:
        for line in (json_line(text, path), yaml_line(text, path)):
            assert line is not None
            assert text.splitlines()[line - 1].strip().startswith(words), path


def test_written_json_is_narrow_and_the_same() -> None:
    """Lines stay within 100 columns where values allow it, and mean the value."""
    document = instance_to_dict(random_small_instance(8))
    text = dump_json(document)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert json.loads(text) == document


@pytest.mark.parametrize(
    "word", ["no", "1e3", "12:30", "0x1f", "010", "", "null", "~", "1_0", "<<"]
)
def test_yaml_words_stay_words(word: str) -> None:
    """Strings that other YAML readers take for numbers, times or truth come back as strings."""
    assert parse_yaml(dump_yaml({"a": [word]})) == {"a": [word]}


JUNK = st.sampled_from(
    [None, True, -1, 0, 3, 10**30, 0.5, 1e300, "", "x", "a\x00", [], [0], [[]], {}, {"id": 0}]
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_damage_gives_an_instance_or_an_input_error(data: st.DataObject) -> None:
    """Replacing any part of a document by junk never gives another exception."""
    document = instance_to_dict(random_small_instance(data.draw(st.integers(0, 30))))
    spots: list[tuple[Any, Any]] = []
    todo: list[Any] = [document]
    while todo:
        item = todo.pop()
        keys = list(item) if isinstance(item, dict) else list(range(len(item)))
        spots += [(item, key) for key in keys]
        todo += [item[key] for key in keys if isinstance(item[key], dict | list)]
    holder, key = data.draw(st.sampled_from(spots))
    holder[key] = data.draw(JUNK)
    try:
        instance = instance_from_dict(document)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert instance_from_dict(instance_to_dict(instance)) == instance


@pytest.mark.parametrize("in_c", [True, False])
def test_yaml_reads_alike_with_and_without_libyaml(
    monkeypatch: pytest.MonkeyPatch, in_c: bool
) -> None:
    """Values, refusals and lines."""
    if in_c and not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML was built without libyaml")
    monkeypatch.setattr(yaml_text, "_IN_C", in_c)
    monkeypatch.setattr(yaml_text, "_Parser", yaml.CSafeLoader if in_c else yaml.SafeLoader)
    text = "a: [1, 2.5, {b: no, 'c': '1'}]\nd:\n  - ~\n  - e: true\n    f: [x,\n y]\n12:30: 0x1f\n"
    value = {
        "a": [1, 2.5, {"b": "no", "c": "1"}],
        "d": [None, {"e": True, "f": ["x", "y"]}],
        "12:30": "0x1f",
    }
    assert yaml_text.parse_yaml(text) == value
    lines = {("a", 2, "c"): 1, ("d", 0): 3, ("d", 1, "f", 1): 6, ("d", 1, "g"): 4, ("12:30",): 7}
    assert {path: yaml_text.yaml_line(text, path) for path in lines} == lines
    assert yaml_text.parse_yaml("") is None
    refused = {
        "a: &x 1": 1,
        "a: 1\nb: *a": 2,
        "a: !!int 1": 1,
        "a: 1\na: 2": 2,
        "a: 1\n---\nb: 2": 2,
        "a: {[b]: 1}": 1,
        "\u00e9: 1\nb: \u0007": 2,
        "a: 1\nb: .inf": 2,
        "- " * 41 + "1": 1,
    }
    for text, line in refused.items():
        with pytest.raises(InputError) as caught:
            yaml_text.parse_yaml(text, "f.yaml")
        assert str(caught.value).startswith(f"f.yaml:{line}: ")
