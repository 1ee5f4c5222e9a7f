"""Where an xl configuration runs its VM."""

from __future__ import annotations

from pathlib import Path

from numaplace.instances.files import read_text
from numaplace.instances.formats.found import Found, FoundCell, own_pcpus
from numaplace.instances.formats.xen import xl_cfg
from numaplace.instances.formats.xen.xl_cpus import parse_affinity, pcpus_of, restricts
from numaplace.instances.formats.xen.xl_text import parse_xl_text
from numaplace.instances.formats.xen.xl_vnuma import parse_vnuma
from numaplace.instances.reading import naming_file
from numaplace.models.topology import Host


@naming_file
def place(path: Path, host: Host, *, soft: bool = False) -> list[Found]:
    """Return where an xl configuration runs its VM, going by ``cpus_soft`` first if `soft`."""
    asked = xl_cfg.read_vms(path).item[0]
    thing = f"VM {asked.name!r:.80}"
    settings = parse_xl_text(read_text(path), str(path))
    vnuma = settings["vnuma"].value if "vnuma" in settings else ()
    cells = tuple(
        FoundCell(
            tuple(sorted(node.vcpus)),
            node.size_mib,
            None if node.pnode is None else frozenset({node.pnode}),
        )
        for node in parse_vnuma(vnuma if isinstance(vnuma, tuple) else (vnuma,), thing)
    )
    pins: tuple[frozenset[int], ...] = ()
    own: tuple[int, ...] = ()
    keys = ("cpus_soft", "cpus") if soft else ("cpus", "cpus_soft")
    for key in keys:
        value = settings[key].value if key in settings else ()
        each = (value,) * asked.vcpus if isinstance(value, str) else value[: asked.vcpus]
        texts = [str(text) for text in each]
        affinities = [parse_affinity(text, thing=thing, field=key) for text in texts]
        if len(texts) == asked.vcpus and all(map(restricts, affinities)):
            pins = tuple(pcpus_of(affinity, host) for affinity in affinities)
            own = own_pcpus(texts, asked.vcpus) if key == keys[0] else ()
            break
    return [Found(asked, asked.memory_least_mib, pins, own, cells)]
