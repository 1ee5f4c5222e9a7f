"""The picture of replays: what each policy accepts over time, how full and how cut up the fleet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING

from numaplace.models.cost import Term
from numaplace.models.fleet import Fleet
from numaplace.models.trace import Trace
from numaplace.models.units import MICRO
from numaplace.report.figures import chart
from numaplace.report.figures.figure_file import new_figure
from numaplace.report.figures.policy_style import Look, policy_looks
from numaplace.report.picture.geometry import Box, text_width
from numaplace.report.picture.palette import FAINT, vm_colours
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
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE = "Replay"
BANDS_MAX = 2
_WIDTH = 720.0
_ABOVE, _TALL, _BELOW, _TICKS, _BETWEEN = 36.0, 132.0, 40.0, 30.0, 24.0
_STEP = _ABOVE + _TALL + _BELOW
_BAR, _BAR_STEP = 0.62, 22.0


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
    room = _WIDTH - 2 * chart.MARGIN
    head = chart.wrapped(f"{trace_words(trace, fleet)}.", room, most=2)
    head += [f"{stopped}." for stopped in stopped_words(found)]
    key_y = chart.head_height(head) + 4
    top = key_y + chart.key_height(list(looks), room) + 6
    terms = [term for term in LOSSES if any(each.peak_loss_micro[term] for each in found)]
    figure = new_figure(_WIDTH, top + _STEP * (3 if terms else 2))
    chart.write_head(figure, TITLE, head)
    chart.write_key(figure, chart.MARGIN, key_y, room, looks)
    first, second = (_boxes(top + row * _STEP, 2) for row in range(2))
    _draw_accepted(figure, first[0], lines)
    _draw_cpu(figure, first[1], lines, found)
    _draw_fragmentation(figure, second[0], lines)
    _draw_latency(figure, second[1], found, looks)
    if len(looks) == 1 and terms:
        _draw_stack(figure, _boxes(top + 2 * _STEP, 1)[0], lines, terms)
    else:
        for term, box in zip(terms, _boxes(top + 2 * _STEP, len(terms)), strict=True):
            _draw_loss(figure, box, lines, term)
    return figure


def _lines(replays: Mapping[str, Replay], looks: Mapping[str, Look], begin_ms: int) -> _Lines:
    samples = {name: replays[name].samples for name in looks}
    last_ms = max(sample.time_ms for found in samples.values() for sample in found)
    unit, unit_ms = time_unit(last_ms - begin_ms)
    return _Lines(samples, looks, begin_ms, unit, unit_ms)


def _boxes(top: float, count: int) -> list[Box]:
    """Frames of the panels of one row."""
    room = _WIDTH - 2 * chart.MARGIN + _BETWEEN
    step = room / max(1, count)
    wide = step - _TICKS - _BETWEEN
    left = chart.MARGIN + _TICKS
    return [Box(left + at * step, top + _ABOVE, wide, _TALL) for at in range(count)]


def _titled(figure: Figure, box: Box, title: str, note: str) -> Axes:
    """Axes with a title and a note above their upper left corner."""
    _write_titles(figure, box, title, note)
    return chart.panel(figure, box)


def _write_titles(figure: Figure, box: Box, title: str, note: str) -> None:
    left = box.x - _TICKS
    chart.write(figure, left, box.y - 31, title, chart.NAME, weight="bold")
    chart.write(figure, left, box.y - 17, note, color=FAINT)


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
    axes.set_xlabel(f"{lines.unit} since the first VM", size=chart.TEXT, color=FAINT)


def _draw_accepted(figure: Figure, box: Box, lines: _Lines) -> None:
    axes = _titled(figure, box, "Accepted so far", "% of the VMs that have arrived")
    _draw_lines(axes, lines, lambda sample: 100 * sample.accepted / sample.seen)
    low, high = axes.get_ylim()
    axes.set_ylim(max(0.0, low), min(100.5, high) if high - low > 1 else high)


def _draw_cpu(figure: Figure, box: Box, lines: _Lines, found: Sequence[ReplaySummary]) -> None:
    banded = list(lines.looks)
    note = "% of the vCPUs in use; shaded: 10 to 90 % of the nodes"
    if len(banded) > BANDS_MAX:
        banded = [max(found, key=lambda each: each.vcpu_ms).policy]
        note = f"% of the vCPUs in use; shaded: 10 to 90 % of the nodes of {banded[0]}"
    axes = _titled(figure, box, "CPU", note)
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


def _draw_fragmentation(figure: Figure, box: Box, lines: _Lines) -> None:
    note = "% of the free vCPUs that a usual VM cannot use"
    axes = _titled(figure, box, "Fragmentation", note)
    _draw_lines(axes, lines, lambda sample: 100 * sample.fragmentation)
    axes.set_ylim(bottom=0)


def _draw_loss(figure: Figure, box: Box, lines: _Lines, term: Term) -> None:
    name = words.term_name(term)
    axes = _titled(figure, box, f"Loss by {name}", "vCPUs")
    _draw_lines(axes, lines, lambda sample: getattr(sample, LOSSES[term]) / MICRO)
    axes.set_ylim(bottom=0)


def _draw_stack(figure: Figure, box: Box, lines: _Lines, terms: Sequence[Term]) -> None:
    """Losses of the only policy, one on another; with their key above."""
    (name,) = lines.looks
    axes = _titled(figure, box, "Loss by term", "vCPUs")
    colours = vm_colours(term.value for term in Term)
    samples = lines.samples[name]
    stacked = [[getattr(sample, LOSSES[term]) / MICRO for sample in samples] for term in terms]
    axes.stackplot(
        lines.times(name), stacked, colors=[colours[term.value] for term in terms], linewidth=0
    )
    axes.set_ylim(bottom=0)
    _time_axis(axes, lines)
    x = box.x - _TICKS + 60
    for term in terms:
        chart.write(figure, x, box.y - 17, "■", color=colours[term.value])
        chart.write(figure, x + 11, box.y - 17, words.term_name(term))
        x += 30 + text_width(words.term_name(term), chart.TEXT)


def _draw_latency(
    figure: Figure, box: Box, found: Sequence[ReplaySummary], looks: Mapping[str, Look]
) -> None:
    """Bars to the 99th percentile, the part up to the median darker."""
    _write_titles(figure, box, "Time of a decision", "µs: median / 99th percentile")
    timed = [(each.policy, each.p50_us, each.p99_us) for each in found if each.p50_us]
    if not timed:
        return
    numbers = [f"{micros(p50)} / {micros(p99 or 0)}" for _, p50, p99 in timed]
    names = max(text_width(name, chart.TEXT) for name, _, _ in timed)
    left = box.x - _TICKS + names + 8
    right = box.right - 8 - max(text_width(text, chart.TEXT) for text in numbers)
    step = min(_BAR_STEP, box.height / len(timed))
    inner = Box(left, box.y, right - left, step * len(timed))
    axes = chart.panel(figure, inner)
    lowest = 10.0 ** floor(log10(min(p50 for _, p50, _ in timed) / 1.5))
    _log_axis(axes, lowest, 1.1 * max(p99 or 0 for _, _, p99 in timed))
    axes.set_ylim(len(timed) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_yticks(range(len(timed)), [name for name, _, _ in timed])
    axes.set_xlabel("µs, on a logarithmic scale", size=chart.TEXT, color=FAINT)
    for at, ((name, *ends), text) in enumerate(zip(timed, numbers, strict=True)):
        for end, alpha in zip(ends, (0.9, 0.4), strict=True):
            longer = (end or 0) - lowest
            axes.barh(at, longer, _BAR, lowest, color=looks[name].colour, alpha=alpha, linewidth=0)
        y = inner.y + (at + 0.5) * step
        chart.write(figure, box.right, y, text, ha="right", va="center_baseline")


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
