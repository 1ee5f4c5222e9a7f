"""libvirt's capabilities become the machine they describe."""

from pathlib import Path

from numaplace.instances.formats.libvirt.capabilities import read_host, sniff
from numaplace.tests.instances.formats.host_shape import (
    caches,
    cores,
    cpus_by_node,
    memory_by_node,
    sockets,
)
from numaplace.tests.instances.shared_data import shared_data

HOSTS = Path(__file__).parents[2] / "data" / "hosts"


def test_cells_with_hmat() -> None:
    """A cell without CPUs, an offline CPU, units, siblings, caches, latency and bandwidth."""
    reading = read_host(HOSTS / "libvirt-hmat.xml")
    host = reading.item
    assert host.name == "libvirt-hmat"
    assert cpus_by_node(host) == {0: [0, 1, 4, 5], 1: [2, 3], 4: []}
    assert cores(host) == [{0, 4}, {1, 5}, {2}, {3}]
    assert caches(host) == [{0, 1, 4, 5}, {2, 3}]
    assert sockets(host) == {0: {0}, 1: {1}, 4: set()}
    assert memory_by_node(host) == {0: 16384, 1: 8192, 4: 32768}
    assert (host.nodes[0].pages_2m, host.nodes[0].pages_1g) == (2048, 4)
    assert host.distances == ((10, 21, 17), (21, 10, 28), (18, 28, 10))
    assert host.latency_ns == ((95, 199.5, 250), (199.5, 95, 354.5), (250, 354.5, 0))
    assert host.bandwidth_mbps == ((102400, 0, 30720), (0, 0, 10240), (0, 0, 0))
    assert [node.bandwidth_mbps for node in host.nodes] == [102400, None, 30720]
    assert reading.notes == (
        "CPUs 8 are offline: left out",
        "cell 4: memory-side caches are not modelled: left out",
        "1 interconnects to memory-side caches are left out",
        "latency is told for 2 of 6 pairs of CPUs' nodes and memory: the others are worked out"
        " from it and the distances",
    )


def test_detection() -> None:
    """Only capabilities are taken for them."""
    for path in sorted(HOSTS.iterdir()):
        head = path.read_text(encoding="utf-8")[:4096]
        assert sniff(head, path) == path.name.startswith("libvirt")


def test_kvm_x86_64() -> None:
    """One cell, four cores of two threads, no huge pages set aside."""
    reading = read_host(shared_data("libvirt/capabilities-kvm-x86_64.xml"))
    host = reading.item
    assert cpus_by_node(host) == {0: list(range(8))}
    assert cores(host) == [{0, 4}, {1, 5}, {2, 6}, {3, 7}]
    assert caches(host) == [set(range(8))]
    assert memory_by_node(host) == {0: 32731708 // 1024}
    assert host.distances == ((10,),)
    assert reading.notes == ()


def test_driver_without_facts() -> None:
    """A cell that tells neither memory nor cores is read with notes."""
    reading = read_host(shared_data("libvirt/capabilities-test-qemu-with-kvm.xml"))
    assert cpus_by_node(reading.item) == {0: [0, 1]}
    assert cores(reading.item) == [{0}, {1}]
    assert memory_by_node(reading.item) == {0: 0}
    assert [note.partition(":")[0] for note in reading.notes] == [
        "cell 0 tells no memory",
        "cell 0 tells no cores",
    ]


def test_cell_whose_cpus_are_all_offline(tmp_path: Path) -> None:
    """Where other cells tell cores, CPUs without one are offline, be it all of a cell."""
    cpus = ("<cpu id='0' socket_id='0' core_id='0'/>", "<cpu id='1'/><cpu id='2'/>")
    cells = "".join(
        f"<cell id='{n}'><memory unit='GiB'>1</memory><cpus>{text}</cpus></cell>"
        for n, text in enumerate(cpus)
    )
    path = tmp_path / "caps.xml"
    path.write_text(
        f"<capabilities><host><topology><cells>{cells}</cells></topology></host></capabilities>",
        encoding="utf-8",
    )
    reading = read_host(path)
    assert cpus_by_node(reading.item) == {0: [0], 1: []}
    assert "CPUs 1-2 are offline: left out" in reading.notes
