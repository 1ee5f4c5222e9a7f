"""VMs from Proxmox configuration files."""

from __future__ import annotations

from pathlib import Path

import pytest

from numaplace.instances.formats.proxmox.conf import read_vms
from numaplace.instances.reading import Reading
from numaplace.models.units import PageSize
from numaplace.models.vm import Cell, GuestNuma, MemoryMode, Vm
from numaplace.tests.instances.formats.vm_files import VMS, small_host


def read_one(path: Path, *lines: str) -> Reading[tuple[Vm, ...]]:
    """The VM of a configuration."""
    file = path / "900.conf"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_vms(file, small_host())


def test_stated_cells() -> None:
    """numaN cells, joined binding, affinity on a host, devices; snapshots do not count."""
    reading = read_vms(VMS / "101.conf", small_host())
    (vm,) = reading.item
    assert (vm.name, vm.vcpus, vm.memory_mib, vm.memory_min_mib) == ("split", 8, 8192, 4096)
    assert vm.cells == (Cell(4, 6144), Cell(4, 2048))
    assert (vm.memory_mode, vm.memory_nodes) == (MemoryMode.STRICT, {0, 2, 3})
    assert vm.hard_nodes == {0}
    assert [request.kind for request in vm.devices] == ["0000:3b:00.0", "gpu", "0000:5e:00.0"]
    assert any("bind their memory differently" in note for note in reading.notes)


def test_one_cell_per_socket() -> None:
    """numa: 1 alone splits evenly by socket; the name is the vmid."""
    reading = read_vms(VMS / "102.conf")
    (vm,) = reading.item
    assert vm.name == "102"
    assert vm.cells == (Cell(3, 3072),) * 2
    assert vm.page_size is PageSize.HUGE_1G
    assert any("shares" in note for note in reading.notes)
    assert any("no sharing group" in note for note in reading.notes)


def test_defaults(tmp_path: Path) -> None:
    """One vCPU and 512 MiB are what Proxmox gives a VM that asks for nothing."""
    (vm,) = read_one(tmp_path, "ostype: l26").item
    assert (vm.vcpus, vm.memory_mib, vm.guest_numa) == (1, 512, GuestNuma.NONE)


def test_numa_switched_off(tmp_path: Path) -> None:
    """numaN lines without numa: 1 do not count, which is noted."""
    reading = read_one(tmp_path, "memory: 1024", "numa0: cpus=0,memory=1024")
    assert reading.item[0].cells == ()
    assert any("do not count" in note for note in reading.notes)


def test_one_socket_is_no_topology(tmp_path: Path) -> None:
    """With one socket the guest sees one node: nothing to keep on one node of the host."""
    (vm,) = read_one(tmp_path, "cores: 4", "memory: 1024", "numa: 1").item
    assert vm.guest_numa is GuestNuma.NONE


@pytest.mark.parametrize(
    ("lines", "least"),
    [
        (("balloon: 512",), 512),
        (("balloon: 0",), None),
        (("balloon: 1024",), None),
        (("balloon: 512", "shares: 0"), None),
    ],
)
def test_ballooning(tmp_path: Path, lines: tuple[str, ...], least: int | None) -> None:
    """balloon is the least memory unless it is 0 or all, or automatic ballooning is off."""
    (vm,) = read_one(tmp_path, "memory: 1024", *lines).item
    assert vm.memory_min_mib == least


def test_interleaved_memory_keeps_its_size(tmp_path: Path) -> None:
    """An interleaved VM cannot be ballooned; the floor is left out with a note."""
    cell = "numa0: cpus=0,hostnodes=0-1,memory=1024,policy=interleave"
    reading = read_one(tmp_path, "memory: current=1024", "numa: 1", "balloon: 512", cell)
    (vm,) = reading.item
    assert (vm.memory_mode, vm.memory_nodes) == (MemoryMode.INTERLEAVE, {0, 1})
    assert vm.memory_min_mib is None
    assert any("interleaved" in note for note in reading.notes)


def test_devices_of_one_mapping_are_counted(tmp_path: Path) -> None:
    """Two lines with one resource mapping ask for two functions of that kind."""
    reading = read_one(tmp_path, "hostpci0: mapping=nic", "hostpci1: mapping=nic,rombar=0")
    (request,) = reading.item[0].devices
    assert (request.kind, request.count) == ("nic", 2)


def test_any_huge_page(tmp_path: Path) -> None:
    """hugepages: any is taken as 2M, with a note."""
    cell = "numa0: cpus=0,hostnodes=0,memory=1024,policy=bind"
    reading = read_one(tmp_path, "memory: 1024", "numa: 1", "hugepages: any", cell)
    assert reading.item[0].page_size is PageSize.HUGE_2M
    assert any("taken as 2M" in note for note in reading.notes)


def test_odd_memory(tmp_path: Path) -> None:
    """Sockets that do not divide the memory, vCPUs of no numaN line: read, with a remark."""
    uneven = read_one(tmp_path, "sockets: 3\ncores: 1\nmemory: current=4099\nnuma: 1")
    assert [cell.memory_mib for cell in uneven.item[0].cells] == [1367, 1366, 1366]
    assert any("not even over 3 sockets" in note for note in uneven.notes)
    short = read_one(tmp_path, "cores: 4\nmemory: 2048\nnuma: 1\nnuma0: cpus=1,memory=2048")
    assert short.item[0].cells == (Cell(4, 2048),)
    assert any("vCPUs 0,2-3, which no numaN line names" in note for note in short.notes)
