"""A made-up machine as a tree of sysfs, on disk or in a tar archive."""

import io
import tarfile
from pathlib import Path

CPU = "sys/devices/system/cpu"
NODE = "sys/devices/system/node"
PCI = "sys/bus/pci/devices"
ROOT = "sys/devices/pci0000:3a/0000:3a:00.0"


def machine() -> tuple[dict[str, str], dict[str, str]]:
    """Return files and links of a machine.

    Node 0 has CPUs 0, 1, 4, 5 in two cores, node 2 has CPUs 2, 3 (6 is offline), node 3 is CXL
    memory; node 5 is offline. A card with four functions sits near node 0.
    """
    files = {
        f"{CPU}/online": "0-5\n",
        f"{NODE}/online": "0,2-3\n",
        "proc/sys/kernel/hostname": "made-up\n",
    }
    links: dict[str, str] = {}
    # cpu: package, core_id (the same on both packages), siblings, cache
    cpus = {
        0: (0, 0, "0,4", "0-1,4-5"),
        1: (0, 1, "1,5", "0-1,4-5"),
        2: (1, 0, "2", "2-3"),
        3: (1, 1, "3", "2-3"),
        4: (0, 0, "0,4", "0-1,4-5"),
        5: (0, 1, "1,5", "0-1,4-5"),
    }
    for cpu, (package, core, siblings, cache) in cpus.items():
        folder = f"{CPU}/cpu{cpu}"
        files |= {
            f"{folder}/topology/physical_package_id": f"{package}\n",
            f"{folder}/topology/core_id": f"{core}\n",
            f"{folder}/topology/thread_siblings_list": f"{siblings}\n",
            f"{folder}/cache/index0/level": "1\n",
            f"{folder}/cache/index0/type": "Data\n",
            f"{folder}/cache/index0/shared_cpu_list": f"{siblings}\n",
            f"{folder}/cache/index3/level": "3\n",
            f"{folder}/cache/index3/type": "Unified\n",
            f"{folder}/cache/index3/shared_cpu_list": f"{cache}\n",
        }
    # node: CPUs, distances, MiB, 2M pages, 1G pages
    nodes = {
        0: ("0-1,4-5", "10 21 17", 16384, 1024, 2),
        2: ("2-3,6", "22 10 28", 8192, 0, 0),
        3: ("", "17 28 10", 65536, 0, 0),
        5: ("", "10", 0, 0, 0),
    }
    for node, (cpulist, distance, mib, pages_2m, pages_1g) in nodes.items():
        folder = f"{NODE}/node{node}"
        files |= {
            f"{folder}/cpulist": f"{cpulist}\n",
            f"{folder}/distance": f"{distance}\n",
            f"{folder}/meminfo": f"Node {node} MemTotal:  {mib * 1024} kB\n",
            f"{folder}/hugepages/hugepages-2048kB/nr_hugepages": f"{pages_2m}\n",
            f"{folder}/hugepages/hugepages-2048kB/free_hugepages": f"{pages_2m // 2}\n",
            f"{folder}/hugepages/hugepages-1048576kB/nr_hugepages": f"{pages_1g}\n",
        }
    files |= {
        f"{NODE}/node0/access1/initiators/read_latency": "90\n",
        f"{NODE}/node0/access1/initiators/read_bandwidth": "100000\n",
        f"{NODE}/node3/access0/initiators/read_latency": "250\n",
        f"{NODE}/node3/access0/initiators/read_bandwidth": "30000\n",
    }
    links |= {
        f"{NODE}/node0/access1/initiators/node0": "../../../node0",
        f"{NODE}/node3/access0/initiators/node0": "../../../node0",
        f"{NODE}/node3/access0/initiators/node5": "../../../node5",
    }
    _add_devices(files, links)
    return files, links


def _add_devices(files: dict[str, str], links: dict[str, str]) -> None:
    # address: folder, class, numa_node, and more
    card = f"{ROOT}/0000:3b:00.0"
    devices = {
        "0000:3b:00.0": (card, "0x020000", "0"),
        "0000:3b:02.0": (f"{ROOT}/0000:3b:02.0", "0x020000", "0"),
        "0000:3b:02.1": (f"{ROOT}/0000:3b:02.1", "0x020000", "0"),
        "0000:00:17.0": ("sys/devices/pci0000:00/0000:00:17.0", "0x010802", "-1"),
        "0000:00:18.0": ("sys/devices/pci0000:00/0000:00:18.0", "0x030200", "-1"),
        "0000:00:19.0": ("sys/devices/pci0000:00/0000:00:19.0", "0x010700", "5"),
        "0000:00:1f.0": ("sys/devices/pci0000:00/0000:00:1f.0", "0x060100", "-1"),
    }
    for address, (folder, pci_class, node) in devices.items():
        links[f"{PCI}/{address}"] = f"../../../../{folder}"
        files |= {
            f"{folder}/class": f"{pci_class}\n",
            f"{folder}/vendor": "0x8086\n",
            f"{folder}/device": "0x1572\n",
            f"{folder}/numa_node": f"{node}\n",
        }
    files |= {
        f"{card}/sriov_totalvfs": "64\n",
        f"{card}/sriov_numvfs": "2\n",
        "sys/devices/pci0000:00/0000:00:17.0/local_cpulist": "2-3\n",
        "sys/devices/pci0000:00/0000:00:18.0/local_cpulist": "0-5\n",
        "sys/devices/pci0000:00/0000:00:18.0/sriov_totalvfs": "16\n",
        "sys/devices/pci0000:00/0000:00:18.0/sriov_numvfs": "0\n",
    }
    for function in ("0000:3b:02.0", "0000:3b:02.1"):
        links[f"{ROOT}/{function}/physfn"] = "../0000:3b:00.0"


def write_tree(root: Path, files: dict[str, str], links: dict[str, str]) -> None:
    """Write the tree below a folder."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for path, target in links.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(target)


def write_archive(
    path: Path, files: dict[str, str], links: dict[str, str], mode: str = "w", prefix: str = ""
) -> None:
    """Write the tree as a tar archive."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, text in files.items():
            member = tarfile.TarInfo(prefix + name)
            data = text.encode()
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target in links.items():
            member = tarfile.TarInfo(prefix + name)
            member.type = tarfile.SYMTYPE
            member.linkname = target
            archive.addfile(member)
