"""Hosts from a table: CSV with a header line and one kind of host a row.

================================ =============================================================
column                           Host
================================ =============================================================
name                             name; none: ``host``, numbered by row
count                            that many hosts, named ``name-1``, ``name-2``...; none or empty: 1,
                                 named ``name``
shape                            nodes, pCPUs and GiB of each node: ``2x48x192``
cpu0, cpu1...                    in place of it: pCPUs of each node
memory0_gib or memory0_mib...    memory of each node, fractions of GiB are allowed
threads_per_core                 pCPUs of a core; none or empty: 1
vcpu_overcommit, smt_yield       the same
label:KEY                        the label KEY, such as ``label:rack``; empty: none
================================ =============================================================

A node without pCPUs and memory is left out. Distances between nodes are 21, in a shape as well. A
column of any other name is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numaplace.instances.files import read_text
from numaplace.instances.formats.format import Format
from numaplace.instances.formats.tables.csv_table import (
    check_header,
    csv_rows,
    header_of,
    real,
    table_row,
)
from numaplace.instances.hostmemory import HostReading
from numaplace.instances.ranges import parse_whole
from numaplace.instances.reading import located
from numaplace.instances.shapes import FAR, parse_shape
from numaplace.models.errors import InputError, check_int
from numaplace.models.topology import HOSTS_MAX, MIB_MAX, PCPUS_MAX, Host, NumaNode, PCpu
from numaplace.models.units import SLIT_LOCAL

_PLAIN = ("name", "count", "shape", "threads_per_core", "vcpu_overcommit", "smt_yield")
_NODE = re.compile(r"(cpu([0-9]{1,3})|memory([0-9]{1,3})_(gib|mib))", re.ASCII)


def sniff(head: str, path: Path) -> bool:
    """Tell whether the beginning of a file looks like a table of hosts."""
    names = header_of(head)
    return "vcpus" not in names and bool(names & {"shape", "cpu0"})


def read_hosts(path: Path) -> tuple[HostReading, ...]:
    """Return the hosts of a CSV table.

    `InputError` with file and line, for unknown columns, rows of another length, and bad values.
    """
    file = str(path)
    rows = csv_rows(read_text(path), file)
    line, header = next(rows, (1, []))
    with located(file, line):
        _check(header)
    found: list[HostReading] = []
    for number, (line, row) in enumerate(rows, 1):
        with located(file, line):
            texts = table_row(header, row)
            hosts = _hosts(texts, number, HOSTS_MAX - len(found))
            found += [HostReading(host) for host in hosts]
    return tuple(found)


def _check(header: list[str]) -> None:
    check_header(
        header,
        lambda name: name in _PLAIN or name.startswith("label:") or bool(_NODE.fullmatch(name)),
    )
    if ("shape" in header) == ("cpu0" in header):
        raise InputError(
            "table", "columns 'shape', 'cpu0'", "one of them, and only one, must be there"
        )


def _hosts(texts: Mapping[str, str], row: int, most: int) -> Iterator[Host]:
    """Hosts of one row, at most `most`."""
    name = texts.get("name", f"host{row}")
    thing = f"host {name!r:.80}"
    count: int | None = None
    if "count" in texts:
        count = parse_whole(texts["count"], thing=thing, field="count", low=1, high=HOSTS_MAX)
    check_int(thing, "number of hosts in the table", count or 1, 1, most)
    more: dict[str, Any] = {
        field: real(texts[field], thing, field)
        for field in ("vcpu_overcommit", "smt_yield")
        if field in texts
    }
    more["labels"] = {
        key.removeprefix("label:"): text for key, text in texts.items() if key.startswith("label:")
    }
    for number in [""] if count is None else [f"-{n}" for n in range(1, count + 1)]:
        yield _host(texts, f"{name}{number}", thing, more)


def _host(texts: Mapping[str, str], name: str, thing: str, more: Mapping[str, Any]) -> Host:
    threads = parse_whole(
        texts.get("threads_per_core", "1"), thing=thing, field="threads_per_core", low=1, high=8
    )
    if "shape" in texts:
        shape = parse_shape(texts["shape"], threads_per_core=threads)
        if shape is None:
            raise InputError(thing, "shape", f"must be like 2x48x192, not {texts['shape']!r:.60}")
        sized = [(shape.cores_per_node * threads, shape.node_mib)] * shape.sockets
    else:
        sized = [_node(texts, number, thing) for number in _numbers(texts)]
    nodes: list[NumaNode] = []
    first = 0
    for number, (pcpus, mib) in enumerate(sized):
        if pcpus or mib:
            ids = range(first, first + pcpus)
            nodes.append(NumaNode(number, tuple(PCpu(n, n // threads) for n in ids), mib))
        first += -(-pcpus // threads) * threads
    away = [[SLIT_LOCAL if a is b else FAR for b in nodes] for a in nodes]
    return Host(name, tuple(nodes), tuple(tuple(map(float, row)) for row in away), **more)


def _numbers(texts: Mapping[str, str]) -> list[int]:
    found = (_NODE.fullmatch(key) for key in texts)
    return sorted({int(match[2] or match[3]) for match in found if match})


def _node(texts: Mapping[str, str], number: int, thing: str) -> tuple[int, int]:
    """PCPUs and MiB of a node."""
    field = f"cpu{number}"
    pcpus = parse_whole(texts.get(field, "0"), thing=thing, field=field, low=0, high=PCPUS_MAX)
    mib = 0.0
    for unit, size in (("gib", 1024), ("mib", 1)):
        field = f"memory{number}_{unit}"
        mib += real(texts[field], thing, field) * size if field in texts else 0.0
    check_int(thing, f"memory{number}", math.ceil(mib), 0, MIB_MAX)
    return pcpus, math.floor(mib)


HOSTS_CSV = Format(
    *("hosts-csv", "a table of hosts", __doc__),
    sniff=sniff,
    read_hosts=lambda path, memory_mib: read_hosts(path),
)
