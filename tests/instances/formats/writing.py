"""A planned VM in each format that plans are written as."""

from __future__ import annotations

from functools import partial

from numaplace.instances.applying import write_vm
from numaplace.instances.formats.registry import WRITTEN_FORMATS

write_xl = partial(write_vm, WRITTEN_FORMATS["xl"])
write_libvirt = partial(write_vm, WRITTEN_FORMATS["libvirt"])
write_proxmox = partial(write_vm, WRITTEN_FORMATS["proxmox"])
write_openstack = partial(write_vm, WRITTEN_FORMATS["openstack"])
write_xl_commands = partial(write_vm, WRITTEN_FORMATS["commands-xl"])
write_virsh_commands = partial(write_vm, WRITTEN_FORMATS["commands-virsh"])
