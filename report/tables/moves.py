"""What changes when plans change: moves in order, the trade-off, what gives way, balloons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text

from numaplace.models.cost import Cost, Term, evaluate
from numaplace.models.moves import Step, StepKind
from numaplace.models.plan import Placement
from numaplace.models.units import MICRO
from numaplace.models.verify import violations
from numaplace.report.tables import words
from numaplace.report.tables.columns import Column, Record, columns, within
from numaplace.report.tables.plans import (
    COST,
    RESULT,
    STATUS_STYLE,
    VIOLATION,
    plan_column,
    status_text,
    unplaced_table,
)
from numaplace.report.tables.table import Table, Views
from numaplace.report.tables.words import where_words
from numaplace.solver.replan.diff import BalloonTarget, Difference, differences
from numaplace.solver.replan.rebalance import Rebalanced
from numaplace.solver.replan.sequence import PricedStep

WHAT = {
    StepKind.START: "start",
    StepKind.REPIN: "pin anew",
    StepKind.RESIZE: "resize",
    StepKind.WITHIN: "move",
    StepKind.ACROSS: "migrate",
}

WHERE = Record(
    "host",
    Column("nodes", [int], lambda placement: sorted(placement.nodes)),
    Column(
        "memory_mib", {str: int}, lambda placement: dict(sorted(placement.memory_by_node().items()))
    ),
)
"""Where a VM is: host, nodes of the vCPUs, memory by node."""


def _some(show: Callable[[Any], str]) -> Callable[[Any], str]:
    """Show what is above nothing."""
    return lambda number: show(number) if number else ""


def _place(name: str, path: str) -> Column:
    return Column(name, (WHERE, None), path, name, where_words, prose=True)


# ---- what gives way -----------------------------------------------------------------------------

CHANGE = (
    Column("vm", str, "", "VM"),
    Column("change", str, "", "what"),
    _place("from", "before"),
    _place("to", "after"),
    Column("moved_mib", int, "", "copied", _some("{} MiB".format)),
    Column("ballooned_mib", int, "", "ballooned", _some("{:+} MiB".format)),
)
"""A VM that is not where it was."""


def changes_table(changes: Sequence[Difference]) -> Table:
    """VMs that are not left as they are."""
    return Table(CHANGE, changes, "What gives way", "VM")


# ---- a rebalance --------------------------------------------------------------------------------


def _where(step: Step, at: Placement | None) -> str:
    if at is None or step.kind is not StepKind.RESIZE:
        return "-" if at is None else where_words(at)
    mib, vcpus = sum(at.memory_by_node().values()), sum(at.vcpus_by_node().values())
    return f"{where_words(at)}: {words.plural(vcpus, 'vCPU')}, {words.memory(mib)}"


def _gain(micro: int | None) -> str:
    return "?" if micro is None else words.loss(micro)


STEP = columns(
    Column("-number", int, "0", "#"),
    Column("vm", str, "1.step.vm", "VM"),
    "what=1.step.kind makes_room=1.step.bounce:bool",
    Column("-what", object, "1.step", "what", lambda it: WHAT[it.kind] + " away" * bool(it.bounce)),
    Column("from", (WHERE, None), "1.step.before"),
    Column("to", (WHERE, None), "1.step.after"),
    Column("-from", object, "1.step", "from", lambda step: _where(step, step.before), prose=True),
    Column("-to", object, "1.step", "to", lambda step: _where(step, step.after), prose=True),
    Column("moved_mib", int, "1.step.mib", "copied", _some(words.memory)),
    Column("copying_s", float, lambda row: row[1].copying_us / MICRO, "time", _some(words.seconds)),
    Column("gain_micro", (int, None), "1.gain_micro"),
    Column("-gain", object, "1", "gain", lambda one: _gain(one.gain_micro), right=True),
)
"""Of pairs (number, step)."""

_SPENT = (
    Column("moves", int, "spent.moves", "moves"),
    Column("moved_mib", int, "spent.mib", "copied", words.memory),
    Column("copying_s", float, lambda found: found.spent.copying_us / MICRO),
)


def _budget(mib: int | None) -> str:
    return "any" if mib is None else words.memory(mib)


_POINT = columns(
    "budget_mib=budget.mib:int? gap=result.gap:float?",
    Column("-budget", str, lambda point: _budget(point.budget.mib), "budget", right=True),
    _SPENT,
    Column("lasting_loss_micro", (int, None), "lasting_micro", "vCPUs lost", words.loss),
    Column("-gap", object, "result", "gap", lambda result: words.gap(result.gap), right=True),
    Column("status", str, "result.status", "status", status_text),
)
_BEST = Column(
    "best",
    (int, None),
    lambda found: found.lasting_micro if found.best_micro is None else found.best_micro,
)
REBALANCE = Record(
    within(
        "0",
        within(lambda found: (found.instance, found.result), RESULT),
        Column("budget", Record("mib:int? moves:int? seconds:float?")),
        "horizon_s=instance.prices.horizon_s:float left_out:[str]",
        Column(
            "lasting_loss_micro",
            Record("before=stay_micro:int? after=lasting_micro:int?", _BEST),
            ".",
        ),
        _SPENT,
        Column("steps", [Record(STEP)], lambda found: enumerate(found.steps, 1)),
    ),
    plan_column("0.result.plan", "2"),
    Column("curve", [Record(_POINT)], "1"),
    name="rebalance",
)
"""Of (rebalance, points of the trade-off with the one without a budget last, how it was made)."""


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
        views.append(Text("\n".join(f"Not reached: {reason}" for reason in found.left_out)))
    views += [Text(reason) for reason in found.result.reasons if reason not in found.left_out]
    return [*views, Table(_POINT, curve, "Trade-off", "point")] if curve else views


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


def steps_table(steps: Sequence[PricedStep]) -> Table:
    """Steps in the order to make them."""
    title = "Moves in order; vCPUs first, pages after; gain in vCPUs"
    return Table(STEP, [*enumerate(steps, 1)], title, "move", keys=2)


# ---- a report -----------------------------------------------------------------------------------


def _costs(row: Any) -> dict[str, Any]:
    plans = {"before": row[3], "after": row[2]}
    return {name: None if plan is None else evaluate(row[1], plan) for name, plan in plans.items()}


def _moves(row: Any) -> Any:
    _, instance, plan, before, *_ = row
    known = plan is not None and before is not None
    return differences(instance, before, plan) if known else ()


def _violations(row: Any) -> Any:
    return () if row[2] is None else violations(row[1], row[2])


REPORT = Record(
    "file=0",
    Column("result", (Record(RESULT), None), lambda row: row[4] and (row[1], row[4])),
    Column("cost", {str: (COST, None)}, _costs),
    Column("moves", [Record(CHANGE)], _moves),
    Column("violations", [Record(VIOLATION)], _violations),
    plan_column("2", "5"),
    name="report",
)
"""Of (file, instance, plan, plan before, result, how the plan came about)."""


# ---- balloons -----------------------------------------------------------------------------------


def _node_words(nodes: Any) -> str:
    """Each node's part: ``0: 4 GiB -> 2.5 GiB``; just the amount where nothing changes."""
    parts: list[str] = []
    for pages in nodes:
        amount = words.memory(pages.target_mib)
        if pages.before_mib != pages.target_mib:
            amount = f"{words.memory(pages.before_mib)} -> {amount}"
        parts.append(f"{pages.node}: {amount}")
    return ", ".join(parts)


_PAGES = Record("node:int before_mib:int target_mib:int")
TARGET = columns(
    Column("vm", str, "", "VM"),
    "host",
    Column("nominal_mib", int, "", "memory", words.memory),
    Column("least_mib", int, "", "least", words.memory),
    Column("before_mib", int, "", "before", words.memory),
    Column("target_mib", int, "", "target", words.memory),
    Column("nodes", [_PAGES], "", "by node", _node_words, prose=True),
    "change_mib:int",
)
"""What a VM is ballooned to."""

BALLOON = Record(
    Column("targets", [Record(TARGET)], "0"),
    Column("cost", COST, "1"),
    plan_column("2", "3"),
    name="balloon",
)
"""Of (targets, cost, plan, how that came about)."""


def balloon_table(targets: Sequence[BalloonTarget]) -> Table:
    """A row a VM."""
    return Table(TARGET, targets, "Balloon targets", "VM")


def balloon_views(targets: Sequence[BalloonTarget], cost: Cost) -> Views:
    """Target of each VM, from or to which nodes pages go, and what that costs."""
    if not targets:
        return [Text("No VM that is placed can be ballooned (none has memory_min_mib).")]
    taken = sum(-t.change_mib for t in targets if t.change_mib < 0)
    given = sum(t.change_mib for t in targets if t.change_mib > 0)
    line = f"taken away {words.memory(taken)}, given back {words.memory(given)}; ballooning loses "
    line += f"{words.loss(cost.terms[Term.BALLOONING])} vCPUs, remote memory "
    line += words.loss(cost.terms[Term.REMOTE_MEMORY])
    return [balloon_table(targets), Text(line)]
