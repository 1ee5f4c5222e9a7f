"""hwloc XML of versions 1, 2 and 3 becomes the machine it describes.

The expected values of recorded machines were read off the files by eye.
"""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from numaplace.instances.formats.hwloc.values import NodeIndex, read_memattrs
from numaplace.instances.formats.hwloc.xml import read_host, sniff
from numaplace.tests.instances.formats.host_shape import (
    caches,
    cores,
    cpus_by_node,
    devices,
    memory_by_node,
    sockets,
)
from numaplace.tests.instances.shared_data import shared_data

HOSTS = Path(__file__).parents[2] / "data" / "hosts"


def test_version_1() -> None:
    """Nodes enclose CPUs, distances are relative to a base, packages are sockets."""
    reading = read_host(HOSTS / "hwloc-v1.xml")
    host = reading.item
    assert host.name == "old-one"
    assert cpus_by_node(host) == {0: [0, 1, 2, 3], 1: [4, 5, 7]}
    assert cores(host) == [{0, 1}, {2, 3}, {4, 5}, {7}]
    assert caches(host) == [{0, 1, 2, 3}, {4, 5, 7}]
    assert sockets(host) == {0: {0}, 1: {1}}
    assert memory_by_node(host) == {0: 8192, 1: 4096}
    assert host.nodes[0].pages_2m == 2048
    assert host.distances == ((10, 21), (20, 10))
    (device,) = host.devices
    assert (device.address, device.kind, device.nodes) == ("0000:05:00.0", "nic", {0})
    assert (device.vendor_product, device.pcie_root) == ("8086:10fb", "0000:00")
    assert reading.notes == ("CPUs 6 are offline or not allowed: left out",)


def test_version_2_with_every_trap() -> None:
    """Memory children, gaps in masks, base page, fast memory, a node without memory."""
    reading = read_host(HOSTS / "hwloc-v2.xml")
    host = reading.item
    assert cpus_by_node(host) == {0: [0, 1], 1: [64, 65], 2: []}
    assert cores(host) == [{0, 1}, {64}, {65}]
    assert caches(host) == [{64, 65}]
    assert sockets(host) == {0: {3}, 1: {4}, 2: {3}}
    assert memory_by_node(host) == {0: 4096, 1: 0, 2: 1024}
    node = host.nodes[0]
    assert (node.pages_2m, node.pages_1g, node.reserved_mib) == (512, 1, 512)
    assert host.distances == ((10, 21, 11), (22, 10, 24), (11, 25, 10))
    assert host.latency_ns == ((90, 189, 135), (198, 90, 243), (135, 243, 0))
    assert host.bandwidth_mbps == ((100000, 0, 400000), (0, 0, 50000), (0, 0, 0))
    assert [node.bandwidth_mbps for node in host.nodes] == [100000, None, 400000]
    assert [host.node_bandwidth_mbps(i) for i in range(3)] == [100000, None, 400000]
    assert host.relative[0] == (1, 2.1, 1.5)
    assert devices(host) == {
        "0000:01:00.0": ("nvme", set()),
        "0001:81:00.0": ("accelerator", {0, 2}),
    }
    assert {device.address: device.pcie_root for device in host.devices} == {
        "0000:01:00.0": "0000:00",
        "0001:81:00.0": "0001:80",
    }
    assert set(reading.notes) == {
        "node 0: 512 MiB in pages other than 2M and 1G count as reserved",
        "node 1 has CPUs, but no memory that may be used",
        "nodes 3-4 are offline, not allowed or empty: left out",
        "1 PCI devices of kinds VMs do not ask for: left out",
        "the node of 1 PCI devices is not told",
        "1 memory-side caches are not modelled: left out",
        "latency is told for 2 of 6 pairs of CPUs' nodes and memory: the others are worked out"
        " from it and the distances",
    }


def test_initiators_beyond_the_words_of_a_mask() -> None:
    """``0xf...f`` before a word of 32 bits stands for pCPU 32 and all above it."""
    mask = "target_obj_gp_index='7' value='90' initiator_cpuset='0xf...f,0x00000000'"
    text = f"<topology><memattr name='Latency'><memattr_value {mask}/></memattr></topology>"
    index = NodeIndex({"7": 1}, (0, 1), {0: 1 << 31, 1: 1 << 32})
    found = read_memattrs(ElementTree.fromstring(text), index, [])
    assert found == ({(1, 1): 90.0}, {})


def test_detection() -> None:
    """Only hwloc's XML is taken for it."""
    for path in sorted(HOSTS.iterdir()):
        head = path.read_text(encoding="utf-8")[:4096]
        assert sniff(head, path) == path.name.startswith("hwloc")


def test_machine_without_numa_nodes(tmp_path: Path) -> None:
    """hwloc 1 told no node on a machine that has one: the machine is node 0."""
    path = tmp_path / "uma.xml"
    path.write_text(
        '<topology><object type="Machine" cpuset="0x3" local_memory="2147483648">'
        '<object type="PU" os_index="0"/><object type="PU" os_index="1"/></object></topology>'
    )
    reading = read_host(path)
    assert reading.item.name == "uma"
    assert cpus_by_node(reading.item) == {0: [0, 1]}
    assert memory_by_node(reading.item) == {0: 2048}
    assert reading.notes == ("no NUMA node is told: the machine is taken as node 0",)


def _machine(tmp_path: Path, functions: str, subtype: str = "") -> Path:
    path = tmp_path / "made-up.xml"
    path.write_text(
        '<topology><object type="Machine" nodeset="0x3" complete_nodeset="0x3">'
        '<object type="NUMANode" os_index="0" cpuset="0x1" nodeset="0x1"'
        ' local_memory="1073741824"/>'
        f'<object type="NUMANode" os_index="1" cpuset="0x0" nodeset="0x2" {subtype}'
        ' local_memory="1073741824"/>'
        '<object type="PU" os_index="0" complete_nodeset="0x1"/>'
        '<object type="Bridge" bridge_type="0-1" bridge_pci="0000:[3a-3f]">'
        f"{functions}</object></object></topology>",
        encoding="utf-8",
    )
    return path


def _function(address: str, product: str, link: str = "") -> str:
    speed = f'pci_link_speed="{link}"' if link else ""
    return f'<object type="PCIDev" pci_busid="{address}" pci_type="0200 [{product}]" {speed}/>'


@pytest.mark.parametrize(
    ("product", "link"), [("8086:154c", ""), ("8086:154c", "0.0"), ("8086:ffff", "0.000000")]
)
def test_virtual_functions_stand_behind_the_physical_one(
    tmp_path: Path, product: str, link: str
) -> None:
    """What has a virtual function's PCI id, or no link of its own, is not handed out beside it."""
    card = _function("0000:3b:00.0", "8086:1572", "7.876923")
    virtual = [_function(f"0000:3b:02.{n}", product, link) for n in range(4)]
    other = _function("0000:3c:00.0", "15b3:1017", "15.75")
    reading = read_host(_machine(tmp_path, card + "".join(virtual) + other))
    assert {d.address: d.functions for d in reading.item.devices} == {
        "0000:3b:00.0": 4,
        "0000:3c:00.0": 1,
    }
    note = "device 0000:3b:00.0: stands for its 4 virtual functions, is not free itself"
    assert note in reading.notes


def test_virtual_functions_of_two_ports(tmp_path: Path) -> None:
    """Whose they are is not told: the ports share them, and their number is right."""
    ports = [_function(f"0000:3b:00.{n}", "15b3:1015", "15.75") for n in range(2)]
    virtual = [_function(f"0000:3b:00.{n}", "15b3:1016") for n in range(2, 5)]
    host = read_host(_machine(tmp_path, "".join(ports + virtual))).item
    assert [device.functions for device in host.devices] == [2, 1]


def test_virtual_functions_alone(tmp_path: Path) -> None:
    """Without a physical one behind the same bridge, and without any links, each is a device."""
    alone = [_function(f"0000:3b:02.{n}", "8086:154c") for n in range(2)]
    plain = [_function(f"0000:3c:00.{n}", "8086:1572", "0.0") for n in range(2)]
    reading = read_host(_machine(tmp_path, alone[0] + alone[1])).item
    assert [device.functions for device in reading.devices] == [1, 1]
    reading = read_host(_machine(tmp_path, plain[0] + plain[1])).item
    assert [device.functions for device in reading.devices] == [1, 1]


@pytest.mark.parametrize(
    ("subtype", "gpu"), [('subtype="GPUMemory"', True), ('subtype="CXL-DRAM"', False), ("", False)]
)
def test_gpu_memory_by_subtype(tmp_path: Path, subtype: str, gpu: bool) -> None:
    """hwloc says what a node's memory is, where it knows."""
    reading = read_host(_machine(tmp_path, "", subtype))
    assert reading.gpu_nodes == ({1} if gpu else set())


def test_16amd64_cpusets() -> None:
    """Disallowed memory leaves nodes of CPUs only; two nodes have only memory."""
    reading = read_host(shared_data("topologies/16amd64-8n2c-cpusets.xml"))
    host = reading.item
    assert cpus_by_node(host) == {
        0: [0, 1], 1: [2, 3], 2: [5], 3: [6], 4: [], 5: [], 6: [12, 13], 7: [14, 15],
    }  # fmt: skip
    assert memory_by_node(host) == {0: 0, **dict.fromkeys(range(1, 6), 8192), 6: 0, 7: 0}
    assert {value for row in host.distances for value in row} == {10, 20}
    assert "CPUs 4,7-11 are offline or not allowed: left out" in reading.notes
    assert any(note.startswith("distances between") for note in reading.notes)


def test_24em64t_pci() -> None:
    """Even CPUs on node 0, odd ones on node 1; devices behind two host bridges."""
    host = read_host(shared_data("topologies/24em64t-2n6c2t-pci.xml")).item
    assert host.name == "mirage004"
    assert cpus_by_node(host) == {0: list(range(0, 24, 2)), 1: list(range(1, 24, 2))}
    assert [node.cores for node in host.nodes] == [6, 6]
    assert memory_by_node(host) == {0: 19316633600 // 2**20, 1: 19327348736 // 2**20}
    assert host.distances == ((10, 20), (20, 10))
    assert devices(host) == {
        "0000:00:1f.2": ("storage", {0}),
        "0000:00:1f.5": ("storage", {0}),
        "0000:01:03.0": ("display", {0}),
        "0000:04:00.0": ("nic", {0}),
        "0000:04:00.1": ("nic", {0}),
        "0000:05:00.0": ("infiniband", {0}),
        "0000:06:00.0": ("gpu", {0}),
        "0000:11:00.0": ("gpu", {1}),
        "0000:14:00.0": ("gpu", {1}),
    }
    roots = {device.address: device.pcie_root for device in host.devices}
    assert (roots["0000:06:00.0"], roots["0000:14:00.0"]) == ("0000:00", "0000:10")


def test_64intel64_heteromem() -> None:
    """DRAM nodes hold the CPUs, the fast nodes beside them none but four times the bandwidth."""
    reading = read_host(shared_data("topologies/64intel64-heteromem.xml"))
    host = reading.item
    quarter = [0, 1, 2, 3, 16, 17, 18, 19, 32, 33, 34, 35, 48, 49, 50, 51]
    assert cpus_by_node(host) == {
        **{node: [cpu + 4 * node for cpu in quarter] for node in range(4)},
        **{node: [] for node in range(4, 8)},
    }
    assert cores(host)[0] == {0, 16, 32, 48}
    assert caches(host)[0] == {0, 1, 16, 17, 32, 33, 48, 49}  # level 2: level 3 is the memory's
    assert memory_by_node(host) == {
        **dict.fromkeys(range(4), 1024),
        **dict.fromkeys(range(4, 8), 2048),
    }
    fast = {0: 7, 1: 4, 2: 5, 3: 6}
    for node, partner in fast.items():
        assert host.bandwidth_mbps[node][node] == 22500
        assert host.bandwidth_mbps[node][partner] == 90000
    assert [host.node_bandwidth_mbps(i) for i in range(8)] == [22500] * 4 + [90000] * 4
    assert any("20 is assumed" in note for note in reading.notes)


def test_96em64t_pci() -> None:
    """Four nodes of four packages each, devices on every node."""
    host = read_host(shared_data("topologies/96em64t-4n4d3ca2co-pci.xml")).item
    assert cpus_by_node(host) == {n: list(range(24 * n, 24 * n + 24)) for n in range(4)}
    assert sockets(host) == {n: set(range(4 * n, 4 * n + 4)) for n in range(4)}
    assert len(caches(host)) == 16 and len(cores(host)) == 96
    assert host.distances == tuple(tuple(10 if a == b else 26 for b in range(4)) for a in range(4))
    by_node = [sorted(d.kind for d in host.devices if d.nodes == {node}) for node in range(4)]
    assert by_node == [
        ["display", "nic", "nic", "storage", "storage"],
        *[["nic", "nic", "storage"]] * 3,
    ]


def test_cxlmem() -> None:
    """One node; CXL memory devices behind their own host bridge."""
    host = read_host(shared_data("topologies/cxlmem+dax.v2.xml")).item
    assert host.name == "efi"
    assert cpus_by_node(host) == {0: [0, 1, 2, 3]}
    assert memory_by_node(host) == {0: 3061719040 // 2**20}
    memory = [device for device in host.devices if device.kind == "memory"]
    assert [device.address for device in memory] == [
        "0000:11:00.0", "0000:12:00.0", "0000:15:00.0", "0000:16:00.0",
    ]  # fmt: skip
    assert {device.pcie_root for device in memory} == {"0000:0c"}
    assert devices(host)["0000:00:02.0"] == ("nic", {0})
    assert devices(host)["0000:00:01.0"] == ("display", {0})


def test_fakeheterocpunuma() -> None:
    """Asymmetric distances; a node without CPUs; CPUs of no node are left out with a note."""
    reading = read_host(shared_data("topologies/fakeheterocpunuma.xml"))
    host = reading.item
    assert cpus_by_node(host) == {
        0: [0, 1, 2, 3], 1: [8, 9, 10, 11], 2: [],
        3: [20, 21, 22, 23], 4: [16, 17, 18, 19], 5: [12, 13, 14, 15],
    }  # fmt: skip
    assert host.distances == (
        (10, 20, 30, 40, 40, 50),
        (20, 10, 30, 40, 40, 50),
        (30, 30, 10, 40, 40, 50),
        (40, 40, 50, 10, 20, 30),
        (40, 40, 50, 20, 10, 30),
        (40, 40, 50, 30, 30, 10),
    )
    assert memory_by_node(host) == dict.fromkeys(range(6), 1024)
    assert reading.notes == ("CPUs 4-7 are local to no single node: left out",)


def test_nvidia_dgx2() -> None:
    """Sixteen GPUs, eight a node, behind two host bridges each."""
    reading = read_host(shared_data("topologies/nvidiaDGX2.xml"))
    host = reading.item
    assert host.distances == ((10, 21), (21, 10))
    assert memory_by_node(host)[1] == 811737923584 // 2**20
    gpus = [device for device in host.devices if device.kind == "gpu"]
    assert [sum(1 for d in gpus if d.nodes == {node}) for node in (0, 1)] == [8, 8]
    assert {d.vendor_product for d in gpus} == {"10de:1db8"}
    assert {d.pcie_root for d in gpus if d.nodes == {1}} == {"0000:ae", "0000:d7"}
    assert "12 PCI devices of kinds VMs do not ask for: left out" in reading.notes


@pytest.mark.parametrize("extra", [0, 2000])
def test_number_of_nodes_is_bounded(tmp_path: Path, extra: int) -> None:
    """A file of very many nodes is refused at the first one too many."""
    nodes = "".join(
        f'<object type="NUMANode" os_index="{i}" local_memory="1048576"/>' for i in range(3 + extra)
    )
    path = tmp_path / "many.xml"
    path.write_text(
        f'<topology><object type="Machine">{nodes}<object type="PU" os_index="0" '
        'complete_nodeset="0x1"/></object></topology>'
    )
    if extra:
        with pytest.raises(ValueError, match="one NUMANode more than 1024"):
            read_host(path)
    else:
        assert len(read_host(path).item.nodes) == 3
