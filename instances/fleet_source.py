"""Fleets as a person names them: a number of hosts of a shape, or of a host in a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from numaplace.instances.import_source import host_sources
from numaplace.instances.importer import import_instance
from numaplace.instances.presets import SHAPES
from numaplace.instances.shapes import HostShape, make_host
from numaplace.models.errors import InputError, check_unique
from numaplace.models.fleet import Fleet
from numaplace.models.topology import Host

_SHAPE = re.compile(r"([0-9]{1,4})x([0-9]{1,5})x([0-9]{1,7})", re.ASCII)
_COUNTED = re.compile(r"(.+)\*([0-9]{1,9})", re.ASCII)
MIB_PER_GIB = 1024

GRAMMAR = "NODESxCPUSxGIB (of each node), a name of a shape, or a file, each with *COUNT"


def parse_fleet(texts: Sequence[str]) -> Fleet:
    """Return the fleet of texts like ``2x40x90*5``, ``8n*10`` or ``rack.xml*3``.

    Parameters
    ----------
    texts
        Each a shape and how many hosts of it: nodes, pCPUs and GiB of each node; the name of one of
        `presets.SHAPES`; or a file of hosts, as for `import_source.parse_source`.

    Raises
    ------
    InputError
        If one is none of these, a file is faulty, or there is no host.
    """
    shapes: list[tuple[Host, int]] = []
    for text in texts:
        counted = _COUNTED.fullmatch(text)
        name, count = (counted[1], int(counted[2])) if counted else (text, 1)
        sized = _SHAPE.fullmatch(name)
        if sized:
            shapes.append((make_host(_sized(text, *map(int, sized.groups())), name), count))
        elif name in SHAPES:
            shapes.append((make_host(SHAPES[name], name), count))
        else:
            (source,) = host_sources([text])
            if not source.path.exists():
                raise InputError("hosts", f"{text!r:.80}", f"is none of {GRAMMAR}")
            hosts = import_instance([replace(source, count=1)], []).item.hosts
            shapes += [(host, source.count) for host in hosts]
    check_unique("fleet", "hosts", [host.name for host, _ in shapes])
    return Fleet(tuple(shapes))


def _sized(text: str, nodes: int, cpus: int, gib: int) -> HostShape:
    if not nodes or not cpus or not gib:
        raise InputError("hosts", f"{text!r:.80}", "nodes, pCPUs and GiB must be at least 1")
    return HostShape(sockets=nodes, cores_per_node=cpus, node_mib=gib * MIB_PER_GIB)
