"""A plan as files that hypervisors read, or as commands: which VMs, which files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from numaplace.instances.files import STDIN, read_text, write_text
from numaplace.instances.formats import libvirt_domain, proxmox, xl_cfg
from numaplace.instances.formats.write_commands import write_virsh_commands, write_xl_commands
from numaplace.instances.formats.write_libvirt import write_libvirt
from numaplace.instances.formats.write_openstack import write_openstack
from numaplace.instances.formats.write_placed import Affinity, ApplyFormat
from numaplace.instances.formats.write_proxmox import write_proxmox
from numaplace.instances.formats.write_xl import write_xl
from numaplace.instances.lookup import check_writable, make_folder
from numaplace.instances.reading import Reading
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.topology import Host
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
_READERS: dict[ApplyFormat, Callable[[Path, Host | None], Reading[tuple[Vm, ...]]]] = {
    ApplyFormat.XL: xl_cfg.read_vms,
    ApplyFormat.LIBVIRT: libvirt_domain.read_vms,
    ApplyFormat.PROXMOX: proxmox.read_vms,
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
    source: Path | None = None,
    affinity: Affinity = Affinity.HARD,
) -> Reading[tuple[AppliedFile, ...]]:
    """Return the files that bring VMs to where a valid plan wants them.

    Parameters
    ----------
    kind
        What is written: a file for each VM, or for commands one for each host.
    vms
        Names of the VMs; empty: every VM that the plan places.
    source
        Configuration of the VM so far, which is edited; only for one VM. Without `vms` it is the
        one of that name.

    Raises
    ------
    InputError
        If a VM does not exist or is not placed, `source` is faulty or not asked for by the format,
        or the format cannot express what matters.
    """
    notes: list[str] = []
    if source is not None:
        vm, text = _source(instance, plan, kind, vms, source, notes)
        written = _EDITORS[kind](instance, plan, vm, text, file=str(source), affinity=affinity)
        return Reading((AppliedFile(source.name, written.item),), (*notes, *written.notes))
    texts: dict[str, str] = {}
    heard: list[tuple[str, str]] = []
    for vm in _chosen(instance, plan, vms, notes):
        written = (_EDITORS | _OTHERS)[kind](instance, plan, vm, affinity=affinity)
        heard += [(vm.name, note.removeprefix(f"VM {vm.name!r:.80}: ")) for note in written.notes]
        owner = plan.placements[vm.name].host if kind in _COMMANDS else vm.name
        texts[owner] = texts.get(owner, _HEADS.get(kind, "")) + written.item
    files = [AppliedFile(file_name(owner, kind), text) for owner, text in texts.items()]
    return Reading(tuple(files), (*notes, *_together(heard)))


def _chosen(instance: Instance, plan: Plan, names: Sequence[str], notes: list[str]) -> list[Vm]:
    if names:
        return [_known(instance, name) for name in dict.fromkeys(names)]
    missing = [vm.name for vm in instance.vms if vm.name not in plan]
    if missing:
        more = f" and {len(missing) - _SHOWN_MAX} more" if len(missing) > _SHOWN_MAX else ""
        notes.append(f"not placed, so left out: {', '.join(missing[:_SHOWN_MAX])}{more}")
    return [vm for vm in instance.vms if vm.name in plan]


def _together(heard: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Remarks about VMs, each once with the names of all VMs that it is about."""
    names: dict[str, list[str]] = {}
    for name, text in heard:
        names.setdefault(text, []).append(name)
    for text, about in names.items():
        more = f" and {len(about) - _SHOWN_MAX} more" if len(about) > _SHOWN_MAX else ""
        shown = ", ".join(repr(name) for name in about[:_SHOWN_MAX])
        yield f"VM{'s' * (len(about) > 1)} {shown}{more}: {text}"


def _known(instance: Instance, name: str) -> Vm:
    if name not in instance.vm_index:
        raise InputError(f"VM {name!r:.80}", "", "does not exist in the instance")
    return instance.vm(name)


def _source(
    instance: Instance,
    plan: Plan,
    kind: ApplyFormat,
    names: Sequence[str],
    source: Path,
    notes: list[str],
) -> tuple[Vm, str]:
    """The VM that a source describes, and the source's text, which its reader has checked."""
    file = str(source)
    if kind not in _READERS:
        raise InputError("source", "", f"format {kind} edits no file", file=file)
    if source == STDIN:
        raise InputError("source", "", "must be a file, not standard input", file=file)
    if len(names) > 1:
        raise InputError("source", "", f"is of one VM, {len(names)} are named", file=file)
    found = _READERS[kind](source, None).item
    if len(found) > 1:
        raise InputError("source", "", f"holds {len(found)} VMs, must be one", file=file)
    vm = _known(instance, names[0] if names else found[0].name)
    if vm.name not in plan:
        raise InputError(f"VM {vm.name!r:.80}", "", "is not placed by the plan")
    if vm.name != found[0].name:
        notes.append(f"{file}: is of VM {found[0].name!r}, its name stays as it is")
    return vm, read_text(source)


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


def write_files(folder: Path, files: Sequence[AppliedFile], *, overwrite: bool = False) -> None:
    """Write files into a folder, each whole or not at all, after a look at whether all may be.

    Raises
    ------
    InputError
        If one exists and `overwrite` is false, or cannot be written.
    """
    make_folder(folder)
    check_writable([folder / file.name for file in files], overwrite=overwrite)
    for file in files:
        write_text(folder / file.name, file.text, overwrite=overwrite)
