"""What all writers share: numbers of vCPUs, pCPUs that are left for others."""

from __future__ import annotations

import pytest

from numaplace.instances.formats.placed import placed_vm
from numaplace.instances.formats.write_placed import exchanged_devices, other_pcpus
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan, TakenDevice
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.verify import violations
from numaplace.models.vm import Cell, CpuPolicy, DeviceRequest, GuestNuma, ThreadPolicy, Vm
from numaplace.tests.instances.formats.plans import cell, on, planned

THREADED = Host("h", (NumaNode(0, tuple(PCpu(n, n // 2) for n in range(8)), 8192),))


def test_isolated_cores_stay_idle() -> None:
    """Neither shared vCPUs nor the hypervisor's threads run beside an isolated vCPU."""
    vms = (
        Vm("alone", 1, 64, cpu_policy=CpuPolicy.DEDICATED, thread_policy=ThreadPolicy.ISOLATE),
        Vm("pair", 1, 64, cpu_policy=CpuPolicy.DEDICATED),
        Vm("rest", 2, 64),
    )
    instance = Instance((THREADED,), vms)
    plan = Plan(
        {
            "alone": Placement("h", (cell(0, 1, 64, 2),)),
            "pair": Placement("h", (cell(0, 1, 64, 4),)),
            "rest": Placement("h", (cell(0, 2, 64),)),
        }
    )
    assert violations(instance, plan) == []
    rest = placed_vm(instance, plan, vms[2])
    assert rest.pcpus == (frozenset({0, 1, 5, 6, 7}),) * 2
    assert other_pcpus(placed_vm(instance, plan, vms[0])) == ({0, 1, 5, 6, 7}, ())
    assert other_pcpus(placed_vm(instance, plan, vms[1])) == ({0, 1, 5, 6, 7}, ())


def test_emulator_threads_where_dedicated_vcpus_hold_a_node() -> None:
    """They go to the nearest node with a free pCPU; if there is none, that is told."""
    vms = tuple(Vm(f"d{n}", 4, 64, cpu_policy=CpuPolicy.DEDICATED) for n in range(4))
    on_node = [on(cell(n, 4, 64, *range(4 * n, 4 * n + 4))) for n in range(4)]
    instance, plan = planned(*zip(vms[:2], on_node[:2], strict=True))
    pcpus, notes = other_pcpus(placed_vm(instance, plan, vms[0]))
    assert pcpus == {8, 9, 10, 11}
    assert "hold every pCPU of its node(s); its emulator threads run on node 2" in notes[0]
    pcpus, notes = other_pcpus(placed_vm(instance, plan, vms[0]), allocated=True)
    assert pcpus == {0, 1, 2, 3, 8, 9, 10, 11}
    assert "its pages are allocated by threads on node 0: they may run there, too" in notes[1]
    instance, plan = planned(*zip(vms, on_node, strict=True))
    pcpus, notes = other_pcpus(placed_vm(instance, plan, vms[0]))
    assert pcpus == {0, 1, 2, 3}
    assert "hold every pCPU of the host; its emulator threads run on its own" in notes[0]


def test_only_those_that_meet_keep_each_other_off() -> None:
    """A dedicated VM that has ended by then holds nothing."""
    vms = (
        Vm("first", 4, 64, cpu_policy=CpuPolicy.DEDICATED, end=10),
        Vm("second", 4, 64, start=10),
    )
    instance, plan = planned((vms[0], on(cell(0, 4, 64, 0, 1, 2, 3))), (vms[1], on(cell(0, 4, 64))))
    assert placed_vm(instance, plan, vms[1]).all_pcpus == {0, 1, 2, 3}


def test_cells_are_in_the_guests_order() -> None:
    """Whatever order the plan has them in."""
    vm = Vm(
        "wide",
        4,
        768,
        guest_numa=GuestNuma.EXPLICIT,
        cells=(Cell(1, 256), Cell(2, 256), Cell(1, 256)),
    )
    instance, plan = planned((vm, on(cell(3, 2, 256), cell(1, 1, 256), cell(2, 1, 256))))
    placed = placed_vm(instance, plan, vm)
    assert [(c.node, list(c.vcpus)) for c in placed.cells] == [(1, [0]), (3, [1, 2]), (2, [3])]


def test_devices_become_others_of_their_kind() -> None:
    """A NIC becomes a NIC; devices of VMs without requests are left alone."""
    vm = Vm("web", 1, 64, devices=(DeviceRequest("nic"), DeviceRequest("gpu")))
    taken = (TakenDevice("nic", "0000:5e:00.0"), TakenDevice("gpu", "0000:af:00.0"))
    instance, plan = planned((vm, on(cell(2, 1, 64), devices=taken)))
    placed = placed_vm(instance, plan, vm)
    old = "0000:3b:00.0"
    assert exchanged_devices(placed, [old]) == ({old: "0000:5e:00.0"}, ("0000:af:00.0",))
    with pytest.raises(InputError, match="is passed through by the source"):
        exchanged_devices(placed, ["0000:5e:00.0", old])
    plain = Vm("web", 1, 64)
    instance, plan = planned((plain, on(cell(2, 1, 64))))
    assert exchanged_devices(placed_vm(instance, plan, plain), [old]) == ({}, ())


def test_functions_of_a_device_are_told() -> None:
    """Which virtual functions a VM gets is not in the plan."""
    vm = Vm("web", 1, 64, devices=(DeviceRequest("vf", 2),))
    taken = (TakenDevice("vf", "0000:d8:00.0", 2),)
    instance, plan = planned((vm, on(cell(2, 1, 64), devices=taken)))
    placed = placed_vm(instance, plan, vm)
    assert placed.addresses == ()
    assert any("2 functions of device 0000:d8:00.0" in note for note in placed.notes)


def test_main_node() -> None:
    """Where most pages are, at home if that is as many."""
    vm = Vm("web", 1, 1024)
    for memory, node in ((((1, 512), (2, 512)), 2), (((1, 768), (2, 256)), 1), (((3, 1024),), 3)):
        instance, plan = planned((vm, on(PlacedCell(2, 1, memory))))
        assert placed_vm(instance, plan, vm).cells[0].main_node == node


def test_memory_is_written_as_the_vm_has_it() -> None:
    """Plans have whole blocks (3907 MiB are 85 of 46); what is written adds up to the VM's own."""
    vm = Vm("odd", 2, 3907)
    instance, plan = planned((vm, on(PlacedCell(0, 2, ((0, 910), (1, 3000))))))
    assert violations(instance, plan) == []
    placed = placed_vm(instance, plan, vm)
    assert [(c.size_mib, c.memory_mib) for c in placed.cells] == [(3907, ((0, 910), (1, 2997)))]
    assert placed.target_mib == 3907 and not placed.ballooned
    cells = (Cell(1, 1367), Cell(1, 1365), Cell(2, 1366))
    vm = Vm("wide", 4, 4098, guest_numa=GuestNuma.EXPLICIT, cells=cells)
    whole = Instance((THREADED,), (vm,)).form("wide").whole_mib(1365)
    assert whole > 1367
    instance, plan = planned((vm, on(cell(0, 1, whole), cell(1, 2, whole), cell(2, 1, whole))))
    placed = placed_vm(instance, plan, vm)
    assert [c.size_mib for c in placed.cells] == [1367, 1365, 1366] and placed.target_mib == 4098
