"""Instances and plans on disk, as JSON or YAML, and as plain values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from numaplace.instances.files import read_text, write_text
from numaplace.instances.formats.document.convert import instance_from, plan_from
from numaplace.instances.formats.document.faults import Source, validated
from numaplace.instances.formats.document.json_text import dump_json, json_line, parse_json
from numaplace.instances.formats.document.plain import instance_to_dict, plan_to_dict
from numaplace.instances.formats.document.provenance import provenance_from, provenance_to_dict
from numaplace.instances.formats.document.schema import (
    INSTANCE_FORMAT,
    PLAN_FORMAT,
    InstanceDoc,
    PlanDoc,
)
from numaplace.instances.formats.document.yaml_text import dump_yaml, parse_yaml, yaml_line
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Provenance

D = TypeVar("D", bound=BaseModel)
YAML_SUFFIXES = (".yaml", ".yml")
_NAMES = {INSTANCE_FORMAT: "an instance", PLAN_FORMAT: "a plan"}


def read_instance(path: Path) -> Instance:
    """Read an instance from a JSON or YAML file, ``-`` is standard input.

    Raises
    ------
    InputError
        Naming file, line where possible, element and reason of the first fault.
    """
    return _read(path, InstanceDoc, INSTANCE_FORMAT, instance_from)


def read_plan(path: Path) -> Plan:
    """Read a plan; as `read_instance`."""
    return read_told_plan(path)[0]


def read_told_plan(path: Path) -> tuple[Plan, Provenance | None]:
    """Read a plan, and what its file tells of how it came about; as `read_instance`."""
    return _read(
        path,
        PlanDoc,
        PLAN_FORMAT,
        lambda doc, source: (plan_from(doc, source), provenance_from(doc, source)),
    )


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
    head = {"format": document["format"], "provenance": provenance_to_dict(told)}
    return {**head, **document}


def instance_from_dict(data: object) -> Instance:
    """Return the instance of a document of plain values."""
    return _from_data(data, InstanceDoc, INSTANCE_FORMAT, Source(), instance_from)


def plan_from_dict(data: object) -> Plan:
    """Return the plan of a document of plain values."""
    return _from_data(data, PlanDoc, PLAN_FORMAT, Source(), plan_from)


def sniff(head: str, path: Path) -> bool:
    """Tell whether a file that starts with `head` is a numaplace instance."""
    return "numaplace-instance/" in head


def parse_instance(text: str, file: str) -> Instance:
    """Return the instance of a JSON text that came from `file`; as `read_instance`."""
    return _parse(text, Path(file), InstanceDoc, INSTANCE_FORMAT, instance_from)


T = TypeVar("T")


def _read(path: Path, model: type[D], expected: str, make: Callable[[D, Source], T]) -> T:
    return _parse(read_text(path), path, model, expected, make)


def _parse(
    text: str, path: Path, model: type[D], expected: str, make: Callable[[D, Source], T]
) -> T:
    file = str(path)
    if _is_yaml(text, path):
        source = Source(file, lambda where: yaml_line(text, where))
        return _from_data(parse_yaml(text, file), model, expected, source, make)
    source = Source(file, lambda where: json_line(text, where))
    return _from_data(parse_json(text, file), model, expected, source, make)


def _is_yaml(text: str, path: Path) -> bool:
    """Tell by the suffix; without a known one, JSON starts with a brace."""
    suffix = path.suffix.lower()
    return suffix in YAML_SUFFIXES or (suffix != ".json" and not text.lstrip().startswith("{"))


def _dump(document: dict[str, object], path: Path) -> str:
    yaml = path.suffix.lower() in YAML_SUFFIXES
    return dump_yaml(document) if yaml else dump_json(document)


def _from_data(
    data: object, model: type[D], expected: str, source: Source, make: Callable[[D, Source], T]
) -> T:
    _check_format(data, expected, source)
    return make(validated(model, data, source), source)


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
