"""Answers to operators' questions: room for one more, sharing of pages, cells of guests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text

from numaplace.models.cost import Cost
from numaplace.models.result import Result, SolveStatus
from numaplace.models.units import MICRO
from numaplace.models.vm import Cell
from numaplace.report.tables import words
from numaplace.report.tables.columns import ABSENT, Column, Record, columns, within
from numaplace.report.tables.moves import CHANGE, WHERE, changes_table
from numaplace.report.tables.plans import COST, STATUS_STYLE, loss_table, plan_column
from numaplace.report.tables.table import Table, Views
from numaplace.report.tables.words import where_words
from numaplace.solver.compare.guest_moved import WhatIf
from numaplace.solver.compare.guest_numa import Choice, GuestAnswer
from numaplace.solver.compare.sharing import Sharing, SharingRow
from numaplace.solver.replan.room import Room, RoomGoal

ROOM = Record(
    within(
        "0",
        "instance=instance.name vm goal status=result.status runtime_s=result.runtime_s:float",
        Column("placement", (WHERE, None)),
        Column("changes", [Record(CHANGE)]),
        Column("price_vcpus", float, lambda room: room.price_micro / MICRO),
        "price_micro:int least_micro:int? reasons=result.reasons:[str]",
        Column("cost", (COST, None), "result.cost"),
    ),
    plan_column("0.result.plan", "1"),
    name="room",
)
"""Where one more VM goes, and what gives way, of a pair (room, how the plan came about)."""


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


# ---- sharing of pages ---------------------------------------------------------------------------


def _people(name: str, get: Callable[[SharingRow, Cost], str]) -> Column:
    """Something of a row that has a plan, for people."""

    def show(row: SharingRow) -> str:
        return "" if row.cost is None else get(row, row.cost)

    return Column(f"-{name}", object, ".", name, show, right=True)


def _same(row: SharingRow) -> bool:
    return row.cost is not None and row.sharing is Sharing.ONE_COPY


SHARING_ROW = columns(
    Column("sharing", str, "", "pages shared"),
    "status=result.status gap=result.gap:float? vms_placed=placed:int saved_mib:int copies:int",
    "remote_vcpus:int read_loss_micro=read_micro:int",
    Column("vms", int, lambda row: len(row.instance.vms)),
    Column("cost", (COST, None)),
    _people("placed", lambda row, _: f"{row.placed}/{len(row.instance.vms)}"),
    _people("saved", lambda row, _: words.memory(row.saved_mib)),
    _people("copies", lambda row, _: str(row.copies)),
    _people("afar", lambda row, _: str(row.remote_vcpus)),
    _people("reads", lambda row, _: words.loss(row.read_micro)),
    _people("loss", lambda _, cost: words.loss(cost.loss_micro)),
    Column("-status", str, lambda row: "–" if _same(row) else row.result.status, "status"),
)
SHARING = Record(
    "instance=0.instance.name", Column("rows", [Record(SHARING_ROW)], "."), name="sharing"
)
"""What each way to share comes to."""


def sharing_table(rows: Sequence[SharingRow]) -> Table:
    """A row a way to share."""
    return Table(SHARING_ROW, rows)


def sharing_views(rows: Sequence[SharingRow]) -> Views:
    """Memory saved against remote reads, and what that means in a sentence or two."""
    head = Text(rows[0].instance.name or "instance", "bold")
    note = "afar: vCPUs whose nearest copy is on another node; reads: vCPUs lost by that"
    said = Text("\n".join(sharing_words(rows)))
    return [head, sharing_table(rows), Text(note, "dim"), said]


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
        if saved:
            gains.append(f"{words.memory(abs(saved))} {'saved' if saved > 0 else 'more used'}")
        if loss:
            gains.append(f"{words.loss(abs(loss))} vCPUs {'more' if loss > 0 else 'less'} lost")
        lines.append(f"Sharing {more} instead of {less}: {', '.join(gains) or 'no difference'}.")
    return lines


# ---- cells of guests ----------------------------------------------------------------------------
# Rows are (answer, what if, index of the choice).


def _choice(row: Any) -> Choice:
    choice: Choice = row[0].choices[row[2]]
    return choice


_TOLD = {True: "yes", False: "no"}


def _sizes(cells: Sequence[Cell]) -> str:
    return "+".join(str(cell.vcpus) for cell in cells)


def _is_best(row: Any) -> bool:
    return _choice(row) is row[0].best


def _lost(result: Result) -> str:
    return str(result.status) if result.cost is None else words.loss(result.cost.loss_micro)


def _what_if(row: Any) -> Any:
    _, moved, index = row
    if moved is None:
        return ABSENT
    mapped = moved.mapped[index]
    return None if mapped is None else (mapped, moved.wrong_micro(index))


def _elsewhere(row: Any) -> str:
    mapped = row[1].mapped[row[2]]
    if mapped is None or row[1].right is None:
        return "too small"
    return ("" if mapped.proven else "≤ ") + words.loss(mapped.loss_micro)


def _wrong(row: Any) -> str:
    wrong = row[1].wrong_micro(row[2])
    return "" if wrong is None else words.loss(wrong)


_WHAT_IF = Record(
    "loss_micro=0.loss_micro:int wrong_micro=1:int? nodes=0.nodes:[int] proven=0.proven:bool"
)
CHOICE = columns(
    Column("-vm", str, "0.vm.name"),
    Column("-cells", str, lambda row: f"{len(_choice(row).cells)}{' ←' * _is_best(row)}", "cells"),
    within(
        _choice,
        Column("cells", [Record("vcpus:int memory_mib:int")], "", "vCPUs", _sizes, prose=True),
        "told:bool status=result.status reasons=result.reasons:[str]",
        Column("-told", str, lambda it: "–" if len(it.cells) == 1 else _TOLD[it.told], "told"),
        Column("own_loss_micro", (int, None), "own_micro", "own", words.loss),
        Column("cost", (COST, None), "result.cost"),
        Column("-whole", object, "result", "whole", _lost, right=True),
        Column("-placed", object, "result.plan", "placed", lambda plan: str(len(plan)), True),
    ),
    Column("what_if", (_WHAT_IF, None), _what_if, optional=True),
)
_MOVED = (
    Column("-elsewhere", object, ".", "elsewhere", _elsewhere, right=True),
    Column("-wrong_by", object, ".", "wrong by", _wrong, right=True),
)


def _best(pair: Any) -> int | None:
    return None if pair[0].best is None else pair[0].choices.index(pair[0].best)


_CHOICES = Column("choices", [Record(CHOICE)], lambda pair: choice_rows([pair]))
_GUEST = Record("vm=0.vm.name", _CHOICES, Column("best", (int, None), _best))
GUEST_NUMA = Record("instance=0", Column("guests", [_GUEST], "1"), name="guest-numa")
"""Of a pair (name of the instance, pairs of answer and what if)."""

Pairs = Sequence[tuple[GuestAnswer, WhatIf | None]]


def choice_rows(pairs: Pairs) -> list[Any]:
    """A row a choice."""
    return [(answer, moved, at) for answer, moved in pairs for at in range(len(answer.choices))]


def choice_table(pairs: Pairs) -> Table:
    """Each topology of each guest; the best of each is marked."""
    moved = any(moved is not None for _, moved in pairs)
    parts = (*CHOICE, *(_MOVED if moved else ()))
    return Table(
        parts, choice_rows(pairs), noun="choice", style=lambda row: "bold green" * _is_best(row)
    )


def guest_views(answer: GuestAnswer, moved: WhatIf | None) -> Views:
    """Loss of each topology of one guest; the best is marked."""
    vm = answer.vm
    head = Text.assemble((vm.name, "bold"), f"  {words.plural(vm.vcpus, 'vCPU')}, ")
    head.append(words.memory(vm.memory_mib))
    note = "vCPUs lost; own: by the VM itself, whole: by the plan of all VMs that are placed"
    if moved is not None:
        note += f"\n{_moved_words(moved)}"
    views: Views = [head, choice_table([(answer, moved)]), Text(note, "dim")]
    reasons = {reason for choice in answer.choices for reason in choice.result.reasons}
    if answer.best is None:
        views += [Text(reason) for reason in sorted(reasons)]
    return views


def _moved_words(moved: WhatIf) -> str:
    if moved.right is None:
        return f"{moved.host.name} is too small for it, however it is cut"
    return (
        f"elsewhere: vCPUs lost alone on {moved.host.name} with what it was told at boot; "
        f"wrong by: beyond the best told topology there, {words.loss(moved.right.loss_micro)}"
    )
