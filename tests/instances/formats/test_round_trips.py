"""What is written for a plan is read back as the same plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numaplace.instances.applying import apply_plan
from numaplace.instances.catalog import load_catalog
from numaplace.instances.formats.format import AffinityKind
from numaplace.instances.formats.libvirt import domain as libvirt_domain
from numaplace.instances.formats.openstack import flavours as openstack
from numaplace.instances.formats.placed import PlacedVm, placed_vm
from numaplace.instances.formats.proxmox import conf as proxmox
from numaplace.instances.formats.xen import xl_cfg
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan
from numaplace.models.vm import CpuPolicy, MemoryMode, Vm
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.tests.instances.formats.placements import (
    read_libvirt_placement,
    read_proxmox_placement,
    read_xl_placement,
)
from numaplace.tests.instances.formats.plans import saved
from numaplace.tests.strategies import random_small_instance

CATALOG = ("talk-10", "devices", "cxl", "guest-numa", "ballooning", "huge-pages", "page-sharing")
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def plan_for(instance: Instance) -> Plan:
    """What greedy makes of an instance; empty if it does not place all that is required."""
    return solve(instance, "greedy", SolveParams()).plan or Plan()


def written(
    instance: Instance, plan: Plan, vm: Vm, kind: str, affinity: AffinityKind = AffinityKind.HARD
) -> str:
    return apply_plan(instance, plan, kind, vms=[vm.name], affinity=affinity).item[0].text


def each_vm(instance: Instance, plan: Plan) -> list[tuple[Vm, PlacedVm]]:
    return [(vm, placed_vm(instance, plan, vm)) for vm in instance.vms if vm.name in plan]


def cpus(placement: Placement) -> list[tuple[int, int, tuple[int, ...]]]:
    return [(cell.node, cell.vcpus, cell.pcpus) for cell in placement.cells]


def planned_cpus(placed: PlacedVm) -> list[tuple[int, int, tuple[int, ...]]]:
    dedicated = placed.vm.cpu_policy is CpuPolicy.DEDICATED
    return [
        (
            cell.node,
            len(cell.vcpus),
            tuple(pcpu for pin in cell.pcpus for pcpu in pin) if dedicated else (),
        )
        for cell in placed.cells
    ]


def nodes_of(placement: Placement) -> set[int]:
    return {node for node, mib in placement.memory_by_node().items() if mib}


def same_memory(placed: PlacedVm, read: Placement, shared_mib: int) -> None:
    """Sizes of guest cells, their nodes, and amounts wherever a cell has one node."""
    assert sum(read.memory_by_node().values()) == placed.target_mib - shared_mib
    assert nodes_of(read) == placed.memory_nodes
    if not placed.shows_cells:
        return
    for cell, back in zip(placed.cells, read.cells, strict=True):
        assert {node for node, _ in back.memory_mib} == cell.memory_nodes
        if len(cell.memory_mib) == 1 and not placed.ballooned:
            assert back.memory_mib == cell.memory_mib


def check_libvirt(instance: Instance, plan: Plan, folder: Path) -> int:
    for vm, placed in each_vm(instance, plan):
        text = written(instance, plan, vm, "libvirt")
        path = saved(folder, "vm.xml", text)
        read = read_libvirt_placement(path, instance, vm, placed.host).item
        assert cpus(read) == planned_cpus(placed)
        same_memory(placed, read, instance.form(vm.name).shared_mib)
        again = libvirt_domain.read_vms(path, placed.host).item[0]
        assert (again.name, again.vcpus, again.memory_mib) == (vm.name, vm.vcpus, vm.memory_mib)
        assert again.page_size is vm.page_size
        assert len(again.cells) == (len(placed.cells) if placed.shows_cells else 0)
        addresses = tuple(taken.address for taken in read.devices)
        assert addresses == tuple(a for a in placed.addresses)
        if vm.cells:
            assert again.cells == vm.cells
    return len(plan)


def check_xl(instance: Instance, plan: Plan, folder: Path) -> int:
    for vm, placed in each_vm(instance, plan):
        for affinity in AffinityKind:
            if placed.ballooned and placed.shows_cells:
                with pytest.raises(InputError, match="together with vnuma"):
                    written(instance, plan, vm, "xl", affinity)
                continue
            path = saved(folder, "vm.cfg", written(instance, plan, vm, "xl", affinity))
            soft = affinity is not AffinityKind.HARD
            read = read_xl_placement(path, instance, vm, placed.host, soft=soft).item
            assert cpus(read) == planned_cpus(placed)
            if placed.shows_cells:
                homes = [cell.main_node for cell in placed.cells]
                assert [cell.memory_mib[0][0] for cell in read.cells] == homes
            again = xl_cfg.read_vms(path, placed.host).item[0]
            assert (again.name, again.vcpus) == (vm.name, vm.vcpus)
            assert (again.memory_mib, again.memory_least_mib) == (vm.memory_mib, placed.target_mib)
            assert len(again.cells) == (len(placed.cells) if placed.shows_cells else 0)
    return len(plan)


def check_proxmox(instance: Instance, plan: Plan, folder: Path) -> int:
    for vm, placed in each_vm(instance, plan):
        path = saved(folder, "vm.conf", written(instance, plan, vm, "proxmox"))
        again = proxmox.read_vms(path, placed.host).item[0]
        assert (again.name, again.vcpus, again.memory_mib) == (vm.name, vm.vcpus, vm.memory_mib)
        assert again.memory_nodes == placed.memory_nodes
        assert again.page_size is vm.page_size
        local = all(cell.memory_nodes == {cell.node} for cell in placed.cells)
        if local and (placed.shows_cells or len(placed.cells) == 1):
            read = read_proxmox_placement(path, instance, vm, placed.host).item
            assert [row[:2] for row in cpus(read)] == [row[:2] for row in planned_cpus(placed)]
            same_memory(placed, read, instance.form(vm.name).shared_mib)
    return len(plan)


def check_openstack(instance: Instance, plan: Plan, folder: Path) -> int:
    for vm, placed in each_vm(instance, plan):
        hidden = len(placed.cells) > 1 and not placed.shows_cells
        try:
            text = written(instance, plan, vm, "openstack")
        except InputError as error:
            assert hidden or "one PCI policy" in error.reason
            continue
        again = openstack.read_vms(saved(folder, "flavour.json", text)).item[0]
        assert (again.name, again.vcpus, again.memory_mib) == (vm.name, vm.vcpus, vm.memory_mib)
        assert (again.cpu_policy, again.page_size) == (vm.cpu_policy, vm.page_size)
        assert [(r.kind, r.count, r.policy) for r in again.devices] == [
            (r.kind, r.count, r.policy) for r in vm.devices
        ]
        sizes = [(cell.vcpus, cell.memory_mib) for cell in again.cells]
        assert sizes == (
            [] if hidden else [(len(cell.vcpus), cell.size_mib) for cell in placed.cells]
        )
    return len(plan)


CHECKS: list[Callable[[Instance, Plan, Path], int]] = [
    check_libvirt,
    check_xl,
    check_proxmox,
    check_openstack,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
@pytest.mark.parametrize("name", CATALOG)
def test_catalogue(check: Callable[..., Any], name: str, tmp_path: Path) -> None:
    """Every feature there is, as greedy places it."""
    instance = load_catalog(name)
    assert check(instance, plan_for(instance), tmp_path) > 0


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__[6:])
@given(seed=st.integers(0, 100_000))
@SLOW
def test_random_instances(check: Callable[..., Any], seed: int) -> None:
    """Small instances that between them use every feature."""
    instance = random_small_instance(seed)
    with TemporaryDirectory() as folder:
        check(instance, plan_for(instance), Path(folder))


def test_modes_are_kept() -> None:
    """A single node keeps the VM's own memory mode; pages on several are held there strictly."""
    instance = load_catalog("cxl")
    plan = plan_for(instance)
    for vm, placed in each_vm(instance, plan):
        mode = placed.binding(placed.memory_nodes).mode
        several = len(placed.memory_nodes) > 1 and vm.memory_mode is MemoryMode.PREFERRED
        assert mode is (MemoryMode.STRICT if several else vm.memory_mode)
