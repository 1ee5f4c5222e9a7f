"""The picture of an online comparison: how far each policy stays below the optimum, by load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from numaplace.models.schedule import Goal
from numaplace.report.figures import chart
from numaplace.report.figures.policy_style import emphasis, policy_order
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
_WHOLE, _NARROW, _ROW, _MEDIANS = 560.0, 262.0, 19.0, 46.0
_BOX = 0.56
_WORTH = {
    Goal.VALUE: "vCPU time lost, % of the optimum",
    Goal.COUNT: "VMs lost, % of the optimum",
    Goal.PREFIX: "shortfall, % of the optimum",
}
_NAMES = {Goal.VALUE: "Value", Goal.COUNT: "Count", Goal.PREFIX: "Prefix"}


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
    by_load, summaries = rows_by_load(comparison), load_summaries(comparison)
    blocks = -(-len(summaries) // COLUMNS_MAX)
    columns = -(-len(summaries) // blocks)
    rows, tall = blocks * len(goals), _ROW * len(policies) + 78
    width = max(_WHOLE, 90 + columns * _NARROW)
    figure = chart.new_chart(width, rows * tall, TITLE, _clauses(comparison))
    grid = figure.subplots(rows, columns, squeeze=False, sharex="row", sharey=True)
    for at, axes in enumerate(grid.flat):
        row, column = divmod(at, columns)
        place = row // len(goals) * columns + column
        if place >= len(summaries):
            axes.remove()
            continue
        goal, summary = goals[row % len(goals)], summaries[place]
        _draw_panel(axes, goal, summary, by_load[summary.load], policies)
        axes.set_xlim(0, 104 * max(gaps_of(comparison.rows, goal)) or 1)
    return figure


def _clauses(comparison: Comparison) -> list[str]:
    clauses = [_KEY]
    if not all(optimum.proven for optimum in comparison.optima):
        clauses.append(
            "Where the optimum is not proven, gaps are to its upper bound, so upper limits."
        )
    if comparison.missing:
        clauses.append(f"{missing_words(comparison.missing)}.")
    return clauses


def _draw_panel(
    axes: Axes, goal: Goal, summary: LoadSummary, rows: Sequence[PolicyRow], policies: Sequence[str]
) -> None:
    """One goal at one load."""
    proven = f"optimum proven on {summary.proven.get(goal, 0)}"
    note = f"{words.plural(summary.solved.get(goal, 0), 'window')}, {proven}"
    title = f"{_NAMES[goal]}, {load_words(summary.load).lower()}"
    chart.styled(axes, title, note, x=_WORTH[goal])
    chart.name_rows(axes, policies)
    right = {"ha": "right", "va": "center"}
    chart.beside(axes, "median", (1, 1), (_MEDIANS, 7), color=FAINT, ha="right")
    for at, policy in enumerate(policies):
        gaps = gaps_of((row for row in rows if row.policy == policy), goal)
        if gaps:
            _draw_gaps(axes, at, [100 * gap for gap in gaps], emphasis(policy))
        median = f"{percent(float(np.median(gaps)))} %" if gaps else "none"
        beside = axes.get_yaxis_transform()
        chart.beside(axes, median, (1, at), (_MEDIANS, 0), xycoords=beside, **right)


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
