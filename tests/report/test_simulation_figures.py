"""Figures of simulations: what is drawn is what was counted, and all of it can be read."""

from collections.abc import Callable, Iterator
from itertools import combinations, pairwise
from typing import Any

import pytest

from numaplace.report.figures.figure_file import figure_bytes
from numaplace.report.figures.scatter_figure import Prediction, scatter_figure
from numaplace.report.figures.talk_figure import COLOURS, talk_figure
from numaplace.report.figures.timeline_figure import KEY_MAX, timeline_figure
from numaplace.report.picture.geometry import Box
from numaplace.report.picture.palette import vm_colours
from numaplace.solver.simulator.counters import Segment
from numaplace.solver.simulator.runs import Timeline
from numaplace.solver.simulator.talk import VM_COUNTS, Configuration
from numaplace.tests.report.simulation_samples import experiment

pytest.importorskip("matplotlib")


def _timeline(pcpus: int = 4, nodes: int = 2, vms: int = 2, host: str = "host") -> Timeline:
    """Each pCPU runs one VM after the other for 10 ms, then idles; from 1 s to 1.1 s."""
    names = tuple(f"vm{n}" for n in range(vms))
    segments = [
        Segment(p, f"{names[(p + k) % vms]}/0", 1_000_000 + 10_000 * k, 1_010_000 + 10_000 * k)
        for p in range(pcpus)
        for k in range(9)
    ]
    node_of = tuple(p % nodes for p in range(pcpus))
    ids = tuple(range(100, 100 + pcpus))
    return Timeline(
        host, ids, node_of, tuple(range(nodes)), names, tuple(segments), 1_000_000, 1_100_000
    )


def _predictions(factor: float = 1.0) -> list[Prediction]:
    numbers = [(0.0, 0.0), (0.5, 0.45), (1.0, 1.3), (2.0, 1.8), (4.0, 4.4), (8.0 * factor, 7.0)]
    return [
        Prediction(f"case {at}", predicted, simulated, ("greedy", "cpsat")[at % 2])
        for at, (predicted, simulated) in enumerate(numbers)
    ]


FIGURES: dict[str, Callable[[], Any]] = {
    "timeline": lambda: timeline_figure([_timeline()], "by hand"),
    "timeline of many": lambda: timeline_figure([_timeline(64, 8, 30)], "by hand"),
    "timeline of hosts": lambda: timeline_figure([_timeline(host=f"h{n}") for n in range(6)]),
    "no timeline": lambda: timeline_figure([]),
    "talk": lambda: talk_figure(experiment(VM_COUNTS)),
    "talk of one": lambda: talk_figure(experiment((2,), 1)),
    "talk stopped": lambda: talk_figure(experiment(VM_COUNTS, missing=20)),
    "no talk": lambda: talk_figure(experiment(missing=18)),
    "scatter": lambda: scatter_figure(_predictions(), "by hand"),
    "wide scatter": lambda: scatter_figure(_predictions(1e3), "by hand"),
    "scatter of one": lambda: scatter_figure(_predictions()[:1]),
    "no scatter": lambda: scatter_figure([]),
}


def _free_texts(figure: Any) -> list[Any]:
    """Texts of the page, of keys and beside panels; not the numbers of points within."""
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    keys = [text for legend in legends if legend for text in legend.get_texts()]
    beside = [t for axes in figure.axes for t in axes.texts if getattr(t, "xycoords", "") != "data"]
    return [*figure.texts, *keys, *beside]


def _labels(figure: Any) -> Iterator[Any]:
    yield from _free_texts(figure)
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            yield axis.label
            yield from (t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high)


@pytest.mark.parametrize("name", FIGURES)
def test_texts_lie_apart_and_on_the_page(name: str) -> None:
    """No text over another, none beyond the edge, none over the data."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = FIGURES[name]()
    figure.set_dpi(72)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()

    def box(artist: Any) -> Box:
        extent = artist.get_window_extent(canvas.get_renderer())
        return Box(extent.x0, extent.y0, extent.width, extent.height)

    texts = [(text.get_text(), box(text)) for text in _labels(figure) if text.get_text()]
    frames = [box(axes) for axes in figure.axes]
    width, height = (72 * inches for inches in figure.get_size_inches())
    page = Box(0, 0, width, height)
    assert texts and [text for text, at in texts if not page.holds(at, slack=0.5)] == []
    pairs = combinations(texts, 2)
    assert [(a, b) for (a, one), (b, two) in pairs if one.overlaps(two, slack=0.5)] == []
    assert [text for text, at in texts for frame in frames if at.overlaps(frame, slack=1)] == []
    assert not any(one.overlaps(two) for one, two in combinations(frames, 2))


@pytest.mark.parametrize("name", ["timeline", "talk", "scatter"])
def test_files_are_what_they_say(name: str) -> None:
    for kind, start in {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF-"}.items():
        first, again = (figure_bytes(FIGURES[name](), kind) for _ in range(2))
        assert first.startswith(start) and first == again


def _words(figure: Any) -> list[str]:
    return [text.get_text() for text in _free_texts(figure)]


# ---- timelines ----------------------------------------------------------------------------------


def test_every_segment_is_a_bar_in_its_row_and_colour() -> None:
    """PCPUs of a node lie together; times are milliseconds after the warm-up."""
    from matplotlib.colors import to_hex

    timeline = _timeline()
    (axes,) = timeline_figure([timeline]).axes
    colours = vm_colours(timeline.vms)
    assert [item.get_label() for item in axes.collections] == ["vm0", "vm1"]
    drawn = set()
    for item in axes.collections:
        assert to_hex(item.get_facecolor()[0]) == colours[item.get_label()]
        for path in item.get_paths():
            (left, low), (right, high) = path.vertices.min(0), path.vertices.max(0)
            middle = round((low + high) / 2, 6)
            drawn.add((item.get_label(), middle, round(left, 6), round(right, 6)))
    rows = {0: 0.0, 2: 1.0, 1: 2.6, 3: 3.6}
    assert drawn == {
        (
            segment.vcpu.partition("/")[0],
            rows[segment.pcpu],
            (segment.start_us - 1_000_000) / 1000,
            (segment.end_us - 1_000_000) / 1000,
        )
        for segment in timeline.segments
    }
    assert axes.get_xlim() == (0, 100)
    ticks = dict(zip(axes.get_yticks(), axes.get_yticklabels(), strict=True))
    assert {row: label.get_text() for row, label in ticks.items()} == {
        row: str(100 + pcpu) for pcpu, row in rows.items()
    }


def test_the_key_names_sixteen_vms_at_most() -> None:
    figure = timeline_figure([_timeline(64, 8, 30)])
    words = _words(figure)
    assert len(figure.legends[0].get_patches()) == KEY_MAX == 16
    assert "vm15" in words and "vm16" not in words and "and 14 more VMs" in words
    assert {f"node {n}" for n in range(8)} <= set(words)


def test_hosts_that_are_not_shown_are_counted() -> None:
    figure = FIGURES["timeline of hosts"]()
    assert len(figure.axes) == 4 and any("2 more hosts" in text for text in _words(figure))


# ---- the talk -----------------------------------------------------------------------------------


def test_bars_are_means_with_their_deviations() -> None:
    """Three bars a group in their colours; published rows are marked, calibrated ones hatched."""
    from matplotlib.colors import to_hex

    found = experiment(VM_COUNTS)
    figure = talk_figure(found)
    (axes,) = figure.axes
    bars = sorted(axes.patches, key=lambda bar: bar.get_x())
    keys = [(count, each) for count in VM_COUNTS for each in Configuration]
    assert len(bars) == len(keys) == 15
    for bar, (count, configuration) in zip(bars, keys, strict=True):
        point = found.point(configuration, count)
        assert point is not None
        assert bar.get_height() == pytest.approx(point.mean / 1000)
        assert to_hex(bar.get_facecolor()) == COLOURS[configuration]
        assert bool(bar.get_hatch()) == point.calibrated
    ends = [line.get_segments()[0][:, 1] for line in axes.collections]
    assert sorted(high - low for low, high in ends) == pytest.approx(
        sorted(2 * found.point(each, count).uncertainty / 1000 for count, each in keys)  # type: ignore[union-attr]
    )
    marks = sorted(line.get_ydata()[0] for line in axes.lines if line.get_marker() == "D")
    rows = [2 * 43150.63, 2 * 49591.06, 6 * 29274.29, 6 * 33538.25]
    assert marks == pytest.approx([value / 1000 for value in rows])
    assert axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > max(marks)
    assert _words(figure).count("+25.0") == _words(figure).count("+50.0") == 5


def test_bars_of_one_repetition_have_no_deviation() -> None:
    (axes,) = FIGURES["talk of one"]().axes
    assert len(axes.patches) == 3 and len(axes.collections) == 0


def test_colours_of_configurations_differ_in_grey() -> None:
    """Relative luminances are apart: whoever sees no colours can tell the bars."""
    levels = sorted(
        sum(w * int(c[at : at + 2], 16) for w, at in ((0.2126, 1), (0.7152, 3), (0.0722, 5)))
        for c in COLOURS.values()
    )
    assert min(b - a for a, b in pairwise(levels)) > 30


def test_runs_left_out_are_told() -> None:
    figure = FIGURES["talk stopped"]()
    assert any("20 runs were left out" in text for text in _words(figure))


# ---- predictions --------------------------------------------------------------------------------


def test_points_are_the_numbers_and_spearman_is_in_the_title() -> None:
    found = _predictions()
    figure = scatter_figure(found)
    (axes,) = figure.axes
    points = {
        (item.get_label(), *map(float, spot))
        for item in axes.collections
        for spot in item.get_offsets()
    }
    assert points == {(each.kind, each.predicted, each.simulated) for each in found}
    assert _words(figure)[0].endswith("Spearman 1.000")
    assert axes.get_xlim() == axes.get_ylim() and axes.get_xscale() == "linear"
    named = [text for text in _words(figure) if text.startswith("1  ")]
    assert named == ["1  case 5"]
    assert {"greedy", "cpsat"} <= set(_words(figure))


def test_numbers_of_many_sizes_are_on_a_logarithmic_scale() -> None:
    figure = FIGURES["wide scatter"]()
    (axes,) = figure.axes
    assert axes.get_xscale() == axes.get_yscale() == "symlog"
    assert axes.get_xlim()[1] > 8000
    assert any("logarithmic" in text for text in _words(figure))


def test_a_correlation_of_one_point_is_undefined() -> None:
    assert _words(FIGURES["scatter of one"]())[0].endswith("Spearman undefined")
