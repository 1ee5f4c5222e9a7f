"""What a format is: one record for whatever hosts, VMs and traces are read from or plans become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from enum import StrEnum
from pathlib import Path

from numaplace.instances.formats.found import Found
from numaplace.instances.formats.placed import PlacedVm
from numaplace.instances.hostmemory import HostReading
from numaplace.instances.reading import Reading
from numaplace.models.topology import Host
from numaplace.models.vm import Vm

Hosts = tuple[HostReading, ...]
Vms = Reading[tuple[Vm, ...]]


class AffinityKind(StrEnum):
    """How vCPUs are kept on their pCPUs: they must, they should, or both are written."""

    HARD = "hard"
    SOFT = "soft"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class AppliedFile:
    """A file to be written: its name, and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class VmPart:
    """Where in a text a VM is: its first character, the one behind it, its first line."""

    start: int
    end: int
    line: int = 1


def one_vm(text: str, file: str) -> list[VmPart]:
    """Return the part of a text that is all of one VM."""
    return [VmPart(0, len(text))]


def with_names(files: Sequence[AppliedFile]) -> str:
    """Return files one after the other, each below its name."""
    return "\n".join(f"# {file.name}\n{file.text}" for file in files)


@dataclass(frozen=True, slots=True)
class Format:
    """A format, and what can be done with it; what is None cannot be done."""

    name: str
    title: str
    # Where such files come from, what is read of them or written, and what they cannot say: the
    # docstrings of what reads and writes them.
    doc: str | None
    _: KW_ONLY
    # Tells from the beginning of a file, and its path, whether it is one.
    sniff: Callable[[str, Path], bool] = lambda head, path: False
    # Takes a file, and the memory of each node in MiB (None: as the file says).
    read_hosts: Callable[[Path, int | None], Hosts] | None = None
    # Takes a file, and the host that turns pCPUs into nodes, or None.
    read_vms: Callable[[Path, Host | None], Vms] | None = None
    tells_use: bool = False  # whether files can say how much of their vCPUs and memory VMs use
    # Takes a file and a host: where the file puts its VMs.
    place: Callable[..., Sequence[Found]] | None = None
    written_as: str = ""  # name among the formats that plans are written as, if it is another
    # Takes a VM, its affinity, its text so far (None: there is none) and what that is called; its
    # remarks are about the VM: whoever calls it puts the name in front of them.
    write: Callable[[PlacedVm, AffinityKind, str | None, str], Reading[str]] | None = None
    # Finds the VMs in a text that is to be edited.
    parts: Callable[[str, str], list[VmPart]] | None = None
    suffix: str = ""  # of files that are written
    head: str = ""  # how a file of all VMs of a host begins; empty: there is a file for each VM
    soft: bool = False  # whether it has soft affinity
    system: str = ""  # what is said to have no soft affinity
    new: str = "new configuration"  # what a text is called that is not made of another one
    # Makes one text of several files.
    join: Callable[[Sequence[AppliedFile]], str] = with_names


def unused(memory_mib: int | None) -> tuple[str, ...]:
    """Return a remark if memory is given for a file that tells it."""
    return ("the memory given per node is not used: the file tells it",) * (memory_mib is not None)


def one_host(read: Callable[[Path], HostReading]) -> Callable[[Path, int | None], Hosts]:
    """Return a reader of a file with one host that tells its memory."""

    def read_hosts(path: Path, memory_mib: int | None) -> Hosts:
        reading = read(path)
        return (replace(reading, notes=(*reading.notes, *unused(memory_mib))),)

    return read_hosts
