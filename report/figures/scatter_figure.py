"""The picture of predictions: what the cost says a plan loses against what the simulation says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from numaplace.report.figures import chart
from numaplace.report.picture.geometry import shortened
from numaplace.report.picture.palette import LINES, WHITE
from numaplace.report.tables import words
from numaplace.solver.simulator.ranks import spearman

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Loss of speed: predicted and simulated"
NAMED_MAX = 8
"""So many points, those farthest from the line, are named."""
SPAN_LINEAR = 60.0
"""Numbers whose largest is more times their median are drawn on a scale of logarithms."""
NOISE = 0.001
"""Loss in vCPUs below which logarithms are not worth it."""

# Hues of Okabe and Ito with markers that tell them apart without colour; further kinds start over.
_LOOKS = (
    ("#0072b2", "o"),
    ("#d55e00", "s"),
    ("#009e73", "^"),
    ("#e69f00", "D"),
    ("#cc79a7", "v"),
    ("#56b4e9", "P"),
    ("#1b1f24", "X"),
)
_WIDTH, _TALL = 590.0, 396.0
_SIDE, _SIDE_TALL = 150.0, 320.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """Loss of one plan in vCPUs, by the cost and by the simulation.

    `label` tells what was simulated; points of one kind look alike.
    """

    label: str
    predicted: float
    simulated: float
    kind: str


def scatter_figure(predictions: Sequence[Prediction], subtitle: str = "") -> Figure:
    """Draw the points with the line on which they agree; Spearman's correlation in the title."""
    if not predictions:
        return chart.message_figure(TITLE, "Nothing was simulated.")
    clauses = [_head_words(predictions, subtitle)]
    figure = chart.new_chart(_WIDTH, _TALL, _title(predictions), clauses)
    axes = chart.styled(figure.subplots(), x="predicted loss, vCPUs", y="simulated loss, vCPUs")
    axes.set_box_aspect(1)
    _scale(axes, predictions)
    kinds = list(dict.fromkeys(each.kind for each in predictions))
    for at, kind in enumerate(kinds):
        colour, marker = _LOOKS[at % len(_LOOKS)]
        own = [each for each in predictions if each.kind == kind]
        axes.scatter(
            [each.predicted for each in own],
            [each.simulated for each in own],
            s=26,
            color=colour,
            marker=marker,
            edgecolors=WHITE,
            linewidths=0.5,
            alpha=0.85,
            zorder=3,
            label=kind,
        )
    names = [shortened(kind, _SIDE - 20, chart.TEXT) for kind in kinds]
    axes.legend(axes.collections, names, loc="upper left", bbox_to_anchor=(1.04, 1), **chart.KEY)
    _name_farthest(axes, predictions, below=len(kinds) + 1)
    return figure


def _title(predictions: Sequence[Prediction]) -> str:
    rho = spearman([p.predicted for p in predictions], [p.simulated for p in predictions])
    known = "undefined" if rho is None else f"{rho:.3f}"
    return f"{TITLE}, Spearman {known}"


def _head_words(predictions: Sequence[Prediction], subtitle: str) -> str:
    clauses = [subtitle] if subtitle else []
    clauses.append(f"{words.plural(len(predictions), 'plan')}; on the line both agree")
    if _is_wide(predictions):
        clauses.append("axes are logarithmic beyond their first number above 0")
    return "; ".join(clauses)


# ---- scale --------------------------------------------------------------------------------------


def _sizes(predictions: Sequence[Prediction]) -> list[float]:
    numbers = [abs(n) for each in predictions for n in (each.predicted, each.simulated)]
    return sorted(number for number in numbers if number > 0)


def _is_wide(predictions: Sequence[Prediction]) -> bool:
    sizes = _sizes(predictions)
    return bool(sizes) and sizes[-1] > SPAN_LINEAR * float(np.median(sizes))


def _scale(axes: Axes, predictions: Sequence[Prediction]) -> None:
    """The same scale on both axes, and the line on which they agree."""
    numbers = [n for each in predictions for n in (each.predicted, each.simulated)]
    low, high = min(0.0, *numbers), max(0.0, *numbers)
    if _is_wide(predictions):
        sizes = _sizes(predictions)
        # What is smaller than that is as good as 0: noise is not worth the room of its decades.
        smallest = max(NOISE, float(np.quantile(sizes, 0.1)))
        threshold = 10.0 ** np.floor(np.log10(smallest))
        for axis in ("x", "y"):
            getattr(axes, f"set_{axis}scale")("symlog", linthresh=threshold, linscale=0.8)
        limits = (1.3 * low - 0.1 * threshold, 1.6 * high)
        _plain_ticks(axes, limits, float(threshold))
    else:
        room = 0.05 * (high - low) or 1.0
        limits = (low - room, high + room)
    axes.set_xlim(*limits)
    axes.set_ylim(*limits)
    axes.axline((0, 0), (high or 1, high or 1), color=LINES, linewidth=1.0, zorder=1)


def _plain_ticks(axes: Axes, limits: tuple[float, float], threshold: float) -> None:
    """Powers of ten as plain numbers."""
    first, last = round(np.log10(threshold)), int(np.floor(np.log10(limits[1])))
    powers = [10.0**power for power in range(first, last + 1)]
    ticks = [*(-power for power in reversed(powers) if -power >= limits[0]), 0.0, *powers]
    names = [f"{tick:g}" for tick in ticks]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.minorticks_off()


def _name_farthest(axes: Axes, predictions: Sequence[Prediction], below: int) -> None:
    """Number the points that lie farthest off; names at the side, so many lines below its top."""
    lines = int(_SIDE_TALL // chart.LINE) - below - 2
    worst = _farthest(predictions)[: max(0, min(NAMED_MAX, lines))]
    if worst:
        look = {"weight": "bold", "va": "top"}
        chart.beside(axes, "Farthest from the line", (1.04, 1), (0, -below * chart.LINE), **look)
    for number, each in enumerate(worst, 1):
        spot = (each.predicted, each.simulated)
        chart.beside(axes, str(number), spot, (4, 3), xycoords="data", size=chart.TEXT - 1)
        text = shortened(f"{number}  {each.label}", _SIDE, chart.TEXT)
        y = -(below + 0.25 + number) * chart.LINE
        chart.beside(axes, text, (1.04, 1), (0, y), va="top")


def _farthest(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Points off the line, the farthest first."""
    off = [each for each in predictions if each.predicted != each.simulated]
    return sorted(off, key=lambda each: -abs(each.predicted - each.simulated))
