"""The formats of OpenStack."""

from __future__ import annotations

from numaplace.instances.formats.format import Format
from numaplace.instances.formats.openstack import flavours, write

OPENSTACK = Format(
    *("openstack", "OpenStack flavours as JSON or YAML", f"{flavours.__doc__}\n{write.__doc__}"),
    sniff=flavours.sniff,
    read_vms=lambda path, host: flavours.read_vms(path),
    write=write.write_openstack,
    suffix=".json",
    system="Nova",
    join=write.join,
)
