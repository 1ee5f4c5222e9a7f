"""The formats that hosts and VMs are read from: names, readers, detection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from numaplace.instances.files import STDIN
from numaplace.instances.formats.document import io as json_io
from numaplace.instances.formats.hwloc import xml as hwloc_xml
from numaplace.instances.formats.libvirt import capabilities as libvirt_capabilities
from numaplace.instances.formats.libvirt import domain as libvirt_domain
from numaplace.instances.formats.linux import lscpu, numactl, sysfs
from numaplace.instances.formats.openstack import flavours as openstack
from numaplace.instances.formats.proxmox import conf as proxmox
from numaplace.instances.formats.tables import flavours_csv
from numaplace.instances.formats.xen import xl_cfg, xl_info
from numaplace.instances.hostmemory import HostReading
from numaplace.instances.reading import Reading
from numaplace.models.errors import InputError
from numaplace.models.topology import Host
from numaplace.models.vm import Vm

HEAD_BYTES = 1 << 16
NUMAPLACE = "numaplace"

Sniff = Callable[[str, Path], bool]
Hosts = tuple[HostReading, ...]
Vms = Reading[tuple[Vm, ...]]


@dataclass(frozen=True, slots=True)
class HostFormat:
    """A format of hosts.

    Parameters
    ----------
    title
        What it is, for lists of formats.
    sniff
        Tells from the beginning of a file, and its path, whether it is one.
    read
        Reads a file. Its arguments: path, name for the host or None, and memory of each node in
        MiB or None, for formats that do not tell it.
    """

    title: str
    sniff: Sniff
    read: Callable[[Path, str | None, int | None], Hosts]


@dataclass(frozen=True, slots=True)
class VmFormat:
    """A format of VMs; `read` takes the host that turns pCPUs into nodes, or None."""

    title: str
    sniff: Sniff
    read: Callable[[Path, Host | None], Vms]


def _one_host(read: Callable[[Path, str | None], HostReading]) -> Callable[..., Hosts]:
    def read_hosts(path: Path, name: str | None, memory_mib: int | None) -> Hosts:
        reading = read(path, name)
        if memory_mib is None:
            return (reading,)
        unused = "the memory given per node is not used: the file tells it"
        return (replace(reading, notes=(*reading.notes, unused)),)

    return read_hosts


def _sysfs(path: Path, name: str | None) -> HostReading:
    """Read a copy of sysfs from the folder that holds ``sys``; ``sys`` itself is meant so, too."""
    itself = path.name == "sys" and (path / "devices" / "system").is_dir()
    return sysfs.read_host(path.resolve().parent if itself else path, name)


def _lscpu(path: Path, name: str | None, memory_mib: int | None) -> Hosts:
    return (lscpu.read_host(path, name, memory_mib=memory_mib),)


def _of_instance(path: Path, name: str | None, memory_mib: int | None) -> Hosts:
    unused = name is not None or memory_mib is not None
    notes = ("name and memory are not used: the file tells them",) * unused
    return tuple(HostReading(host, notes) for host in json_io.read_instance(path).hosts)


HOST_FORMATS: dict[str, HostFormat] = {
    "sysfs": HostFormat(
        "a copy of Linux's /sys, folder or tar archive", sysfs.sniff, _one_host(_sysfs)
    ),
    NUMAPLACE: HostFormat("an instance as JSON or YAML", json_io.sniff, _of_instance),
    "hwloc-xml": HostFormat(
        "hwloc's lstopo --of xml", hwloc_xml.sniff, _one_host(hwloc_xml.read_host)
    ),
    "libvirt-capabilities": HostFormat(
        "virsh capabilities", libvirt_capabilities.sniff, _one_host(libvirt_capabilities.read_host)
    ),
    "lscpu": HostFormat("lscpu, lscpu -e or -p, as text or --json", lscpu.sniff, _lscpu),
    "numactl": HostFormat("numactl --hardware", numactl.sniff, _one_host(numactl.read_host)),
    "xl-info": HostFormat("Xen's xl info -n", xl_info.sniff, _one_host(xl_info.read_host)),
}
"""Formats of hosts by name, in the order in which they are tried."""


def _without_host(read: Callable[[Path], Vms]) -> Callable[[Path, Host | None], Vms]:
    return lambda path, host: read(path)


def _vms_of_instance(path: Path, host: Host | None) -> Vms:
    return Reading(json_io.read_instance(path).vms)


VM_FORMATS: dict[str, VmFormat] = {
    NUMAPLACE: VmFormat("an instance as JSON or YAML", json_io.sniff, _vms_of_instance),
    "libvirt-domain": VmFormat(
        "virsh dumpxml, one domain or several", libvirt_domain.sniff, libvirt_domain.read_vms
    ),
    "openstack": VmFormat(
        "OpenStack flavours as JSON or YAML", openstack.sniff, _without_host(openstack.read_vms)
    ),
    "flavours-csv": VmFormat(
        "a table of sizes", flavours_csv.sniff, _without_host(flavours_csv.read_vms)
    ),
    "proxmox": VmFormat("Proxmox's qemu-server/<id>.conf", proxmox.sniff, proxmox.read_vms),
    "xl-cfg": VmFormat("Xen's xl.cfg", xl_cfg.sniff, xl_cfg.read_vms),
}
"""Formats of VMs by name, in the order in which they are tried."""

F = TypeVar("F", HostFormat, VmFormat)


def host_format(name: str) -> HostFormat:
    """Return the host format of that name; `InputError` naming all if there is none."""
    return _named(HOST_FORMATS, name)


def vm_format(name: str) -> VmFormat:
    """Return the VM format of that name; `InputError` naming all if there is none."""
    return _named(VM_FORMATS, name)


def detect_host_format(path: Path) -> str:
    """Name the host format of a file by its beginning; `InputError` if it is none of them."""
    return _detected(HOST_FORMATS, path, "host")


def detect_vm_format(path: Path) -> str:
    """Name the VM format of a file by its beginning; `InputError` if it is none of them."""
    return _detected(VM_FORMATS, path, "VM")


def holds_vms(path: Path, name: str | None = None) -> bool:
    """Tell by a file's beginning whether it is of that VM format, or of any."""
    head = _head(path)
    known = VM_FORMATS.values() if name is None else [vm_format(name)]
    return any(kind.sniff(head, path) for kind in known)


def _named(formats: Mapping[str, F], name: str) -> F:
    if name not in formats:
        raise InputError("format", "", f"must be one of {', '.join(formats)}, not {name!r:.60}")
    return formats[name]


def _detected(formats: Mapping[str, F], path: Path, word: str) -> str:
    if path == STDIN:
        reason = f"standard input is read once: name its format ({', '.join(formats)})"
        raise InputError("format", "", reason, file=str(path))
    head = _head(path)
    for name, known in formats.items():
        if known.sniff(head, path):
            return name
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
