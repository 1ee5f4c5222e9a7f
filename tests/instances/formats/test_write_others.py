"""Plans as OpenStack flavours and as commands."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from numaplace.instances.applying import apply_plan
from numaplace.instances.formats.format import AffinityKind
from numaplace.models.errors import InputError
from numaplace.models.plan import PlacedCell, Plan, TakenDevice
from numaplace.models.vm import (
    Cell,
    CpuPolicy,
    DevicePolicy,
    DeviceRequest,
    GuestNuma,
    ThreadPolicy,
    Vm,
)
from numaplace.tests.instances.formats.plans import cell, on, planned
from numaplace.tests.instances.formats.writing import (
    write_openstack,
    write_virsh_commands,
    write_xl_commands,
)

WIDE = Vm(
    "wide",
    3,
    2048,
    cpu_policy=CpuPolicy.DEDICATED,
    thread_policy=ThreadPolicy.ISOLATE,
    guest_numa=GuestNuma.EXPLICIT,
    cells=(Cell(2, 1024), Cell(1, 1024)),
    devices=(DeviceRequest("nic", policy=DevicePolicy.REQUIRED),),
)
WIDE_PLACED = on(
    cell(2, 2, 1024, 8, 10), cell(3, 1, 1024, 12), devices=(TakenDevice("nic", "0000:5e:00.0"),)
)
ELASTIC = Vm("it's", 2, 1024, memory_min_mib=512)
ELASTIC_PLACED = on(PlacedCell(1, 2, ((1, 768),), (), 1024))


def test_extra_specs() -> None:
    """Cells, policies and devices; host nodes are Nova's own."""
    instance, plan = planned((WIDE, WIDE_PLACED))
    reading = write_openstack(instance, plan, WIDE)
    flavour = json.loads(reading.item)
    assert flavour == {
        "name": "wide",
        "vcpus": 3,
        "ram": 2048,
        "properties": {
            "hw:cpu_policy": "dedicated",
            "hw:cpu_thread_policy": "isolate",
            "hw:numa_nodes": "2",
            "hw:numa_cpus.0": "0-1",
            "hw:numa_mem.0": "1024",
            "hw:numa_cpus.1": "2",
            "hw:numa_mem.1": "1024",
            "pci_passthrough:alias": "nic:1",
            "hw:pci_numa_affinity_policy": "required",
        },
    }
    assert any("Nova chooses host nodes itself" in note for note in reading.notes)


def test_nova_cannot_cut_a_guest_unseen() -> None:
    """A dedicated guest without a topology of its own is on one node there."""
    vm = Vm("wide", 2, 1024, cpu_policy=CpuPolicy.DEDICATED, max_cells=2)
    instance, plan = planned((vm, on(cell(2, 1, 512, 8), cell(3, 1, 512, 12))))
    with pytest.raises(InputError, match="on one node"):
        write_openstack(instance, plan, vm)
    vm = Vm("wide", 2, 1024, max_cells=2)
    instance, plan = planned((vm, on(cell(2, 1, 512), cell(3, 1, 512))))
    reading = write_openstack(instance, plan, vm)
    assert json.loads(reading.item)["properties"] == {}
    assert any("run on all nodes" in note for note in reading.notes)


def test_nova_has_one_device_policy() -> None:
    """Two cannot be said."""
    requests = (DeviceRequest("nic"), DeviceRequest("gpu", policy=DevicePolicy.REQUIRED))
    vm = Vm("web", 1, 1024, devices=requests)
    taken = (TakenDevice("nic", "0000:5e:00.0"), TakenDevice("gpu", "0000:af:00.0"))
    instance, plan = planned((vm, on(cell(2, 1, 1024), devices=taken)))
    with pytest.raises(InputError, match="one PCI policy"):
        write_openstack(instance, plan, vm)


@pytest.mark.parametrize(
    ("affinity", "masks"),
    [
        (AffinityKind.HARD, ("8 all", "10 all", "12 all")),
        (AffinityKind.SOFT, ("all 8", "all 10", "all 12")),
        (AffinityKind.BOTH, ("8 8", "10 10", "12 12")),
    ],
)
def test_xl_commands(affinity: AffinityKind, masks: tuple[str, ...]) -> None:
    """Hard masks first, soft ones behind; what is not meant becomes all."""
    instance, plan = planned((WIDE, WIDE_PLACED))
    text = write_xl_commands(instance, plan, WIDE, affinity=affinity).item
    expected = [f"xl vcpu-pin wide {vcpu} {mask}" for vcpu, mask in enumerate(masks)]
    assert text.splitlines() == expected
    both = affinity is AffinityKind.BOTH
    assert (text == write_xl_commands(instance, plan, WIDE).item) is both


def test_names_are_quoted() -> None:
    """A shell takes them as they are; memory follows the balloon."""
    instance, plan = planned((ELASTIC, ELASTIC_PLACED))
    name = "'it'\"'\"'s'"
    assert write_xl_commands(instance, plan, ELASTIC).item.splitlines() == [
        f"xl vcpu-pin {name} all 4-7 4-7",
        f"xl mem-set {name} 768",
    ]
    assert write_virsh_commands(instance, plan, ELASTIC).item.splitlines() == [
        f"virsh vcpupin --domain {name} --vcpu 0 --cpulist 4-7 --live --config",
        f"virsh vcpupin --domain {name} --vcpu 1 --cpulist 4-7 --live --config",
        f"virsh emulatorpin --domain {name} --cpulist 4-7 --live --config",
        f"virsh numatune --domain {name} --mode preferred --nodeset 1 --config",
        f"virsh setmem --domain {name} --size 768MiB --live --config",
    ]


def test_a_vm_that_runs_elsewhere_is_said_first() -> None:
    """Pins on a host the VM is not on mean nothing before it has moved."""
    instance, plan = planned((ELASTIC, ELASTIC_PLACED))
    other = replace(instance.hosts[0], name="old")
    before = Plan({ELASTIC.name: replace(ELASTIC_PLACED, host="old")})
    moved = replace(instance, hosts=(*instance.hosts, other), current=before)
    for write in (write_xl_commands, write_virsh_commands):
        reading = write(moved, plan, ELASTIC)
        words = "runs on host 'old': migrate it to 'small' before these commands"
        assert words in reading.item.splitlines()[0]
        assert reading.item.startswith("# ")
        assert words in reading.notes[0]
        assert "#" not in write(replace(moved, current=plan), plan, ELASTIC).item


def test_a_vm_that_must_migrate_first_comes_last() -> None:
    """A script ends at the first command that fails: the others' are done by then."""
    stays = replace(ELASTIC, name="stays")
    instance, plan = planned((ELASTIC, ELASTIC_PLACED), (stays, ELASTIC_PLACED))
    hosts = (*instance.hosts, replace(instance.hosts[0], name="old"))
    now = Plan({**plan.placements, ELASTIC.name: replace(ELASTIC_PLACED, host="old")})
    for kind in ("commands-xl", "commands-virsh"):
        (file,) = apply_plan(replace(instance, hosts=hosts, current=now), plan, kind).item
        assert file.text.index("stays") < file.text.index("it'")


def test_a_guest_that_may_be_ballooned_keeps_what_it_has() -> None:
    """Commands change memory only where the plan takes some away."""
    instance, plan = planned((ELASTIC, on(cell(1, 2, 1024))))
    for write, word in ((write_xl_commands, "mem-set"), (write_virsh_commands, "setmem")):
        reading = write(instance, plan, ELASTIC)
        assert word not in reading.item
        assert any("keeps the memory it has now" in note for note in reading.notes)


def test_numbers_are_no_names() -> None:
    """Both tools take a number for the id of another domain."""
    vm = Vm("101", 1, 1024)
    instance, plan = planned((vm, on(cell(2, 1, 1024))))
    for write in (write_xl_commands, write_virsh_commands):
        with pytest.raises(InputError, match="would be taken for"):
            write(instance, plan, vm)


def test_virsh_cannot_bind_cells() -> None:
    """A remark says so; emulator threads keep off dedicated pCPUs."""
    instance, plan = planned((WIDE, WIDE_PLACED))
    reading = write_virsh_commands(instance, plan, WIDE)
    assert "--cpulist 9,11,13-15 " in reading.item
    assert "numatune" not in reading.item
    assert any("cannot bind guest cells" in note for note in reading.notes)
    with pytest.raises(InputError, match="no soft affinity"):
        write_virsh_commands(instance, plan, WIDE, affinity=AffinityKind.SOFT)
