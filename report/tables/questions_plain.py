"""Answers to operators' questions as plain values for JSON."""

from __future__ import annotations

from collections.abc import Sequence

from numaplace.models.plan import Placement
from numaplace.models.units import MICRO
from numaplace.report.tables.plain import Plain, cost_plain
from numaplace.solver.compare.guest_moved import WhatIf
from numaplace.solver.compare.guest_numa import Choice, GuestAnswer
from numaplace.solver.compare.sharing import SharingRow
from numaplace.solver.replan.diff import Difference
from numaplace.solver.replan.room import Room


def move_plain(move: Difference) -> Plain:
    """A VM that is not where it was."""
    return {
        "vm": move.vm,
        "change": str(move.change),
        "from": where_plain(move.before),
        "to": where_plain(move.after),
        "moved_mib": move.moved_mib,
        "ballooned_mib": move.ballooned_mib,
    }


def where_plain(placement: Placement | None) -> Plain | None:
    """Host, nodes of the vCPUs, memory by node."""
    if placement is None:
        return None
    return {
        "host": placement.host,
        "nodes": sorted(placement.nodes),
        "memory_mib": {str(n): mib for n, mib in sorted(placement.memory_by_node().items())},
    }


def room_plain(room: Room) -> Plain:
    """Where one more VM goes, and what gives way."""
    cost = room.result.cost
    return {
        "instance": room.instance.name,
        "vm": room.vm,
        "goal": str(room.goal),
        "status": str(room.result.status),
        "runtime_s": room.result.runtime_s,
        "placement": where_plain(room.placement),
        "changes": [move_plain(change) for change in room.changes],
        "price_vcpus": room.price_micro / MICRO,
        "price_micro": room.price_micro,
        "least_micro": room.least_micro,
        "cost": None if cost is None else cost_plain(cost),
        "reasons": list(room.result.reasons),
    }


def sharing_plain(rows: Sequence[SharingRow]) -> Plain:
    """What each way to share comes to."""
    return {
        "instance": rows[0].instance.name,
        "rows": [
            {
                "sharing": str(row.sharing),
                "status": str(row.result.status),
                "gap": row.result.gap,
                "vms": len(row.instance.vms),
                "vms_placed": row.placed,
                "saved_mib": row.saved_mib,
                "copies": row.copies,
                "remote_vcpus": row.remote_vcpus,
                "read_loss_micro": row.read_micro,
                "cost": None if row.cost is None else cost_plain(row.cost),
            }
            for row in rows
        ],
    }


def guest_plain(answer: GuestAnswer, moved: WhatIf | None) -> Plain:
    """Each topology of one guest, and what it comes to."""
    choices = [_choice_plain(choice) for choice in answer.choices]
    for index, choice in enumerate(choices if moved else ()):
        mapped = moved.mapped[index] if moved else None
        choice["what_if"] = (
            None
            if mapped is None or moved is None
            else {
                "loss_micro": mapped.loss_micro,
                "wrong_micro": moved.wrong_micro(index),
                "nodes": list(mapped.nodes),
                "proven": mapped.proven,
            }
        )
    best = None if answer.best is None else answer.choices.index(answer.best)
    return {"vm": answer.vm.name, "choices": choices, "best": best}


def _choice_plain(choice: Choice) -> Plain:
    cost = choice.result.cost
    return {
        "cells": [{"vcpus": cell.vcpus, "memory_mib": cell.memory_mib} for cell in choice.cells],
        "told": choice.told,
        "status": str(choice.result.status),
        "own_loss_micro": choice.own_micro,
        "cost": None if cost is None else cost_plain(cost),
        "reasons": list(choice.result.reasons),
    }
