"""Answers to operators' questions for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from numaplace.models.plan import Placement
from numaplace.models.result import SolveStatus
from numaplace.report.tables import words
from numaplace.report.tables.terminal_tables import (
    STATUS_STYLE,
    loss_table,
    new_table,
    titled,
)
from numaplace.solver.compare.guest_moved import WhatIf
from numaplace.solver.compare.guest_numa import Choice, GuestAnswer
from numaplace.solver.compare.sharing import Sharing, SharingRow
from numaplace.solver.replan.diff import Difference
from numaplace.solver.replan.room import Room, RoomGoal

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
        least = "no plan loses less"
        if room.goal is RoomGoal.MOVES:
            least = "nothing cheaper can give way"
        head.append(f"  fits after {words.plural(len(room.changes), 'change')}: {least}", style)
    else:
        head.append(f"  fits after {words.plural(len(room.changes), 'change')}, ", style)
        head.append("cheaper ones are not excluded", style)
    where = Text(f"it goes to {where_words(room.placement)}")
    where.append(f"; moving and ballooning cost {words.loss(room.price_micro)} vCPUs")
    if room.least_micro is not None and room.least_micro < room.price_micro:
        where.append(f" ({words.loss(room.least_micro)} at least, with pages left behind)")
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


def sharing_views(rows: Sequence[SharingRow]) -> Views:
    """Memory saved against remote reads, and what that means in a sentence or two."""
    right = ["placed", "saved", "copies", "afar", "reads", "loss"]
    table = new_table("pages shared", *right, "status", right=right)
    for row in rows:
        if row.cost is None:
            table.add_row(str(row.sharing), *[""] * len(right), str(row.result.status))
            continue
        same_plan = row.sharing is Sharing.ONE_COPY
        table.add_row(
            str(row.sharing),
            f"{row.placed}/{len(row.instance.vms)}",
            words.memory(row.saved_mib),
            str(row.copies),
            str(row.remote_vcpus),
            words.loss(row.read_micro),
            words.loss(row.cost.loss_micro),
            "–" if same_plan else str(row.result.status),
        )
    head = Text(rows[0].instance.name or "instance", "bold")
    note = Text(
        "afar: vCPUs whose nearest copy is on another node; reads: vCPUs lost by that", "dim"
    )
    return [head, table, note, Text("\n".join(sharing_words(rows)))]


def sharing_words(rows: Sequence[SharingRow]) -> list[str]:
    """What each step of sharing brings, as sentences."""
    found = {row.sharing: row for row in rows}
    lines = []
    for less, more in ((Sharing.NONE, Sharing.NODES), (Sharing.NODES, Sharing.ACROSS)):
        before, after = found[less].cost, found[more].cost
        if before is None or after is None:
            continue
        value = after.value_milli - before.value_milli
        loss = after.loss_micro - before.loss_micro
        saved = found[more].saved_mib - found[less].saved_mib
        gains = [f"{'+' if value > 0 else ''}{words.value(value)} of value"] if value else []
        gains += [f"{words.memory(abs(saved))} {'saved' if saved > 0 else 'more used'}"] * bool(
            saved
        )
        gains += [f"{words.loss(abs(loss))} vCPUs {'more' if loss > 0 else 'less'} lost"] * bool(
            loss
        )
        lines.append(f"Sharing {more} instead of {less}: {', '.join(gains) or 'no difference'}.")
    return lines


def guest_views(answer: GuestAnswer, moved: WhatIf | None) -> Views:
    """Loss of each topology of one guest; the best is marked."""
    vm = answer.vm
    more = ["elsewhere", "wrong by"] if moved else []
    right = ["own", "whole", "placed", *more]
    table = new_table("cells", "vCPUs", "told", *right, right=right)
    for index, choice in enumerate(answer.choices):
        row = [*_choice_fields(choice), *(_moved_fields(moved, index) if moved else ())]
        best = choice is answer.best
        row[0] += " ←" if best else ""
        table.add_row(*row, style="bold green" if best else "")
    head = Text.assemble((vm.name, "bold"), f"  {words.plural(vm.vcpus, 'vCPU')}, ")
    head.append(words.memory(vm.memory_mib))
    note = "vCPUs lost; own: by the VM itself, whole: by the plan of all VMs that are placed"
    if moved is not None:
        note += f"\n{_moved_words(moved)}"
    views: Views = [head, table, Text(note, "dim")]
    reasons = {reason for choice in answer.choices for reason in choice.result.reasons}
    if answer.best is None:
        views += [Text(reason) for reason in sorted(reasons)]
    return views


def _choice_fields(choice: Choice) -> list[str]:
    count = len(choice.cells)
    sizes = "+".join(str(cell.vcpus) for cell in choice.cells)
    told = "–" if count == 1 else "yes" if choice.told else "no"
    cost, plan = choice.result.cost, choice.result.plan
    if cost is None or plan is None:
        return [str(count), sizes, told, "", str(choice.result.status), ""]
    own = words.loss(choice.own_micro or 0)
    return [str(count), sizes, told, own, words.loss(cost.loss_micro), str(len(plan))]


def _moved_fields(moved: WhatIf, index: int) -> list[str]:
    mapped, wrong = moved.mapped[index], moved.wrong_micro(index)
    if mapped is None or wrong is None:
        return ["too small", ""]
    mark = "" if mapped.proven else "≤ "
    return [mark + words.loss(mapped.loss_micro), words.loss(wrong)]


def _moved_words(moved: WhatIf) -> str:
    if moved.right is None:
        return f"{moved.host.name} is too small for it, however it is cut"
    return (
        f"elsewhere: vCPUs lost alone on {moved.host.name} with what it was told at boot; "
        f"wrong by: beyond the best told topology there, {words.loss(moved.right.loss_micro)}"
    )
