"""The formats of hwloc."""

from __future__ import annotations

from numaplace.instances.formats.format import Format, one_host
from numaplace.instances.formats.hwloc import xml

HWLOC_XML = Format(
    *("hwloc-xml", "hwloc's lstopo --of xml", xml.__doc__),
    sniff=xml.sniff,
    read_hosts=one_host(xml.read_host),
)
