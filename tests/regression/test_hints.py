"""Hints of the caller: invalid ones are the caller's error, incomplete ones do no harm."""

from __future__ import annotations

import pytest

from numaplace.models.errors import InputError
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.result import SolveStatus
from numaplace.models.vm import Vm
from numaplace.solver.names import EXACT
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.tests.builders import make_instance


def place(node: int = 0, host: str = "host") -> Placement:
    return Placement(host, (PlacedCell(node, 1, ((node, 3000),)),))


INSTANCE = make_instance(Vm("a", 1, 3000), Vm("b", 1, 3000))


@pytest.mark.parametrize("solver", EXACT)
@pytest.mark.parametrize(
    "hint",
    [
        Plan({"elsewhere": place()}),
        Plan({"a": place(host="elsewhere")}),
        Plan({"a": place(7)}),
        Plan({"a": place(), "b": place()}),
    ],
    ids=["vm", "host", "node", "capacity"],
)
def test_invalid_hint_is_an_input_error(solver: str, hint: Plan) -> None:
    with pytest.raises(InputError, match="hint"):
        solve(INSTANCE, solver, SolveParams(hint=hint))


@pytest.mark.parametrize("solver", EXACT)
def test_hint_without_required_vms_is_left_aside(solver: str) -> None:
    params = SolveParams(hint=Plan({"a": place()}), require_all=True)
    result = solve(INSTANCE, solver, params)
    assert result.status is SolveStatus.OPTIMAL
    assert result.plan is not None and set(result.plan.placements) == {"a", "b"}
