"""Pictures as SVG: well formed, every shape and label of the layout is in it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from numaplace.report.picture.drawing import Drawing
from numaplace.report.picture.geometry import Style
from numaplace.report.picture.layout import Caption, plan_picture
from numaplace.report.picture.palette import vm_colours
from numaplace.report.picture.svg import svg_picture
from numaplace.tests.report.samples import sample


@pytest.mark.parametrize("name", ["rich", "cxl", "8n-30vm", "fleet"])
def test_everything_is_drawn(name: str) -> None:
    """As many rectangles, lines, curves and texts as the layout has; patterns that exist."""
    instance, plan = sample(name)
    picture = plan_picture(plan, instance, Caption("<Title & more>"))
    colours = vm_colours(vm.name for vm in instance.vms)
    root = ElementTree.fromstring(svg_picture(Drawing(picture, colours, "what"), "p"))
    texts = [element.text for element in root.iter("text")]
    assert texts == [label.text for label in picture.labels]
    shapes = [e for e in root.iter() if e.get("class", "").startswith("s-")]
    assert len(shapes) == len(picture.shapes)
    assert len([e for e in root.iter("path") if e.get("class") == "arrow"]) == len(picture.arrows)
    known = {element.get("id") for element in root.iter("pattern")}
    used = {e.get("fill", "")[5:-1] for e in shapes if e.get("fill", "").startswith("url(")}
    assert used <= known
    assert all(float(e.get("width", "1")) > 0 for e in root.iter("rect"))


def test_two_pictures_of_a_page_share_no_id() -> None:
    """Patterns of one picture are not those of the other."""
    instance, plan = sample("rich")
    picture = plan_picture(plan, instance, Caption("one"))
    colours = vm_colours(vm.name for vm in instance.vms)
    ids = [
        {e.get("id") for e in ElementTree.fromstring(text).iter("pattern")}
        for text in (svg_picture(Drawing(picture, colours, "one"), p) for p in ("before", "after"))
    ]
    assert ids[0] and not ids[0] & ids[1]


def test_text_on_the_map_of_distances_does_not_follow_the_page() -> None:
    """The fields of the map are white to blue on a dark page too, so is the text's contrast."""
    instance, plan = sample("rich")
    picture = plan_picture(plan, instance, Caption("one"))
    spots = [shape.box.middle for shape in picture.shapes if shape.style is Style.HEAT]
    root = ElementTree.fromstring(
        svg_picture(Drawing(picture, {vm.name: "#000000" for vm in instance.vms}, ""), "p")
    )
    on_map = [
        element
        for element, label in zip(root.iter("text"), picture.labels, strict=True)
        if any(abs(label.x - x) < 0.1 and abs(label.y - y) < 0.1 for x, y in spots)
    ]
    assert len(on_map) == 9
    assert all(e.get("fill") and "own" in e.get("class", "") for e in on_map)
