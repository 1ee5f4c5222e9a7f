"""A plan as files that hypervisors read, or as commands: which VMs, which files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

from numaplace.instances.files import STDIN, read_text
from numaplace.instances.formats.format import AffinityKind, AppliedFile, Format
from numaplace.instances.formats.placed import placed_vm
from numaplace.instances.formats.registry import WRITTEN_FORMATS, holds_vms, named
from numaplace.instances.import_source import source_files
from numaplace.instances.lookup import check_writable, made_folder
from numaplace.instances.reading import Reading, shown, together
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.vm import Vm

_UNSAFE = re.compile(r"[^\w .+@=,-]|^\.")


def apply_plan(
    instance: Instance,
    plan: Plan,
    kind: str,
    *,
    vms: Sequence[str] = (),
    sources: Sequence[Path] = (),
    affinity: AffinityKind | None = None,
) -> Reading[tuple[AppliedFile, ...]]:
    """Return the files that bring VMs to where a valid plan wants them.

    Parameters
    ----------
    kind
        What is written, a name in `registry.WRITTEN_FORMATS`: a file for each VM, or for commands
        one for each host.
    vms
        Names of the VMs; empty: every VM that the plan places, or that `sources` hold.
    sources
        Configurations of the VMs so far, which are edited and keep their names: files, folders,
        patterns with ``*``. A single one of another VM is taken for the one VM of `vms`.
    affinity
        None: what the format does best, both on Xen, hard elsewhere.

    Raises
    ------
    InputError
        If a VM does not exist or is not placed, a source is faulty or not asked for by the format,
        or the format cannot express what matters.
    """
    format = named(WRITTEN_FORMATS, kind)
    notes: list[str] = []
    heard: list[str] = []

    def write(vm: Vm, source: str | None = None, file: str | None = None) -> str:
        written = write_vm(format, instance, plan, vm, source, file=file, affinity=affinity)
        heard.extend(written.notes)
        return written.item

    if sources:
        files = list(_edited(instance, plan, format, vms, sources, write, notes))
    else:
        texts: dict[str, str] = {}
        chosen = _chosen(instance, plan, vms, notes)
        if format.head:  # those that must migrate first come last: a script ends where one fails
            chosen.sort(key=lambda vm: bool(_elsewhere(instance, plan, vm)))
        for vm in chosen:
            owner = plan.placements[vm.name].host if format.head else vm.name
            texts[owner] = texts.get(owner, format.head) + write(vm)
        files = [AppliedFile(_file_name(owner, format), text) for owner, text in texts.items()]
    return Reading(tuple(files), (*notes, *together(heard)))


def write_vm(
    format: Format,
    instance: Instance,
    plan: Plan,
    vm: Vm,
    source: str | None = None,
    *,
    file: str | None = None,
    affinity: AffinityKind | None = None,
) -> Reading[str]:
    """Return a planned VM in a format: `source` edited, or without it new.

    Parameters
    ----------
    file
        What `source` is called in errors.

    Raises
    ------
    InputError
        If the plan does not place the VM, or the format cannot express what matters.
    """
    assert format.write
    placed = placed_vm(instance, plan, vm)
    affinity = affinity or (AffinityKind.BOTH if format.soft else AffinityKind.HARD)
    notes = list(placed.notes)
    heading = ""
    if affinity is AffinityKind.SOFT and not format.soft:
        reason = f"{format.system} has no soft affinity: use --affinity hard"
        raise placed.error("affinity", reason)
    if affinity is AffinityKind.BOTH and not format.soft:
        notes.append(f"{format.system} has no soft affinity; the hard one is written")
    if source is None and format.parts:
        notes.append(f"the {format.new} has no disks and no network")
    if format.head and (now := _elsewhere(instance, plan, vm)):
        reason = f"runs on host {now!r}: migrate it to {placed.host.name!r} before these commands"
        heading = f"# {placed.thing} {reason}\n"
        notes.insert(0, reason)
    written = format.write(placed, affinity, source, file or format.new)
    told = tuple(f"{placed.thing}: {note}" for note in (*notes, *written.notes))
    return Reading(heading + written.item, told)


def _elsewhere(instance: Instance, plan: Plan, vm: Vm) -> str | None:
    """Return the host that a VM runs on now, if the plan has it on another."""
    now = instance.current.placements.get(vm.name) if instance.current else None
    return now.host if now and now.host != plan.placements[vm.name].host else None


def _chosen(instance: Instance, plan: Plan, names: Sequence[str], notes: list[str]) -> list[Vm]:
    if names:
        return [_placed(instance, plan, name) for name in dict.fromkeys(names)]
    missing = [vm.name for vm in instance.vms if vm.name not in plan]
    if missing:
        notes.append(f"not placed, so left out: {shown(missing)}")
    return [vm for vm in instance.vms if vm.name in plan]


def _placed(instance: Instance, plan: Plan, name: str) -> Vm:
    if name not in instance.vm_index:
        raise InputError(f"VM {name!r:.80}", "", "does not exist in the instance")
    if name not in plan:
        raise InputError(f"VM {name!r:.80}", "", "is not placed by the plan")
    return instance.vm(name)


def _edited(
    instance: Instance,
    plan: Plan,
    format: Format,
    names: Sequence[str],
    sources: Sequence[Path],
    write: Callable[[Vm, str, str], str],
    notes: list[str],
) -> Iterator[AppliedFile]:
    """Each source with the plan written into it, all under their own names."""
    owner: dict[str, str] = {}
    held = [*_held(format, sources, notes)]
    single = [len(inside) for _, inside, _ in held] == [len(names)] == [1]
    for path, inside, asked in held:
        file, text, changed = str(path), read_text(path), ""
        end = 0
        assert format.parts
        parts = zip(format.parts(text, file), inside, strict=True)
        for part, name in sorted(parts, key=lambda pair: pair[0].start):
            wanted = names[0] if single else name
            if names and wanted not in names:
                continue
            if not asked and wanted not in plan:
                notes.append(f"{file}: VM {name!r} is not placed by the plan: left out")
                continue
            vm = _placed(instance, plan, wanted)
            if vm.name in owner:
                raise InputError(
                    f"VM {vm.name!r:.80}", "", f"is in {owner[vm.name]}, too", file=file
                )
            owner[vm.name] = file
            if vm.name != name:
                notes.append(f"{file}: is of VM {name!r}, its name stays as it is")
            # Lines in errors are those of the file.
            before = "\n" * (part.line - 1)
            new = write(vm, before + text[part.start : part.end], file).removeprefix(before)
            changed, end = changed + text[end : part.start] + new, part.end
        if end:
            yield AppliedFile(path.name, changed + text[end:])
    for name in names:
        if name not in owner:
            raise InputError(f"VM {name!r:.80}", "", "is in none of the sources")


def _held(
    format: Format, sources: Sequence[Path], notes: list[str]
) -> Iterator[tuple[Path, list[str], bool]]:
    """Each file of the sources, the names of its VMs, and whether it was named itself."""
    if not format.parts or not format.read_vms:
        reason = f"format {format.written_as or format.name} edits no file"
        raise InputError("source", "", reason, file=str(sources[0]))
    for given in sources:
        if given == STDIN:
            raise InputError("source", "", "must be a file, not standard input", file=str(given))
        files = source_files(given, partial(holds_vms, name=format.name))
        notes += files.notes
        for path in files.item:
            read = format.read_vms(path, None).item
            yield path, [each.name for each in read], path == given


def _file_name(name: str, format: Format) -> str:
    """Name of the file for a VM or host: what may mean something to a shell becomes ``%2F``."""
    safe = _UNSAFE.sub(lambda match: "".join(f"%{b:02X}" for b in match[0].encode()), name)
    return safe + format.suffix


def joined_text(files: Sequence[AppliedFile], kind: str) -> str:
    """Return files as one text for standard output; several are told apart as the format can."""
    return files[0].text if len(files) == 1 else named(WRITTEN_FORMATS, kind).join(files)


@contextmanager
def target_paths(
    out: Path, files: Sequence[AppliedFile], read: Iterable[Path], *, overwrite: bool = False
) -> Iterator[list[Path]]:
    """Tell where files go, in a folder that is made, after a look at whether all may be written.

    A single file goes to `out` itself if that has its suffix and is no folder. A folder that was
    made goes again if nothing is in it when what follows fails.

    Raises
    ------
    InputError
        If one exists and `overwrite` is false, is one of those `read`, or cannot be written.
    """
    named = not os.path.isdir(out) and bool(files) and out.suffix == Path(files[0].name).suffix
    if named and len(files) > 1:
        reason = f"is named like a file, and {len(files)} are to be written: name a folder"
        raise InputError("folder", "", reason, file=str(out))
    with nullcontext() if named else made_folder(out):
        paths = [out if named else out / file.name for file in files]
        check_writable(paths, inputs=read, overwrite=overwrite)
        yield paths
