"""Where a file with one VM puts it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from numaplace.instances.formats.found import placement_of
from numaplace.instances.formats.registry import VM_FORMATS
from numaplace.instances.reading import Reading
from numaplace.models.instance import Instance
from numaplace.models.plan import Placement
from numaplace.models.topology import Host
from numaplace.models.vm import Vm


def read_placement(
    kind: str, path: Path, instance: Instance, vm: Vm, host: Host, *, soft: bool = False
) -> Reading[Placement]:
    """Where a file puts `vm`, whatever it is called there."""
    place = VM_FORMATS[kind].place
    assert place
    (found,) = place(path, host, soft=True) if soft else place(path, host)
    return placement_of(instance, vm, host, found)


read_xl_placement = partial(read_placement, "xl-cfg")
read_libvirt_placement = partial(read_placement, "libvirt-domain")
read_proxmox_placement = partial(read_placement, "proxmox")
