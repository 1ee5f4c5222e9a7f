"""What a person names on a command line: an instance, a plan for it, files to write."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import Any

from numaplace.instances.catalog import list_catalog, load_catalog
from numaplace.instances.files import STDIN, same_file
from numaplace.instances.formats.document.io import YAML_SUFFIXES, read_instance, read_told_plan
from numaplace.instances.generate import SHAPES, GenerateParams, preset
from numaplace.instances.import_source import host_sources, parse_source
from numaplace.instances.importer import ASSUMABLE, import_instance
from numaplace.instances.shapes import HostShape, make_host, parse_shape
from numaplace.models.errors import InputError, check_real, check_unique
from numaplace.models.fields import fields_of
from numaplace.models.fleet import Fleet
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Provenance
from numaplace.models.topology import Host
from numaplace.models.verify import known_names, violations

SUFFIXES = (".json", *YAML_SUFFIXES)


def find_instance(name: str) -> Instance:
    """Return the instance in a file, or of the catalogue if there is no such file.

    If it has no name, it gets that of the file without folder and suffix.

    Raises
    ------
    InputError
        If it is neither, or the file is faulty.
    """
    path = Path(name)
    like_a_file = path == STDIN or os.sep in name or path.suffix.lower() in SUFFIXES
    if like_a_file or path.is_file():
        found = read_instance(path)
        return found if found.name or path == STDIN else replace(found, name=path.stem)
    names = catalog_names()
    if name not in names:
        reason = f"is neither a file nor in the catalogue ({', '.join(names)})"
        raise InputError("instance", f"{name!r:.80}", reason)
    return load_catalog(name)


def named_instance(name: str) -> tuple[str, Instance]:
    """Return an instance, after what to call it: the name it has, or that of its file."""
    instance = find_instance(name)
    return instance.name or "instance", instance


def read_known_plan(path: Path, instance: Instance) -> tuple[Plan, Provenance | None]:
    """Read a plan that names nothing but what is in the instance, and how it came about.

    Raises
    ------
    InputError
        If the file is faulty, or names something else.
    """
    plan, told = read_told_plan(path)
    for subject, message in known_names(instance, plan):
        raise InputError("plan", subject, message, file=str(path))
    return plan, told


def check_writable(
    paths: Iterable[Path | None] = (),
    *,
    document: Path | None = None,
    inputs: Iterable[str | Path | None] = (),
    overwrite: bool,
) -> None:
    """Complain, before any work is done, about files that may not or cannot be written.

    `document` is to hold an instance or a plan, so that its name must end in one of `SUFFIXES`.
    `inputs` are files that are read, or sources that name them.

    Raises
    ------
    InputError
        If one exists and `overwrite` is false, is an input, is no regular file, is named twice, or
        its folder does not take files, or the document has another suffix.
    """
    if document is not None and document.suffix.lower() not in SUFFIXES:
        reason = f"the name must end in one of {', '.join(SUFFIXES)}"
        raise InputError("file", "", reason, file=str(document))
    wanted = [path for path in (document, *paths) if path is not None]
    check_no_input(wanted, inputs)
    seen: set[str] = set()
    for path in wanted:
        if os.path.exists(path) and not os.path.isfile(path):
            raise InputError("file", "", "is not a regular file", file=str(path))
        if os.path.exists(path) and not overwrite:
            raise InputError("file", "", "exists, --force overwrites it", file=str(path))
        if not os.access(path.parent, os.W_OK | os.X_OK):
            reason = "its folder does not exist or cannot be written to"
            raise InputError("file", "", reason, file=str(path))
        if os.path.realpath(path) in seen:
            raise InputError("file", "", "would be written twice", file=str(path))
        seen.add(os.path.realpath(path))


def check_no_input(paths: Iterable[Path | None], inputs: Iterable[str | Path | None]) -> None:
    """Complain of files to write that are also read, by whatever path or link."""
    read = [name if isinstance(name, Path) else parse_source(name).path for name in inputs if name]
    for path in paths:
        for other in read:
            if path is not None and same_file(path, other):
                reason = f"is read as {str(other)!r}, and must not be written over"
                raise InputError("file", "", reason, file=str(path))


def catalog_names() -> list[str]:
    """Names of the instances that come with the package."""
    return [entry.name for entry in list_catalog()]


def complete_instance(incomplete: str) -> list[str]:
    """Names that `find_instance` may be given and that start like `incomplete`."""
    names = [name for name in catalog_names() if name.startswith(incomplete)]
    paths = [path + "/" * os.path.isdir(path) for path in sorted(glob(incomplete + "*"))]
    return names + [path for path in paths if path.endswith((*SUFFIXES, "/"))]


def read_valid_plan(path: Path, instance: Instance) -> tuple[Plan, Provenance | None]:
    """Read a plan that obeys every rule; `InputError` naming the first it breaks."""
    plan, told = read_known_plan(path, instance)
    for broken in violations(instance, plan):
        reason = f"{broken.message} [{broken.rule}]"
        raise InputError("plan", broken.subject, reason, file=str(path))
    return plan, told


def wanted_memory(text: str) -> dict[str, Any]:
    """Return the fields of `HostOptions` that ``total``, ``free`` or a node's MiB stand for."""
    if text in ("total", "free"):
        return {"free_memory": text == "free"}
    if not re.fullmatch("[0-9]{1,15}", text, re.ASCII):
        reason = f"must be total, free or a node's MiB, not {text!r:.60}"
        raise InputError("host options", "--memory", reason)
    return {"memory_mib": int(text)}


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
        key, value = _pair(text, _CHANGEABLE, "generator", "--set")
        changed: dict[str, Any] = {key: _CHANGEABLE[key](key, value)}
        params = replace(params, **changed)
    return params


def assumed_values(texts: Iterable[str]) -> dict[str, float]:
    """Return what texts like ``utilisation=0.3`` say of VMs, and of ``smt_yield`` of hosts.

    Raises
    ------
    InputError
        For another key, or a value that is no number it may have.
    """
    most = {**dict.fromkeys(ASSUMABLE, (0.0, 1.0)), "smt_yield": (1.0, 2.0)}
    found: dict[str, float] = {}
    for text in texts:
        key, value = _pair(text, most, "import", "--assume")
        found[key] = _real(key, value, "import")
        check_real("import", key, found[key], *most[key])
    return found


def _pair(text: str, known: Iterable[str], thing: str, option: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or key not in known:
        reason = f"must be KEY=VALUE with KEY one of {', '.join(known)}, not {text!r:.60}"
        raise InputError(thing, option, reason)
    return key, value


@contextmanager
def made_folder(path: Path) -> Iterator[None]:
    """Make a folder if there is none; it goes again if it is empty when what follows fails.

    Raises
    ------
    InputError
        If it cannot be made.
    """
    new = [each for each in (path, *path.parents) if not os.path.lexists(each)]
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"cannot be made ({(error.strerror or 'not a folder').lower()})"
            raise InputError("folder", "", reason, file=str(path)) from None
        yield
    except BaseException:
        with suppress(OSError):  # it holds something
            for each in new:
                each.rmdir()
        raise


def _shape(key: str, text: str) -> HostShape:
    if text not in SHAPES:
        raise InputError("generator", key, f"must be one of {', '.join(SHAPES)}, not {text!r:.60}")
    return SHAPES[text]


def _whole(key: str, text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text, re.ASCII):
        raise InputError("generator", key, f"must be a whole number, not {text!r:.60}")
    return int(text)


def _real(key: str, text: str, thing: str = "generator") -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}", text, re.ASCII):
        raise InputError(thing, key, f"must be a number, not {text!r:.60}")
    return float(text)


_READERS = {HostShape: _shape, int: _whole, float: _real, str: lambda key, text: text}
_CHANGEABLE: dict[str, Callable[[str, str], Any]] = {
    name: _READERS[value.kind]
    for name, value in fields_of(GenerateParams).items()
    if value.kind in _READERS
}


_COUNTED = re.compile(r"(.+)\*([0-9]{1,9})", re.ASCII)

GRAMMAR = "NODESxCPUSxGIB (of each node), a name of a shape, or a file, each with *COUNT"


def parse_fleet(texts: Sequence[str]) -> Fleet:
    """Return the fleet of texts like ``2x40x90*5``, ``8n*10`` or ``rack.xml*3``.

    Parameters
    ----------
    texts
        Each a shape and how many hosts of it: nodes, pCPUs and GiB of each node; the name of one of
        `presets.SHAPES`; or a file of hosts, as for `import_source.parse_source`.

    Raises
    ------
    InputError
        If one is none of these, a file is faulty, or there is no host.
    """
    shapes: list[tuple[Host, int]] = []
    for text in texts:
        counted = _COUNTED.fullmatch(text)
        name, count = (counted[1], int(counted[2])) if counted else (text, 1)
        sized = parse_shape(name)
        if sized:
            shapes.append((make_host(sized, name), count))
        elif name in SHAPES:
            shapes.append((make_host(SHAPES[name], name), count))
        else:
            (source,) = host_sources([text])
            if not source.path.exists():
                raise InputError("hosts", f"{text!r:.80}", f"is none of {GRAMMAR}")
            hosts = import_instance([replace(source, count=1)], []).item.hosts
            shapes += [(host, source.count) for host in hosts]
    check_unique("fleet", "hosts", [host.name for host, _ in shapes])
    return Fleet(tuple(shapes))
