"""What each command shows: pieces of text and tables in the order in which they are printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from numaplace.models.cost import Cost, evaluate
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Provenance, Result
from numaplace.models.verify import Violation
from numaplace.report.picture.terminal import plan_view
from numaplace.report.tables import words
from numaplace.report.tables.terminal_tables import (
    distance_table,
    loss_table,
    new_table,
    plan_table,
    summary,
    unplaced_table,
    violation_table,
    vm_table,
)

HOSTS_MAX = 3

Views = list[RenderableType]


def solve_views(instance: Instance, result: Result, width: int) -> Views:
    """Outcome of a solve: verdict, picture, plan, losses, what is not placed and why."""
    views: Views = [summary(instance, result)]
    if result.plan is not None and result.plan.placements:
        views += [plan_view(result.plan, instance, width), plan_table(result.plan, instance)]
        if result.cost is not None:
            views.append(loss_table(result.cost))
    missing = words.unplaced(instance, result)
    if missing and result.plan is not None:
        views.append(unplaced_table(missing))
    return views + [Text(text) for text in (*result.reasons, *result.remarks)]


def instance_views(instance: Instance, *, vms: bool = True, width: int | None = None) -> Views:
    """What an instance holds: sums, a picture if `width` is given, distances, VMs."""
    head = Text.assemble(
        (instance.name or "instance", "bold"), f"  {words.instance_words(instance)}"
    )
    views: Views = [head]
    if instance.comment:
        views.append(Text(instance.comment, "dim"))
    if width is not None:
        views.append(plan_view(Plan(), instance, width))
    views += _distances(instance)
    if vms and instance.vms:
        views.append(vm_table(instance))
    return views


def _distances(instance: Instance) -> Views:
    """Distances of the first few hosts that differ in them."""
    different = {(host.nodes, host.relative): host for host in reversed(instance.hosts)}
    tables = [distance_table(host) for host in reversed(different.values())]
    return [table for table in tables if table is not None][:HOSTS_MAX]


def show_views(
    instance: Instance,
    plan: Plan | None,
    width: int,
    found: Sequence[Violation] = (),
    told: Provenance | None = None,
    result: Result | None = None,
) -> Views:
    """An instance, or a plan that is at hand: rules it breaks, sums, picture, table, losses.

    `told` is how the plan came about, and `result` that as far as it holds.
    """
    if plan is None:
        return instance_views(instance, width=width)
    cost = evaluate(instance, plan)
    clauses = ", ".join(words.cost_words(instance, cost, len(plan)))
    head = Text(instance.name or "instance", "bold")
    if found:
        head.append(f", {words.broken_words(found)}", "bold red")
    head.append(f"  {clauses}", "not bold default")
    views: Views = [violation_table(found)] if found else []
    views += [head, *_told_views(told, result)]
    views += [plan_view(plan, instance, width), *_distances(instance)]
    if plan.placements:
        views += [plan_table(plan, instance), loss_table(cost)]
    missing = words.unplaced(instance, result) if result is not None else None
    return [*views, unplaced_table(missing)] if missing else views


def _told_views(told: Provenance | None, result: Result | None) -> Views:
    return [] if told is None else [Text(words.told_words(told, result))]


def check_views(
    instance: Instance,
    plan: Plan,
    found: Sequence[Violation],
    cost: Cost | None,
    told: Provenance | None = None,
    result: Result | None = None,
) -> Views:
    """Verdict of a check; `told` and `result` as in `show_views`."""
    if found:
        return [violation_table(found)]
    verdict = Text("The plan obeys every rule.", "bold green")
    if cost is None:
        return [verdict]
    clauses = ", ".join(words.cost_words(instance, cost, len(plan)))
    views: Views = [verdict.append(f"  {clauses}", "not bold default")]
    views += _told_views(told, result)
    return [*views, loss_table(cost)] if plan.placements else views


def catalogue_view(entries: Iterable[tuple[Any, ...]]) -> RenderableType:
    """Shipped instances: name, description, value and loss of the optimum."""
    table = new_table("name", "value", "loss", "what it shows", right=["value", "loss"])
    for name, description, value_milli, loss_micro, *_ in entries:
        value = "" if value_milli is None else words.value(value_milli)
        loss = "" if loss_micro is None else words.loss(loss_micro)
        table.add_row(name, value, loss, Text(description))
    return table


def demo_views(written: Sequence[Path]) -> Views:
    """Where to look after the tour."""
    pictures = any(path.suffix == ".png" for path in written)
    lines = Text("Written:\n", "bold")
    lines.append("\n".join(f"  {path}" for path in written), "not bold")
    views: Views = [lines]
    if not pictures:
        views.append(Text("No pictures: pip install 'numaplace[plot]' brings what draws them."))
    views.append(Text("Next: numaplace catalog, numaplace solve devices, numaplace --help"))
    return views
