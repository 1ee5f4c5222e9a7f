"""Numaplace's own format; what reads it is slow to import, so that is done when it is needed."""

from __future__ import annotations

from pathlib import Path

from numaplace.instances.formats.format import Format, Hosts, Vms, unused
from numaplace.instances.hostmemory import HostReading
from numaplace.instances.reading import Reading
from numaplace.models.topology import Host


def _hosts(path: Path, memory_mib: int | None) -> Hosts:
    from numaplace.instances.formats.document.io import read_instance

    return tuple(HostReading(host, unused(memory_mib)) for host in read_instance(path).hosts)


def _vms(path: Path, host: Host | None) -> Vms:
    from numaplace.instances.formats.document.io import read_instance

    return Reading(read_instance(path).vms)


_DOC = """Instances as numaplace writes them: ``numaplace schema instance`` says what is in them.

Hosts keep their labels (``labels: {rack: r7}``), which no other format tells. Of an instance that
VMs are read from, relations are taken if the VMs keep their names; the current plan and prices are
left out.
"""

NUMAPLACE = Format(
    *("numaplace", "an instance as JSON or YAML", _DOC),
    sniff=lambda head, path: "numaplace-instance/" in head,
    read_hosts=_hosts,
    read_vms=_vms,
    tells_use=True,
)
