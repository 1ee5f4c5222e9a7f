"""A plan as one HTML file that needs nothing else: pictures, moves, losses, gap, reasons."""

from __future__ import annotations

from collections.abc import Sequence

from numaplace.models.cost import evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Result
from numaplace.models.verify import Violation
from numaplace.report.html import sections
from numaplace.report.html.page import page
from numaplace.report.html.text import element
from numaplace.report.picture.layout import Caption, plan_picture
from numaplace.report.picture.palette import vm_colours
from numaplace.report.picture.svg import svg_picture
from numaplace.report.tables import words
from numaplace.solver.replan.diff import differences

_FOOTER = (
    "Made by numaplace. A lost vCPU is the work that one vCPU does when it runs alone with all its "
    "memory local."
)


def html_report(
    instance: Instance,
    plan: Plan | None,
    *,
    before: Plan | None = None,
    result: Result | None = None,
    found: Sequence[Violation] = (),
) -> str:
    """Return a report on a plan as an HTML document.

    Parameters
    ----------
    instance, plan
        The plan must name only things that exist; None: no plan was found.
    before
        The plan it is compared with; None: there is none.
    result
        The solve it is from: its gap, status and reasons.
    found
        Rules that the plan breaks.

    Returns
    -------
    str
        A document with its style, script and pictures. The same arguments give the same text.
    """
    cost = None if plan is None else evaluate(instance, plan)
    cost_before = None if before is None else evaluate(instance, before)
    moves = () if plan is None or before is None else differences(instance, before, plan)
    title = instance.name or "Plan"
    missing = {} if result is None else words.unplaced(instance, result)
    if result is None and plan is not None:
        missing = {vm.name: "" for vm in instance.vms if vm.name not in plan}
    parts = [
        element("h1", title),
        element("p", words.instance_words(instance), "faint"),
        element("p", instance.comment) if instance.comment else "",
        sections.verdict(result, found),
        sections.sums(instance, plan, (cost_before, cost), moves, result),
        sections.reasons_section(result),
        sections.broken_section(found),
        sections.views_section(_pictures(instance, before, plan)),
        sections.moves_section(moves, cost) if plan is not None and before is not None else "",
        sections.loss_section(cost_before, cost) if cost or cost_before else "",
        sections.unplaced_section(missing if plan is not None else {}),
        sections.vm_section(instance, plan if plan is not None else before, cost or cost_before),
        f"<footer>{element('p', _FOOTER)}</footer>",
    ]
    return page(f"{title}: report", "\n".join(part for part in parts if part))


def _pictures(instance: Instance, before: Plan | None, after: Plan | None) -> dict[str, str]:
    """Pictures by ``before`` and ``after``; of empty hosts if there is no plan at all."""
    plans = {"before": before, "after": after}
    shown = {name: plan for name, plan in plans.items() if plan is not None} or {"after": Plan()}
    colours = vm_colours(vm.name for vm in instance.vms)
    pictures: dict[str, str] = {}
    for name, plan in shown.items():
        clauses = words.cost_words(instance, evaluate(instance, plan), len(plan))
        head = name.capitalize() if len(shown) > 1 else "Plan"
        picture = plan_picture(plan, instance, Caption(head, (" · ".join(clauses),)))
        pictures[name] = svg_picture(picture, colours, f"{head}: {', '.join(clauses)}", name)
    return pictures
