"""The coefficients of `numaplace.models.rates` by option: what both formulations put into terms."""

from __future__ import annotations

from numaplace.models import rates
from numaplace.models.relations import Cooperation
from numaplace.solver.formulation.prepare import Option, Prepared


def memory_rate(prepared: Prepared, option: Option, home: int, at: int) -> int:
    """Loss per block on place `at` of an option's cell, were its home the place `home`."""
    vm, kind = prepared.instance.vm(option.vm), prepared.kind_of(option)
    places = prepared.instance.places[home], prepared.instance.places[at]
    return rates.memory_rate(
        prepared.instance, vm, kind.vcpus, _cell_mib(prepared, option), *places
    )


def split_rate(prepared: Prepared, a: Option, b: Option) -> int:
    """Loss of two cells of one VM, both directions."""
    vm = prepared.instance.vm(a.vm)
    size_a, size_b = (
        (prepared.kind_of(option).vcpus, _cell_mib(prepared, option)) for option in (a, b)
    )
    at_a, at_b = prepared.place_of(a), prepared.place_of(b)
    return rates.split_rate(prepared.instance, vm, size_a, size_b, at_a, at_b)


def cooperation_rate(prepared: Prepared, pair: Cooperation, a: Option, b: Option) -> int:
    """Loss of a cell of each of two VMs that talk."""
    vcpus = prepared.kind_of(a).vcpus, prepared.kind_of(b).vcpus
    at = prepared.place_of(a), prepared.place_of(b)
    return rates.cooperation_rate(prepared.instance, pair, vcpus, at)


def talk_rate(prepared: Prepared, pair: Cooperation, i: int, j: int) -> int:
    """Loss of two VMs of one cell each that talk, were they on places `i` and `j`."""
    instance = prepared.instance
    vcpus = instance.vm(pair.first).vcpus, instance.vm(pair.second).vcpus
    at = instance.places[i], instance.places[j]
    return rates.cooperation_rate(instance, pair, vcpus, at)


def sharing_rate(prepared: Prepared, option: Option, at: int) -> int:
    """Loss of a cell that reads the copy on place `at`."""
    vm, vcpus = prepared.instance.vm(option.vm), prepared.kind_of(option).vcpus
    home, copy = prepared.place_of(option), prepared.instance.places[at]
    return rates.sharing_rate(prepared.instance, vm, vcpus, home, copy)


def affinity_rate(prepared: Prepared, option: Option) -> int:
    """Loss of a cell outside the soft set of its VM."""
    vm, vcpus = prepared.instance.vm(option.vm), prepared.kind_of(option).vcpus
    return rates.affinity_rate(vm, vcpus, prepared.place_of(option).node.id)


def load_milli(prepared: Prepared, option: Option) -> int:
    """CPU load of a cell in milli-vCPU."""
    return rates.load_milli(prepared.instance.vm(option.vm), prepared.kind_of(option).vcpus)


def _cell_mib(prepared: Prepared, option: Option) -> int:
    return prepared.kind_of(option).blocks * prepared.instance.form(option.vm).block_mib
