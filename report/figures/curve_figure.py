"""The trade-off of a rebalance: vCPUs lost against memory moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from numaplace.models.result import SolveStatus
from numaplace.models.units import MICRO
from numaplace.report.figures import chart
from numaplace.report.picture.palette import WHITE
from numaplace.report.tables import words
from numaplace.solver.replan.rebalance import Rebalanced

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "What moving gains"
_COLOUR = "#0072b2"
_WIDTH, _TALL = 520.0, 300.0
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
    figure = chart.new_chart(_WIDTH, _TALL, TITLE, [f"{_facts(known)} {_KEY}"])
    _draw(chart.styled(figure.subplots(), x="GiB moved", y="vCPUs lost"), known)
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
    proven = [point.result.status is SolveStatus.OPTIMAL for point in ordered]
    fills = [_COLOUR if known else WHITE for known in proven]
    axes.scatter(gib, lost, 26, fills, edgecolors=_COLOUR, linewidths=1.2, zorder=3, clip_on=False)
    axes.set_xlim(0, 1.03 * max(gib) or 1)
    axes.set_ylim(0, 1.08 * max(lost) or 1)
