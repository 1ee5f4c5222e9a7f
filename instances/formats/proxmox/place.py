"""Where Proxmox runs the VM of a configuration."""

from __future__ import annotations

from pathlib import Path

from numaplace.instances.formats.found import Found, FoundCell, own_pcpus
from numaplace.instances.formats.proxmox.conf import memory_mib_of, read_vms
from numaplace.instances.formats.proxmox.conf_text import read_conf
from numaplace.instances.formats.proxmox.numa import guest_cells
from numaplace.instances.reading import naming_file
from numaplace.models.topology import MIB_MAX, Host


@naming_file
def place(path: Path, host: Host) -> list[Found]:
    """Return where the VM of a configuration runs.

    Its one list of pCPUs holds for all vCPUs: a cell is where its memory is, as far as the list
    has pCPUs there. As many pCPUs as vCPUs, one by one, are pins.
    """
    (asked,) = read_vms(path).item
    conf = read_conf(path)
    stated = guest_cells(conf, asked.vcpus, memory_mib_of(conf), [])
    cells = tuple(
        FoundCell(
            tuple(sorted(cell.vcpus)), size.memory_mib, cell.binding.nodes if cell.binding else None
        )
        for cell, size in zip(stated, asked.cells, strict=True)
    )
    text = conf.text("affinity")
    own = own_pcpus((text or "").split(","), asked.vcpus)
    listed = frozenset[int]() if text is None else conf.ids(text, "affinity")
    pins = dict.fromkeys(range(asked.vcpus), listed)
    for cell in cells:
        nodes = [node for node in host.nodes if node.id in (cell.nodes or ())]
        local = listed & {pcpu.id for node in nodes for pcpu in node.pcpus}
        pins |= dict.fromkeys(cell.vcpus, local or listed)
    pins |= {vcpu: frozenset({pcpu}) for vcpu, pcpu in enumerate(own)}
    whole = frozenset[int]().union(*(cell.nodes or frozenset() for cell in cells))
    return [
        Found(
            asked,
            min(asked.memory_mib, conf.whole("balloon", 0, MIB_MAX, 0) or asked.memory_mib),
            tuple(pins[vcpu] for vcpu in range(asked.vcpus)) if listed else (),
            own,
            cells if len(cells) > 1 else (),
            whole or None,
        )
    ]
