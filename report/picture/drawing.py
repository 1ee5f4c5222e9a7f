"""What is drawn of plans and comparisons: a picture, whose it is in which colour, and a title."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numaplace.models.cost import Term, evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Result
from numaplace.models.verify import Violation
from numaplace.report.picture.geometry import Picture
from numaplace.report.picture.layout import Caption, plan_picture
from numaplace.report.picture.layout_compare import comparison_picture
from numaplace.report.picture.palette import vm_colours
from numaplace.report.tables.words import broken_words, cost_words, proof_words, seconds
from numaplace.solver.compare.solvers import Row


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture, the colours of the owners, and what it shows in words."""

    picture: Picture
    colours: Mapping[str, str]
    title: str


def plan_drawing(
    plan: Plan, instance: Instance, result: Result | None = None, found: Sequence[Violation] = ()
) -> Drawing:
    """Lay out a plan, which must name only things that exist.

    `result` is the solve it is from; `found` are the rules it breaks, which the title tells.
    """
    caption = plan_caption(plan, instance, result, found)
    colours = vm_colours(vm.name for vm in instance.vms)
    return Drawing(plan_picture(plan, instance, caption), colours, caption.title)


def comparison_drawing(rows: Sequence[Row], title: str = "Comparison of solvers") -> Drawing:
    """Lay out the rows of a comparison; each term has the same colour in every picture."""
    colours = vm_colours(term.value for term in Term)
    return Drawing(comparison_picture(rows, title), colours, title)


def plan_caption(
    plan: Plan, instance: Instance, result: Result | None, found: Sequence[Violation] = ()
) -> Caption:
    """Title and first line: broken rules, value, loss, gap and status."""
    clauses = cost_words(instance, evaluate(instance, plan), len(plan))
    title = instance.name or "Plan"
    if result is None:
        title += f", {broken_words(found)}" if found else ""
        return Caption(title, (" · ".join(clauses),))
    clauses += [proof_words(result), seconds(result.runtime_s)]
    return Caption(f"{title}, planned by {result.solver}", (" · ".join(clauses),))
