"""The formats of Linux and its tools."""

from __future__ import annotations

from pathlib import Path

from numaplace.instances.formats.format import Format, Hosts, one_host
from numaplace.instances.formats.linux import lscpu, numactl, sysfs
from numaplace.instances.hostmemory import HostReading


def _sysfs(path: Path) -> HostReading:
    """Read a copy of sysfs from the folder that holds ``sys``; ``sys`` itself is meant so, too."""
    itself = path.name == "sys" and (path / "devices" / "system").is_dir()
    return sysfs.read_host(path.resolve().parent if itself else path)


def _lscpu(path: Path, memory_mib: int | None) -> Hosts:
    return (lscpu.read_host(path, memory_mib=memory_mib),)


SYSFS = Format(
    *("sysfs", "a copy of Linux's /sys, folder or tar archive", sysfs.__doc__),
    sniff=sysfs.sniff,
    read_hosts=one_host(_sysfs),
)
LSCPU = Format(
    *("lscpu", "lscpu, lscpu -e or -p, as text or --json", lscpu.__doc__),
    sniff=lscpu.sniff,
    read_hosts=_lscpu,
)
NUMACTL = Format(
    *("numactl", "numactl --hardware", numactl.__doc__),
    sniff=numactl.sniff,
    read_hosts=one_host(numactl.read_host),
)
