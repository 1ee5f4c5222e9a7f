"""A plan as one HTML file that needs nothing else: pictures, moves, losses, gap, reasons."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from numaplace.models.cost import Cost, evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Result
from numaplace.models.verify import Violation
from numaplace.report.html import sections
from numaplace.report.picture.drawing import Drawing
from numaplace.report.picture.layout import Caption, plan_picture
from numaplace.report.picture.palette import vm_colours
from numaplace.report.picture.svg import STYLE, svg_picture
from numaplace.report.tables import words
from numaplace.report.tables.columns import Column
from numaplace.report.tables.plans import unplaced_table, violation_table
from numaplace.solver.replan.diff import differences

FOLDER = Path(__file__).parent
ROWS_MAX = 2_000


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
    costs = _cost(instance, before), _cost(instance, plan)
    known = plan is not None and before is not None
    moves = () if plan is None or before is None else differences(instance, before, plan)
    missing: Mapping[str, str] = {}
    if plan is not None:
        missing = {vm.name: "" for vm in instance.vms if vm.name not in plan}
        missing = words.unplaced(instance, result) if result is not None else missing
    style, script = _file("page.css") + STYLE, _file("page.js")
    page: str = (
        _environment()
        .get_template("page.html")
        .render(
            policy=_policy(style, script),
            style=Markup(style),
            script=Markup(script),
            title=instance.name or "Plan",
            asked=words.instance_words(instance),
            comment=instance.comment,
            verdict=sections.verdict(result, found),
            sums=sections.sums(instance, plan, costs, moves, result),
            reasons=() if result is None else result.reasons,
            broken=violation_table(found),
            pictures=_pictures(instance, before, plan),
            moves=sections.move_table(moves, costs[1]) if known else None,
            losses=sections.loss_table(*costs) if any(costs) else None,
            unplaced=unplaced_table(missing),
            vms=sections.vm_table(instance, before if plan is None else plan, costs[1] or costs[0]),
        )
    )
    return page


def _cost(instance: Instance, plan: Plan | None) -> Cost | None:
    return None if plan is None else evaluate(instance, plan)


def _pictures(instance: Instance, before: Plan | None, after: Plan | None) -> dict[str, Markup]:
    """Pictures by ``before`` and ``after``; of empty hosts if there is no plan at all."""
    plans = {"before": before, "after": after}
    shown = {name: plan for name, plan in plans.items() if plan is not None} or {"after": Plan()}
    colours = vm_colours(vm.name for vm in instance.vms)
    pictures: dict[str, Markup] = {}
    for name, plan in shown.items():
        clauses = words.cost_words(instance, evaluate(instance, plan), len(plan))
        head = name.capitalize() if len(shown) > 1 else "Plan"
        picture = plan_picture(plan, instance, Caption(head, (" · ".join(clauses),)))
        title = f"{head}: {', '.join(clauses)}"
        pictures[name] = Markup(svg_picture(Drawing(picture, colours, title), name))
    return pictures


# ---- the template -------------------------------------------------------------------------------


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(FOLDER)
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    made.globals |= {"rows_max": ROWS_MAX, "right": _right, "key": _key, "shown": _shown}
    return made


def _right(column: Column) -> Markup:
    return Markup(' class="number"' if column.to_the_right else "")


def _key(column: Column, row: Any) -> Markup:
    """By what numbers are sorted; texts are by themselves."""
    value = column.value(row)
    return Markup(f' data-sort="{value:.15g}"' if column.to_the_right else "")


def _shown(column: Column, row: Any) -> Markup:
    """Text of a cell, with its breaks; a picture as it is."""
    value = column.value(row)
    if isinstance(value, Markup):
        return value
    return Markup("<br>").join(escape(line) for line in column.text(row).plain.split("\n"))


@cache
def _file(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()
