"""Answers to operators' questions as plain values for JSON."""

from __future__ import annotations

from numaplace.models.plan import Placement
from numaplace.solver.plan_diff import Difference
from numaplace.solver.report.plain import Plain


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
