"""The picture of a comparison: losses by term, gaps and decision times of several solvers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from numaplace.models.cost import Term
from numaplace.report.figures.placement_figure import drawn
from numaplace.report.picture.layout_compare import comparison_picture
from numaplace.report.picture.palette import vm_colours
from numaplace.solver.compare.solvers import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def compare_figure(rows: Sequence[Row], title: str = "Comparison of solvers") -> Figure:
    """Draw the rows of a comparison; each term has the same colour in every picture."""
    return drawn(comparison_picture(rows, title), vm_colours(term.value for term in Term))
