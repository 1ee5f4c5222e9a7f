"""A plan as one HTML file that needs nothing else: pictures, moves, losses, gap, reasons."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from numaplace.models.cost import Cost, Term, evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Result, SolveStatus
from numaplace.models.units import MICRO
from numaplace.models.verify import Violation
from numaplace.report.picture.drawing import Drawing
from numaplace.report.picture.layout import Caption, plan_picture
from numaplace.report.picture.palette import vm_colours
from numaplace.report.picture.svg import STYLE, svg_picture
from numaplace.report.tables import words
from numaplace.report.tables.columns import Column
from numaplace.report.tables.moves import CHANGE
from numaplace.report.tables.plans import PLAN, unplaced_table, violation_table, worst_words
from numaplace.report.tables.table import Table
from numaplace.solver.replan.diff import Change, Difference, differences

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
    """Return a report on a plan as an HTML document: its style, script and pictures are in it.

    Plans must name only things that exist; `plan` is None if none was found, `before` if there is
    none to compare with. `result` is the solve it is from: its gap, status and reasons; `found` are
    the rules that the plan breaks. The same arguments give the same text.
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
            verdict=_verdict(result, found),
            sums=_sums(instance, plan, costs, moves, result),
            reasons=() if result is None else result.reasons,
            broken=violation_table(found),
            pictures=_pictures(instance, before, plan),
            moves=_move_table(moves, costs[1]) if known else None,
            losses=_loss_table(*costs) if any(costs) else None,
            unplaced=unplaced_table(missing),
            vms=_vm_table(instance, before if plan is None else plan, costs[1] or costs[0]),
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


# ---- what a page says ---------------------------------------------------------------------------

_CLASS = {SolveStatus.OPTIMAL: "good", SolveStatus.FEASIBLE: "warn"}
_STATUS = {
    SolveStatus.OPTIMAL: "Proven: no plan is better.",
    SolveStatus.INFEASIBLE: "Proven: no plan obeys the rules.",
    SolveStatus.UNKNOWN: "No plan was found in time, and none is excluded.",
}


def _verdict(result: Result | None, found: Sequence[Violation]) -> tuple[str, str]:
    """How far the plan can be relied on: a sentence, and whether that is good."""
    if found:
        return f"The plan {words.broken_words(found)}, see below.", "bad"
    if result is None:
        return "The plan obeys every rule; it is not known how good it is.", ""
    text = _STATUS.get(result.status)
    if text is None or result.within:
        text = f"The plan obeys every rule; how good it is: {words.proof_words(result)}."
    return text, _CLASS.get(result.status, "bad")


def _sums(
    instance: Instance,
    plan: Plan | None,
    costs: tuple[Cost | None, Cost | None],
    moves: Sequence[Difference],
    result: Result | None,
) -> dict[str, str]:
    """Numbers at a glance; `costs` are those before and after."""
    before, after = costs
    rows = {"VMs placed": f"{len(plan) if plan else 0} of {len(instance.vms)}"}
    if after is not None:
        rows["Value"] = words.value(after.value_milli)
        rows["Loss in vCPUs"] = words.loss(after.loss_micro)
    if before is not None:
        rows["Loss before"] = words.loss(before.loss_micro)
        moving = [move for move in moves if move.change is Change.MOVES]
        copied = words.memory(sum(move.moved_mib for move in moving))
        rows["VMs that move"] = f"{len(moving)}, {copied} copied" if moving else "0"
    if result is not None:
        if result.cost is not None:
            rows["Gap of the loss"] = words.gap(result.gap)
        rows["Solver"] = f"{result.solver}, {words.seconds(result.runtime_s)}"
    return rows


def _move_table(moves: Sequence[Difference], cost: Cost | None) -> Table:
    """What changes from before to after, and what each move loses."""
    prices = {i.subject: i.micro for i in cost.items if i.term is Term.MIGRATION} if cost else {}
    price = Column("price", int, lambda move: prices.get(move.vm, 0), "loss by it", words.loss)
    exact = {"moved_mib": "{} MiB".format, "ballooned_mib": _ballooned}
    columns = (replace(one, show=exact.get(one.name, one.show)) for one in CHANGE)
    return Table((*columns, price), moves, "Moves", "move")


def _loss_table(before: Cost | None, after: Cost | None) -> Table:
    """Loss by term, before and after, as bars; and who loses most."""
    costs = {"before": before, "after": after}
    known = {name: cost for name, cost in costs.items() if cost is not None}
    lost = {name: words.term_losses(cost) for name, cost in known.items()}
    names = dict.fromkeys(term for name in reversed(lost) for term in lost[name])
    largest = max((micro for losses in lost.values() for micro in losses.values()), default=0)
    totals = {name: cost.loss_micro for name, cost in known.items()}

    def column(name: str) -> Column:
        head = "vCPUs" if list(known) == ["after"] else name
        return Column(name, int, lambda term: lost[name].get(term, 0), head, words.loss)

    def bars(term: str) -> Markup:
        rects = "".join(
            f'<rect class="{name}" y="{3 if name == "before" else 53}%" '
            f'width="{100 * losses.get(term, 0) / largest:.2f}%" height="44%"/>'
            for name, losses in lost.items()
        )
        return Markup(
            "" if term == "all" else f'<svg class="bars" aria-hidden="true">{rects}</svg>'
        )

    def worst(term: str) -> str:
        return "" if term == "all" else worst_words(after or before, term)  # type: ignore[arg-type]

    for name, total in totals.items():
        lost[name]["all"] = total
    columns = (
        Column("term", str, ".", "term"),
        *map(column, known),
        Column("share", object, bars, "share"),
        Column("worst", str, worst, "most by"),
    )
    return Table(columns, [*names, "all"] if names else [], "Loss by term", "term")


def _vm_table(instance: Instance, plan: Plan | None, cost: Cost | None) -> Table:
    """Every VM: what it asks for, where it is, what it loses by itself."""
    lost: dict[str, int] = {}
    for item in cost.items if cost else ():
        lost[item.subject] = lost.get(item.subject, 0) + item.micro
    placed = {one.name: one for one in PLAN}

    def of_placed(name: str) -> Column:
        def get(row: Any) -> Any:
            return None if row[1] is None else placed[name].value(row)

        def show(value: Any) -> Any:
            return str(placed[name].show(value)).replace("\n", ", ")

        return replace(placed[name], get=get, show=show)

    columns = (
        Column("vm", str, "0.name", "VM"),
        Column("vcpus", int, "0.vcpus", "vCPUs"),
        Column("memory_mib", int, "0.memory_mib", "memory", words.memory),
        Column(
            "where", str, lambda row: words.where_words(row[1]) if row[1] else "not placed", "where"
        ),
        *map(of_placed, ("memory_mib_by_node", "pcpus", "devices")),
        Column("loss", int, lambda row: lost.get(row[0].name, 0), "loss", _exact_loss),
    )
    rows = [(vm, plan.placements.get(vm.name) if plan else None) for vm in instance.vms]
    return Table(columns, rows, "VMs", "VM")


def _ballooned(mib: int) -> str:
    return f"{mib:+} MiB" if mib else "0"


def _exact_loss(micro: int) -> str:
    return f"{micro / MICRO:.6f}"


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
