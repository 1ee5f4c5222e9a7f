"""Answers to operators' questions as plain values for JSON."""

from __future__ import annotations

from numaplace.models.plan import Placement
from numaplace.models.units import MICRO
from numaplace.solver.plan_diff import Difference
from numaplace.solver.report.plain import Plain, cost_plain
from numaplace.solver.room import Room


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
        "cost": None if cost is None else cost_plain(cost),
        "reasons": list(room.result.reasons),
    }
