"""What a person names on a command line: an instance, a plan for it, files to write."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import Any

from numaplace.instances.catalog import list_catalog, load_catalog
from numaplace.instances.files import STDIN
from numaplace.instances.formats.json_io import YAML_SUFFIXES, read_instance, read_plan
from numaplace.instances.generate import GenerateParams
from numaplace.instances.importer import Source, parse_source
from numaplace.instances.presets import SHAPES, preset
from numaplace.instances.shapes import HostShape
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.verify import known_names, violations

SUFFIXES = (".json", *YAML_SUFFIXES)


def find_instance(name: str) -> Instance:
    """Return the instance in a file, or of the catalogue if there is no such file.

    Raises
    ------
    InputError
        If it is neither, or the file is faulty.
    """
    path = Path(name)
    like_a_file = path == STDIN or os.sep in name or path.suffix.lower() in SUFFIXES
    if like_a_file or path.is_file():
        return read_instance(path)
    names = catalog_names()
    if name not in names:
        reason = f"is neither a file nor in the catalogue ({', '.join(names)})"
        raise InputError("instance", f"{name!r:.80}", reason)
    return load_catalog(name)


def named_instance(name: str) -> tuple[str, Instance]:
    """Return an instance, after what to call it: the name it has, or that of its file."""
    instance = find_instance(name)
    return instance.name or ("instance" if name == str(STDIN) else Path(name).stem), instance


def read_known_plan(path: Path, instance: Instance) -> Plan:
    """Read a plan that names nothing but what is in the instance.

    Raises
    ------
    InputError
        If the file is faulty, or names something else.
    """
    plan = read_plan(path)
    for subject, message in known_names(instance, plan):
        raise InputError("plan", subject, message, file=str(path))
    return plan


def check_writable(paths: Iterable[Path | None], *, overwrite: bool) -> None:
    """Complain, before any work is done, about files that may not or cannot be written.

    Raises
    ------
    InputError
        If one exists and `overwrite` is false, is no regular file, is named twice, or its folder
        does not take files.
    """
    seen: set[Path] = set()
    for path in paths:
        if path is None:
            continue
        if path.exists() and not path.is_file():
            raise InputError("file", "", "is not a regular file", file=str(path))
        if path.exists() and not overwrite:
            raise InputError("file", "", "exists, --force overwrites it", file=str(path))
        if not os.access(path.parent, os.W_OK | os.X_OK):
            reason = "its folder does not exist or cannot be written to"
            raise InputError("file", "", reason, file=str(path))
        if path.resolve() in seen:
            raise InputError("file", "", "would be written twice", file=str(path))
        seen.add(path.resolve())


def catalog_names() -> list[str]:
    """Names of the instances that come with the package."""
    return [entry.name for entry in list_catalog()]


def complete_instance(incomplete: str) -> list[str]:
    """Names that `find_instance` may be given and that start like `incomplete`."""
    names = [name for name in catalog_names() if name.startswith(incomplete)]
    paths = [path + "/" * os.path.isdir(path) for path in sorted(glob(incomplete + "*"))]
    return names + [path for path in paths if path.endswith((*SUFFIXES, "/"))]


def read_valid_plan(path: Path, instance: Instance) -> Plan:
    """Read a plan that obeys every rule; `InputError` naming the first it breaks."""
    plan = read_known_plan(path, instance)
    for broken in violations(instance, plan):
        reason = f"{broken.message} [{broken.rule}]"
        raise InputError("plan", broken.subject, reason, file=str(path))
    return plan


def parse_sources(texts: Iterable[str], default_format: str | None) -> list[Source]:
    """Return sources as `importer.parse_source` does, with a format for those that name none."""
    sources = [parse_source(text) for text in texts]
    return [replace(source, format=source.format or default_format) for source in sources]


def changed_preset(name: str, changes: Iterable[str]) -> GenerateParams:
    """Return a preset of the generator with some of its parameters changed.

    Parameters
    ----------
    name
        One of `presets.PRESETS`.
    changes
        Texts like ``vms=40``: a field of `GenerateParams` (but the mix) and its value; ``shape``
        is the name of one of `presets.SHAPES`.
    """
    params = preset(name)
    for text in changes:
        key, equals, value = text.partition("=")
        if not equals or key not in _CHANGEABLE:
            reason = f"must be KEY=VALUE with KEY one of {', '.join(_CHANGEABLE)}, not {text!r:.60}"
            raise InputError("generator", "--set", reason)
        changed: dict[str, Any] = {key: _CHANGEABLE[key](key, value)}
        params = replace(params, **changed)
    return params


def make_folder(path: Path) -> None:
    """Make a folder if there is none; `InputError` if that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"cannot be made ({(error.strerror or 'not a folder').lower()})"
        raise InputError("folder", "", reason, file=str(path)) from None


def _shape(key: str, text: str) -> HostShape:
    if text not in SHAPES:
        raise InputError("generator", key, f"must be one of {', '.join(SHAPES)}, not {text!r:.60}")
    return SHAPES[text]


def _whole(key: str, text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text, re.ASCII):
        raise InputError("generator", key, f"must be a whole number, not {text!r:.60}")
    return int(text)


def _real(key: str, text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}", text, re.ASCII):
        raise InputError("generator", key, f"must be a number, not {text!r:.60}")
    return float(text)


_CHANGEABLE: dict[str, Callable[[str, str], Any]] = {
    "shape": _shape,
    "hosts": _whole,
    "vms": _whole,
    "cpu_load": _real,
    "memory_load": _real,
    "cooperating": _real,
    "competing": _real,
    "device_share": _real,
    "soft_share": _real,
    "name": lambda key, text: text,
}
