"""A field is declared once: all that the models declare is whole, and holds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from numaplace.instances.formats.document.schema import KINDS, field_reference, models_in
from numaplace.instances.formats.document.short import document_fields
from numaplace.models.errors import InputError
from numaplace.models.fields import NO_DEFAULT, Value, check, fields_of
from numaplace.models.plan import PlacedCell
from numaplace.models.topology import Device
from numaplace.models.vm import Vm

ROOT = Path(__file__).resolve().parents[2]
MODELS = list(dict.fromkeys(each for root, _ in KINDS.values() for each in models_in(root)))
FIELDS = [(model, name) for model in MODELS for name in document_fields(model)]

SCRIPT = """
from numaplace.instances.formats.document.io import instance_from_dict, instance_to_dict
from numaplace.instances.formats.document.schema import field_reference, json_schema
from numaplace.models.errors import InputError
from numaplace.models.vm import Vm

assert Vm("a", 1, 64).points == 3
for wrong in (-1, 10, 1.5, None):
    try:
        Vm("a", 1, 64, points=wrong)
    except InputError as error:
        assert str(error).startswith("VM 'a': points: "), error
    else:
        raise AssertionError(wrong)
host = {"name": "h", "nodes": [{"id": 0}]}
document = {"format": "numaplace-instance/1", "hosts": [host]}
read = instance_from_dict(document | {"vms": [dict(name="a", vcpus=1, memory_mib=64, points=7)]})
assert read.vms[0].points == 7
assert instance_to_dict(read)["vms"][0]["points"] == 7
assert "points" not in instance_to_dict(instance_from_dict(
    document | {"vms": [dict(name="a", vcpus=1, memory_mib=64, points=3)]}))["vms"][0]
try:
    instance_from_dict(document | {"vms": [dict(name="a", vcpus=1, memory_mib=64, points=77)]})
except InputError as error:
    assert str(error) == "vms[0] 'a'.points: 77 is above 9, the largest allowed", error
assert json_schema("instance")["$defs"]["Vm"]["properties"]["points"] == {
    "type": "integer", "minimum": 0, "maximum": 9, "description": "Merits. (stars)", "default": 3}
assert "| `points` | whole number 0 to 9 stars | `3` | Merits. |" in field_reference()
print("all of them")
"""


def leaves(value: Value) -> Iterator[Value]:
    yield value
    for inner in (value.item, value.key):
        if inner is not None:
            yield from leaves(inner)


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_a_declaration_is_whole(model: Any, name: str) -> None:
    """A meaning, bounds of each number, and a default that the field itself takes."""
    value = document_fields(model)[name]
    assert value.text and value.text[-1] == "."
    for each in leaves(value):
        assert each.bound or each.kind not in (int, float)
    default = fields_of(model)[name].default if name in fields_of(model) else NO_DEFAULT
    if default is not NO_DEFAULT:
        check("thing", name, default, fields_of(model)[name])


@pytest.mark.parametrize("model", MODELS)
def test_errors_name_every_model(model: Any) -> None:
    """The name that errors use is made of its own fields."""
    assert is_dataclass(model) and model.__doc__
    assert isinstance(model.THING, str)


def test_a_field_is_added_in_one_place(tmp_path: Path) -> None:
    """One declaration more in a copy of the sources: check, reader, writer, schema, reference."""
    for folder in ("models", "instances"):
        shutil.copytree(ROOT / folder, tmp_path / "numaplace" / folder)
    (tmp_path / "numaplace" / "__init__.py").touch()
    source = tmp_path / "numaplace" / "models" / "vm.py"
    before = "    required: Annotated[bool"
    field = '    points: Annotated[int, Bound(0, 9, "stars"), "Merits."] = 3\n'
    text = source.read_text(encoding="utf-8")
    assert text.count(before) == 1
    source.write_text(text.replace(before, field + before), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("all of them\n", "")


def test_reference_is_up_to_date() -> None:
    """docs/fields.md is what `numaplace schema --markdown` prints."""
    assert (ROOT / "docs" / "fields.md").read_text(encoding="utf-8") == field_reference()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Vm("a", 1, 64, soft_weight=1e-9), "soft_weight: 1e-09 is too small to count"),
        (lambda: Vm("a", 1, 64, value=0.0005), "value: 0.0005 is too small to count"),
        (lambda: Vm("a", 1, 64, hard_nodes=frozenset({-1})), "hard_nodes: is negative (-1)"),
        (lambda: Vm("a", 1, 64, allowed_hosts=frozenset({""})), "allowed_hosts: is empty"),
        (lambda: Device("a", "nic", vendor_product="x\x1b"), "vendor_product: holds unprintable"),
        (lambda: replace(PlacedCell(0, 1), pcpus=(0, 1 << 30)), "pcpus: 1073741824 is above"),
    ],
)
def test_entries_and_small_numbers_are_checked(build: Any, words: str) -> None:
    """Bounds hold for entries of collections too; what is too small to count is told."""
    with pytest.raises(InputError, match=re.escape(words)):
        build()
