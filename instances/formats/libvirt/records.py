"""The formats of libvirt."""

from __future__ import annotations

from numaplace.instances.formats import write_commands
from numaplace.instances.formats.format import Format, one_host
from numaplace.instances.formats.libvirt import capabilities, domain, write

CAPABILITIES = Format(
    *("libvirt-capabilities", "virsh capabilities", capabilities.__doc__),
    sniff=capabilities.sniff,
    read_hosts=one_host(capabilities.read_host),
)
DOMAIN = Format(
    *("libvirt-domain", "libvirt's domain XML", f"{domain.__doc__}\n{write.__doc__}"),
    sniff=domain.sniff,
    read_vms=domain.read_vms,
    place=domain.place,
    written_as="libvirt",
    write=write.write_libvirt,
    parts=write.parts,
    suffix=".xml",
    system="libvirt",
    new="new domain",
    join=write.join,
)
COMMANDS = Format(
    *("commands-virsh", "virsh commands for VMs that run", write_commands.__doc__),
    write=write_commands.write_virsh_commands,
    suffix=".sh",
    head=write_commands.SCRIPT,
    system="libvirt",
)
