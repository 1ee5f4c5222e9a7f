"""The picture of replays: what each policy accepts over time, how full and how cut up the fleet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any

from numaplace.models.cost import Term
from numaplace.models.fleet import Fleet
from numaplace.models.trace import Trace
from numaplace.models.units import MICRO
from numaplace.report.figures import chart
from numaplace.report.figures.policy_style import Look, policy_looks
from numaplace.report.picture.palette import vm_colours
from numaplace.report.tables import words
from numaplace.report.tables.online_summary import LOSSES, ReplaySummary, replay_summary
from numaplace.report.tables.online_words import (
    NOTHING_REPLAYED,
    micros,
    stopped_words,
    time_unit,
    trace_words,
)
from numaplace.solver.placing.replay import Replay, Sample

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Replay"
BANDS_MAX = 2
_WIDTH, _TALL = 720.0, 208.0
_BAR, _BARS_MIN = 0.62, 6


@dataclass(frozen=True, slots=True)
class _Lines:
    """What all panels over time have in common."""

    samples: Mapping[str, Sequence[Sample]]
    looks: Mapping[str, Look]
    begin_ms: int
    unit: str
    unit_ms: int

    def times(self, name: str) -> list[float]:
        """Times of the samples of a policy, in the unit of the axis."""
        return [(sample.time_ms - self.begin_ms) / self.unit_ms for sample in self.samples[name]]


def replay_figure(replays: Mapping[str, Replay], trace: Trace, fleet: Fleet) -> Figure:
    """Draw replays of one trace over time, a line a policy, and the time their decisions take.

    Losses are stacked by term for one policy, and a panel a term for several.
    """
    if not any(replay.samples for replay in replays.values()):
        return chart.message_figure(TITLE, NOTHING_REPLAYED)
    looks = policy_looks(replays)
    found = [replay_summary(name, replays[name], trace) for name in looks]
    lines = _lines(replays, looks, int(trace.start_ms[0]))
    terms = [term for term in LOSSES if any(each.peak_loss_micro[term] for each in found)]
    losses = ["stack"] if len(looks) == 1 and terms else [str(term) for term in terms]
    half = max(1, len(losses))
    rows: list[Any] = [["accepted"] * half + ["cpu"] * half, ["cut up"] * half + ["time"] * half]
    rows += [[name for name in losses for _ in range(2)]] if losses else []
    room = _WIDTH - 2 * chart.MARGIN
    head = chart.wrapped(f"{trace_words(trace, fleet)}.", room, most=2)
    head += [f"{stopped}." for stopped in stopped_words(found)]
    figure = chart.new_chart(_WIDTH, _TALL * len(rows), TITLE, head, _key(looks))
    panels = figure.subplot_mosaic(rows)
    _draw_accepted(panels["accepted"], lines)
    _draw_cpu(panels["cpu"], lines, found)
    note = "% of the free vCPUs that a usual VM cannot use"
    chart.styled(panels["cut up"], "Fragmentation", note)
    _draw_lines(panels["cut up"], lines, lambda sample: 100 * sample.fragmentation)
    panels["cut up"].set_ylim(bottom=0)
    _draw_latency(panels["time"], found, looks)
    if losses == ["stack"]:
        _draw_stack(panels["stack"], lines, terms)
    else:
        for term in terms:
            _draw_loss(panels[str(term)], lines, term)
    return figure


def _key(looks: Mapping[str, Look]) -> list[tuple[str, Artist]]:
    from matplotlib.lines import Line2D

    def line(look: Look) -> Artist:
        return Line2D([], [], color=look.colour, linestyle=look.line, linewidth=look.width)

    return [(name, line(look)) for name, look in looks.items()]


def _lines(replays: Mapping[str, Replay], looks: Mapping[str, Look], begin_ms: int) -> _Lines:
    samples = {name: replays[name].samples for name in looks}
    last_ms = max(sample.time_ms for found in samples.values() for sample in found)
    unit, unit_ms = time_unit(last_ms - begin_ms)
    return _Lines(samples, looks, begin_ms, unit, unit_ms)


def _draw_lines(axes: Axes, lines: _Lines, number: Callable[[Sample], float]) -> None:
    for order, (name, look) in enumerate(lines.looks.items()):
        numbers = [number(sample) for sample in lines.samples[name]]
        axes.plot(
            lines.times(name),
            numbers,
            color=look.colour,
            linestyle=look.line,
            linewidth=look.width,
            # A line of one point is none.
            marker="o" if len(numbers) == 1 else "",
            markersize=4,
            clip_on=len(numbers) > 1,
            zorder=2 + order / 100,
        )
    _time_axis(axes, lines)


def _time_axis(axes: Axes, lines: _Lines) -> None:
    last = max(max(lines.times(name), default=0.0) for name in lines.looks)
    axes.set_xlim(0, last or 1)
    axes.set_xlabel(f"{lines.unit} since the first VM")


def _draw_accepted(axes: Axes, lines: _Lines) -> None:
    chart.styled(axes, "Accepted so far", "% of the VMs that have arrived")
    _draw_lines(axes, lines, lambda sample: 100 * sample.accepted / sample.seen)
    low, high = axes.get_ylim()
    axes.set_ylim(max(0.0, low), min(100.5, high) if high - low > 1 else high)


def _draw_cpu(axes: Axes, lines: _Lines, found: Sequence[ReplaySummary]) -> None:
    banded = list(lines.looks)
    note = "% of the vCPUs in use; shaded: 10 to 90 % of the nodes"
    if len(banded) > BANDS_MAX:
        banded = [max(found, key=lambda each: each.vcpu_ms).policy]
        note = f"% of the vCPUs in use; shaded: 10 to 90 % of the nodes of {banded[0]}"
    chart.styled(axes, "CPU", note)
    for name in banded:
        nodes = [sample.node_cpu for sample in lines.samples[name]]
        axes.fill_between(
            lines.times(name),
            [100 * low for low, _, _ in nodes],
            [100 * high for _, _, high in nodes],
            color=lines.looks[name].colour,
            alpha=0.16,
            linewidth=0,
        )
    _draw_lines(axes, lines, lambda sample: 100 * sample.cpu)
    axes.set_ylim(0, 102)


def _draw_loss(axes: Axes, lines: _Lines, term: Term) -> None:
    chart.styled(axes, f"Loss by {words.term_name(term)}", "vCPUs")
    _draw_lines(axes, lines, lambda sample: getattr(sample, LOSSES[term]) / MICRO)
    axes.set_ylim(bottom=0)


def _draw_stack(axes: Axes, lines: _Lines, terms: Sequence[Term]) -> None:
    """Losses of the only policy, one on another; with their key above."""
    (name,) = lines.looks
    chart.styled(axes, "Loss by term", "vCPUs")
    colours = vm_colours(term.value for term in Term)
    samples = lines.samples[name]
    stacked = [[getattr(sample, LOSSES[term]) / MICRO for sample in samples] for term in terms]
    fills = [colours[term.value] for term in terms]
    layers = axes.stackplot(lines.times(name), stacked, colors=fills, linewidth=0)
    axes.set_ylim(bottom=0)
    _time_axis(axes, lines)
    names = [words.term_name(term) for term in terms]
    axes.legend(layers, names, loc="lower right", bbox_to_anchor=(1, 1), ncols=9, **chart.KEY)


def _draw_latency(axes: Axes, found: Sequence[ReplaySummary], looks: Mapping[str, Look]) -> None:
    """Bars to the 99th percentile, the part up to the median darker."""
    where = "µs, on a logarithmic scale"
    chart.styled(axes, "Time of a decision", "µs: median / 99th percentile", where)
    timed = [(each.policy, each.p50_us, each.p99_us or 0) for each in found if each.p50_us]
    if not timed:
        axes.set_axis_off()
        return
    lowest = 10.0 ** floor(log10(min(p50 for _, p50, _ in timed) / 1.5))
    _log_axis(axes, lowest, 1.1 * max(p99 for _, _, p99 in timed))
    chart.name_rows(axes, [name for name, _, _ in timed], _BARS_MIN)
    beside: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "va": "center"}
    for at, (name, p50, p99) in enumerate(timed):
        for end, alpha in ((p50, 0.9), (p99, 0.4)):
            longer, colour = end - lowest, looks[name].colour
            axes.barh(at, longer, _BAR, lowest, color=colour, alpha=alpha, linewidth=0)
        chart.beside(axes, f"{micros(p50)} / {micros(p99)}", (1, at), (8, 0), **beside)


def _log_axis(axes: Axes, low: float, high: float) -> None:
    """A logarithmic axis with plain numbers: powers of ten, and 2 and 5 if these are few."""
    steps = (1, 2, 5) if high < 50 * low else (1,)
    first, last = floor(log10(low)), ceil(log10(high))
    ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    shown = [tick for tick in ticks if low <= tick <= high]
    axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
    axes.minorticks_off()
