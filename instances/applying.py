"""A plan as files that hypervisors read, or as commands: which VMs, which files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from numaplace.instances.files import STDIN, read_text
from numaplace.instances.formats.libvirt.domain import WRAPPER, in_one
from numaplace.instances.formats.libvirt.write import write_libvirt
from numaplace.instances.formats.openstack.write import write_openstack
from numaplace.instances.formats.proxmox.write import write_proxmox
from numaplace.instances.formats.registry import holds_vms, vm_format
from numaplace.instances.formats.write_commands import (
    elsewhere,
    write_virsh_commands,
    write_xl_commands,
)
from numaplace.instances.formats.write_placed import Affinity, ApplyFormat
from numaplace.instances.formats.xen.write import write_xl
from numaplace.instances.lookup import check_writable, make_folder
from numaplace.instances.reading import Reading, together
from numaplace.instances.sources import source_files
from numaplace.instances.xmlspans import XmlText
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.vm import Vm


@dataclass(frozen=True, slots=True)
class AppliedFile:
    """A file to be written: its name, and its text."""

    name: str
    text: str


_EDITORS: dict[ApplyFormat, Callable[..., Reading[str]]] = {
    ApplyFormat.XL: write_xl,
    ApplyFormat.LIBVIRT: write_libvirt,
    ApplyFormat.PROXMOX: write_proxmox,
}
_OTHERS: dict[ApplyFormat, Callable[..., Reading[str]]] = {
    ApplyFormat.OPENSTACK: write_openstack,
    ApplyFormat.COMMANDS_XL: write_xl_commands,
    ApplyFormat.COMMANDS_VIRSH: write_virsh_commands,
}
_SOURCES = {
    ApplyFormat.XL: "xl-cfg",
    ApplyFormat.LIBVIRT: "libvirt-domain",
    ApplyFormat.PROXMOX: "proxmox",
}
_SUFFIXES = {
    ApplyFormat.XL: ".cfg",
    ApplyFormat.LIBVIRT: ".xml",
    ApplyFormat.PROXMOX: ".conf",
    ApplyFormat.OPENSTACK: ".json",
    ApplyFormat.COMMANDS_XL: ".sh",
    ApplyFormat.COMMANDS_VIRSH: ".sh",
}
_COMMANDS = (ApplyFormat.COMMANDS_XL, ApplyFormat.COMMANDS_VIRSH)
_HEADS = dict.fromkeys(_COMMANDS, "#!/bin/sh\nset -e\n")
_SHOWN_MAX = 5
_UNSAFE = re.compile(r"[^\w .+@=,-]|^\.")


def apply_plan(
    instance: Instance,
    plan: Plan,
    kind: ApplyFormat,
    *,
    vms: Sequence[str] = (),
    sources: Sequence[Path] = (),
    affinity: Affinity | None = None,
) -> Reading[tuple[AppliedFile, ...]]:
    """Return the files that bring VMs to where a valid plan wants them.

    Parameters
    ----------
    kind
        What is written: a file for each VM, or for commands one for each host.
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
    notes: list[str] = []
    chosen = {} if affinity is None else {"affinity": affinity}
    heard: list[str] = []

    def write(vm: Vm, *source: str, **more: str) -> str:
        written = (_EDITORS | _OTHERS)[kind](instance, plan, vm, *source, **more, **chosen)
        heard.extend(written.notes)
        return written.item

    if sources:
        if kind not in _SOURCES:
            file = str(sources[0])
            raise InputError("source", "", f"format {kind} edits no file", file=file)
        files = list(_edited(instance, plan, kind, vms, sources, write, notes))
    else:
        texts: dict[str, str] = {}
        chosen_vms = _chosen(instance, plan, vms, notes)
        if (
            kind in _COMMANDS
        ):  # those that must migrate first come last: a script ends where one fails
            at = {vm.name: plan.placements[vm.name].host for vm in chosen_vms}
            chosen_vms.sort(key=lambda vm: elsewhere(instance, vm, at[vm.name]) is not None)
        for vm in chosen_vms:
            owner = plan.placements[vm.name].host if kind in _COMMANDS else vm.name
            texts[owner] = texts.get(owner, _HEADS.get(kind, "")) + write(vm)
        files = [AppliedFile(file_name(owner, kind), text) for owner, text in texts.items()]
    return Reading(tuple(files), (*notes, *together(heard)))


def _chosen(instance: Instance, plan: Plan, names: Sequence[str], notes: list[str]) -> list[Vm]:
    if names:
        return [_placed(instance, plan, name) for name in dict.fromkeys(names)]
    missing = [vm.name for vm in instance.vms if vm.name not in plan]
    if missing:
        more = f" and {len(missing) - _SHOWN_MAX} more" if len(missing) > _SHOWN_MAX else ""
        notes.append(f"not placed, so left out: {', '.join(missing[:_SHOWN_MAX])}{more}")
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
    kind: ApplyFormat,
    names: Sequence[str],
    sources: Sequence[Path],
    write: Callable[..., str],
    notes: list[str],
) -> Iterator[AppliedFile]:
    """Each source with the plan written into it, all under their own names."""
    owner: dict[str, str] = {}
    held: list[tuple[Path, list[str], bool]] = []
    for given in sources:
        if given == STDIN:
            raise InputError("source", "", "must be a file, not standard input", file=str(given))
        files = source_files(given, partial(holds_vms, name=_SOURCES[kind]))
        notes += files.notes
        for path in files.item:
            read = vm_format(_SOURCES[kind]).read(path, None).item
            held.append((path, [each.name for each in read], path == given))
    single = [len(inside) for _, inside, _ in held] == [len(names)] == [1]
    for path, inside, asked in held:
        file, text, changed = str(path), read_text(path), ""
        end = 0
        parts = zip(_parts(kind, text, file), inside, strict=True)
        for (start, stop, line), name in sorted(parts):
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
            before = "\n" * (line - 1)
            part = write(vm, before + text[start:stop], file=file).removeprefix(before)
            changed, end = changed + text[end:start] + part, stop
        if end:
            yield AppliedFile(path.name, changed + text[end:])
    for name in names:
        if name not in owner:
            raise InputError(f"VM {name!r:.80}", "", "is in none of the sources")


def _parts(kind: ApplyFormat, text: str, file: str) -> list[tuple[int, int, int]]:
    """Where in a text each VM is: its first character, the one behind it, its first line."""
    if kind is ApplyFormat.LIBVIRT:
        before = 0
        try:
            xml = XmlText(text, file)
        except InputError:  # its reader has taken it, so it is several documents in a row
            xml, before = XmlText(in_one(text), file), len(WRAPPER)
        spans = list(xml.root.all("domain"))
        spans += [
            s for each in xml.root.children if each.tag != "domain" for s in each.all("domain")
        ]
        if xml.root.tag != "domain":
            starts = [len(xml.data[: span.start].decode()) - before for span in spans]
            ends = [len(xml.data[: span.end].decode()) - before for span in spans]
            return [(a, z, s.line) for a, z, s in zip(starts, ends, spans, strict=True)]
    return [(0, len(text), 1)]


def file_name(name: str, kind: ApplyFormat) -> str:
    """Name of the file for a VM or host: what may mean something to a shell becomes ``%2F``."""
    safe = _UNSAFE.sub(lambda match: "".join(f"%{b:02X}" for b in match[0].encode()), name)
    return safe + _SUFFIXES[kind]


def joined_text(files: Sequence[AppliedFile], kind: ApplyFormat) -> str:
    """Return files as one text for standard output; several are told apart as the format can."""
    texts = [file.text for file in files]
    if len(texts) == 1:
        return texts[0]
    if kind is ApplyFormat.LIBVIRT:
        return "<domains>\n" + "".join(texts) + "</domains>\n"
    if kind is ApplyFormat.OPENSTACK:
        return "[\n" + ",\n".join(text.rstrip("\n") for text in texts) + "\n]\n"
    return "\n".join(f"# {file.name}\n{file.text}" for file in files)


def target_paths(
    out: Path, files: Sequence[AppliedFile], read: Iterable[Path], *, overwrite: bool = False
) -> list[Path]:
    """Return where files go, in a folder that is made, after a look at whether all may be written.

    A single file goes to `out` itself if that has its suffix and is no folder.

    Raises
    ------
    InputError
        If one exists and `overwrite` is false, is one of those `read`, or cannot be written.
    """
    named = not os.path.isdir(out) and bool(files) and out.suffix == Path(files[0].name).suffix
    if named and len(files) > 1:
        reason = f"is named like a file, and {len(files)} are to be written: name a folder"
        raise InputError("folder", "", reason, file=str(out))
    if not named:
        make_folder(out)
    paths = [out if named else out / file.name for file in files]
    check_writable(paths, inputs=read, overwrite=overwrite)
    return paths
