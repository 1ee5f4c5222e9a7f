"""numactl, lscpu and xl info texts become the machines they describe."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from numaplace.instances.formats.linux import lscpu, numactl
from numaplace.instances.formats.xen import xl_info
from numaplace.instances.hostmemory import Free
from numaplace.models.topology import Device
from numaplace.tests.instances.formats.host_shape import (
    caches,
    cores,
    cpus_by_node,
    memory_by_node,
    sockets,
)

HOSTS = Path(__file__).parents[2] / "data" / "hosts"


def test_numactl_with_gaps() -> None:
    """Node ids have a gap, one node has no CPU, distances are not symmetric."""
    reading = numactl.read_host(HOSTS / "numactl-gaps.txt")
    host = reading.item
    assert host.name == "numactl-gaps"
    assert cpus_by_node(host) == {
        0: [0, 1, 2, 3, 8, 9, 10, 11],
        2: [4, 5, 6, 7, 12, 13, 14, 15],
        3: [],
    }
    assert memory_by_node(host) == {0: 32174, 2: 32253, 3: 65536}
    assert host.distances == ((10, 21, 17), (21, 10, 28), (17, 29, 10))
    assert len(cores(host)) == 16
    assert len(reading.notes) == 1 and "taken as a core" in reading.notes[0]


def test_numactl_indented(tmp_path: Path) -> None:
    """A text that was mailed or pasted with blanks in front says the same."""
    lines = (HOSTS / "numactl-gaps.txt").read_text(encoding="utf-8").splitlines()
    path = tmp_path / "numactl-gaps.txt"
    path.write_text("".join(f"    {line}\n" for line in lines), encoding="utf-8")
    assert numactl.sniff(path.read_text(encoding="utf-8"), path)
    assert numactl.read_host(path) == numactl.read_host(HOSTS / "numactl-gaps.txt")


def test_numactl_compressed() -> None:
    """Ranges with their count; unknown size and distances are told in notes."""
    reading = numactl.read_host(HOSTS / "numactl-compressed.txt")
    host = reading.item
    assert cpus_by_node(host) == {
        0: [*range(8), *range(16, 24)],
        1: [*range(8, 16), *range(24, 32)],
    }
    assert memory_by_node(host) == {0: 64000, 1: 0}
    assert host.distances == ((10, 20), (20, 10))
    assert any("20 is assumed" in note for note in reading.notes)
    assert any("node 1" in note and "no memory" in note for note in reading.notes)


def test_numactl_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path "-" reads a pipe, and the host is called stdin."""
    text = (HOSTS / "numactl-gaps.txt").read_bytes()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    host = numactl.read_host(Path("-")).item
    assert host.name == "stdin"
    assert host.threads == 16


def test_lscpu_table() -> None:
    """Cores and caches from the table; an offline CPU is left out; memory is given."""
    reading = lscpu.read_host(HOSTS / "lscpu-table.json", memory_mib=4096)
    host = reading.item
    assert cpus_by_node(host) == {0: [0, 1, 4, 5], 1: [2, 3, 6]}
    assert cores(host) == [{0, 4}, {1, 5}, {2, 6}, {3}]
    assert caches(host) == [{0, 1, 4, 5}, {2, 3, 6}]
    assert sockets(host) == {0: {0}, 1: {1}}
    assert memory_by_node(host) == {0: 4096, 1: 4096}
    assert "CPUs 7 are offline: left out" in reading.notes
    assert not any("memory" in note for note in reading.notes)


def test_lscpu_table_of_strings() -> None:
    """Older versions write numbers as strings and a dash for none; core 0 exists per socket."""
    reading = lscpu.read_host(HOSTS / "lscpu-strings.json")
    host = reading.item
    assert cpus_by_node(host) == {0: [0], 2: [1]}
    assert cores(host) == [{0}, {1}]
    assert memory_by_node(host) == {0: 0, 2: 0}
    assert "CPUs 2 are on no NUMA node: left out" in reading.notes
    assert any("tells no memory" in note for note in reading.notes)


def test_lscpu_summary() -> None:
    """The nested summary gives nodes; which threads share a core is assumed and said so."""
    reading = lscpu.read_host(HOSTS / "lscpu-nested.json")
    host = reading.item
    assert cpus_by_node(host) == {0: [0, 1, 2, 3, 8, 9, 10, 11], 1: [4, 5, 6, 7, 12, 13, 14, 15]}
    assert cores(host)[:2] == [{0, 8}, {1, 9}]
    assert [node.cores for node in host.nodes] == [4, 4]
    assert sockets(host) == {0: {0}, 1: {1}}
    assert any("paired" in note for note in reading.notes)


def test_lscpu_flat_summary_without_numa() -> None:
    """A machine without NUMA lines is one node."""
    reading = lscpu.read_host(HOSTS / "lscpu-flat.json")
    assert cpus_by_node(reading.item) == {0: [0, 1, 2, 3]}
    assert len(cores(reading.item)) == 4


def test_xl_info() -> None:
    """Spans lose their holes, dom0 and Xen their part; gaps and unknown distances are handled."""
    reading = xl_info.read_host(HOSTS / "xl-info.txt")
    host = reading.item
    assert host.name == "dom0.example"
    assert cpus_by_node(host) == {0: [0, 1, 2], 2: [4, 5, 6]}
    assert cores(host) == [{0, 1}, {2}, {4, 5}, {6}]
    assert sockets(host) == {0: {0}, 2: {1}}
    assert memory_by_node(host) == {0: 67584 - 2048, 2: 65536}
    assert [node.reserved_mib for node in host.nodes] == [4279, 2439]
    assert reading.free == {0: Free(20672), 2: Free(39958)}
    assert host.distances == ((10, 21), (20, 10))
    assert host.devices == (
        Device("0000:00:1f.0", "pci", frozenset({0})),
        Device("0000:3b:00.0", "pci", frozenset({0})),
        Device("0000:af:00.1", "pci", frozenset({2})),
        Device("0000:d8:00.0", "pci"),
    )
    assert "CPUs 7 are on no node that is online: left out" in reading.notes
    assert any(note.startswith("nr_nodes is 3") for note in reading.notes)
    assert "6718 MiB of what is in use" in reading.held and "4096 MiB" in reading.held


@pytest.mark.parametrize(
    ("threads", "cores_found"), [("1", 4), ("2", 2), ("4", 1), ("", 1), ("none", 1)]
)
def test_xl_info_of_arm(tmp_path: Path, threads: str, cores_found: int) -> None:
    """Xen on Arm calls every core 0: a core has no more CPUs than threads_per_core."""
    path = tmp_path / "arm.txt"
    rows = "".join(f"  {cpu}:       0        0        0\n" for cpu in range(4))
    path.write_text(
        f"threads_per_core       : {threads}\ntotal_memory : 4000\n"
        f"cpu:    core    socket     node\n{rows}"
        "node:    memsize    memfree    distances\n   0:     4096      3000      10\n"
    )
    reading = xl_info.read_host(path)
    assert len(cores(reading.item)) == cores_found
    assert any("core numbers repeat" in note for note in reading.notes) == (cores_found > 1)
    assert memory_by_node(reading.item) == {0: 4000}
    assert reading.item.nodes[0].reserved_mib == 80 and "no dom0_mem" in reading.held


@pytest.mark.parametrize(
    ("given", "mib"),
    [
        ("dom0_mem=512M,max:1G", 592),
        ("dom0_mem=max:65536", 144),
        ("dom0_mem=1G dom0_mem=min:1G,100m", 180),
        ("dom0_mem=-1G", 80),
        ("dom0_mem=10%", 80),
        ("dom0_mem=9999999999T", 1000),
    ],
)
def test_xl_info_tells_what_dom0_starts_with(tmp_path: Path, given: str, mib: int) -> None:
    """The last dom0_mem counts, its size before its maximum, and never more than is in use."""
    path = tmp_path / "dom0.txt"
    path.write_text(
        f"total_memory : 4000\nxen_commandline : com1 {given} smt=1\n"
        "cpu:    core    socket     node\n  0:       0        0        0\n"
        "node:    memsize    memfree    distances\n   0:     4000      3000      10\n"
    )
    assert xl_info.read_host(path).item.nodes[0].reserved_mib == mib


def test_xl_info_without_the_first_lines(tmp_path: Path) -> None:
    """A cut-out as people mail it, without the line 'numa_info' and without devices."""
    path = tmp_path / "cut.txt"
    path.write_text(
        "nr_cpus                : 2\n"
        "cpu_topology           :\n"
        "cpu:    core    socket     node\n"
        "  0:       0        0        0\n"
        "  1:       0        0        1\n"
        "device topology        :\n"
        "device           node\n"
        "No device topology data available\n"
        "node:    memsize    memfree    distances\n"
        "   0:     67584      60672      10,4294967295\n"
        "   1:     65536      60958      21,10\n"
    )
    reading = xl_info.read_host(path)
    assert reading.item.name == "cut"
    assert memory_by_node(reading.item) == {0: 60672, 1: 60958}
    assert reading.item.distances == ((10, 20), (21, 10))
    assert any("distance to node 1 is unknown" in note for note in reading.notes)
    assert any("total_memory is not told" in note for note in reading.notes)
    assert reading.item.devices == ()


def test_detection() -> None:
    """Each text is taken for its own format and no other."""
    sniffers = {"numactl": numactl.sniff, "lscpu": lscpu.sniff, "xl": xl_info.sniff}
    for path in sorted(HOSTS.iterdir()):
        head = path.read_text(encoding="utf-8")[:4096]
        taken = [name for name, sniff in sniffers.items() if sniff(head, path)]
        own = path.name.partition("-")[0]
        assert taken == ([own] if own in sniffers else [])
