"""Tables of hosts, and hosts by their shape alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from numaplace.instances.formats.registry import host_format
from numaplace.instances.formats.tables.hosts_csv import read_hosts
from numaplace.instances.import_source import host_sources
from numaplace.instances.importer import import_instance
from numaplace.models.errors import InputError


def table(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "hosts.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_shapes_counts_and_labels(tmp_path: Path) -> None:
    """Two of a row are numbered; threads share cores, empty labels are none."""
    path = table(
        tmp_path,
        "name,count,shape,threads_per_core,label:rack",
        "big,2,2x8x16,2,r1",
        "small,,1x4x2,,",
    )
    assert host_format(path).name == "hosts-csv"
    first, second, small = (reading.item for reading in read_hosts(path))
    assert [host.name for host in (first, second, small)] == ["big-1", "big-2", "small"]
    assert first.labels == {"rack": "r1"} and small.labels == {}
    assert [(n.threads, n.cores, n.memory_mib) for n in first.nodes] == [(8, 4, 16384)] * 2
    assert first.distances == ((10.0, 21.0), (21.0, 10.0))


def test_each_node_by_itself(tmp_path: Path) -> None:
    """What a node lacks is 0; one that has nothing is left out, names follow the rows."""
    path = table(tmp_path, "cpu0,memory0_gib,cpu1,memory1_gib", "16,32.5,0,8", "4,2,0,0")
    first, second = (reading.item for reading in read_hosts(path))
    assert [(n.threads, n.memory_mib) for n in first.nodes] == [(16, 33280), (0, 8192)]
    assert (second.name, len(second.nodes)) == ("host2", 1)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("shape,colour", "1x1x1,red"), "column 'colour': is unknown"),
        (("name,count", "a,1"), "'shape', 'cpu0'.*must be there"),
        (("shape", "2x48"), "2: host 'host1': shape: must be like 2x48x192, not '2x48'"),
        (("shape", "0x1x1"), "must be at least 1"),
        (("shape,threads_per_core", "1x3x1,2"), "pCPUs are not cores of 2"),
        (("cpu0,memory0_gib", "4,-1"), "memory0"),
        (("cpu0,memory0_gib", "4"), "row: has 1 fields, the header has 2"),
        (("shape,count", "1x1x1,0"), "count"),
    ],
)
def test_faults_name_line_and_column(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_hosts(table(tmp_path, *lines))


def test_a_host_of_an_import_may_be_its_shape() -> None:
    """``2x4x8*3``: three hosts, numbered."""
    instance = import_instance(host_sources(["2x4x8*3", "1x2x4"]), []).item
    assert [host.name for host in instance.hosts] == ["2x4x8-1", "2x4x8-2", "2x4x8-3", "1x2x4"]
    assert instance.hosts[0].nodes[1].memory_mib == 8192
