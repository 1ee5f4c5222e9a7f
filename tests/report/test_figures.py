"""Figures as files: the right format, the same bytes again, text where the layout says."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from numaplace.models.cost import Term
from numaplace.models.errors import InputError
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import SolveStatus, Stage
from numaplace.models.verify import Rule, Violation
from numaplace.report.figures.figure_file import (
    PIXELS_MAX,
    figure_bytes,
    new_figure,
    picture_format,
)
from numaplace.report.figures.picture_figure import figure_of
from numaplace.report.picture.drawing import comparison_drawing, plan_caption, plan_drawing
from numaplace.report.picture.geometry import Box, Style
from numaplace.report.picture.layout_compare import ROWS_MAX, comparison_picture
from numaplace.solver.compare.solvers import Row
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve
from numaplace.tests.report.samples import rich, sample

pytest.importorskip("matplotlib")


def _row(solver: str, micro: int | None, instance: str = "one") -> Row:
    status = SolveStatus.UNKNOWN if micro is None else SolveStatus.FEASIBLE
    objectives = {} if micro is None else {Stage.VALUE: 9000, Stage.LOSS: micro}
    gaps: dict[Stage, float | None] = {} if micro is None else {Stage.VALUE: 0.0, Stage.LOSS: 0.25}
    terms = {Term.DEVICE: (micro or 0) // 4, Term.COOPERATION: (micro or 0) - (micro or 0) // 4}
    return Row(instance, solver, 0, status, 5, 4, objectives, gaps, terms, 0.002)


def test_png_svg_and_pdf_are_what_they_say() -> None:
    """Each format begins as it must, and a figure drawn again has the same bytes."""
    instance, plan = rich()
    starts = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF-"}
    for kind, start in starts.items():
        first, again = (figure_bytes(plan_drawing(plan, instance), kind) for _ in range(2))
        assert first.startswith(start)
        assert first == again


def test_the_picture_has_the_size_of_its_layout() -> None:
    """The SVG's size in points is that of the figure, with paths and no bitmap in it."""
    instance, plan = rich()
    drawing = plan_drawing(plan, instance)
    root = ElementTree.fromstring(figure_bytes(drawing, "svg"))
    width, height = (72 * inches for inches in figure_of(drawing).get_size_inches())
    assert float(root.attrib["width"].removesuffix("pt")) == pytest.approx(width)
    assert float(root.attrib["height"].removesuffix("pt")) == pytest.approx(height)
    tags = {re.sub("{.*}", "", element.tag) for element in root.iter()}
    assert "path" in tags and "image" not in tags


@pytest.mark.parametrize("name", ["rich", "devices", "8n-30vm"])
def test_drawn_texts_do_not_overlap(name: str) -> None:
    """Matplotlib's own extents of all texts, as drawn, lie apart."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    instance, plan = sample(name)
    figure = figure_of(plan_drawing(plan, instance))
    figure.set_dpi(72)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [
        (Box(e.x0, e.y0, e.width, e.height), text.get_text())
        for text in figure.axes[0].texts
        if (e := text.get_window_extent(renderer))
    ]
    assert len(boxes) > 20
    found = [
        (text, other_text)
        for index, (box, text) in enumerate(boxes)
        for other, other_text in boxes[index + 1 :]
        if box.overlaps(other, slack=1.0)
    ]
    assert found == []


def test_names_are_text_not_formulas() -> None:
    """A name with dollar signs or unknown letters is written as it is, without a warning."""
    instance, _ = rich()
    vms = tuple(vm for vm in instance.vms if vm.name == "$left[out]")
    other = Instance(instance.hosts, vms, name="$x^{$ 数")
    assert figure_bytes(plan_drawing(Plan(), other), "png").startswith(b"\x89PNG")


def test_caption_tells_value_loss_gap_and_status() -> None:
    """With a result, the line below the title has all of it; without one, what is known."""
    instance, plan = sample("talk-10")
    result = solve(instance, "greedy", SolveParams())
    assert result.plan is not None
    caption = plan_caption(result.plan, instance, result)
    assert caption.title == "talk-10, planned by greedy"
    for words in ("10 of 10 VMs placed", "value 20", "loss 11.2 vCPUs", "no bound"):
        assert words in caption.lines[0]
    assert plan_caption(plan, instance, None).title == "talk-10"
    broken = [Violation(rule, "VM 'vm1'", "x") for rule in (Rule.CELLS, Rule.APART, Rule.APART)]
    assert plan_caption(plan, instance, None, broken).title == "talk-10, breaks 2 rules"


def test_picture_names_decide_the_format() -> None:
    """The suffix counts, whatever its case; others are refused with those there are."""
    assert picture_format(Path("a.PNG")) == "png"
    for name in ("a.gif", "png", "a."):
        with pytest.raises(InputError, match=r"ends in \.png, \.svg, \.pdf"):
            picture_format(Path(name))


def test_huge_pictures_are_drawn_coarser() -> None:
    """No side of a PNG is longer than the limit."""
    data = figure_bytes(new_figure(72 * 200, 72), "png")
    assert int.from_bytes(data[16:20], "big") <= PIXELS_MAX


def test_bars_of_a_comparison_are_stacked_to_scale() -> None:
    """The largest loss fills its bar, half of it half a bar; terms lie side by side."""
    rows = [_row("greedy", 2_000_000), _row("cpsat", 1_000_000), _row("milp", None)]
    picture = comparison_picture(rows, "Title")
    parts = [s for s in picture.shapes if s.style is Style.CELL and s.box.height > 10]
    tracks = [s.box for s in picture.shapes if s.style is Style.TRACK]
    assert len(tracks) == 3
    sums = [sum(s.box.width for s in parts if t.holds(s.box)) / t.width for t in tracks]
    assert sums == pytest.approx([1.0, 0.5, 0.0])
    texts = [label.text for label in picture.labels]
    for words in ("greedy", "cpsat", "milp", "2", "1", "25 %", "4/5", "2 ms", "unknown", "device"):
        assert words in texts


def test_comparison_texts_do_not_overlap() -> None:
    """Many instances, long names, several solvers: no text over another, all on the page."""
    rows = [
        _row(solver, micro, f"{instance}-with-quite-a-long-name-for-an-instance-of-any-kind")
        for instance in range(6)
        for solver, micro in (("first_fit", 123_456_789), ("cpsat", 17), ("nova", None))
    ]
    picture = comparison_picture(rows, "Title")
    page = Box(0, 0, picture.width, picture.height)
    boxes = [label.box for label in picture.labels]
    assert all(page.holds(box, slack=0.5) for box in boxes)
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other, slack=0.3) for other in boxes[index + 1 :])
    assert figure_bytes(comparison_drawing(rows), "png").startswith(b"\x89PNG")


def test_long_comparisons_are_cut_with_a_note() -> None:
    """Rows beyond the limit are counted in the head."""
    rows = [_row("greedy", 5, f"i{n}") for n in range(ROWS_MAX + 3)]
    texts = [label.text for label in comparison_picture(rows, "Title").labels]
    assert sum("3 more rows not shown" in text for text in texts) == 1
    assert texts.count("greedy") == ROWS_MAX
