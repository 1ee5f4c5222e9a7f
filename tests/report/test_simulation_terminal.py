"""Simulations in a terminal: the numbers that were counted, in tables that fit."""

import io
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from numaplace.report.tables.simulations import simulation_views
from numaplace.report.tables.talk import talk_views
from numaplace.solver.simulator.from_plan import SimulatedAffinity
from numaplace.solver.simulator.runs import Repeated, RunOptions
from numaplace.tests.report.simulation_samples import experiment, instance, repeated


def _text(views: list[RenderableType], width: int = 80) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False)
    for view in views:
        console.print(view)
    return stream.getvalue()


def _row(text: str, *begin: str) -> list[str]:
    return next(
        line.split() for line in text.splitlines() if line.split()[: len(begin)] == [*begin]
    )


OPTIONS = RunOptions(time_s=10, seed=4, repetitions=2)


def test_a_row_a_vm_and_their_sum() -> None:
    text = _text(simulation_views(instance(), repeated(), OPTIONS, "plan of greedy"))
    web = ["web", "2", "1.500", "±", "0.141", "75.0", "25.00", "25.00", "4.0"]
    assert _row(text, "web") == web
    assert _row(text, "db") == ["db", "2", "0.900", "±", "0.000", "90.0", "0.00", "0.00", "1.0"]
    assert _row(text, "all")[1:6] == ["4", "2.400", "±", "0.141", "80.0"]
    flat = " ".join(text.split())
    assert "2 repetitions of 10 simulated s after 1 s, seeds 4 to 5" in flat
    assert "steals/s: 3.0 within a node, 1.0 at distance 2; migrations/s: 0.5" in flat
    assert flat.endswith(
        "Throughput 2.400 ± 0.141 of 3.000 wanted vCPUs Loss: simulated 0.600 ± 0.141, "
        "predicted by the cost 0.450 vCPUs (CPU contention 0.450)"
    )


def test_what_the_cost_does_not_know_is_said() -> None:
    soft = replace(OPTIONS, vm_affinity={"db": SimulatedAffinity.SOFT})
    text = _text(simulation_views(instance(), repeated(), soft, "plan of greedy"))
    assert "the scheduler was told otherwise" in " ".join(text.split())
    assert "affinity hard, soft;" in text


@pytest.mark.parametrize("width", [40, 60, 80, 300])
def test_tables_fit_and_leave_nothing_out(width: int) -> None:
    """Numbers are whole at any width; columns without room go to a table below."""
    text = _text(simulation_views(instance(), repeated(), OPTIONS, "plan of greedy"), width)
    assert max(map(len, text.splitlines())) <= width
    assert _row(text, "web")[:5] == ["web", "2", "1.500", "±", "0.141"]
    cells = [line.split() for line in text.splitlines() if line.split()[:1] == ["web"]]
    assert [cell for line in cells for cell in line][-4:] == ["75.0", "25.00", "25.00", "4.0"] or (
        width == 40 and {"75.0", "25.00", "4.0"} <= {cell for line in cells for cell in line}
    )
    text = _text(talk_views(experiment()), width)
    assert max(map(len, text.splitlines())) <= width
    assert "auto-affinity 3000 ± 209" in " ".join(text.split())
    assert {"+25.0", "50.00", "predicted", "25.00", "7"} <= set(text.split()) and "…" not in text


def test_what_was_stopped_is_told() -> None:
    cut = _text(simulation_views(instance(), repeated(complete=False), OPTIONS, "p"))
    assert "stopped: counts are of the time until then" in cut and "Loss:" not in cut
    early = _text(simulation_views(instance(), Repeated((), 1, complete=False), OPTIONS, "p"))
    assert "Nothing was simulated: stopped during the warm-up." in early
    fewer = replace(repeated(), wanted=5)
    assert "stopped after 2 of 5" in _text(simulation_views(instance(), fewer, OPTIONS, "p"))
    empty = _text(simulation_views(instance(), Repeated((), 1), OPTIONS, "p"))
    assert "no VM is placed" in empty


def test_the_talk_has_a_row_a_point() -> None:
    text = _text(talk_views(experiment()))
    for begin, rest in {
        ("2", "all-cpus"): ["2000", "±", "204", "-", "50.00", "calibrated", "25.00", "7"],
        ("2", "auto-pinning"): ["2500", "±", "206", "+25.0", "50.00", "calibrated", "25.00", "7"],
        ("10", "auto-affinity"): [
            "15000",
            "±",
            "1044",
            "+50.0",
            "50.00",
            "predicted",
            "25.00",
            "7",
        ],
    }.items():
        assert _row(text, *begin)[2:] == rest
    flat = " ".join(text.split())
    for words in (
        "3 repetitions of 1 simulated s, seeds 5 to 7",
        "X5650",
        "dom0 does is not known",
        "garbage collection",
        "is in the SMT yield",
        "auto-pinning with 6: memory intensity 0.620, SMT yield 1.081",
        "unpinned 43150.63 ± 1359.56",
        "pinned 49591.06 ± 952.93",
        "all other points are predictions",
    ):
        assert words in flat, words
    assert "left out" not in flat


def test_a_talk_that_was_stopped() -> None:
    """Points without all-cpus gain nothing known; runs left out are counted."""
    text = _text(talk_views(experiment(missing=4)))
    assert "stopped: 4 runs were left out" in text
    assert "Nothing was run" in _text(talk_views(experiment(missing=18)))
