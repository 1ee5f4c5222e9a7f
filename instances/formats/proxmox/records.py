"""The formats of Proxmox VE."""

from __future__ import annotations

from numaplace.instances.formats.format import Format, one_vm
from numaplace.instances.formats.proxmox import conf, write

PROXMOX = Format(
    *("proxmox", "Proxmox's qemu-server/<id>.conf", f"{conf.__doc__}\n{write.__doc__}"),
    sniff=conf.sniff,
    read_vms=conf.read_vms,
    place=conf.place,
    write=write.write_proxmox,
    parts=one_vm,
    suffix=".conf",
    system="Proxmox",
)
