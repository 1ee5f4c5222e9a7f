"""The bar chart of the talk: throughput of three configurations by number of VMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numaplace.report.figures import chart
from numaplace.report.picture.palette import FAINT, INK, WHITE
from numaplace.report.tables import talk
from numaplace.solver.simulator.talk import Configuration, published
from numaplace.solver.simulator.talk_run import Experiment

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "SPECjbb2005 on the talk's host, simulated"
# Hues of Okabe and Ito of different lightness, so that they differ in grey as well.
COLOURS = {
    Configuration.ALL_CPUS: "#c9ced6",
    Configuration.AUTO_PINNING: "#e69f00",
    Configuration.AUTO_AFFINITY: "#0072b2",
}
_HATCH = "////"
_WIDTH, _TALL = 620.0, 350.0
_BAR = 0.27
_THOUSAND = 1000.0


def talk_figure(experiment: Experiment) -> Figure:
    """Draw the experiment: a group of bars a number of VMs, and what each gains on all-cpus."""
    if not experiment.points:
        return chart.message_figure(TITLE, talk.NOTHING_RUN)
    clauses = [
        f"Bars: mean of {talk.setup_words(experiment)}; lines: one standard deviation, of "
        "repetitions and calibration; "
        f"{talk.calibration_words(experiment)}."
    ]
    if experiment.missing:
        clauses.append(f"{talk.missing_words(experiment)}.")
    figure = chart.new_chart(_WIDTH, _TALL, TITLE, clauses, _key(experiment))
    axes = chart.styled(figure.subplots(), note="thousand bops, all VMs together")
    _draw_bars(axes, experiment)
    _write_gains(axes, experiment)
    return figure


def _key(experiment: Experiment) -> list[tuple[str, Artist]]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown = {point.configuration for point in experiment.points}
    key: list[tuple[str, Artist]] = [
        (str(each), Patch(color=COLOURS[each])) for each in Configuration if each in shown
    ]
    if any(point.calibrated for point in experiment.points):
        hatched = Patch(facecolor=WHITE, edgecolor=INK, hatch=_HATCH, linewidth=0.5)
        mark = Line2D([], [], color=INK, marker="D", markersize=5, linestyle="none")
        key += [("calibrated on", hatched), ("published", mark)]
    return key


def _draw_bars(axes: Axes, experiment: Experiment) -> None:
    counts = experiment.setup.counts
    highest = 0.0
    for at, configuration in enumerate(Configuration):
        for group, count in enumerate(counts):
            point = experiment.point(configuration, count)
            if point is None:
                continue
            x, mean = group + (at - 1) * _BAR, point.mean / _THOUSAND
            highest = max(highest, mean + point.uncertainty / _THOUSAND)
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
                deviation = point.uncertainty / _THOUSAND
                axes.errorbar(x, mean, deviation, color=INK, elinewidth=0.9, capsize=2.5, zorder=3)
            known = published(configuration, count)
            if known is not None:
                all_vms = count * known.value / _THOUSAND
                beside = x - 0.3 * _BAR  # where it does not hide the deviation
                axes.plot(beside, all_vms, "D", color=INK, ms=5, markeredgecolor=WHITE, zorder=4)
                highest = max(highest, all_vms)
    axes.set_xlim(-0.55, len(counts) - 0.45)
    axes.set_ylim(0, 1.06 * highest)
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", length=0)
    axes.set_xticks(range(len(counts)), [f"{count} VM{'s' * (count > 1)}" for count in counts])


def _write_gains(axes: Axes, experiment: Experiment) -> None:
    """A row a configuration under the groups: how many percent more than all-cpus."""
    chart.beside(axes, "% over all-cpus", (0, 0), (-12, -30), color=FAINT, ha="right")
    for row, configuration in enumerate(c for c in Configuration if c != Configuration.ALL_CPUS):
        y = -30 - (row + 1) * chart.LINE
        chart.beside(axes, str(configuration), (0, 0), (-12, y), ha="right")
        for group, count in enumerate(experiment.setup.counts):
            point = experiment.point(configuration, count)
            if point is not None:
                text, where = talk.gain(experiment.gain(point)), axes.get_xaxis_transform()
                chart.beside(axes, text, (group, 0), (0, y), xycoords=where, ha="center")
