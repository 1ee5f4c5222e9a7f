"""Topologies of wide guests, by hand and against exhaustive search."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from numaplace.instances.catalog import load_catalog
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.relations import SharingGroup
from numaplace.models.result import SolveStatus
from numaplace.models.units import PageSize
from numaplace.models.vm import Cell, GuestNuma, MemoryMode, Vm
from numaplace.solver.compare.guest_numa import (
    all_guest_choices,
    even_cells,
    guest_choices,
    topologies,
    wide_vms,
    with_cells,
)
from numaplace.solver.params import SolveParams
from numaplace.tests import oracle
from numaplace.tests.builders import crowd, make_host, make_instance

PARAMS = SolveParams(time_limit_s=20, workers=1, explain=False)
MIB = 2048


def test_wide_is_what_fits_on_no_empty_node() -> None:
    """By vCPUs, and by memory if that must be on one node."""
    vms = (
        Vm("vcpus", 5, 1024),
        Vm("fits", 4, 1024),
        Vm("large", 1, 6144),
        Vm("strict", 1, 6144, memory_mode=MemoryMode.STRICT, max_cells=2),
    )
    assert [vm.name for vm in wide_vms(make_instance(*vms))] == ["vcpus", "strict"]
    assert [vm.name for vm in wide_vms(load_catalog("guest-numa"))] == ["blind", "aware"]


@pytest.mark.parametrize(
    ("memory_mib", "page", "count"),
    [
        (16384, PageSize.SMALL, 3),
        (9999, PageSize.SMALL, 2),
        (10240, PageSize.HUGE_1G, 4),
        (1000, PageSize.HUGE_2M, 7),
    ],
)
def test_even_cells_can_be_placed(memory_mib: int, page: PageSize, count: int) -> None:
    """They add up, differ little, and their blocks are neither too few nor too many."""
    vm = Vm("vm", 9, memory_mib, page_size=page)
    cells = even_cells(vm, count)
    assert sum(cell.vcpus for cell in cells) == 9
    assert sum(cell.memory_mib for cell in cells) == memory_mib
    assert max(c.vcpus for c in cells) - min(c.vcpus for c in cells) <= 1
    instance = make_instance(with_cells(vm, cells, told=True))
    assert instance.form("vm").blocks <= 1024


def test_choices_of_a_guest_by_hand() -> None:
    """One cell does not fit; two lose half their accesses, or, told, a fifth of those."""
    vm = Vm("wide", 6, MIB, memory_intensity=0.5)
    answer = guest_choices(make_instance(vm), vm, PARAMS)
    one, untold, told = answer.choices
    assert one.result.status is SolveStatus.INFEASIBLE and one.own_micro is None
    # 6 vCPUs, half of the accesses at distance 20: s = 0.5 / 1.5
    assert untold.own_micro == pytest.approx(6 * 0.5 / 3 * 1e6, abs=2)
    assert told.own_micro == pytest.approx(6 * 0.5 / 3 * 0.2 * 1e6, abs=2)
    assert answer.best is told
    assert [len(choice.cells) for choice in answer.choices] == [1, 2, 2]


def test_one_cell_is_best_where_it_fits() -> None:
    """A guest is not split for nothing, and told nothing for nothing."""
    vm = Vm("small", 4, MIB)
    best = guest_choices(make_instance(vm), vm, PARAMS).best
    assert best is not None and (len(best.cells), best.told) == (1, False)


def test_cells_a_vm_brings_along_are_tried() -> None:
    """Unequal ones, besides the even."""
    cells = (Cell(4, 512), Cell(2, 1536))
    vm = Vm("own", 6, MIB, guest_numa=GuestNuma.EXPLICIT, cells=cells)
    answer = guest_choices(make_instance(vm), vm, PARAMS)
    assert [choice.told for choice in answer.choices if choice.cells == cells] == [False, True]


def test_as_many_cells_as_a_guest_needs_are_tried() -> None:
    """Six nodes of 4 pCPUs for 24 vCPUs: six cells, and no more as there are no more nodes."""
    vm = Vm("wide", 24, 4096)
    answer = guest_choices(make_instance(vm, host=make_host(nodes=6)), vm, PARAMS)
    assert [len(choice.cells) for choice in answer.choices] == [6, 6]
    assert answer.best is not None
    some = topologies(make_instance(vm, host=make_host(nodes=8)), vm, None)
    assert [len(changed.cells) for changed, _ in some] == [6, 6, 7, 7]
    asked = topologies(make_instance(vm, host=make_host(nodes=8)), vm, 2)
    assert [len(changed.cells) for changed, _ in asked] == [1, 2, 2]


def test_all_choices_share_the_time() -> None:
    """Three choices of a crowd that none can prove in a third of two seconds."""
    wide = Vm("wide", 20, MIB)
    instance = crowd(40)
    instance = replace(instance, vms=(*instance.vms, wide))
    began = time.monotonic()
    (answer,) = all_guest_choices(instance, [wide], SolveParams(2.0, 1, explain=False), max_cells=2)
    assert time.monotonic() - began < 3.5
    assert len(answer.choices) == 3


def test_no_choice_at_all() -> None:
    """A guest that cannot be placed has no best topology."""
    vm = Vm("giant", 64, MIB)
    answer = guest_choices(make_instance(vm), vm, PARAMS, max_cells=2)
    assert answer.best is None and len(answer.choices) == 3


def test_a_vm_that_shares_pages_is_refused() -> None:
    vms = (Vm("a", 6, MIB), Vm("b", 1, MIB))
    instance = make_instance(*vms, sharing=(SharingGroup("g", ("a", "b"), 512),))
    with pytest.raises(InputError, match="shares pages"):
        guest_choices(instance, vms[0], PARAMS)


def _crowd() -> list[tuple[Instance, Vm]]:
    near, far = make_host(nodes=3), make_host(nodes=3, distance=31.0)
    strict = MemoryMode.STRICT  # for want of time: all ways to spill pages are tried otherwise
    wide = Vm("wide", 6, 64, block_mib=16, memory_intensity=0.6, memory_mode=strict)
    others = tuple(Vm(name, 3, 64, block_mib=8, memory_mode=strict) for name in ("x", "y"))
    return [
        (make_instance(wide, *others[:count], host=host), wide)
        for host in (near, far)
        for count in (0, 1, 2)
    ]


@pytest.mark.parametrize("case", range(6))
def test_against_exhaustive_search(case: int) -> None:
    """Every choice is the best plan with that topology."""
    instance, vm = _crowd()[case]
    answer = guest_choices(instance, vm, PARAMS, max_cells=3)
    for choice in answer.choices:
        vms = tuple(choice.vm if other.name == vm.name else other for other in instance.vms)
        best = oracle.brute_force(replace(instance, vms=vms))
        cost = choice.result.cost
        assert (best is None) == (cost is None)
        if best is not None and cost is not None:
            assert (best.value_milli, best.loss_micro) == (cost.value_milli, cost.loss_micro)


def test_topologies_are_not_told_and_told() -> None:
    """Not told is the price of a guest without NUMA: as `guest_numa` none with as many cells."""
    vm = Vm("wide", 6, MIB, max_cells=2)
    instance = make_instance(vm)
    untold = next(
        changed for changed, told in topologies(instance, vm, 2) if len(changed.cells) == 2
    )
    plain = guest_choices(instance, vm, PARAMS).choices[1].result
    assert untold.locality == 0 == vm.locality
    assert plain.cost is not None and plain.cost.loss_micro > 0
