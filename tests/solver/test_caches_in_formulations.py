"""Competition for last-level caches costs the same in both formulations as in the specification."""

from __future__ import annotations

import pytest

from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell
from numaplace.models.relations import Competition, Scope
from numaplace.models.topology import PCpu
from numaplace.models.vm import Vm
from numaplace.tests.builders import make_host
from numaplace.tests.formulation_loss import LossOf, cpsat_loss_of, milp_loss_of
from numaplace.tests.models.case import cell, instance, on, pinned, plan, vm, with_nodes

# Node 0 has cores 0 and 1 of two threads (pCPUs 0-1 and 2-3), cores 2 and 3 of one (4 and 5).
CORE_OF = (0, 0, 1, 1, 2, 3)


def _pair(a: Vm, b: Vm, llc_of_core: tuple[int | None, ...]) -> Instance:
    """Return two VMs that compete for caches, and a host whose node 0 has cores of two kinds."""
    pcpus = tuple(PCpu(i, core, 0, llc_of_core[core]) for i, core in enumerate(CORE_OF))
    host = with_nodes(make_host(), n0={"pcpus": pcpus})
    return instance(a, b, host=host, competitions=(Competition("a", "b", 0.5, Scope.LLC),))


ONE, UNKNOWN, TWO = (7, 7, 7, 7), (None, 7, 7, 7), (7, 8, 7, 8)


@pytest.mark.parametrize("loss_of", [cpsat_loss_of, milp_loss_of])
@pytest.mark.parametrize(
    ("b", "llc_of_core", "at", "loss"),
    [
        pytest.param("pinned", ONE, cell(0, pcpus=(2,)), 500_000, id="same kind of core"),
        pytest.param("pinned", ONE, cell(0, pcpus=(4,)), 500_000, id="other kind of core"),
        pytest.param("pinned", ONE, cell(1, pcpus=(1000,)), 0, id="other node"),
        pytest.param("shared", ONE, cell(0), 500_000, id="shared"),
        pytest.param("pinned", UNKNOWN, cell(0, pcpus=(4,)), 500_000, id="a cache is unknown"),
        pytest.param("pinned", TWO, cell(0, pcpus=(4,)), 500_000, id="same of two caches"),
        pytest.param("pinned", TWO, cell(0, pcpus=(2,)), 0, id="other of two caches"),
        pytest.param("shared", TWO, cell(0), 500_000, id="shared beside two caches"),
    ],
)
def test_cores_of_two_kinds(
    b: str, llc_of_core: tuple[int | None, ...], at: PlacedCell, loss: int, loss_of: LossOf
) -> None:
    """VM a has pCPU 0; b meets it if it uses a's cache, whatever the threads of its cores."""
    pair = _pair(pinned("a"), pinned("b") if b == "pinned" else vm("b"), llc_of_core)
    placed = plan(a=on(cell(0, pcpus=(0,))), b=on(at))
    assert evaluate(pair, placed).loss_micro == loss
    assert loss_of(pair, placed) == loss
