"""The published JSON schemas and the field reference, from what the models' fields declare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

from numaplace.instances.formats.document.plain import plain
from numaplace.instances.formats.document.short import INSTANCE_FORMAT, PLAN_FORMAT, document_fields
from numaplace.models.errors import InputError
from numaplace.models.fields import NO_DEFAULT, Value
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan

Schema = dict[str, Any]
KINDS: dict[str, tuple[type[Any], str]] = {
    "instance": (Instance, INSTANCE_FORMAT),
    "plan": (Plan, PLAN_FORMAT),
}
_TYPES = {int: "integer", float: "number", str: "string", bool: "boolean", dict: "object"}
_ENDS = {str: ("minLength", "maxLength"), dict: ("minProperties", "maxProperties")}


def json_schema(kind: str) -> Schema:
    """Return the JSON schema (draft 2020-12) of an ``instance`` or a ``plan``."""
    if kind not in KINDS:
        raise InputError("schema", "kind", f"must be one of {', '.join(KINDS)}, not {kind!r:.60}")
    model, version = KINDS[kind]
    root, *others = (_object(each) for each in models_in(model))
    root["properties"] = {"format": {"const": version}} | root["properties"]
    root["properties"]["format"] = {"const": version}
    root["required"] = ["format", *root.get("required", ())]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:numaplace:{kind}:1",
        "$defs": {each.pop("title"): each for each in others},
        **root,
        "title": f"numaplace {kind}, version 1",
    }


def models_in(model: Any) -> list[Any]:
    """Return a model and all that its fields hold, each once, outer ones first."""
    found: dict[Any, None] = {model: None}
    for field in document_fields(model).values():
        value: Value | None = field
        while value is not None:
            if is_dataclass(value.kind):
                found |= dict.fromkeys(models_in(value.kind))
            value = value.item
    return list(found)


def _object(model: Any) -> Schema:
    told = document_fields(model)
    required = [name for name, field in told.items() if field.default is NO_DEFAULT]
    return {
        "type": "object",
        "title": model.__name__,
        "description": str(model.__doc__).split("\n", 1)[0],
        "properties": {name: _property(field) for name, field in told.items()},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _property(field: Value) -> Schema:
    schema = _schema(field) | {"description": _meaning(field)}
    if field.default not in (NO_DEFAULT, None):
        schema["default"] = plain(field.default)
    return schema


def _schema(value: Value) -> Schema:
    schema: Schema = {}
    size, bound, kind = value.size, value.bound, value.kind
    if is_dataclass(kind):
        schema["$ref"] = f"#/$defs/{getattr(kind, '__name__', '')}"
    elif value.words:
        schema["enum"] = list(value.words)
    else:
        schema["type"] = _TYPES.get(kind, "array")
    if kind is frozenset:
        schema["uniqueItems"] = True
    if bound:
        schema |= {"minimum": bound.low, "maximum": bound.high}
    if size:
        least, most = _ENDS.get(kind, ("minItems", "maxItems"))
        schema |= ({least: size.low} if size.low else {}) | {most: size.high}
    if value.like:
        schema["pattern"] = f"^({value.like.pattern})$"
    if value.item:
        schema["additionalProperties" if kind is dict else "items"] = _schema(value.item)
    if value.key:
        schema["propertyNames"] = _schema(value.key)
    return {"anyOf": [schema, {"type": "null"}]} if value.optional else schema


def _meaning(value: Value) -> str:
    """Return what a value means, with what a schema cannot say: unit, and what is too small."""
    told = [_unit(value).strip(), f"0 or at least {_least(value)}" if _least(value) else ""]
    more = "; ".join(filter(None, told))
    return f"{value.text} ({more})" if more else value.text


def _unit(value: Value) -> str:
    bound = _innermost(value).bound
    return f" {bound.unit}" if bound and bound.unit else ""


def _least(value: Value) -> str:
    bound = _innermost(value).bound
    return f"{bound.least:f}".rstrip("0") if bound and bound.least else ""


def _innermost(value: Value) -> Value:
    return _innermost(value.item) if value.item else value


# -- the field reference ---------------------------------------------------------------------------


def field_reference() -> str:
    """Return the field reference of the documentation, as Markdown."""
    lines = [
        "# Fields of instances and plans",
        "",
        "Made by `numaplace schema --markdown` from what the models declare. Fields without a",
        f"default must be given. A document starts with `format`: `{INSTANCE_FORMAT}` or",
        f"`{PLAN_FORMAT}`.",
    ]
    models = dict.fromkeys(each for model, _ in KINDS.values() for each in models_in(model))
    for model in models:
        lines += ["", f"## {model.__name__}", "", str(model.__doc__).split("\n", 1)[0], ""]
        lines += ["| field | holds | default | meaning |", "|---|---|---|---|"]
        lines += _rows(model)
    return "\n".join(lines) + "\n"


def _rows(model: Any) -> Iterator[str]:
    for name, field in document_fields(model).items():
        default = "" if field.default is NO_DEFAULT else _told(plain(field.default))
        yield f"| `{name}` | {_holds(field)} | {default} | {field.text} |"


def _told(default: object) -> str:
    if default in (None, [], {}, ""):
        return "-"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _holds(value: Value) -> str:
    """Return what a value holds, in a few words: ``list of whole numbers 0 to 1048576``."""
    if value.item:
        word = {tuple: "list of", frozenset: "set of", dict: "by name:"}[value.kind]
        return f"{word} {_holds(value.item)}"
    name = getattr(value.kind, "__name__", "")
    if is_dataclass(value.kind):
        return f"[{name}](#{name.lower()})"
    if value.words:
        return ", ".join(f"`{word}`" for word in value.words)
    if value.bound:
        number = "whole number" if value.kind is int else "number"
        low = f"0, {_least(value)}" if _least(value) else _short(value.bound.low)
        return f"{number} {low} to {_short(value.bound.high)}{_unit(value)}"
    return "text" if value.kind is str else "true or false"


def _short(number: float) -> str:
    power = int(number).bit_length() - 1
    if power > 16 and abs(number) == 2**power:
        return f"{'-' if number < 0 else ''}2^{power}"
    return f"{number:,}".removesuffix(".0")
