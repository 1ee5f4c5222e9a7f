"""Boxes, text widths, the grid of nodes, colours."""

from __future__ import annotations

from itertools import combinations

import pytest

from numaplace.report.picture.arrange import arranged, columns_for
from numaplace.report.picture.geometry import Box, Label, fitting, shortened, text_width
from numaplace.report.picture.palette import heat_colour, text_colour, vm_colours

TEXTS = (
    "node 0",
    "a-database-with-a-very-long-name · 12 vCPUs",
    "nic 3b:00.0 2/4: web ×2, MMM@@@%%%",
    "Loss in vCPUs WWW…",
    "".join(map(chr, range(32, 127))),
)


def test_boxes_overlap_only_inside() -> None:
    """Boxes that share an edge do not overlap; one inside another does and is held by it."""
    box = Box(0, 0, 10, 10)
    assert not box.overlaps(Box(10, 0, 5, 5)) and not box.overlaps(Box(0, 10, 5, 5))
    assert box.overlaps(Box(9, 9, 5, 5))
    assert box.holds(Box(2, 2, 8, 8)) and not box.holds(Box(2, 2, 9, 8))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("bold", [False, True])
def test_text_is_never_wider_than_computed(text: str, bold: bool) -> None:
    """What the font really takes is at most the computed width, and not much less."""
    font_manager = pytest.importorskip("matplotlib.font_manager")
    ft2font = pytest.importorskip("matplotlib.ft2font")
    weight = "bold" if bold else "normal"
    properties = font_manager.FontProperties(family="DejaVu Sans", weight=weight)
    font = ft2font.FT2Font(font_manager.findfont(properties))
    font.set_size(100, 72)
    real = sum(font.load_char(ord(char)).linearHoriAdvance / 65536 for char in text)
    computed = text_width(text, 100, bold=bold)
    assert 0.8 * computed <= real <= computed


def test_text_is_cut_to_its_room() -> None:
    """Text is cut at its end or in its middle, and given up where nothing readable is left."""
    text = "customer-database-17"
    assert shortened(text, 1000, 8) == text
    end, middle = shortened(text, 60, 8), shortened(text, 60, 8, middle=True)
    assert end.endswith("…") and text.startswith(end[:-1])
    assert middle.startswith("cust") and middle.endswith("17") and "…" in middle
    assert text_width(end, 8) <= 60 and text_width(middle, 8) <= 60
    assert shortened(text, 5, 8) == ""
    assert shortened(text, text_width(text, 8) + 10 - 10, 8) == text


def test_first_text_that_fits_is_taken() -> None:
    """Candidates are tried in order; the size follows the height down to the least."""
    box = Box(0, 0, 40, 20)
    assert fitting(["much too long for it", "short"], box, 8, 5) == ("short", 8)
    found = fitting(["short"], Box(0, 0, 40, 7.8), 8, 5)
    assert found is not None and found[1] == pytest.approx(6)
    assert fitting(["short"], Box(0, 0, 40, 4), 8, 5) is None
    assert fitting(["too long"], Box(0, 0, 10, 20), 8, 5) is None


def test_labels_know_their_box() -> None:
    """A label's box is where its alignment puts it."""
    left, centre, right = (
        Label(100, 10, "text", 8, align).box for align in ("left", "center", "right")
    )
    assert left.x == 100 and right.right == pytest.approx(100)
    assert centre.middle == pytest.approx((100, 10))


def test_a_ring_is_laid_out_as_a_ring() -> None:
    """Four nodes in a ring 0-1-2-3: opposite ones end up at opposite corners."""
    ring = [[1, 2, 3, 2], [2, 1, 2, 3], [3, 2, 1, 2], [2, 3, 2, 1]]
    cells = arranged(ring, 2)
    assert cells[0] == (0, 0)
    for a, b in ((0, 2), (1, 3)):
        assert cells[a][0] != cells[b][0] and cells[a][1] != cells[b][1]


def test_pairs_of_near_nodes_are_neighbours() -> None:
    """Nodes 0 and 3, 1 and 2 are near: each pair shares a side in the grid."""
    far = [[9.0] * 4 for _ in range(4)]
    for a, b in ((0, 3), (1, 2)):
        far[a][b] = far[b][a] = 1.1
    cells = arranged(far, 2)
    for a, b in ((0, 3), (1, 2)):
        assert abs(cells[a][0] - cells[b][0]) + abs(cells[a][1] - cells[b][1]) == 1


def test_equal_distances_keep_the_order() -> None:
    """Without any reason to move, nodes are in reading order."""
    flat = [[1.0 if a == b else 2.0 for b in range(6)] for a in range(6)]
    assert arranged(flat, 3) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert arranged([], 1) == [] and arranged([[1.0]], 1) == [(0, 0)]


@pytest.mark.parametrize("count", range(1, 40))
def test_grids_have_room_and_few_holes(count: int) -> None:
    """The number of columns suits a page: all fit, less than a row and a half stays empty."""
    columns = columns_for(count, 1.0, 1.5)
    rows = -(-count // columns)
    assert 1 <= columns <= count
    assert rows * columns - count < columns


def test_colours_differ_and_text_can_be_read() -> None:
    """21 VMs have 21 colours; text on each has a contrast of at least 4.5 (WCAG AA)."""
    colours = vm_colours(f"vm{n}" for n in range(21))
    assert len(set(colours.values())) == 21
    shades = [heat_colour(level / 10) for level in range(11)]
    for colour in [*colours.values(), *shades]:
        assert _contrast(colour, text_colour(colour)) >= 4.5


def test_hues_differ_for_colour_blind_people() -> None:
    """The first seven colours stay apart as a deuteranope sees them (Viénot et al. 1999)."""
    seen = [_deuteranope(colour) for colour in vm_colours("abcdefg").values()]
    for a, b in combinations(seen, 2):
        assert sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5 > 0.08


def _linear(colour: str) -> list[float]:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def _contrast(a: str, b: str) -> float:
    def luminance(colour: str) -> float:
        red, green, blue = _linear(colour)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    bright, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _deuteranope(colour: str) -> tuple[float, float, float]:
    red, green, blue = _linear(colour)
    mixed = 0.29275 * red + 0.70725 * green
    return mixed, mixed, -0.02234 * red + 0.02234 * green + blue
