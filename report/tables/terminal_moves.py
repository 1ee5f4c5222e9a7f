"""A rebalance for the terminal: what it gains, and the moves in the order to make them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from numaplace.models.moves import Step, StepKind
from numaplace.models.plan import Placement
from numaplace.models.units import MICRO
from numaplace.report.tables import words
from numaplace.report.tables.terminal_questions import where_words
from numaplace.report.tables.terminal_tables import (
    STATUS_STYLE,
    new_table,
    titled,
    unplaced_table,
)
from numaplace.solver.replan.rebalance import Rebalanced
from numaplace.solver.replan.sequence import PricedStep

Views = list[RenderableType]
WHAT = {
    StepKind.START: "start",
    StepKind.REPIN: "pin anew",
    StepKind.RESIZE: "resize",
    StepKind.WITHIN: "move",
    StepKind.ACROSS: "migrate",
}


def rebalance_views(found: Rebalanced, curve: Sequence[Rebalanced] = ()) -> Views:
    """Verdict, steps in order, what is left out and why, and the trade-off if it was asked for."""
    views: Views = [_head(found)]
    if found.result.plan is not None:
        views.append(_sums(found))
        if found.steps:
            views.append(steps_table(found.steps))
        missing = words.unplaced(found.instance, found.result)
        if missing:
            views.append(unplaced_table(missing))
    if found.left_out:
        lines = [f"Not reached: {reason}" for reason in found.left_out]
        views.append(Text("\n".join(lines)))
    views += [Text(reason) for reason in found.result.reasons if reason not in found.left_out]
    if curve:
        views.append(curve_table(curve))
    return views


def _head(found: Rebalanced) -> Text:
    result = found.result
    text = Text.assemble((found.instance.name or "instance", "bold"), "  rebalance: ")
    text.append(str(result.status), STATUS_STYLE[result.status])
    if result.plan is not None:
        text.append(f" ({words.proof_words(result)})")
    return text.append(f", {words.seconds(result.runtime_s)}")


def _sums(found: Rebalanced) -> Text:
    before, after = found.stay_micro, found.lasting_micro
    assert after is not None
    lost = f"{words.loss(after)} vCPUs lost"
    if before is None:
        lost += ", the plan before breaks rules"
    else:
        lost += f" instead of {words.loss(before)}"
    stuck = ""
    if found.best_micro is not None and found.best_micro < after:
        worth = words.loss(after - found.best_micro)
        stuck = f"moves worth {worth} vCPUs cannot be made, see below"
    if not found.steps:
        return Text(f"{lost}: {stuck or 'nothing is worth moving within the budget'}")
    spent = found.spent
    effort = f"{words.plural(spent.moves, 'move')}, {words.memory(spent.mib)} copied"
    effort += f" in {words.seconds(spent.copying_us / MICRO)}" if spent.copying_us else ""
    return Text("; ".join(part for part in (f"{lost}: {effort}", stuck) if part))


def steps_table(steps: Sequence[PricedStep]) -> RenderableType:
    """Steps in the order to make them."""
    right = ["#", "copied", "time", "gain"]
    table = new_table("#", "VM", "what", "from", "to", "copied", "time", "gain", right=right)
    for number, one in enumerate(steps, 1):
        step = one.step
        what = WHAT[step.kind] + (" away" if step.bounce else "")
        table.add_row(
            str(number),
            Text(step.vm),
            what,
            Text("–" if step.before is None else _where(step, step.before)),
            Text(_where(step, step.after)),
            words.memory(step.mib) if step.mib else "",
            words.seconds(one.copying_us / MICRO) if one.copying_us else "",
            _gain(one.gain_micro),
        )
    return titled("Moves in order; vCPUs first, pages after; gain in vCPUs", table)


def _where(step: Step, at: Placement) -> str:
    if step.kind is not StepKind.RESIZE:
        return where_words(at)
    mib, vcpus = sum(at.memory_by_node().values()), sum(at.vcpus_by_node().values())
    return f"{where_words(at)}: {words.plural(vcpus, 'vCPU')}, {words.memory(mib)}"


def _gain(micro: int | None) -> str:
    if micro is None:
        return "?"
    return f"-{words.loss(-micro)}" if micro < 0 else words.loss(micro)


def curve_table(points: Sequence[Rebalanced]) -> RenderableType:
    """Loss against MiB moved."""
    right = ["budget", "copied", "moves", "vCPUs lost", "gap"]
    table = new_table(*right, "status", right=right)
    for point in points:
        mib, after = point.budget.mib, point.lasting_micro
        table.add_row(
            "any" if mib is None else words.memory(mib),
            words.memory(point.spent.mib),
            str(point.spent.moves),
            "" if after is None else words.loss(after),
            words.gap(point.result.gap),
            Text(str(point.result.status), STATUS_STYLE[point.result.status]),
        )
    return titled("Trade-off", table)
