"""Answers to operators' questions for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from numaplace.models.plan import Placement
from numaplace.models.result import SolveStatus
from numaplace.solver.plan_diff import Difference
from numaplace.solver.report import words
from numaplace.solver.report.terminal_tables import (
    STATUS_STYLE,
    loss_table,
    new_table,
    titled,
)
from numaplace.solver.room import Goal, Room

Views = list[RenderableType]


def room_views(room: Room) -> Views:
    """Whether there is room, what gives way and at which price, or why nothing helps."""
    result = room.result
    head = Text(room.vm, "bold")
    if room.placement is None:
        said = {
            SolveStatus.INFEASIBLE: "fits nowhere, whatever moves: proven",
            SolveStatus.UNKNOWN: "found no room in time, and none is excluded",
        }.get(result.status, str(result.status))
        head.append(f"  {said}", STATUS_STYLE[result.status])
        return [head, *(Text(reason) for reason in result.reasons)]
    style = STATUS_STYLE[result.status]
    if not room.changes:
        head.append("  fits as things are, nothing has to move", style)
    elif result.status is SolveStatus.OPTIMAL:
        least = "no plan loses less" if room.goal is Goal.LOSS else "no cheaper moves exist"
        head.append(f"  fits after {words.plural(len(room.changes), 'change')}: {least}", style)
    else:
        head.append(f"  fits after {words.plural(len(room.changes), 'change')}, ", style)
        head.append("cheaper ones are not excluded", style)
    where = Text(f"it goes to {where_words(room.placement)}")
    where.append(f"; moving and ballooning cost {words.loss(room.price_micro)} vCPUs")
    views: Views = [head, where]
    if room.changes:
        views.append(changes_table(room.changes))
    if result.cost is not None:
        views.append(loss_table(result.cost))
    return views


def where_words(placement: Placement) -> str:
    """Host, nodes of the vCPUs, and of the memory if that is elsewhere."""
    text = f"{placement.host}, node {words.id_ranges(tuple(sorted(placement.nodes)))}"
    held = tuple(sorted(node for node, mib in placement.memory_by_node().items() if mib))
    if held and frozenset(held) != placement.nodes:
        text += f" (memory on {words.id_ranges(held)})"
    return text


def changes_table(changes: Sequence[Difference]) -> RenderableType:
    """VMs that are not left as they are."""
    right = ["copied", "ballooned"]
    table = new_table("VM", "what", "from", "to", *right, right=right)
    for change in changes:
        places = [
            Text(where_words(at) if at is not None else "–") for at in (change.before, change.after)
        ]
        ballooned = f"{change.ballooned_mib:+} MiB" if change.ballooned_mib else ""
        copied = f"{change.moved_mib} MiB" if change.moved_mib else ""
        table.add_row(Text(change.vm), str(change.change), *places, copied, ballooned)
    return titled("What gives way", table)
