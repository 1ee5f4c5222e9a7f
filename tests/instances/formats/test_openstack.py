"""VMs from OpenStack flavours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from numaplace.instances.formats.openstack.flavours import read_vms
from numaplace.instances.reading import Reading
from numaplace.models.units import PageSize
from numaplace.models.vm import (
    Cell,
    CpuPolicy,
    DevicePolicy,
    GuestNuma,
    MemoryMode,
    ThreadPolicy,
    Vm,
)
from numaplace.tests.instances.formats.vm_files import VMS


def read_one(path: Path, **specs: str) -> Reading[tuple[Vm, ...]]:
    """The VM of a flavour with four vCPUs, 4096 MiB and extra specs (``__`` for a colon)."""
    file = path / "flavour.json"
    named = {key.replace("__", ":"): value for key, value in specs.items()}
    value = {"flavor": {"name": "f", "vcpus": 4, "ram": 4096, "extra_specs": named}}
    file.write_text(json.dumps(value), encoding="utf-8")
    return read_vms(file)


def test_show() -> None:
    """Everything a flavour for network functions says, as flavor show prints it."""
    reading = read_vms(VMS / "flavour-show.json")
    (vm,) = reading.item
    assert (vm.name, vm.vcpus, vm.memory_mib) == ("nfv.large", 7, 8192)
    assert (vm.cpu_policy, vm.thread_policy) == (CpuPolicy.DEDICATED, ThreadPolicy.ISOLATE)
    assert vm.page_size is PageSize.HUGE_1G
    assert vm.cells == (Cell(5, 6144), Cell(2, 2048))
    assert vm.memory_mode is MemoryMode.STRICT
    assert [(d.kind, d.count, d.policy) for d in vm.devices] == [
        ("qat", 2, DevicePolicy.SOCKET),
        ("nic", 1, DevicePolicy.SOCKET),
    ]
    assert any("emulator threads" in note for note in reading.notes)
    assert any("left out: trait:HW_CPU_X86_AVX512F" in note for note in reading.notes)


def test_list() -> None:
    """Properties as text, implied topologies, a flavour without any, a mixed one."""
    reading = read_vms(VMS / "flavour-list.json")
    small, huge, mixed = reading.item
    assert (small.guest_numa, small.memory_mode) == (GuestNuma.NONE, MemoryMode.PREFERRED)
    assert huge.page_size is PageSize.HUGE_2M
    assert huge.cells == (Cell(4, 4096),)
    assert huge.devices[0].policy is DevicePolicy.REQUIRED
    assert mixed.cpu_policy is CpuPolicy.DEDICATED
    told = "\n".join(reading.notes)
    for words in ("'large' is taken as 2M", "'legacy' is taken as required", "mixes shared"):
        assert words in told


def test_yaml() -> None:
    """YAML with numbers and truth values for text; an exact number of equal cells."""
    reading = read_vms(VMS / "flavours.yaml")
    assert reading.item[0].cells == (Cell(2, 2000),) * 3
    assert any("locked memory" in note for note in reading.notes)


@pytest.mark.parametrize(
    ("size", "pages"),
    [
        ("small", PageSize.SMALL),
        ("any", PageSize.SMALL),
        ("large", PageSize.HUGE_2M),
        ("4", PageSize.SMALL),
        ("2048", PageSize.HUGE_2M),
        ("2MB", PageSize.HUGE_2M),
        ("2048KiB", PageSize.HUGE_2M),
        ("1048576", PageSize.HUGE_1G),
        ("1G", PageSize.HUGE_1G),
        ("1073741824B", PageSize.HUGE_1G),
    ],
)
def test_page_sizes(tmp_path: Path, size: str, pages: PageSize) -> None:
    """Words and sizes; a bare number is KiB. Any of them gives the guest one cell."""
    (vm,) = read_one(tmp_path, hw__mem_page_size=size).item
    assert vm.page_size is pages
    assert vm.cells == (Cell(4, 4096),)


def test_shared_flavour_gets_devices_from_anywhere(tmp_path: Path) -> None:
    """Without a guest topology Nova looks at no node for devices; a stated policy holds."""
    (vm,) = read_one(tmp_path, pci_passthrough__alias="gpu:1, gpu:2").item
    assert [(d.count, d.policy) for d in vm.devices] == [(3, DevicePolicy.PREFERRED)]
    specs = {"pci_passthrough__alias": "gpu:1", "hw__pci_numa_affinity_policy": "required"}
    (vm,) = read_one(tmp_path, **specs).item
    assert vm.devices[0].policy is DevicePolicy.REQUIRED


def test_guest_sockets_and_cores_are_no_news(tmp_path: Path) -> None:
    """The guest's sockets and cores do not matter to placement and are not even noted."""
    assert read_one(tmp_path, hw__cpu_sockets="2", hw__max_cpu_cores="4").notes == ()
