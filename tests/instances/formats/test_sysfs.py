"""sysfs, live or recorded, becomes the machine it describes."""

from pathlib import Path

import pytest

from numaplace.instances.formats.linux.sysfs import read_host, sniff
from numaplace.instances.hostmemory import Free
from numaplace.models.errors import InputError
from numaplace.tests.instances.formats.host_shape import (
    caches,
    cores,
    cpus_by_node,
    devices,
    memory_by_node,
    sockets,
)
from numaplace.tests.instances.formats.sysfs_tree import (
    CPU,
    NODE,
    PCI,
    machine,
    write_archive,
    write_tree,
)
from numaplace.tests.instances.shared_data import shared_data


def test_folder(tmp_path: Path) -> None:
    """Nodes, cores, caches, pages, HMAT and devices of a made-up machine."""
    write_tree(tmp_path, *machine())
    reading = read_host(tmp_path)
    host = reading.item
    assert host.name == "made-up"
    assert cpus_by_node(host) == {0: [0, 1, 4, 5], 2: [2, 3], 3: []}
    assert cores(host) == [{0, 4}, {1, 5}, {2}, {3}]
    assert caches(host) == [{0, 1, 4, 5}, {2, 3}]
    assert sockets(host) == {0: {0}, 2: {1}, 3: set()}
    assert memory_by_node(host) == {0: 16384, 2: 8192, 3: 65536}
    assert (host.nodes[0].pages_2m, host.nodes[0].pages_1g) == (1024, 2)
    assert host.distances == ((10, 21, 17), (22, 10, 28), (17, 28, 10))
    assert host.latency_ns == ((90, 189, 250), (198, 90, 358), (250, 358, 0))
    assert [host.node_bandwidth_mbps(i) for i in range(3)] == [100000, None, 30000]
    assert devices(host) == {
        "0000:00:17.0": ("nvme", {2}),
        "0000:00:18.0": ("gpu", set()),
        "0000:00:19.0": ("storage", set()),
        "0000:3b:00.0": ("nic", {0}),
    }
    card = host.devices[3]
    assert (card.functions, card.vendor_product) == (2, "8086:1572")
    assert [device.pcie_root for device in host.devices] == [*["0000:00"] * 3, "0000:3a"]
    assert set(reading.notes) == {
        "CPUs 6 are offline: left out",
        "node 0: 512 of 1024 hugepages-2048kB are in use now",
        "device 0000:00:18.0: 16 virtual functions are possible, none is made",
        "1 PCI devices of kinds VMs do not ask for: left out",
        "the node of 2 PCI devices is not told",
        "latency is told for 2 of 6 pairs of CPUs' nodes and memory: the others are worked out"
        " from it and the distances",
    }


@pytest.mark.parametrize(
    ("ending", "mode", "prefix"),
    [
        ("tar", "w", ""),
        ("tar.gz", "w:gz", "made-up/"),
        ("tar.bz2", "w:bz2", "./made-up/"),
        ("tar.xz", "w:xz", "made-up/"),
    ],
)
def test_archive_reads_as_the_folder(tmp_path: Path, ending: str, mode: str, prefix: str) -> None:
    """An archive, however packed, gives the same host and notes, and nothing is unpacked."""
    (tmp_path / "tree").mkdir()
    write_tree(tmp_path / "tree", *machine())
    path = tmp_path / f"machine.{ending}"
    write_archive(path, *machine(), mode=mode, prefix=prefix)
    before = sorted(tmp_path.iterdir())
    assert read_host(path) == read_host(tmp_path / "tree")
    assert sorted(tmp_path.iterdir()) == before
    assert sniff("", path) and sniff("", tmp_path)
    assert not sniff("", tmp_path / "host.xml")


def test_old_kernels(tmp_path: Path) -> None:
    """Masks instead of lists, core ids instead of siblings, no package: read all the same."""
    write_tree(
        tmp_path,
        {
            f"{CPU}/cpu0/topology/core_id": "0\n",
            f"{CPU}/cpu1/topology/core_id": "0\n",
            f"{CPU}/cpu2/topology/thread_siblings": "00000000,0000000c\n",
            f"{CPU}/cpu3/topology/thread_siblings": "00000000,0000000c\n",
            f"{NODE}/node0/cpumap": "00000000,00000003\n",
            f"{NODE}/node0/meminfo": "Node 0 MemTotal: 4096 kB\n",
            f"{NODE}/node1/cpumap": "00000000,0000000c\n",
            f"{NODE}/node1/meminfo": "Node 1 MemTotal: 8192 kB\n",
            f"{NODE}/node1/hugepages/hugepages-64kB/nr_hugepages": "17\n",
        },
        {},
    )
    reading = read_host(tmp_path)
    assert cores(reading.item) == [{0, 1}, {2, 3}]
    assert sockets(reading.item) == {0: {0}, 1: {1}}
    assert reading.item.nodes[1].reserved_mib == 2
    assert any("all packages" in note for note in reading.notes)
    assert any("20 is assumed" in note for note in reading.notes)
    assert any("2 MiB in pages other" in note for note in reading.notes)


def test_core_ids_are_those_of_a_die(tmp_path: Path) -> None:
    """Where no siblings are told: core 0 of two dies, and of two clusters, are different cores."""
    files = {f"{CPU}/cpu{n}/topology/core_id": "0\n" for n in range(5)}
    dies = {f"{CPU}/cpu{n}/topology/die_id": f"{n // 2}\n" for n in range(5)}
    files |= {f"{NODE}/node0/cpulist": "0-4\n", f"{CPU}/cpu3/topology/cluster_id": "9\n"}
    write_tree(tmp_path, {**files, **dies, f"{NODE}/node0/meminfo": "Node 0 MemTotal: 9 kB\n"}, {})
    assert cores(read_host(tmp_path).item) == [{0, 1}, {2}, {3}, {4}]


@pytest.mark.parametrize("nodes", [True, False])
def test_cpus_that_say_themselves_that_they_are_offline(tmp_path: Path, nodes: bool) -> None:
    """A copy without ``cpu/online`` has ``cpuN/online``; CPU 0 has none where it must stay."""
    files = {f"{CPU}/cpu{cpu}/online": f"{int(cpu != 2)}\n" for cpu in (1, 2, 3)}
    files[f"{CPU}/cpu0/topology/core_id"] = "0\n"
    if nodes:
        files[f"{NODE}/node0/cpulist"] = "0-3\n"
    write_tree(tmp_path, files, {})
    assert cpus_by_node(read_host(tmp_path).item) == {0: [0, 1, 3]}


def test_process_in_a_cpuset(tmp_path: Path) -> None:
    """What the reading process may not use is read, and told."""
    files, links = machine()
    status = "Name:\tx\nCpus_allowed_list:\t0-1,7\nMems_allowed_list:\t0,2-3\n"
    write_tree(tmp_path, files | {"proc/self/status": status}, links)
    reading = read_host(tmp_path)
    assert reading.item.threads == 6
    assert [note for note in reading.notes if "cpuset" in note] == [
        "this process may use CPUs 0-1 of 0-5 only (cpuset): all are read, VMs may have a cpuset"
        " of their own"
    ]


def test_gpu_nodes_as_the_driver_tells_them(tmp_path: Path) -> None:
    """NVIDIA's driver names the node of a GPU's memory; a node with CPUs is never one."""
    files, links = machine()
    gpus = "proc/driver/nvidia/gpus"
    for gpu, node in (("0000:01:00.0", "3"), ("0000:02:00.0", "0"), ("0000:03:00.0", "-1")):
        files[f"{gpus}/{gpu}/numa_status"] = f"Node:      {node}\nStatus:    online\n"
    write_archive(tmp_path / "gpu.tar", files, links)
    assert read_host(tmp_path / "gpu.tar").gpu_nodes == {3}


def test_free_memory(tmp_path: Path) -> None:
    """Free is what nobody has, old file cache and free huge pages; no line, not told."""
    files, links = machine()
    files[f"{NODE}/node0/meminfo"] += "Node 0 MemFree: 2048 kB\nNode 0 Inactive(file): 1024 kB\n"
    write_tree(tmp_path, files, links)
    assert read_host(tmp_path).free == {0: Free(3 + 2 * 512 + 1024 * 2, 512, 2)}


def test_kernel_without_numa(tmp_path: Path) -> None:
    """Without nodes the machine is node 0, with the memory of /proc/meminfo."""
    files = {f"{CPU}/online": "0-1\n", "proc/meminfo": "MemTotal:  2097152 kB\n"}
    write_tree(tmp_path, files, {})
    reading = read_host(tmp_path)
    assert cpus_by_node(reading.item) == {0: [0, 1]}
    assert memory_by_node(reading.item) == {0: 2048}
    assert any("taken as node 0" in note for note in reading.notes)


@pytest.mark.parametrize("packed", [False, True])
def test_links_that_lead_out_are_not_followed(tmp_path: Path, packed: bool) -> None:
    """A list that is a link to a file outside, and a loop of links, are as good as absent."""
    (tmp_path / "secret").write_text("7\n")
    files = {
        f"{CPU}/online": "0-1\n",
        f"{NODE}/node0/cpulist": "0-1\n",
        f"{NODE}/node0/meminfo": "Node 0 MemTotal: 4096 kB\n",
    }
    links = {
        f"{CPU}/cpu0/topology/physical_package_id": "../" * 7 + "secret",
        f"{CPU}/cpu1/topology/physical_package_id": f"/{CPU}/online",
        f"{PCI}/0000:00:01.0": "0000:00:02.0",
        f"{PCI}/0000:00:02.0": "0000:00:01.0",
    }
    if packed:
        write_archive(tmp_path / "inside.tar", files, links)
        reading = read_host(tmp_path / "inside.tar")
    else:
        write_tree(tmp_path / "inside", files, links)
        reading = read_host(tmp_path / "inside")
    assert sockets(reading.item) == {0: {0}}
    assert any("all packages" in note for note in reading.notes)
    assert reading.item.devices == ()


def test_neither_folder_nor_archive(tmp_path: Path) -> None:
    """A missing path, standard input and a folder without sysfs are refused."""
    with pytest.raises(InputError, match="does not exist"):
        read_host(tmp_path / "none")
    with pytest.raises(InputError, match="standard input"):
        read_host(Path("-"))
    with pytest.raises(InputError, match="has no sys/devices/system/cpu"):
        read_host(tmp_path)


def test_number_of_members_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive of very many members is given up."""
    write_archive(tmp_path / "a.tar", *machine())
    monkeypatch.setattr("numaplace.instances.filetree.MEMBERS_MAX", 20)
    with pytest.raises(InputError, match="one member more than 20"):
        read_host(tmp_path / "a.tar")


@pytest.mark.skipif(not Path("/sys/devices/system/cpu").is_dir(), reason="no sysfs here")
def test_live_machine() -> None:
    """Whatever machine this is, it has CPUs and a node with memory."""
    host = read_host(Path("/")).item
    assert host.threads >= 1
    assert any(node.memory_mib > 0 for node in host.nodes)


def test_128arm() -> None:
    """Two packages with odd numbers, four nodes, distances that are no SLIT of halves."""
    host = read_host(shared_data("topologies/128arm-2pa2n8cluster4co.tar.bz2")).item
    assert host.name == "ubuntu"
    assert cpus_by_node(host) == {n: list(range(32 * n, 32 * n + 32)) for n in range(4)}
    assert len(cores(host)) == 128
    assert sockets(host) == {0: {36}, 1: {36}, 2: {8442}, 3: {8442}}
    kib = {0: 131732940, 1: 132117940, 2: 132117936, 3: 131062408}
    assert memory_by_node(host) == {node: size // 1024 for node, size in kib.items()}
    assert host.distances == (
        (10, 16, 32, 33),
        (16, 10, 25, 32),
        (32, 25, 10, 16),
        (33, 32, 16, 10),
    )


def test_48amd64_sparse() -> None:
    """Eight nodes with gaps in their ids; core ids repeat within a package."""
    host = read_host(shared_data("topologies/48amd64-4pa2n6c-sparse.tar.bz2")).item
    ids = [0, 1, 2, 33, 34, 45, 72, 73]
    assert cpus_by_node(host) == {n: list(range(6 * i, 6 * i + 6)) for i, n in enumerate(ids)}
    assert len(cores(host)) == 48
    assert sockets(host) == {n: {i // 2} for i, n in enumerate(ids)}
    assert memory_by_node(host)[0] == 8386460 // 1024
    assert [memory_by_node(host)[n] for n in ids[1:]] == [16384, 8192] * 3 + [16384]
    assert host.distances[1] == (16, 10, 22, 16, 16, 22, 22, 16)
    assert host.distances[7] == (22, 16, 16, 22, 22, 16, 16, 10)
    assert {value for row in host.distances for value in row} == {10, 16, 22}


def test_nvidia_gpu_nodes() -> None:
    """Power9: two nodes of CPUs with four threads a core, six nodes of GPU memory."""
    reading = read_host(shared_data("topologies/nvidiagpunumanodes.tar.bz2"))
    host = reading.item
    gpu_nodes = [250, 251, 252, 253, 254, 255]
    assert cpus_by_node(host) == {
        0: list(range(16)),
        8: list(range(88, 104)),
        **{node: [] for node in gpu_nodes},
    }
    assert cores(host)[0] == {0, 1, 2, 3} and len(cores(host)) == 8
    assert sockets(host)[8] == {8}
    assert [memory_by_node(host)[n] for n in gpu_nodes] == [15360] * 6
    assert (host.distances[0][1], host.distances[1][0], host.distances[0][2]) == (40, 40, 80)
    assert {value for row in host.distances for value in row} == {10, 40, 80}
    assert devices(host) == {
        "0004:05:00.0": ("gpu", {0}),
        "0004:06:00.0": ("gpu", {0}),
        "0006:00:00.0": ("gpu", {0}),
        "0007:00:00.0": ("gpu", {8}),
        "0035:04:00.0": ("gpu", {8}),
        "0035:05:00.0": ("gpu", {8}),
    }
    assert "CPUs 16-87,104-175 are offline: left out" in reading.notes
    assert reading.gpu_nodes == set(gpu_nodes)
