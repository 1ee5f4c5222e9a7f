"""The picture of an online comparison: how far each policy stays below the optimum, by load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from numaplace.models.schedule import Goal
from numaplace.report.figures import chart
from numaplace.report.figures.figure_file import new_figure
from numaplace.report.figures.policy_style import emphasis, policy_order
from numaplace.report.picture.geometry import Box, text_width
from numaplace.report.picture.palette import FAINT, INK, WHITE
from numaplace.report.tables import words
from numaplace.report.tables.online_summary import (
    LoadSummary,
    gaps_of,
    known_goals,
    load_summaries,
    rows_by_load,
)
from numaplace.report.tables.online_words import (
    NOTHING_COMPARED,
    load_words,
    missing_words,
    percent,
)
from numaplace.solver.compare.policies import Comparison, PolicyRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS_MAX = 4
DOTS_MAX = 200
TITLE = "Online policies below the best offline plan"
_KEY = (
    "Box: the middle half of the windows, line in it: the median (number on the right), whiskers: "
    "10 to 90 % of the windows, dots: single windows. Blue: numaplace, grey: other policies."
)
_WHOLE, _NARROW, _ROW = 520.0, 200.0, 19.0
_ABOVE, _BELOW, _MEDIANS = 34.0, 40.0, 46.0
_BESIDE = _MEDIANS + 18
_BOX = 0.56
_WORTH = {
    Goal.VALUE: "vCPU time lost, % of the optimum",
    Goal.COUNT: "VMs lost, % of the optimum",
    Goal.PREFIX: "shortfall, % of the optimum",
}
_NAMES = {Goal.VALUE: "Value", Goal.COUNT: "Count", Goal.PREFIX: "Prefix"}


@dataclass(frozen=True, slots=True)
class _Panel:
    """One goal at one load."""

    goal: Goal
    summary: LoadSummary
    rows: Sequence[PolicyRow]
    policies: Sequence[str]
    longest: float

    @property
    def title(self) -> tuple[str, str]:
        """What is shown, and how well its optima are known."""
        name = f"{_NAMES[self.goal]}, {load_words(self.summary.load).lower()}"
        count = self.summary.solved.get(self.goal, 0)
        proven = f"optimum proven on {self.summary.proven.get(self.goal, 0)}"
        return name, f"{words.plural(count, 'window')}, {proven}"


def gap_figure(comparison: Comparison) -> Figure:
    """Draw the gaps of a comparison: a column a load, a row a goal (value, prefix).

    All panels of a row are to one scale. Other goals are drawn only where these have no optimum.
    """
    known = known_goals(comparison)
    goals = [goal for goal in (Goal.VALUE, Goal.PREFIX) if goal in known] or known
    if not goals:
        message = "The optimum of no window is known." if comparison.rows else NOTHING_COMPARED
        return chart.message_figure(TITLE, message)
    policies = policy_order(row.policy for row in comparison.rows)
    left = chart.MARGIN + 8 + max(text_width(name, chart.TEXT) for name in policies)
    by_load, summaries = rows_by_load(comparison), load_summaries(comparison)
    rows = -(-len(summaries) // COLUMNS_MAX)
    columns = -(-len(summaries) // rows)
    wide = max(_NARROW, (_WHOLE - left) / columns - _BESIDE)
    width = left + columns * (wide + _BESIDE)
    lines = _head_lines(comparison, width - 2 * chart.MARGIN)
    top, tall = chart.head_height(lines) + 8, _ROW * len(policies)
    blocks = [summaries[at : at + columns] for at in range(0, len(summaries), columns)]
    step = _ABOVE + tall + _BELOW
    figure = new_figure(width, top + step * len(goals) * len(blocks))
    chart.write_head(figure, TITLE, lines)
    for row, (block, goal) in enumerate((block, goal) for block in blocks for goal in goals):
        longest = 100 * max(gaps_of(comparison.rows, goal))
        for column, summary in enumerate(block):
            box = Box(left + column * (wide + _BESIDE), top + row * step + _ABOVE, wide, tall)
            one = _Panel(goal, summary, by_load[summary.load], policies, longest)
            _draw_panel(figure, box, one, named=column == 0)
    return figure


def _head_lines(comparison: Comparison, room: float) -> list[str]:
    lines = chart.wrapped(_KEY, room)
    if not all(optimum.proven for optimum in comparison.optima):
        note = "Where the optimum is not proven, gaps are to its upper bound, so upper limits."
        lines += chart.wrapped(note, room)
    if comparison.missing:
        lines += chart.wrapped(f"{missing_words(comparison.missing)}.", room)
    return lines


def _draw_panel(figure: Figure, box: Box, one: _Panel, *, named: bool) -> None:
    axes = chart.panel(figure, box)
    title, note = one.title
    chart.write(figure, box.x, box.y - 28, title, chart.NAME, weight="bold")
    chart.write(figure, box.x, box.y - 14, note, color=FAINT)
    chart.write(figure, box.right + _MEDIANS, box.y - 14, "median", color=FAINT, ha="right")
    axes.set_xlim(0, 1.04 * one.longest or 1)
    axes.set_ylim(len(one.policies) - 0.5, -0.5)
    axes.set_yticks(range(len(one.policies)), one.policies if named else [])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(_WORTH[one.goal], size=chart.TEXT, color=FAINT)
    for at, policy in enumerate(one.policies):
        gaps = gaps_of((row for row in one.rows if row.policy == policy), one.goal)
        if gaps:
            _draw_gaps(axes, at, [100 * gap for gap in gaps], emphasis(policy))
        median = f"{percent(float(np.median(gaps)))} %" if gaps else "none"
        y = box.y + (at + 0.5) * _ROW
        chart.write(figure, box.right + _MEDIANS, y, median, ha="right", va="center_baseline")


def _draw_gaps(axes: Axes, at: int, gaps: Sequence[float], colour: str) -> None:
    low, first, middle, third, high = np.quantile(gaps, (0.1, 0.25, 0.5, 0.75, 0.9)).tolist()
    axes.plot([low, high], [at, at], color=colour, linewidth=1.1, zorder=2)
    axes.barh(at, third - first, _BOX, first, color=colour, alpha=0.45, linewidth=0, zorder=2.1)
    # Spread by the golden ratio: neighbours in time lie apart, and a picture drawn again is equal.
    spots = (np.arange(len(gaps)) * 0.618034 % 1 - 0.5) * _BOX * 0.8
    every = max(1, -(-len(gaps) // DOTS_MAX))
    axes.scatter(
        gaps[::every],
        (at + spots)[::every],
        s=5,
        color=colour,
        edgecolors=WHITE,
        linewidths=0.3,
        alpha=0.8,
        zorder=2.2,
        clip_on=False,
    )
    ends = [at - _BOX / 2, at + _BOX / 2]
    (line,) = axes.plot([middle, middle], ends, color=INK, linewidth=1.6, zorder=2.6)
    line.set(solid_capstyle="butt", clip_on=False)
