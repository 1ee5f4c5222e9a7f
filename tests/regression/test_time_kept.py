"""Time is a promise: what cannot be built in time is not built, and a valid plan comes back."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import pytest

from numaplace.instances.generate import generate_instance, preset
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import SolveStatus
from numaplace.models.verify import violations
from numaplace.models.vm import Vm
from numaplace.solver import registry, stages
from numaplace.solver.cpsat.bound import loss_bound
from numaplace.solver.deadline import Deadline, OutOfTimeError
from numaplace.solver.formulation.model import Formulation
from numaplace.solver.formulation.prepare import Prepared
from numaplace.solver.names import EXACT
from numaplace.solver.params import SolveParams
from numaplace.solver.placing.solver import solve_greedy
from numaplace.solver.registry import solve
from numaplace.tests.builders import make_host

PAIRS = generate_instance(preset("8n-30vm"), 1)
OVER = Deadline.after(-1)
TOO_LARGE = "0.5 s are too short to build and solve a model of this size [loss]"


@pytest.mark.parametrize("back_end", EXACT)
def test_nothing_is_built_after_the_deadline(back_end: str) -> None:
    """Variables, rules, objectives, engines and choices all stop at once."""
    engine = import_module(f"numaplace.solver.{back_end}.engine").Engine
    literals = back_end == "cpsat"
    with pytest.raises(OutOfTimeError):
        Formulation(PAIRS, literals=literals, until=OVER)
    wished = iter([False] * 200)
    with pytest.raises(OutOfTimeError):  # in the middle: Ctrl-C is heard while a model is built
        Formulation(PAIRS, literals=literals, until=Deadline.after(100, lambda: next(wished, True)))
    program = Formulation(PAIRS, literals=literals).program
    program.until = OVER
    with pytest.raises(OutOfTimeError):
        engine(program)
    for work in ("options", "num_choices", "device_options", "talk_tree"):
        with pytest.raises(OutOfTimeError):
            getattr(Prepared(PAIRS, OVER), work)
    assert loss_bound(PAIRS, [vm.name for vm in PAIRS.vms], OVER, 1) == 0


@pytest.mark.parametrize("back_end", EXACT)
def test_a_model_that_is_too_large_is_left_out(
    back_end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan is that of greedy and local search, valid, and the result says why."""
    monkeypatch.setattr(registry, "CHOICES_PER_S", dict.fromkeys(EXACT, 0))
    result = solve(PAIRS, back_end, SolveParams(time_limit_s=0.5))
    assert result.plan is not None
    assert violations(PAIRS, result.plan) == []
    assert len(result.plan) == len(PAIRS.vms)
    assert result.status is SolveStatus.FEASIBLE
    assert [remark[: len(TOO_LARGE)] for remark in result.remarks] == [TOO_LARGE]


@pytest.mark.parametrize("back_end", EXACT)
def test_a_model_that_takes_too_long_is_given_up(
    back_end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when it is too large, if that shows while it is built."""

    def late(*_: object, **__: object) -> None:
        raise OutOfTimeError

    monkeypatch.setattr(stages, "Formulation", late)
    result = solve(PAIRS, back_end, SolveParams(time_limit_s=0.5))
    assert result.plan is not None
    assert violations(PAIRS, result.plan) == []
    assert result.remarks


def test_one_pass_is_bounded_too() -> None:
    """What greedy has not looked at when the time is over is left out, and says so."""
    instance = Instance((make_host("a", 8),), tuple(Vm(f"vm{i}", 1, 512) for i in range(6)))
    result = solve_greedy(instance, SolveParams(deadline=OVER))
    assert result.plan == Plan()
    assert {reason[:8] for reason in result.unplaced.values()} == {"no time:"}
    kept = solve_greedy(instance, replace(SolveParams(deadline=OVER), time_limit_s=100))
    assert kept.plan == Plan(), "a clock that runs already is not started again"


def test_what_runs_is_a_plan_even_without_time() -> None:
    """A solve whose time is over before it begins hands over the current plan, not less."""
    found = solve(PAIRS, "greedy", SolveParams(time_limit_s=20))
    assert found.plan is not None
    running = replace(PAIRS, current=found.plan)
    result = solve(running, "cpsat", SolveParams(time_limit_s=0.0))
    assert result.plan is not None
    assert set(result.plan.placements) >= set(found.plan.placements)
