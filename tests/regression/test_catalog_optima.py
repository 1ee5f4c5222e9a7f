"""The catalogue's known optima stay what they are."""

from __future__ import annotations

import pytest

from numaplace.instances.catalog import CatalogEntry, list_catalog, load_catalog
from numaplace.models.result import SolveStatus
from numaplace.solver.names import EXACT
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve


@pytest.mark.parametrize("solver", EXACT)
@pytest.mark.parametrize("entry", list_catalog(), ids=lambda entry: entry.name)
def test_known_optimum(entry: CatalogEntry, solver: str) -> None:
    """Both exact solvers prove the recorded value and loss."""
    result = solve(load_catalog(entry.name), solver, SolveParams(time_limit_s=60))
    assert result.status is SolveStatus.OPTIMAL
    assert result.cost is not None
    found = result.cost.value_milli, result.cost.loss_micro
    assert found == (entry.known_value_milli, entry.known_loss_micro)
