"""The picture of who ran where: a row a pCPU, by node, one colour a VM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from numaplace.report.figures import chart
from numaplace.report.picture.geometry import shortened, text_width
from numaplace.report.picture.palette import FAINT, PAPER, WHITE, vm_colours
from numaplace.report.tables import words
from numaplace.solver.simulator.runs import Timeline
from numaplace.solver.simulator.scenario import US_PER_MS

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEY_MAX = 16
HOSTS_MAX = 4
TITLE = "Who ran where"
_WIDTH = 760.0
_TALL, _ROW_MAX, _ROW_MIN = 420.0, 13.0, 2.0
_NODE_GAP = 0.6
_BAR = 0.86
_AROUND = 66.0
_NAME_MAX = 90.0
_EDGED_MAX = 4000


def timeline_figure(timelines: Sequence[Timeline], subtitle: str = "") -> Figure:
    """Draw who ran where on at most `HOSTS_MAX` hosts; blank means idle."""
    shown = timelines[:HOSTS_MAX]
    if not shown:
        return chart.message_figure(TITLE, "Nothing was simulated.")
    vms = list(dict.fromkeys(vm for timeline in shown for vm in timeline.vms))
    colours = vm_colours(vms)
    heights = [_height(timeline, len(shown)) for timeline in shown]
    tall = sum(heights) + _AROUND * len(heights)
    figure = chart.new_chart(_WIDTH, tall, TITLE, [_head_words(timelines, subtitle)], _key(vms))
    grid = figure.subplots(len(shown), squeeze=False, height_ratios=heights)
    for axes, timeline, height in zip(grid.flat, shown, heights, strict=True):
        _draw_host(axes, height, timeline, colours)
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


def _key(vms: Sequence[str]) -> list[tuple[str, Artist]]:
    """Names with their colours; what names no VM has none."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    names = [shortened(vm, _NAME_MAX, chart.TEXT, middle=True) or "…" for vm in vms[:KEY_MAX]]
    key: list[tuple[str, Artist]] = [
        (name, Patch(color=colour))
        for name, colour in zip(names, vm_colours(vms).values(), strict=False)
    ]
    more = len(vms) - KEY_MAX
    if more > 0:
        key.append((f"and {words.plural(more, 'more VM')}", Line2D([], [], linestyle="none")))
    return key


def _draw_host(axes: Axes, tall: float, timeline: Timeline, colours: Mapping[str, str]) -> None:
    rows, ends = _rows(timeline)
    title = f"{timeline.host}: {words.plural(len(timeline.pcpu_ids), 'pCPU')}"
    when = f"ms, from {timeline.start_us / US_PER_MS:g} ms after the start on"
    chart.styled(axes, shortened(title, _WIDTH - 90, chart.NAME, bold=True), x=when)
    ids = [str(pcpu) for pcpu in timeline.pcpu_ids] if tall / ends >= chart.TEXT else []
    axes.grid(visible=False)
    axes.set_xlim(0, (timeline.end_us - timeline.start_us) / US_PER_MS or 1)
    axes.set_ylim(ends - 0.5, -0.5)
    axes.set_yticks(rows if ids else [], ids)
    axes.tick_params(axis="y", length=0)
    _draw_segments(axes, timeline, rows, colours)
    _name_nodes(axes, tall / ends, timeline, rows, ids)


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
    axes: Axes, step: float, timeline: Timeline, rows: Sequence[float], ids: Sequence[str]
) -> None:
    """Names of the nodes in the middle of their rows, those that have room."""
    left = 8 + max((text_width(pcpu, chart.TEXT) for pcpu in ids), default=0.0)
    last = -chart.LINE
    for node in sorted(set(timeline.node_of)):
        of_node = [row for row, home in zip(rows, timeline.node_of, strict=True) if home == node]
        low, high = min(of_node) - 0.5, max(of_node) + 0.5
        axes.axhspan(low, high, color=PAPER, linewidth=0, zorder=0)
        middle = (low + high) / 2
        if (middle * step) - last >= chart.LINE:
            look = {"xycoords": axes.get_yaxis_transform(), "va": "center", "ha": "right"}
            name = f"node {timeline.node_ids[node]}"
            chart.beside(axes, name, (0, middle), (-left, 0), color=FAINT, **look)
            last = middle * step
