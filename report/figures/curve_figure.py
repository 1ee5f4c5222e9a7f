"""The trade-off of a rebalance: vCPUs lost against memory moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from numaplace.models.result import SolveStatus
from numaplace.models.units import MICRO
from numaplace.report.figures import chart
from numaplace.report.figures.figure_file import new_figure
from numaplace.report.picture.geometry import Box
from numaplace.report.picture.palette import FAINT, WHITE
from numaplace.report.tables import words
from numaplace.solver.replan.rebalance import Rebalanced

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "What moving gains"
_COLOUR = "#0072b2"
_WIDTH, _TALL, _LEFT, _BELOW = 520.0, 240.0, 62.0, 48.0
_KEY = (
    "Each point is the best plan found for a budget of memory moved; full: proven the best, empty: "
    "not proven. Loss is without the price of moving."
)
_GIB = 1024


def curve_figure(points: Sequence[Rebalanced]) -> Figure:
    """Draw a trade-off curve; points without a plan are left out."""
    known = [point for point in points if point.lasting_micro is not None]
    if not known:
        return chart.message_figure(TITLE, "No plan was found.")
    lines = chart.wrapped(f"{_facts(known)} {_KEY}", _WIDTH - 2 * chart.MARGIN)
    top = chart.head_height(lines) + 14
    figure = new_figure(_WIDTH, top + _TALL + _BELOW)
    chart.write_head(figure, TITLE, lines)
    box = Box(_LEFT, top, _WIDTH - chart.MARGIN - _LEFT, _TALL)
    _draw(chart.panel(figure, box), known)
    return figure


def _facts(points: Sequence[Rebalanced]) -> str:
    name = points[0].instance.name or "Instance"
    horizon = words.seconds(points[0].instance.prices.horizon_s)
    return f"{name}; moves must pay back within {horizon}."


def _draw(axes: Axes, points: Sequence[Rebalanced]) -> None:
    ordered = sorted(points, key=lambda point: (point.spent.mib, -(point.lasting_micro or 0)))
    gib = [point.spent.mib / _GIB for point in ordered]
    lost = [(point.lasting_micro or 0) / MICRO for point in ordered]
    axes.plot(gib, lost, color=_COLOUR, linewidth=1.4, zorder=2)
    for point, x, y in zip(ordered, gib, lost, strict=True):
        proven = point.result.status is SolveStatus.OPTIMAL
        axes.scatter(
            [x],
            [y],
            s=26,
            color=_COLOUR if proven else WHITE,
            edgecolors=_COLOUR,
            linewidths=1.2,
            zorder=3,
            clip_on=False,
        )
    axes.set_xlim(0, 1.03 * max(gib) or 1)
    axes.set_ylim(0, 1.08 * max(lost) or 1)
    axes.set_xlabel("GiB moved", size=chart.TEXT, color=FAINT)
    axes.set_ylabel("vCPUs lost", size=chart.TEXT, color=FAINT)
