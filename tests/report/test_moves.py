"""A rebalance in words, numbers and as a curve."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from numaplace.instances.catalog import load_catalog
from numaplace.models.instance import Instance
from numaplace.models.moves import Budget
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.vm import MemoryMode, Vm
from numaplace.report.figures.curve_figure import curve_figure
from numaplace.report.figures.figure_file import figure_bytes
from numaplace.report.tables.moves import REBALANCE, rebalance_views
from numaplace.solver.params import SolveParams
from numaplace.solver.replan.rebalance import Rebalanced, rebalance, trade_off

QUICK = SolveParams(time_limit_s=30.0, workers=1)
GIB = 1024


def text_of(found: Rebalanced, curve: tuple[Rebalanced, ...] = ()) -> str:
    """What a terminal of 100 columns shows."""
    console = Console(file=io.StringIO(), width=100, highlight=False)
    for view in rebalance_views(found, curve):
        console.print(view)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def swapped(nodes: int) -> Instance:
    """Two VMs, each on the node the other wants, as many nodes as there are."""
    places = tuple(
        NumaNode(n, tuple(PCpu(4 * n + c, core=4 * n + c) for c in range(4)), 8 * GIB)
        for n in range(nodes)
    )
    vms = tuple(
        Vm(
            name,
            2,
            6 * GIB,
            memory_mode=MemoryMode.STRICT,
            soft_nodes=frozenset({node}),
            soft_weight=1.0,
        )
        for name, node in (("x", 1), ("y", 0))
    )
    current = {
        name: Placement("a", (PlacedCell(node, 2, ((node, 6 * GIB),)),))
        for name, node in (("x", 0), ("y", 1))
    }
    return Instance((Host("a", places),), vms, current=Plan(current), name="swap")


def test_a_bounce_is_told() -> None:
    """Who makes room is said, and its loss in between is a negative gain or none."""
    found = rebalance(swapped(3), None, QUICK)
    assert [one.step.bounce for one in found.steps] == [True, False, False]
    text = text_of(found)
    assert "move away" in text
    assert "18 GiB copied" in text
    steps = REBALANCE.plain((found, (), None))["steps"]
    assert [step["makes_room"] for step in steps] == [True, False, False]


def test_bounces_count_against_the_budget() -> None:
    """12 GiB suffice for the swap, not for the way round: the best plan on the way remains."""
    found = rebalance(swapped(3), Budget(mib=12 * GIB), QUICK)
    assert found.spent.mib <= 12 * GIB
    assert found.left_out
    assert "exceed the budget" in text_of(found)


def test_what_is_not_reached_is_told() -> None:
    """Reasons of moves that cannot be made are shown."""
    text = text_of(rebalance(swapped(2), None, QUICK))
    assert "Not reached: VM 'x' cannot move: node 1 of host 'a'" in " ".join(text.split())
    assert "moves worth 2 vCPUs cannot be made" in text
    assert "worth moving" not in text


def test_curve() -> None:
    """Table, numbers and picture have every point; the picture is the same each time."""
    instance = load_catalog("re-planning")
    points = trade_off(instance, QUICK, points=3)
    assert len(points) == 4
    rows = REBALANCE.plain((points[-1], points, None))["curve"]
    assert [row["budget_mib"] for row in rows] == [0, 2048, 4096, None]
    assert "Trade-off" in text_of(points[-1], points)
    pictures = {figure_bytes(curve_figure(points), "svg") for _ in range(2)}
    assert len(pictures) == 1


@pytest.mark.parametrize("points", [(), None])
def test_curve_without_points(points: tuple[Rebalanced, ...] | None) -> None:
    """No plan, or one point only, is drawn all the same."""
    one = rebalance(replace(swapped(2), name=""), Budget(moves=0), QUICK)
    shown = (one,) if points is None else points
    assert figure_bytes(curve_figure(shown), "png").startswith(b"\x89PNG")
