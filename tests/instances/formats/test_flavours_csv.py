"""VMs from CSV tables."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from numaplace.instances.formats.tables.flavours_csv import read_vms
from numaplace.models.units import PageSize
from numaplace.models.vm import Cell, DevicePolicy, GuestNuma, Vm
from numaplace.tests.instances.formats.vm_files import VMS


def test_table() -> None:
    """Counts, sets, devices, cells and times of three rows."""
    *webs, db, split = read_vms(VMS / "flavours.csv").item
    assert [vm.name for vm in webs] == ["web-1", "web-2", "web-3"]
    assert {(vm.memory_mib, vm.hard_nodes) for vm in webs} == {(1536, frozenset({0, 1, 2, 5}))}
    assert [(d.kind, d.count, d.policy) for d in db.devices] == [
        ("nic", 1, DevicePolicy.SOCKET),
        ("8086:1572", 2, DevicePolicy.SOCKET),
    ]
    assert (db.value, db.start, db.end, db.required) == (12.5, 0, 3600, True)
    assert db.allowed_hosts == {"a", "b"}
    assert (split.guest_numa, split.page_size) == (GuestNuma.EXPLICIT, PageSize.HUGE_2M)
    assert split.cells == (Cell(4, 2048), Cell(2, 1024))


def test_every_field_of_a_vm_has_a_column(tmp_path: Path) -> None:
    """A header with all fields of Vm is accepted: none was forgotten."""
    names = [field.name for field in fields(Vm)]
    row = {"name": "a", "vcpus": "1", "memory_mib": "512"}
    path = tmp_path / "all.csv"
    lines = [",".join(names), "", ",".join(row.get(name, "") for name in names)]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read_vms(path).item == (Vm("a", 1, 512),)


def test_memory_in_other_units(tmp_path: Path) -> None:
    """16 GB are 15,258.8 MiB, rounded up; whole pages, too; each with a remark."""
    path = tmp_path / "a.csv"
    path.write_text("name,vcpus,memory_gb,page_size\na,1,16,\nb,1,16,2M\nc,1,1.048576,\n")
    reading = read_vms(path)
    assert [vm.memory_mib for vm in reading.item] == [15259, 15260, 1000]
    assert [note[:7] for note in reading.notes] == ["VM 'a':", "VM 'b':", "VM 'b':"]
    path.write_text("name,vcpus,memory_gib\na,1,0.3\n")
    assert read_vms(path).item == (Vm("a", 1, 308),)
