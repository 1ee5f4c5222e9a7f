"""The bar chart of the talk: throughput of three configurations by number of VMs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from numaplace.report.figures import chart
from numaplace.report.figures.figure_file import new_figure
from numaplace.report.picture.geometry import Box, text_width
from numaplace.report.picture.palette import FAINT, INK, WHITE
from numaplace.report.tables import talk_words
from numaplace.solver.simulator.talk import SPECJBB, Configuration
from numaplace.solver.simulator.talk_run import Experiment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "SPECjbb2005 on the talk's host, simulated"
# Hues of Okabe and Ito of different lightness, so that they differ in grey as well.
COLOURS = {
    Configuration.ALL_CPUS: "#c9ced6",
    Configuration.AUTO_PINNING: "#e69f00",
    Configuration.AUTO_AFFINITY: "#0072b2",
}
PUBLISHED = {
    Configuration.ALL_CPUS: 2 * SPECJBB.unpinned,
    Configuration.AUTO_PINNING: 2 * SPECJBB.pinned,
}
"""Throughput of both VMs of the two-VM row."""

_HATCH = "////"
_WIDTH, _TALL = 620.0, 260.0
_AXIS, _SCALE = 34.0, 16.0
_BAR = 0.27
_LINE = chart.LEADING * chart.TEXT
_THOUSAND = 1000.0


@dataclass(frozen=True, slots=True)
class _Key:
    """An entry of the key: a colour, a hatch, or a marker."""

    text: str
    colour: str = WHITE
    hatch: str = ""
    marker: str = ""


def talk_figure(experiment: Experiment) -> Figure:
    """Draw the experiment: a group of bars a number of VMs, and what each gains on all-cpus."""
    if not experiment.points:
        return chart.message_figure(TITLE, talk_words.NOTHING_RUN)
    room = _WIDTH - 2 * chart.MARGIN
    lines = _head_lines(experiment, room)
    keys = _keys(experiment)
    key_y = chart.head_height(lines) + 4
    top = key_y + _key_rows(keys, room) * _LINE + 22
    names = max(text_width(name, chart.TEXT) for name in Configuration)
    left = chart.MARGIN + max(names, _AXIS) + 10
    box = Box(left, top, _WIDTH - chart.MARGIN - left, _TALL)
    below = box.bottom + _SCALE + 2 * _LINE
    figure = new_figure(_WIDTH, below + (len(Configuration) - 1) * _LINE + 8)
    chart.write_head(figure, TITLE, lines)
    _draw_keys(figure, key_y, keys, room)
    axes = chart.panel(figure, box)
    chart.write(figure, chart.MARGIN, top - 16, "thousand bops, all VMs together", color=FAINT)
    _draw_bars(axes, experiment)
    _write_gains(figure, box, below, experiment)
    return figure


def _head_lines(experiment: Experiment, room: float) -> list[str]:
    clauses = [
        f"Bars: mean of {talk_words.setup_words(experiment)}; lines: one standard deviation; "
        f"{talk_words.calibration_words(experiment)}."
    ]
    if experiment.missing:
        clauses.append(f"{talk_words.missing_words(experiment)}.")
    return [line for clause in clauses for line in chart.wrapped(clause, room)]


# ---- key ----------------------------------------------------------------------------------------


def _keys(experiment: Experiment) -> list[_Key]:
    shown = {point.configuration for point in experiment.points}
    keys = [_Key(str(each), COLOURS[each]) for each in Configuration if each in shown]
    if any(point.calibrated for point in experiment.points):
        keys.append(_Key("calibrated on", WHITE, _HATCH))
        keys.append(_Key("published", INK, marker="D"))
    return keys


def _key_step(keys: list[_Key]) -> float:
    return 32 + max(text_width(key.text, chart.TEXT) for key in keys)


def _key_rows(keys: list[_Key], room: float) -> int:
    columns = max(1, int(room // _key_step(keys)))
    return -(-len(keys) // columns)


def _draw_keys(figure: Figure, y: float, keys: list[_Key], room: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    width, height = (72 * float(inches) for inches in figure.get_size_inches())
    columns = max(1, int(room // _key_step(keys)))
    for index, key in enumerate(keys):
        row, column = divmod(index, columns)
        x, middle = chart.MARGIN + column * _key_step(keys), y + (row + 0.5) * _LINE
        if key.marker:
            spot = Line2D([(x + 7) / width], [1 - middle / height], color=key.colour)
            spot.set(marker=key.marker, markersize=5, linestyle="none")
            figure.add_artist(spot)
        else:
            corner = (x / width, 1 - (middle + 4) / height)
            figure.add_artist(
                Rectangle(
                    corner,
                    14 / width,
                    8 / height,
                    transform=figure.transFigure,
                    facecolor=key.colour,
                    edgecolor=INK if key.hatch else key.colour,
                    hatch=key.hatch,
                    linewidth=0.5,
                )
            )
        chart.write(figure, x + 19, middle, key.text, va="center_baseline")


# ---- bars ---------------------------------------------------------------------------------------


def _draw_bars(axes: Axes, experiment: Experiment) -> None:
    counts = experiment.setup.counts
    highest = 0.0
    for at, configuration in enumerate(Configuration):
        for group, count in enumerate(counts):
            point = experiment.point(configuration, count)
            if point is None:
                continue
            x, mean = group + (at - 1) * _BAR, point.mean / _THOUSAND
            highest = max(highest, mean + point.deviation / _THOUSAND)
            axes.bar(
                x,
                mean,
                _BAR * 0.92,
                color=COLOURS[configuration],
                edgecolor=INK if point.calibrated else COLOURS[configuration],
                hatch=_HATCH if point.calibrated else "",
                linewidth=0.5,
                zorder=2,
            )
            if len(point.scores) > 1:
                deviation = point.deviation / _THOUSAND
                axes.errorbar(x, mean, deviation, color=INK, elinewidth=0.9, capsize=2.5, zorder=3)
            if point.calibrated:
                published = PUBLISHED[configuration] / _THOUSAND
                beside = x - 0.3 * _BAR  # where it does not hide the deviation
                axes.plot(beside, published, "D", color=INK, ms=5, markeredgecolor=WHITE, zorder=4)
                highest = max(highest, published)
    axes.set_xlim(-0.55, len(counts) - 0.45)
    axes.set_ylim(0, 1.06 * highest)
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", length=0)
    axes.set_xticks(range(len(counts)), [f"{count} VM{'s' * (count > 1)}" for count in counts])


def _write_gains(figure: Figure, box: Box, y: float, experiment: Experiment) -> None:
    """A row a configuration under the groups: how many percent more than all-cpus."""
    chart.write(figure, chart.MARGIN, y - _LINE, "% over all-cpus", color=FAINT)
    counts = experiment.setup.counts
    for row, configuration in enumerate(c for c in Configuration if c != Configuration.ALL_CPUS):
        middle = y + (row + 0.5) * _LINE
        chart.write(figure, chart.MARGIN, middle, str(configuration), va="center_baseline")
        for group, count in enumerate(counts):
            point = experiment.point(configuration, count)
            if point is not None:
                x = box.x + (group + 0.55) / (len(counts) + 0.1) * box.width
                text = talk_words.gain(experiment.gain(point))
                chart.write(figure, x, middle, text, ha="center", va="center_baseline")
