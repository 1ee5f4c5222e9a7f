"""Figures of replays and comparisons: what is drawn is what was measured, and all of it is seen."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from numaplace.models.schedule import Goal
from numaplace.models.trace import make_trace
from numaplace.models.units import MICRO
from numaplace.report.figures.figure_file import figure_bytes
from numaplace.report.figures.gap_figure import gap_figure
from numaplace.report.figures.policy_style import (
    MUTED,
    STRONG,
    emphasis,
    policy_looks,
    policy_order,
)
from numaplace.report.figures.replay_figure import replay_figure
from numaplace.report.picture.geometry import Box
from numaplace.report.tables.online_summary import gaps_of, rows_by_load
from numaplace.solver.compare.policies import Comparison
from numaplace.solver.placing.replay import Replay, replay
from numaplace.solver.placing.rules import BASELINES, OURS, RULES
from numaplace.tests.report.online_samples import (
    DAY_MS,
    comparison,
    fleet,
    random_comparison,
    replays,
    stopped,
    trace,
)

pytest.importorskip("matplotlib")


def _replays(*names: str) -> dict[str, Replay]:
    return {name: replays()[name] for name in names}


FIGURES = {
    "gaps by hand": lambda: gap_figure(comparison(missing=3)),
    "gaps of two loads": lambda: gap_figure(random_comparison()),
    "gaps of five loads": lambda: gap_figure(random_comparison((None, 0.7, 0.9, 1.0, 1.1), 6)),
    "one replay": lambda: replay_figure(_replays("greedy_life"), trace(), fleet()),
    "two replays": lambda: replay_figure(_replays("xen", "greedy"), trace(), fleet()),
    "all replays": lambda: replay_figure(replays(), trace(), fleet()),
    "a stopped replay": lambda: replay_figure({"nova": stopped("nova", 9)}, trace(), fleet()),
    "nothing compared": lambda: gap_figure(Comparison((), ())),
    "nothing replayed": lambda: replay_figure({}, trace(), fleet()),
}


def _texts(figure: Any) -> Iterator[Any]:
    """All texts that are drawn; ticks beyond the ends of their axis are not."""
    yield from _free_texts(figure)
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-9 * max(1.0, abs(high))
            yield axis.label
            yield from (
                tick.label1
                for tick in axis.get_major_ticks()
                if low - slack <= tick.get_loc() <= high + slack and tick.label1.get_visible()
            )


def _drawn(figure: Any) -> tuple[Box, list[tuple[str, Box]], list[Box]]:
    """The page, the texts with their boxes, and the frames of the panels, in points."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(72)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()

    def box(artist: Any) -> Box:
        extent = artist.get_window_extent(renderer)
        return Box(extent.x0, extent.y0, extent.width, extent.height)

    texts = [(text.get_text(), box(text)) for text in _texts(figure) if text.get_text()]
    width, height = (72 * inches for inches in figure.get_size_inches())
    return Box(0, 0, width, height), texts, [box(axes) for axes in figure.axes]


def _free_texts(figure: Any) -> list[Any]:
    """Texts of the page, of keys and beside panels."""
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    keys = [text for legend in legends if legend for text in legend.get_texts()]
    return [*figure.texts, *keys, *(text for axes in figure.axes for text in axes.texts)]


def _words(figure: Any) -> list[str]:
    return [text.get_text() for text in _free_texts(figure)]


@pytest.mark.parametrize("name", FIGURES)
def test_texts_lie_apart_and_on_the_page(name: str) -> None:
    """No text over another, none beyond the edge, none over the data."""
    page, texts, frames = _drawn(FIGURES[name]())
    assert [text for text, box in texts if not page.holds(box, slack=0.5)] == []
    found = [
        (one, other)
        for (one, box), (other, another) in combinations(texts, 2)
        if box.overlaps(another, slack=0.5)
    ]
    assert found == []
    assert [text for text, box in texts for frame in frames if box.overlaps(frame, slack=1)] == []
    assert not any(one.overlaps(other) for one, other in combinations(frames, 2))


@pytest.mark.parametrize("name", ["gaps by hand", "one replay", "two replays"])
def test_png_svg_and_pdf_are_what_they_say(name: str) -> None:
    starts = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF-"}
    for kind, start in starts.items():
        first, again = (figure_bytes(FIGURES[name](), kind) for _ in range(2))
        assert first.startswith(start) and first == again


# ---- gaps ---------------------------------------------------------------------------------------


def test_titles_tell_windows_and_proofs() -> None:
    words = _words(gap_figure(comparison(missing=3)))
    for text in (
        "Value, load 0.9",
        "3 windows, optimum proven on 2",
        "Prefix, load 0.9",
        "2 windows, optimum proven on 2",
        "5.00 %",
        "0.50 %",
        "35.00 %",
    ):
        assert text in words, text
    head = " ".join(words)
    assert "3 jobs were not run" in head and "upper limits" in head
    assert not any(word.startswith("Count") for word in words)


def test_every_window_is_a_dot_and_every_policy_has_its_colour() -> None:
    """Dots are the gaps in percent, boxes their quartiles; panels of a row have one scale."""
    from matplotlib.colors import to_hex

    found = random_comparison()
    figure = gap_figure(found)
    order = policy_order(RULES)
    for axes, (goal, load) in zip(
        figure.axes, [(g, at) for g in (Goal.VALUE, Goal.PREFIX) for at in (0.9, 1.2)], strict=True
    ):
        for at, policy in enumerate(order):
            rows = [row for row in rows_by_load(found)[load] if row.policy == policy]
            gaps = [100 * gap for gap in gaps_of(rows, goal)]
            dots, box = axes.collections[at], axes.patches[at]
            np.testing.assert_allclose(dots.get_offsets()[:, 0], gaps)
            assert np.abs(dots.get_offsets()[:, 1] - at).max() < 0.5
            low, high = np.quantile(gaps, (0.25, 0.75))
            assert (box.get_x(), box.get_width()) == pytest.approx((low, high - low))
            assert to_hex(box.get_facecolor()) == (STRONG if policy in OURS else MUTED)
        assert axes.get_xlim()[0] == 0
    limits = [axes.get_xlim()[1] for axes in figure.axes]
    for goal, pair in ((Goal.VALUE, limits[:2]), (Goal.PREFIX, limits[2:])):
        assert pair[0] == pair[1] >= 100 * max(gaps_of(found.rows, goal))


def test_many_loads_go_on_in_a_further_block() -> None:
    figure = gap_figure(random_comparison((None, 0.7, 0.9, 1.0, 1.1), 6))
    assert len(figure.axes) == 2 * 5
    assert len({round(axes.get_position().x0, 6) for axes in figure.axes}) == 3
    assert "Value, load as it is" in _words(figure)


def test_gaps_of_zero_are_drawn() -> None:
    whole = comparison()
    rows = tuple(row for row in whole.rows if (row.case, row.policy) == ("a", "greedy_life"))
    figure = gap_figure(Comparison(rows, whole.optima))
    assert _words(figure).count("0.00 %") == 2
    assert figure.axes[0].get_xlim() == (0, 1)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(0, "Nothing was compared: no policy ran on any window."), (2, "The optimum of no window")],
)
def test_without_gaps_there_are_words(rows: int, expected: str) -> None:
    from dataclasses import replace

    bare = tuple(replace(row, gaps=dict.fromkeys(Goal, None)) for row in comparison().rows[:rows])
    figure = gap_figure(Comparison(bare, ()))
    assert figure.axes == [] and any(expected in text for text in _words(figure))


# ---- replays ------------------------------------------------------------------------------------


def test_lines_are_the_samples() -> None:
    """Accepted share, CPU and fragmentation in percent over days, in the order of the key."""
    found = replays()
    figure = replay_figure(found, trace(), fleet())
    accepted, cpu, fragmentation, *_ = figure.axes
    for at, name in enumerate(policy_order(RULES)):
        samples = found[name].samples
        days = [(sample.time_ms - trace().start_ms[0]) / DAY_MS for sample in samples]
        for axes, expected in (
            (accepted, [sample.accepted / sample.seen for sample in samples]),
            (cpu, [sample.cpu for sample in samples]),
            (fragmentation, [sample.fragmentation for sample in samples]),
        ):
            np.testing.assert_allclose(axes.lines[at].get_xdata(), days)
            np.testing.assert_allclose(axes.lines[at].get_ydata(), np.multiply(100, expected))
            assert axes.get_ylim()[1] >= 100 * max(expected)
        assert name in _words(figure)
    assert accepted.get_xlabel() == "days since the first VM"


@pytest.mark.parametrize(("names", "bands"), [(("xen",), 1), (("xen", "nova"), 2), (RULES, 1)])
def test_bands_are_those_of_one_or_two_policies(names: tuple[str, ...], bands: int) -> None:
    """Of many only that of the one with most value, which the panel names."""
    found = _replays(*names)
    figure = replay_figure(found, trace(), fleet())
    cpu = figure.axes[1]
    assert len(cpu.collections) == bands
    if len(names) > 2:
        best = max(found, key=lambda name: found[name].reached(trace())[Goal.VALUE])
        assert any(text.endswith(f"of the nodes of {best}") for text in _words(figure))
    else:
        samples = found[policy_order(names)[0]].samples
        shares = np.array([sample.node_cpu for sample in samples]) * 100
        edges = cpu.collections[0].get_paths()[0].vertices[:, 1]
        assert edges.min() == pytest.approx(shares[:, 0].min())
        assert edges.max() == pytest.approx(shares[:, 2].max())


def test_losses_of_one_policy_are_stacked() -> None:
    found = _replays("first_fit")
    stack = replay_figure(found, trace(), fleet()).axes[-1]
    sums = [
        (sample.split_guest + sample.node_affinity + sample.cpu_contention) / MICRO
        for sample in found["first_fit"].samples
    ]
    top = max(layer.get_paths()[0].vertices[:, 1].max() for layer in stack.collections)
    assert len(stack.collections) == 3 and top == pytest.approx(max(sums))


def test_losses_of_several_policies_have_a_panel_each() -> None:
    found = _replays("first_fit", "greedy_life")
    figure = replay_figure(found, trace(), fleet())
    titles = [text for text in _words(figure) if text.startswith("Loss by")]
    assert titles == ["Loss by split guest", "Loss by node affinity", "Loss by CPU contention"]
    contention = [sample.cpu_contention / MICRO for sample in found["greedy_life"].samples]
    np.testing.assert_allclose(figure.axes[-1].lines[1].get_ydata(), contention)


def test_latency_bars_reach_their_percentiles() -> None:
    found = replays()
    figure = replay_figure(found, trace(), fleet())
    axes = next(axes for axes in figure.axes if axes.get_xscale() == "log")
    assert len(axes.patches) == 2 * len(RULES)
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    for at, name in enumerate(policy_order(RULES)):
        expected = np.quantile(found[name].latency_ns / 1000, (0.5, 0.99))
        np.testing.assert_allclose(ends[2 * at : 2 * at + 2], expected)
        assert axes.get_yticklabels()[at].get_text() == name
    assert axes.get_xlim()[0] <= min(ends) and max(ends) <= axes.get_xlim()[1]
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks and all(float(tick) > 0 for tick in ticks)


def test_a_trace_of_one_vm_and_one_of_none() -> None:
    """One sample is a dot and no loss no panel; without samples there are words."""
    one = make_trace(("a",), vcpus=[1], memory_mib=[64], start_ms=[77])
    figure = replay_figure({"xen": replay(one, fleet(), RULES["xen"])}, one, fleet())
    assert len(figure.axes) == 4
    (dot,) = figure.axes[0].lines
    assert (dot.get_marker(), dot.get_xdata()[0], dot.get_ydata()[0]) == ("o", 0, 100)
    assert figure_bytes(figure, "png").startswith(b"\x89PNG")
    none = one.part(slice(0, 0))
    empty = replay_figure({"xen": replay(none, fleet(), RULES["xen"])}, none, fleet())
    assert empty.axes == [] and "Nothing was replayed." in _words(empty)


def test_stopped_replays_are_told_in_the_head() -> None:
    words = _words(FIGURES["a stopped replay"]())
    assert any(text.startswith("nova was stopped after") for text in words)


# ---- looks --------------------------------------------------------------------------------------


def test_looks_do_not_depend_on_who_else_is_there() -> None:
    """Baselines come first, ours last; no two policies of a picture look alike."""
    assert policy_order(["greedy", "mine", "nova", "first_fit"]) == [
        "first_fit",
        "nova",
        "mine",
        "greedy",
    ]
    looks = policy_looks([*RULES, "mine", "yours"])
    assert len({(look.colour, look.line) for look in looks.values()}) == len(RULES) + 2
    assert all((looks[name].line == "-") == (name in OURS) for name in looks)
    for name in RULES:
        (alone,) = policy_looks([name]).values()
        assert alone == looks[name]
    assert {emphasis(name) for name in BASELINES} == {MUTED}
