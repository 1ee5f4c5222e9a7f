"""Instances and plans on disk, as JSON or YAML, and as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from numaplace.instances.files import read_text, write_text
from numaplace.instances.formats.document.json_text import dump_json, json_line, parse_json
from numaplace.instances.formats.document.plain import instance_to_dict, plain, plan_to_dict
from numaplace.instances.formats.document.read import Source, read_document
from numaplace.instances.formats.document.short import INSTANCE_FORMAT, PLAN_FORMAT
from numaplace.instances.formats.document.yaml_text import dump_yaml, parse_yaml, yaml_line
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Provenance

YAML_SUFFIXES = (".yaml", ".yml")
_NAMES = {INSTANCE_FORMAT: "an instance", PLAN_FORMAT: "a plan"}
_FORMATS: dict[type[Instance] | type[Plan], str] = {Instance: INSTANCE_FORMAT, Plan: PLAN_FORMAT}


def read_instance(path: Path) -> Instance:
    """Read an instance from a JSON or YAML file, ``-`` is standard input.

    Raises
    ------
    InputError
        Naming file, line where possible, element and reason of the first fault.
    """
    return parse_instance(read_text(path), str(path))


def read_plan(path: Path) -> Plan:
    """Read a plan; as `read_instance`."""
    return read_told_plan(path)[0]


def read_told_plan(path: Path) -> tuple[Plan, Provenance | None]:
    """Read a plan, and what its file tells of how it came about; as `read_instance`."""
    data, source = _parse(read_text(path), path)
    plan = _from_data(data, Plan, source)
    told = data.get("provenance") if isinstance(data, dict) else None
    return plan, None if told is None else read_document(Provenance, told, source)


def write_instance(instance: Instance, path: Path, *, overwrite: bool = False) -> None:
    """Write an instance, as YAML if the file's name says so, else as JSON.

    Raises
    ------
    InputError
        If the file exists and `overwrite` is false, or it cannot be written.
    """
    write_text(path, instance_text(instance, path), overwrite=overwrite)


def write_plan(
    plan: Plan, path: Path, *, told: Provenance | None = None, overwrite: bool = False
) -> None:
    """Write a plan, and how it came about if that is told; as `write_instance`."""
    write_text(path, plan_text(plan, path, told), overwrite=overwrite)


def instance_text(instance: Instance, path: Path) -> str:
    """Return what `write_instance` writes to that path."""
    return _dump(instance_to_dict(instance), path)


def plan_text(plan: Plan, path: Path, told: Provenance | None = None) -> str:
    """Return what `write_plan` writes to that path."""
    return _dump(told_plan_to_dict(plan, told), path)


def told_plan_to_dict(plan: Plan, told: Provenance | None) -> dict[str, object]:
    """Return the document of a plan, and of how it came about if that is told."""
    document = plan_to_dict(plan)
    if told is None:
        return document
    return {"format": document["format"], "provenance": plain(told), **document}


def instance_from_dict(data: object) -> Instance:
    """Return the instance of a document of plain values."""
    return _from_data(data, Instance, Source())


def plan_from_dict(data: object) -> Plan:
    """Return the plan of a document of plain values."""
    return _from_data(data, Plan, Source())


def parse_instance(text: str, file: str) -> Instance:
    """Return the instance of a JSON text that came from `file`; as `read_instance`."""
    data, source = _parse(text, Path(file))
    return _from_data(data, Instance, source)


T = TypeVar("T", Instance, Plan)


def _parse(text: str, path: Path) -> tuple[object, Source]:
    file = str(path)
    if _is_yaml(text, path):
        return parse_yaml(text, file), Source(file, lambda where: yaml_line(text, where))
    return parse_json(text, file), Source(file, lambda where: json_line(text, where))


def _is_yaml(text: str, path: Path) -> bool:
    """Tell by the suffix; without a known one, JSON starts with a brace."""
    suffix = path.suffix.lower()
    return suffix in YAML_SUFFIXES or (suffix != ".json" and not text.lstrip().startswith("{"))


def _dump(document: dict[str, object], path: Path) -> str:
    yaml = path.suffix.lower() in YAML_SUFFIXES
    return dump_yaml(document) if yaml else dump_json(document)


def _from_data(data: object, model: type[T], source: Source) -> T:
    _check_format(data, _FORMATS[model], source)
    assert isinstance(data, dict)
    return read_document(model, {key: data[key] for key in data if key != "format"}, source)


def _check_format(data: object, expected: str, source: Source) -> None:
    """Say first what matters most: that this is some other document."""
    if not isinstance(data, dict):
        error = InputError("document", "", f"is not {_NAMES[expected]}: it has no keys and values")
        raise source.fault(error)
    found = data.get("format")
    if found is None:
        reason = f"is missing: {_NAMES[expected]} starts with it, {expected!r}"
    elif isinstance(found, str) and found in _NAMES:
        reason = f"is {found!r}: this is {_NAMES[found]}, wanted is {_NAMES[expected]}"
    else:
        reason = f"{found!r:.60} is not read here, only {expected!r}"
    if found != expected:
        raise source.fault(InputError("document", "format", reason), "format")
