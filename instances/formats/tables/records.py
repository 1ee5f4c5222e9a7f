"""The formats that are tables."""

from __future__ import annotations

from numaplace.instances.formats.format import Format
from numaplace.instances.formats.tables import flavours_csv

FLAVOURS_CSV = Format(
    *("flavours-csv", "a table of sizes", flavours_csv.__doc__),
    sniff=flavours_csv.sniff,
    read_vms=lambda path, host: flavours_csv.read_vms(path),
    tells_use=True,
)
