"""Reasons that named no rule: conflicts of what every VM obeys by itself."""

from __future__ import annotations

from numaplace.models.result import SolveStatus
from numaplace.models.vm import Cell, GuestNuma, Vm
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.tests.builders import make_host, make_instance


def reason(vm: Vm, memory_mib: int = 4096) -> str:
    result = solve(make_instance(vm, host=make_host(memory_mib=memory_mib)), "cpsat", SolveParams())
    assert result.status is SolveStatus.INFEASIBLE
    return result.reasons[0]


def test_two_unequal_cells_pinned_to_one_node() -> None:
    vm = Vm(
        "a",
        3,
        3000,
        guest_numa=GuestNuma.EXPLICIT,
        cells=(Cell(2, 2000), Cell(1, 1000)),
        hard_nodes=frozenset({0}),
        required=True,
    )
    assert "no host has 2 nodes" in reason(vm)


def test_memory_that_fits_but_not_in_blocks() -> None:
    assert "whole blocks" in reason(Vm("a", 1, 120, block_mib=40, required=True), memory_mib=70)
