"""Balloon targets in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rich.text import Text

from numaplace.models.cost import Cost, Term
from numaplace.report.tables import words
from numaplace.report.tables.terminal_tables import new_table, titled
from numaplace.report.tables.terminal_views import Views
from numaplace.solver.replan.balloon import BalloonTarget


def balloon_views(targets: Sequence[BalloonTarget], cost: Cost) -> Views:
    """Target of each VM, from or to which nodes pages go, and what that costs."""
    if not targets:
        return [Text("No VM that is placed can be ballooned (none has memory_min_mib).")]
    right = ["memory", "least", "before", "target"]
    table = new_table("VM", *right, "by node", right=right)
    for target in targets:
        sizes = (target.nominal_mib, target.least_mib, target.before_mib, target.target_mib)
        table.add_row(Text(target.vm), *map(words.memory, sizes), node_words(target))
    taken = sum(-t.change_mib for t in targets if t.change_mib < 0)
    given = sum(t.change_mib for t in targets if t.change_mib > 0)
    line = f"taken away {words.memory(taken)}, given back {words.memory(given)}; ballooning loses "
    line += f"{words.loss(cost.terms[Term.BALLOONING])} vCPUs, remote memory "
    line += words.loss(cost.terms[Term.REMOTE_MEMORY])
    return [titled("Balloon targets", table), Text(line)]


def node_words(target: BalloonTarget) -> str:
    """Each node's part: ``0: 4 GiB -> 2.5 GiB``; just the amount where nothing changes."""
    parts: list[str] = []
    for pages in target.nodes:
        amount = words.memory(pages.target_mib)
        if pages.before_mib != pages.target_mib:
            amount = f"{words.memory(pages.before_mib)} -> {amount}"
        parts.append(f"{pages.node}: {amount}")
    return ", ".join(parts)


def balloon_plain(targets: Sequence[BalloonTarget]) -> list[dict[str, object]]:
    """The same for JSON, with the change in MiB."""
    return [{**asdict(target), "change_mib": target.change_mib} for target in targets]
