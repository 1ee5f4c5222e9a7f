"""The formats of Xen's xl."""

from __future__ import annotations

from numaplace.instances.formats import write_commands
from numaplace.instances.formats.format import Format, one_host, one_vm
from numaplace.instances.formats.xen import write, xl_cfg, xl_info

XL_INFO = Format(
    *("xl-info", "Xen's xl info -n", xl_info.__doc__),
    sniff=xl_info.sniff,
    read_hosts=one_host(xl_info.read_host),
)
XL_CFG = Format(
    *("xl-cfg", "Xen's xl.cfg", f"{xl_cfg.__doc__}\n{write.__doc__}"),
    sniff=xl_cfg.sniff,
    read_vms=xl_cfg.read_vms,
    place=xl_cfg.place,
    written_as="xl",
    write=write.write_xl,
    parts=one_vm,
    suffix=".cfg",
    soft=True,
)
COMMANDS = Format(
    *("commands-xl", "xl commands for VMs that run", write_commands.__doc__),
    write=write_commands.write_xl_commands,
    suffix=".sh",
    head=write_commands.SCRIPT,
    soft=True,
)
