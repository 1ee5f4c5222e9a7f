"""In which order VMs are placed."""

from __future__ import annotations

from enum import StrEnum

from numaplace.models.instance import Instance
from numaplace.models.vm import CpuPolicy, Vm

BEFORE_ALL = -(1 << 60)


class Order(StrEnum):
    """Order of VMs that start at the same time; earlier starts always come first.

    ``given``: as the instance lists them (what an online system sees). ``decreasing``: required
    ones first, then those that are hardest to place.
    """

    GIVEN = "given"
    DECREASING = "decreasing"


def start_of(vm: Vm) -> int:
    """Start of a VM, before everything if it has none."""
    return BEFORE_ALL if vm.start is None else vm.start


def ordered(instance: Instance, order: Order) -> list[Vm]:
    """VMs of an instance in the order they are to be placed."""
    if order is Order.GIVEN:
        return sorted(instance.vms, key=start_of)
    sizes = hardness(instance)
    return sorted(instance.vms, key=lambda vm: (start_of(vm), not vm.required, -sizes[vm.name]))


def hardness(instance: Instance) -> dict[str, float]:
    """Share of the whole instance's CPUs and memory that each VM asks for, larger if it is tied.

    VMs with few places to go (few hosts or nodes, devices nearby, dedicated pCPUs) count double.
    """
    threads = max(1, sum(host.threads for host in instance.hosts))
    mib = max(1, sum(node.memory_mib for host in instance.hosts for node in host.nodes))
    grouped = {name for group in instance.togethers for name in group.vms}
    grouped |= {name for group in instance.aparts for name in group.vms}
    sizes: dict[str, float] = {}
    for vm in instance.vms:
        tied = vm.hard_nodes is not None or vm.allowed_hosts is not None or bool(vm.devices)
        tied = tied or vm.cpu_policy is CpuPolicy.DEDICATED or vm.name in grouped
        size = vm.vcpus / threads + vm.memory_mib / mib
        sizes[vm.name] = size * (2 if tied else 1)
    return sizes
