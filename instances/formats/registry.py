"""All formats: what is read and written, by name, and which of them a file is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from numaplace.instances import formats
from numaplace.instances.files import STDIN
from numaplace.instances.formats.document.records import NUMAPLACE
from numaplace.instances.formats.format import Format
from numaplace.instances.formats.hwloc.xml import HWLOC_XML
from numaplace.instances.formats.libvirt import records as libvirt
from numaplace.instances.formats.linux.lscpu import LSCPU
from numaplace.instances.formats.linux.numactl import NUMACTL
from numaplace.instances.formats.linux.sysfs import SYSFS
from numaplace.instances.formats.openstack.write import OPENSTACK
from numaplace.instances.formats.proxmox.write import PROXMOX
from numaplace.instances.formats.tables.flavours_csv import FLAVOURS_CSV
from numaplace.instances.formats.tables.hosts_csv import HOSTS_CSV
from numaplace.instances.formats.xen import records as xen
from numaplace.models.errors import InputError

HEAD_BYTES = 1 << 16


def _beside() -> Iterator[Format]:
    """Yield the formats of modules beside this one: those of no family."""
    for module in iter_modules(formats.__path__, f"{formats.__name__}."):
        if not module.ispkg and module.name != __name__:
            found = vars(import_module(module.name)).values()
            yield from (it for it in found if isinstance(it, Format))


FORMATS: tuple[Format, ...] = (
    *(SYSFS, NUMAPLACE, HWLOC_XML, libvirt.CAPABILITIES, LSCPU, NUMACTL, xen.XL_INFO),
    *(libvirt.DOMAIN, OPENSTACK, HOSTS_CSV),
    *_beside(),
    *(FLAVOURS_CSV, PROXMOX, xen.XL_CFG),
    *(xen.COMMANDS, libvirt.COMMANDS),
)
"""All formats, in the order in which they are tried."""

HOST_FORMATS = {each.name: each for each in FORMATS if each.read_hosts}
VM_FORMATS = {each.name: each for each in FORMATS if each.read_vms}
WRITTEN_FORMATS = {each.written_as or each.name: each for each in FORMATS if each.write}


def listing(*, written: bool) -> str:
    """Return names and titles of the formats that are read, or written, for a terminal."""
    read = {"Formats of hosts": HOST_FORMATS, "Formats of VMs": VM_FORMATS}
    lines: list[str] = []
    for title, table in ({"Formats": WRITTEN_FORMATS} if written else read).items():
        lines += [f"{title}:", *(f"  {name:22}{each.title}" for name, each in table.items())]
    return "\n".join(lines)


def named(formats: Mapping[str, Format], name: str) -> Format:
    """Return the format of that name; `InputError` naming all if there is none."""
    if name not in formats:
        raise InputError("format", "", f"must be one of {', '.join(formats)}, not {name!r:.60}")
    return formats[name]


def host_format(path: Path, name: str | None = None) -> Format:
    """Return the format of hosts of that name, else that of a file by its beginning.

    `InputError` if there is none.
    """
    return _detected(HOST_FORMATS, path, "host") if name is None else named(HOST_FORMATS, name)


def vm_format(path: Path, name: str | None = None) -> Format:
    """Return the format of VMs of that name, or of a file; as `host_format`."""
    return _detected(VM_FORMATS, path, "VM") if name is None else named(VM_FORMATS, name)


def holds_vms(path: Path, name: str | None = None) -> bool:
    """Tell by a file's beginning whether it is of that VM format, or of any."""
    head = _head(path)
    known = VM_FORMATS.values() if name is None else [named(VM_FORMATS, name)]
    return any(each.sniff(head, path) for each in known)


def _detected(formats: Mapping[str, Format], path: Path, word: str) -> Format:
    if path == STDIN:
        reason = f"standard input is read once: name its format ({', '.join(formats)})"
        raise InputError("format", "", reason, file=str(path))
    head = _head(path)
    for known in formats.values():
        if known.sniff(head, path):
            return known
    reason = f"is no {word} file of a known format ({', '.join(formats)})"
    raise InputError("file", "", reason, file=str(path))


def _head(path: Path) -> str:
    """Return the beginning of a file as text, whatever it is; empty for a folder."""
    if path.is_dir():
        return ""
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD_BYTES).decode("utf-8-sig", errors="replace")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError("file", "", f"cannot be read ({why.lower()})", file=str(path)) from None
