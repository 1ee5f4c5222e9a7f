"""The picture of who ran where: a row a pCPU, by node, one colour a VM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from numaplace.report.figures import chart
from numaplace.report.figures.figure_file import new_figure
from numaplace.report.picture.geometry import Box, shortened, text_width
from numaplace.report.picture.palette import FAINT, PAPER, WHITE, vm_colours
from numaplace.report.tables import words
from numaplace.solver.simulator.runs import Timeline
from numaplace.solver.simulator.scenario import US_PER_MS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEY_MAX = 16
HOSTS_MAX = 4
TITLE = "Who ran where"
_WIDTH = 760.0
_TALL, _ROW_MAX, _ROW_MIN = 420.0, 13.0, 2.0
_NODE_GAP = 0.6
_BAR = 0.86
_ABOVE, _BELOW = 26.0, 40.0
_NAME_MAX = 90.0
_SWATCH = 12.0
_EDGED_MAX = 4000


def timeline_figure(timelines: Sequence[Timeline], subtitle: str = "") -> Figure:
    """Draw who ran where on at most `HOSTS_MAX` hosts; blank means idle."""
    shown = timelines[:HOSTS_MAX]
    if not shown:
        return chart.message_figure(TITLE, "Nothing was simulated.")
    vms = list(dict.fromkeys(vm for timeline in shown for vm in timeline.vms))
    colours = vm_colours(vms)
    room = _WIDTH - 2 * chart.MARGIN
    lines = chart.wrapped(_head_words(timelines, subtitle), room)
    key = _key_words(vms)
    columns = max(1, int(room // _key_step(key)))
    key_y = chart.head_height(lines) + 4
    top = key_y - (-len(key) // columns) * chart.LEADING * chart.TEXT + 4
    heights = [_height(timeline, len(shown)) for timeline in shown]
    figure = new_figure(_WIDTH, top + sum(_ABOVE + tall + _BELOW for tall in heights))
    chart.write_head(figure, TITLE, lines)
    _draw_key(figure, key_y, columns, key, list(colours.values())[:KEY_MAX])
    for timeline, tall in zip(shown, heights, strict=True):
        _draw_host(figure, top + _ABOVE, tall, timeline, colours)
        top += _ABOVE + tall + _BELOW
    return figure


def _head_words(timelines: Sequence[Timeline], subtitle: str) -> str:
    clauses = [subtitle] if subtitle else []
    clauses.append("blank: the pCPU idles")
    if len(timelines) > HOSTS_MAX:
        more = words.plural(len(timelines) - HOSTS_MAX, "more host")
        clauses.append(f"and {more}, not shown")
    return "; ".join(clauses)


def _height(timeline: Timeline, hosts: int) -> float:
    rows = len(timeline.pcpu_ids) + _NODE_GAP * (len(set(timeline.node_of)) - 1)
    return rows * min(_ROW_MAX, max(_ROW_MIN, _TALL / hosts / rows))


def _key_words(vms: Sequence[str]) -> list[str]:
    names = [shortened(vm, _NAME_MAX, chart.TEXT, middle=True) or "…" for vm in vms[:KEY_MAX]]
    more = len(vms) - KEY_MAX
    return [*names, f"and {words.plural(more, 'more VM')}"] if more > 0 else names


def _key_step(key: Sequence[str]) -> float:
    return _SWATCH + 14 + max((text_width(name, chart.TEXT) for name in key), default=0.0)


def _draw_key(
    figure: Figure, y: float, columns: int, key: Sequence[str], hues: Sequence[str]
) -> None:
    """Names after squares of their colour; what names no VM has no square."""
    for index, name in enumerate(key):
        row, column = divmod(index, columns)
        x = chart.MARGIN + column * _key_step(key)
        middle = y + (row + 0.5) * chart.LEADING * chart.TEXT
        if index < len(hues):
            chart.write(figure, x, middle, "■", color=hues[index], va="center_baseline")
            x += _SWATCH
        chart.write(figure, x, middle, name, va="center_baseline")


def _draw_host(
    figure: Figure, top: float, tall: float, timeline: Timeline, colours: Mapping[str, str]
) -> None:
    rows, ends = _rows(timeline)
    ids = [str(pcpu) for pcpu in timeline.pcpu_ids] if tall / ends >= chart.TEXT else []
    beside = max((text_width(pcpu, chart.TEXT) + 8 for pcpu in ids), default=4.0)
    names = [f"node {timeline.node_ids[node]}" for node in sorted(set(timeline.node_of))]
    left = chart.MARGIN + max(text_width(name, chart.TEXT) for name in names) + beside
    box = Box(left, top, _WIDTH - chart.MARGIN - 8 - left, tall)
    axes = chart.panel(figure, box)
    axes.grid(visible=False)
    axes.set_xlim(0, (timeline.end_us - timeline.start_us) / US_PER_MS or 1)
    axes.set_ylim(ends - 0.5, -0.5)
    axes.set_yticks(rows if ids else [], ids)
    axes.tick_params(axis="y", length=0)
    title = f"{timeline.host}: {words.plural(len(timeline.pcpu_ids), 'pCPU')}"
    title = shortened(title, box.right - chart.MARGIN, chart.NAME, bold=True)
    chart.write(figure, chart.MARGIN, box.y - 17, title, chart.NAME, weight="bold")
    _draw_segments(axes, timeline, rows, colours)
    _name_nodes(figure, box, axes, timeline, rows)
    when = f"ms, from {timeline.start_us / US_PER_MS:g} ms after the start on"
    axes.set_xlabel(when, size=chart.TEXT, color=FAINT)


def _rows(timeline: Timeline) -> tuple[list[float], float]:
    """Height of each pCPU's row, nodes one below the other; and where the last ends."""
    rows = [0.0] * len(timeline.node_of)
    y = 0.0
    for node in sorted(set(timeline.node_of)):
        for pcpu in (p for p, home in enumerate(timeline.node_of) if home == node):
            rows[pcpu] = y
            y += 1.0
        y += _NODE_GAP
    return rows, y - _NODE_GAP


def _draw_segments(
    axes: Axes, timeline: Timeline, rows: Sequence[float], colours: Mapping[str, str]
) -> None:
    from matplotlib.collections import PolyCollection

    by_vm: dict[str, list[list[tuple[float, float]]]] = {}
    for segment in timeline.segments:
        left, right = (
            (time - timeline.start_us) / US_PER_MS for time in (segment.start_us, segment.end_us)
        )
        low = rows[segment.pcpu] - _BAR / 2
        high = low + _BAR
        corners = [(left, low), (right, low), (right, high), (left, high)]
        by_vm.setdefault(segment.vcpu.rpartition("/")[0], []).append(corners)
    # Seams tell one vCPU from the next of the same VM, unless they would hide what they part.
    seam = 0.35 if len(timeline.segments) <= _EDGED_MAX else 0.0
    for vm in timeline.vms:
        if vm in by_vm:
            axes.add_collection(
                PolyCollection(
                    by_vm[vm], facecolors=colours[vm], edgecolors=WHITE, linewidths=seam, label=vm
                ),
                autolim=False,
            )


def _name_nodes(
    figure: Figure, box: Box, axes: Axes, timeline: Timeline, rows: Sequence[float]
) -> None:
    """Names of the nodes in the middle of their rows, those that have room."""
    step = box.height / abs(axes.get_ylim()[1] - axes.get_ylim()[0])
    last = 0.0
    for node in sorted(set(timeline.node_of)):
        of_node = [row for row, home in zip(rows, timeline.node_of, strict=True) if home == node]
        low, high = min(of_node) - 0.5, max(of_node) + 0.5
        axes.axhspan(low, high, color=PAPER, linewidth=0, zorder=0)
        y = box.y + ((low + high) / 2 + 0.5) * step
        if y - last >= chart.LEADING * chart.TEXT:
            name = f"node {timeline.node_ids[node]}"
            chart.write(figure, chart.MARGIN, y, name, color=FAINT, va="center_baseline")
            last = y
