"""Choices of the formulation: cells and devices at places, with their coefficients and cores."""

from __future__ import annotations

from dataclasses import dataclass, field

from numaplace.models import rates
from numaplace.models.cores import CoreGroup
from numaplace.models.forms import CellType, VmShape
from numaplace.models.instance import Instance, Place
from numaplace.models.relations import Cooperation
from numaplace.models.units import ceil_div
from numaplace.models.vm import CpuPolicy, ThreadPolicy, Vm


@dataclass(frozen=True, slots=True)
class Option:
    """A cell of one type of a VM's shape at a place; the key of the main decision.

    Cells of a VM are on distinct nodes, so a type is at one place at most once.
    """

    vm: str
    shape_index: int
    type_index: int
    place_index: int
    shape: VmShape = field(compare=False, repr=False)
    cell: CellType = field(compare=False, repr=False)
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class DeviceOption:
    """Functions of a device for a request (by index) of a VM, served by its cell at `home`."""

    vm: str
    request: int
    home: int
    address: str
    rate: int


def own_mib(instance: Instance, option: Option) -> int:
    """Own memory of an option's cell."""
    return option.cell.blocks * instance.form(option.vm).block_mib


def memory_rate(instance: Instance, option: Option, home: int, at: int) -> int:
    """Loss per block on place `at` of an option's cell, were its home the place `home`."""
    vm, places = instance.vm(option.vm), (instance.places[home], instance.places[at])
    return rates.memory_rate(instance, vm, option.cell.vcpus, own_mib(instance, option), *places)


def split_rate(instance: Instance, a: Option, b: Option) -> int:
    """Loss of two cells of one VM, both directions."""
    size_a, size_b = ((o.cell.vcpus, own_mib(instance, o)) for o in (a, b))
    return rates.split_rate(instance, instance.vm(a.vm), size_a, size_b, a.place, b.place)


def cooperation_rate(instance: Instance, pair: Cooperation, a: Option, b: Option) -> int:
    """Loss of a cell of each of two VMs that talk."""
    vcpus = a.cell.vcpus, b.cell.vcpus
    return rates.cooperation_rate(instance, pair, vcpus, (a.place, b.place))


def talk_rate(instance: Instance, pair: Cooperation, i: int, j: int) -> int:
    """Loss of two VMs of one cell each that talk, were they on places `i` and `j`."""
    vcpus = instance.vm(pair.first).vcpus, instance.vm(pair.second).vcpus
    return rates.cooperation_rate(instance, pair, vcpus, (instance.places[i], instance.places[j]))


def sharing_rate(instance: Instance, option: Option, at: int) -> int:
    """Loss of a cell that reads the copy on place `at`."""
    vm, copy = instance.vm(option.vm), instance.places[at]
    return rates.sharing_rate(instance, vm, option.cell.vcpus, option.place, copy)


def load_milli(instance: Instance, option: Option) -> int:
    """CPU load of a cell in milli-vCPU."""
    return rates.load_milli(instance.vm(option.vm), option.cell.vcpus)


def crowd(instance: Instance, option: Option) -> tuple[int, int]:
    """Load of a cell in milli-vCPU and its crowding."""
    return rates.crowd(instance.vm(option.vm), option.cell.vcpus, option.place)


def most_cores(vm: Vm, vcpus: int, group: CoreGroup) -> int:
    """Cores (or threads, if a VM takes those) of a group that `vcpus` dedicated vCPUs can use.

    If an option's node has one group, that is what its cell takes: options that do not fit an
    empty node are none.
    """
    if not whole_cores(vm):
        return min(vcpus, group.num_threads)
    if vm.thread_policy is ThreadPolicy.ISOLATE:
        return min(vcpus, group.num_cores)
    if group.threads_per_core < 2:
        return 0
    return min(ceil_div(vcpus, group.threads_per_core), group.num_cores)


def whole_cores(vm: Vm) -> bool:
    """Tell whether a VM takes whole cores."""
    return vm.cpu_policy is CpuPolicy.DEDICATED and vm.thread_policy is not ThreadPolicy.PREFER
