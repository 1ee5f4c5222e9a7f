"""Plans as Proxmox configurations."""

from __future__ import annotations

from pathlib import Path

import pytest

from numaplace.instances.formats.format import AffinityKind
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Plan, TakenDevice
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.units import PageSize
from numaplace.models.vm import Cell, CpuPolicy, DeviceRequest, GuestNuma, Vm
from numaplace.tests.instances.formats.placements import read_proxmox_placement
from numaplace.tests.instances.formats.plans import cell, host, on, planned, saved
from numaplace.tests.instances.formats.writing import write_proxmox

SOURCE = """\
#the database
balloon: 0
cores: 2
hostpci0: 0000:3b:00.0,pcie=1
hostpci1: host=af:00.0,x-vga=1
memory: 3072
name: db
numa: 1
numa0: cpus=0-1,hostnodes=0,memory=1536,policy=bind
numa1: cpus=2-3,hostnodes=1,memory=1024,policy=bind
numa2: cpus=4,memory=512
scsi0: local:vm-101-disk-0,size=32G
sockets: 2

[before]
cores: 8
numa0: cpus=0,memory=512
"""
DB = Vm(
    "db",
    4,
    2048,
    guest_numa=GuestNuma.EXPLICIT,
    cells=(Cell(3, 1024), Cell(1, 1024)),
    devices=(DeviceRequest("nic"), DeviceRequest("gpu")),
)
DB_PLACED = on(
    cell(3, 1, 1024),
    cell(2, 3, 1024),
    devices=(TakenDevice("nic", "0000:5e:00.0"), TakenDevice("gpu", "0000:af:00.0")),
)


def test_a_source_is_edited_and_the_rest_stays(tmp_path: Path) -> None:
    """Comments, order, snapshots and all other keys stay; it is read back as the plan."""
    instance, plan = planned((DB, DB_PLACED))
    expected = """\
#the database
balloon: 0
cores: 2
hostpci0: 0000:5e:00.0,pcie=1
hostpci1: host=af:00.0,x-vga=1
memory: 2048
name: db
numa: 1
numa0: cpus=0-2,hostnodes=2,memory=1024,policy=preferred
numa1: cpus=3,hostnodes=3,memory=1024,policy=preferred
scsi0: local:vm-101-disk-0,size=32G
sockets: 2
affinity: 8-15

[before]
cores: 8
numa0: cpus=0,memory=512
"""
    text = write_proxmox(instance, plan, DB, SOURCE, file="101.conf").item
    assert text == expected
    read = read_proxmox_placement(saved(tmp_path, "101.conf", text), instance, DB, host()).item
    assert [(c.node, c.vcpus, c.memory_mib) for c in read.cells] == [
        (2, 3, ((2, 1024),)),
        (3, 1, ((3, 1024),)),
    ]


def test_a_guest_without_cells_has_one() -> None:
    """Bound to all nodes of its memory; where amounts and pCPUs cannot be said, a remark."""
    vm = Vm("web", 2, 1024, cpu_policy=CpuPolicy.DEDICATED)
    instance, plan = planned((vm, on(PlacedCell(1, 2, ((1, 512), (3, 512)), (4, 6)))))
    reading = write_proxmox(instance, plan, vm)
    assert reading.item.splitlines() == [
        "name: web",
        "sockets: 1",
        "cores: 2",
        "memory: 1024",
        "numa: 1",
        "numa0: cpus=0-1,hostnodes=1;3,memory=1024,policy=bind",
        "affinity: 4,6",
    ]
    told = " ".join(reading.notes)
    assert "512 MiB on 1, 512 MiB on 3" in told
    assert "which vCPU holds which is left out" in told


def test_ballooning_and_pages() -> None:
    """The balloon holds what the plan leaves; huge pages come and go."""
    vm = Vm("web", 1, 1024, memory_min_mib=512)
    instance, plan = planned((vm, on(PlacedCell(1, 1, ((1, 768),), (), 1024))))
    text = write_proxmox(instance, plan, vm, "cores: 1\nmemory: 1024\nhugepages: 2\nnuma: 1").item
    assert "balloon: 768\n" in text
    assert "hugepages" not in text
    whole = Plan({"web": on(cell(1, 1, 1024))})
    kept = write_proxmox(instance, whole, vm, text)
    assert "balloon: 768\n" in kept.item
    assert "keeps the 768 MiB it has now; the plan has room for all 1024 MiB" in kept.notes[0]
    huge = Vm("web", 1, 1024, page_size=PageSize.HUGE_1G)
    text = write_proxmox(Instance((host(),), (huge,)), whole, huge, text).item
    assert "hugepages: 1024\n" in text


def test_at_most_eight_cells() -> None:
    """Proxmox knows numa0 to numa7."""
    nodes = tuple(NumaNode(n, (PCpu(n, n),), 1024) for n in range(9))
    cells = (Cell(1, 64),) * 9
    vm = Vm("wide", 9, 576, guest_numa=GuestNuma.EXPLICIT, cells=cells)
    instance = Instance((Host("small", nodes),), (vm,))
    plan = Plan({"wide": on(*(cell(n, 1, 64) for n in range(9)))})
    with pytest.raises(InputError, match="numa0 to numa7, the plan 9 guest cells"):
        write_proxmox(instance, plan, vm)


@pytest.mark.parametrize(
    ("source", "affinity", "words"),
    [
        ("cores: 4\nhotplug: disk,memory\n", AffinityKind.HARD, "memory hotplug"),
        ("cores: 4\n", AffinityKind.SOFT, "no soft affinity"),
        ("cores: 4\nhostpci0: 00:1f.0\n", AffinityKind.HARD, "0000:00:1f.0 is passed through"),
    ],
)
def test_what_would_be_wrong_is_refused(source: str, affinity: AffinityKind, words: str) -> None:
    """Nothing is written that would not run as planned."""
    instance, plan = planned((DB, DB_PLACED))
    with pytest.raises(InputError, match=words):
        write_proxmox(instance, plan, DB, source, affinity=affinity)


def test_oddly_spelt_keys_count() -> None:
    """What the reader takes for a cell or a device is one."""
    instance, plan = planned((DB, DB_PLACED))
    source = "cores: 4\nmemory: 2048\nnuma: 1\nnuma01: cpus=0-3,memory=2048\nhostpci0:=af:00.0\n"
    text = write_proxmox(instance, plan, DB, source).item
    assert "numa01" not in text
    assert text.count("af:00.0") == 1


def test_devices_are_added_in_free_places() -> None:
    """Existing numbers stay."""
    instance, plan = planned((DB, DB_PLACED))
    text = write_proxmox(instance, plan, DB, "cores: 4\nhostpci1: af:00.0\n").item
    assert "hostpci0: 0000:5e:00.0\n" in text
    assert "hostpci1: af:00.0\n" in text
