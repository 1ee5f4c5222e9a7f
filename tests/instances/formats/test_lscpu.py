"""What lscpu writes, as text and as JSON, in versions old and new, is the same machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from numaplace.instances.formats.linux import lscpu
from numaplace.instances.hostmemory import HostReading
from numaplace.tests.instances.formats.host_shape import caches, cores, cpus_by_node, sockets

Rows = list[dict[str, object]]


def _read(tmp_path: Path, text: str) -> HostReading:
    path = tmp_path / "host.txt"
    path.write_text(text, encoding="utf-8")
    assert lscpu.sniff(text, path)
    return lscpu.read_host(path, memory_mib=1024)


def _table(tmp_path: Path, rows: Rows) -> HostReading:
    return _read(tmp_path, json.dumps({"cpus": rows}))


EXTENDED = """CPU NODE SOCKET CORE L1d:L1i:L2:L3 ONLINE MAXMHZ
  0    0      0    0 0:0:0:0          yes 3500,0000
  1    0      0    1 1:1:1:0          yes 3500,0000
  2    1      1    2 2:2:2:1          yes 3500,0000
  3    -      -    - -                 no -
  4    0      0    0 0:0:0:0          yes 3500,0000
"""
PARSABLE = """# The following is the parsable format, which can be fed to other
# programs. Each different item in every column has an unique ID
# starting usually from zero.
# CPU,Core,Socket,Node,,L1d,L1i,L2,L3
0,0,0,0,,0,0,0,0
1,1,0,0,,1,1,1,0
2,2,1,1,,2,2,2,1
3,,,,,,,,
4,0,0,0,,0,0,0,0
"""
JSON = """{"cpus": [
 {"cpu": 0, "node": 0, "socket": 0, "core": 0, "l1d:l1i:l2:l3": "0:0:0:0", "online": true},
 {"cpu": 1, "node": 0, "socket": 0, "core": 1, "l1d:l1i:l2:l3": "1:1:1:0", "online": true},
 {"cpu": 2, "node": 1, "socket": 1, "core": 2, "l1d:l1i:l2:l3": "2:2:2:1", "online": true},
 {"cpu": 3, "node": -, "socket": -, "core": -, "l1d:l1i:l2:l3": - },
 {"cpu": 4, "node": 0, "socket": 0, "core": 0, "l1d:l1i:l2:l3": "0:0:0:0", "online": true}
]}"""


@pytest.mark.parametrize("text", [EXTENDED, PARSABLE, JSON, "$ lscpu -e\n" + EXTENDED])
def test_tables_say_the_same(tmp_path: Path, text: str) -> None:
    """``-e``, ``-p`` and the JSON of util-linux up to 2.38, with its bare dashes."""
    reading = _read(tmp_path, text)
    assert cpus_by_node(reading.item) == {0: [0, 1, 4], 1: [2]}
    assert cores(reading.item) == [{0, 4}, {1}, {2}]
    assert caches(reading.item) == [{0, 1, 4}, {2}]
    assert sockets(reading.item) == {0: {0}, 1: {1}}
    assert reading.notes[0] == "CPUs 3 are offline: left out"
    assert len(reading.notes) == 2 and "20 is assumed" in reading.notes[1]


def test_short_table(tmp_path: Path) -> None:
    """Four columns are enough for cores; both threads of a core share its number."""
    rows = "".join(f"{cpu} 0 0 {cpu % 2}\n" for cpu in range(4))
    reading = _read(tmp_path, f"CPU NODE SOCKET CORE\n{rows}")
    assert cores(reading.item) == [{0, 2}, {1, 3}]
    assert reading.notes == ()


@pytest.mark.parametrize("node", [None, "-", 0])
def test_core_numbers_that_repeat_by_cluster(tmp_path: Path, node: object) -> None:
    """On Arm level 1 caches tell cores apart; without NUMA in the kernel, NODE is empty."""
    rows: Rows = [
        {"cpu": n, "node": node, "socket": 0, "core": n % 2, "l1d:l1i:l2:l3": f"{n}:{n}:{n}:0"}
        for n in range(4)
    ]
    reading = _table(tmp_path, rows)
    assert cores(reading.item) == [{0}, {1}, {2}, {3}]
    assert caches(reading.item) == [{0, 1, 2, 3}]
    assert any("core numbers repeat" in note for note in reading.notes)
    assert any("taken as node 0" in note for note in reading.notes) == (node != 0)


def test_modules_that_share_instructions(tmp_path: Path) -> None:
    """Two CPUs with data caches of their own and one for instructions are what lscpu calls them."""
    rows: Rows = [
        {"cpu": n, "node": 0, "socket": 0, "core": 0, "l1d:l1i:l2": f"{n}:0:0"} for n in range(2)
    ]
    assert cores(_table(tmp_path, rows).item) == [{0, 1}]


def test_cores_numbered_by_cluster_book_and_drawer(tmp_path: Path) -> None:
    """Whatever a number is counted by makes it another core or package."""
    places = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    rows: Rows = [
        {"cpu": n, "node": 0, "drawer": d, "book": b, "socket": 0, "cluster": c, "core": 0}
        for n, (d, b, c) in enumerate(places)
    ]
    host = _table(tmp_path, rows).item
    assert len(cores(host)) == 4 and sockets(host) == {0: {0, 1, 2}}


@pytest.mark.parametrize("row", ["2,1,0,0,,1,0", "2,1,0,0,,64,64,8"])
def test_levels_that_some_cpus_lack(tmp_path: Path, row: str) -> None:
    """Which level is missing is not told: those that not all CPUs have are not the host's."""
    text = f"# CPU,Core,Socket,Node,,L1d,L1i,L2,L3\n0,0,0,0,,16,16,4,0\n1,0,0,0,,16,16,4,0\n{row}\n"
    reading = _read(tmp_path, text)
    assert cores(reading.item) == [{0, 1}, {2}]
    assert caches(reading.item) == ([] if row.endswith(",1,0") else [{0, 1}, {2}])
    assert any("levels are left out" in note for note in reading.notes)


SUMMARY = """Architecture:                x86_64
  CPU op-mode(s):            32-bit, 64-bit
CPU(s):                      8
  On-line CPU(s) list:       0-6
Vendor ID:                   AuthenticAMD
  Thread(s) per core:        2
  Core(s) per socket:        2
  Socket(s):                 2
Caches (sum of all):
  L3:                        64 MiB (2 instances)
NUMA:
  NUMA node(s):              2
  NUMA node0 CPU(s):         0,1,4,
                             5
  NUMA node1 CPU(s):         2,3,6,7
Vulnerabilities:
  Mds:                       Vulnerable: Clear CPU buffers attempted, no microcode
"""


def test_summary(tmp_path: Path) -> None:
    """Plain lscpu, indented and wrapped by a terminal; a CPU that is off is no CPU."""
    reading = _read(tmp_path, SUMMARY)
    assert cpus_by_node(reading.item) == {0: [0, 1, 4, 5], 1: [2, 3, 6]}
    assert cores(reading.item)[:2] == [{0, 4}, {1, 5}]
    assert sockets(reading.item) == {0: {0}, 1: {1}}
    assert "CPUs 7 are offline: left out" in reading.notes
    assert any("4 cores of 2 threads are told and 7 CPUs" in note for note in reading.notes)


def test_summary_in_masks(tmp_path: Path) -> None:
    """``lscpu -x`` writes masks; nodes of s390 list CPUs that are off as well."""
    text = "CPU(s): 4\nOn-line CPU(s) mask: f\nNUMA node0 CPU(s): 0x1fff\n"
    reading = _read(tmp_path, text)
    assert cpus_by_node(reading.item) == {0: [0, 1, 2, 3]}
    assert "CPUs 4-12 are offline: left out" in reading.notes


def test_other_texts_are_not_taken(tmp_path: Path) -> None:
    """A table of VMs, YAML, numactl's and xl's texts are no lscpu."""
    for text in ("name,cpu\na,1\n", "cpu: 4\n", "# CPUs of the host\n", "cpu:    core    socket\n"):
        assert not lscpu.sniff(text, tmp_path)
