"""Sections of a report: sums, moves, losses, what is not placed, rules broken, VMs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from numaplace.models.cost import Cost, Term
from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan
from numaplace.models.result import Result, SolveStatus
from numaplace.models.units import MICRO
from numaplace.models.verify import Violation
from numaplace.report.html.text import Td, element, escaped, section, table
from numaplace.report.tables import words
from numaplace.solver.replan.diff import Change, Difference

_CLASS = {SolveStatus.OPTIMAL: "good", SolveStatus.FEASIBLE: "warn"}
_STATUS = {
    SolveStatus.OPTIMAL: "Proven: no plan is better.",
    SolveStatus.INFEASIBLE: "Proven: no plan obeys the rules.",
    SolveStatus.UNKNOWN: "No plan was found in time, and none is excluded.",
}


def verdict(result: Result | None, found: Sequence[Violation]) -> str:
    """How far the plan can be relied on, in a sentence."""
    if found:
        return element("p", f"The plan {words.broken_words(found)}, see below.", "verdict bad")
    if result is None:
        return element("p", "The plan obeys every rule; it is not known how good it is.", "verdict")
    text = _STATUS.get(result.status)
    if text is None or result.within:
        text = f"The plan obeys every rule; how good it is: {words.proof_words(result)}."
    return element("p", text, f"verdict {_CLASS.get(result.status, 'bad')}")


def sums(
    instance: Instance,
    plan: Plan | None,
    costs: tuple[Cost | None, Cost | None],
    moves: Sequence[Difference],
    result: Result | None,
) -> str:
    """Numbers at a glance; `costs` are those before and after."""
    before, after = costs
    rows = {"VMs placed": f"{len(plan) if plan else 0} of {len(instance.vms)}"}
    if after is not None:
        rows["Value"] = words.value(after.value_milli)
        rows["Loss in vCPUs"] = words.loss(after.loss_micro)
    if before is not None:
        rows["Loss before"] = words.loss(before.loss_micro)
        moving = [move for move in moves if move.change is Change.MOVES]
        copied = words.memory(sum(move.moved_mib for move in moving))
        rows["VMs that move"] = f"{len(moving)}, {copied} copied" if moving else "0"
    if result is not None:
        if result.cost is not None:
            rows["Gap of the loss"] = words.gap(result.gap)
        rows["Solver"] = f"{result.solver}, {words.seconds(result.runtime_s)}"
    inner = "\n".join(
        f"<div>{element('dt', name)}{element('dd', text)}</div>" for name, text in rows.items()
    )
    return f'<dl class="sums">\n{inner}\n</dl>'


def reasons_section(result: Result | None) -> str:
    """Why nothing fits."""
    if result is None or not result.reasons:
        return ""
    items = "\n".join(element("li", reason) for reason in result.reasons)
    return section("Why there is no plan", f"<ul>\n{items}\n</ul>")


def broken_section(found: Sequence[Violation]) -> str:
    """Rules that the plan breaks."""
    if not found:
        return ""
    rows = [(v.subject, v.message, str(v.rule)) for v in found]
    return section("Rules broken", table("Rules broken", ("what", "how", "rule"), rows))


def unplaced_section(missing: Mapping[str, str]) -> str:
    """VMs that are not placed, and why."""
    if not missing:
        return ""
    rows = [(name, why or "not told") for name, why in missing.items()]
    return section("Not placed", table("Not placed", ("VM", "why"), rows))


def moves_section(moves: Sequence[Difference], cost: Cost | None) -> str:
    """What changes from before to after."""
    if not moves:
        return section("Moves", element("p", "Nothing changes: every VM stays where it is."))
    prices = {i.subject: i.micro for i in cost.items if i.term is Term.MIGRATION} if cost else {}
    rows = [
        (
            move.vm,
            str(move.change),
            where(move.before),
            where(move.after),
            Td(f"{move.moved_mib} MiB", move.moved_mib),
            Td(f"{move.ballooned_mib:+} MiB" if move.ballooned_mib else "0", move.ballooned_mib),
            Td(words.loss(prices.get(move.vm, 0)), prices.get(move.vm, 0)),
        )
        for move in moves
    ]
    columns = ("VM", "what", "from", "to", "copied", "ballooned", "loss by it")
    return section("Moves", table("Moves", columns, rows))


def where(placement: Placement | None) -> str:
    """Host, and nodes of vCPUs and of memory if that lies elsewhere."""
    if placement is None:
        return "–"
    nodes = words.id_ranges(tuple(sorted(placement.nodes)))
    text = f"{placement.host}, node {nodes}"
    held = tuple(sorted(node for node, mib in placement.memory_by_node().items() if mib))
    if held and frozenset(held) != placement.nodes:
        text += f"\nmemory on {words.id_ranges(held)}"
    return text


def loss_section(before: Cost | None, after: Cost | None) -> str:
    """Loss by term, before and after, as bars; and who loses most."""
    costs = [cost for cost in (before, after) if cost is not None]
    names = dict.fromkeys(name for cost in reversed(costs) for name in words.term_losses(cost))
    if not names:
        return section("Loss by term", element("p", "No loss: every VM runs as if it were alone."))
    largest = max(micro for cost in costs for micro in cost.terms.values())
    rows = [_loss_row(name, before, after, largest) for name in names]
    rows.append(_total_row(before, after))
    kept = [0, *([1] if before else []), *([2] if after else []), 3, 4]
    columns = ("term", "before", "after" if before else "vCPUs", "share", "most by")
    body = table(
        "Loss by term",
        [columns[at] for at in kept],
        [[row[at] for at in kept] for row in rows],
        sortable=False,
    )
    return section("Loss by term", _loss_key() if len(costs) > 1 else "", body)


def _loss_key() -> str:
    swatches = "".join(
        f'<svg aria-hidden="true"><rect class="{kind}" width="100%" height="100%"/></svg>{kind}'
        for kind in ("before", "after")
    )
    return f'<p class="key faint">vCPUs lost:{swatches}</p>'


def _loss_row(
    name: str, before: Cost | None, after: Cost | None, largest: int
) -> tuple[str | Td, ...]:
    micros = [_of_term(cost, name) for cost in (before, after)]
    bars = "".join(
        f'<rect class="{kind}" y="{y}%" width="{100 * micro / largest:.2f}%" height="44%"/>'
        for kind, cost, micro, y in zip(
            ("before", "after"), (before, after), micros, (3, 53), strict=True
        )
        if cost is not None
    )
    cost = after or before
    items = [i for i in cost.items if words.term_name(i.term) == name] if cost else []
    worst = sorted(items, key=lambda item: -item.micro)[:3]
    who = ", ".join(f"{item.subject} {words.loss(item.micro)}" for item in worst)
    more = f", {len(items) - 3} more" if len(items) > 3 else ""
    return (
        name,
        Td(words.loss(micros[0]), micros[0]),
        Td(words.loss(micros[1]), micros[1]),
        Td("", html=f'<svg class="bars" aria-hidden="true">{bars}</svg>'),
        who + more,
    )


def _total_row(before: Cost | None, after: Cost | None) -> tuple[str | Td, ...]:
    totals = [0 if cost is None else cost.loss_micro for cost in (before, after)]
    return ("all", *(Td(words.loss(micro), micro) for micro in totals), "", "")


def _of_term(cost: Cost | None, name: str) -> int:
    return 0 if cost is None else words.term_losses(cost).get(name, 0)


def vm_section(instance: Instance, plan: Plan | None, cost: Cost | None) -> str:
    """Every VM: what it asks for, where it is, what it loses by itself."""
    if not instance.vms:
        return ""
    lost: dict[str, int] = {}
    for item in cost.items if cost else ():
        lost[item.subject] = lost.get(item.subject, 0) + item.micro
    rows = []
    for vm in instance.vms:
        placement = plan.placements.get(vm.name) if plan else None
        pcpus = sorted(p for c in placement.cells for p in c.pcpus) if placement else []
        devices = [words.short_address(d.address) for d in placement.devices] if placement else []
        rows.append(
            (
                vm.name,
                Td(str(vm.vcpus), vm.vcpus),
                Td(words.memory(vm.memory_mib), vm.memory_mib),
                where(placement) if placement else "not placed",
                _memory_text(placement),
                words.id_ranges(tuple(pcpus)),
                ", ".join(devices),
                Td(f"{lost.get(vm.name, 0) / MICRO:.6f}", lost.get(vm.name, 0)),
            )
        )
    columns = ("VM", "vCPUs", "memory", "where", "memory on node", "pCPUs", "devices", "loss")
    kept = [at for at in range(len(columns)) if at not in (5, 6) or any(row[at] for row in rows)]
    picked = [[row[at] for at in kept] for row in rows]
    note = element("p", "loss: of the VM alone, without pairs and nodes.", "faint")
    return section("VMs", table("VMs", [columns[at] for at in kept], picked), note)


def _memory_text(placement: Placement | None) -> str:
    if placement is None:
        return ""
    held = sorted((node, mib) for node, mib in placement.memory_by_node().items() if mib)
    return ", ".join(f"{words.memory(mib)} on {node}" for node, mib in held)


def views_section(pictures: Mapping[str, str]) -> str:
    """Pictures by ``before`` and ``after``, switched by radio buttons if there are both."""
    if len(pictures) == 1:
        (picture,) = pictures.values()
        return section("Hosts", f'<div class="scroll" tabindex="0">{picture}</div>')
    choices = (*reversed(tuple(pictures)), "both")
    inputs = "\n".join(
        f'<input type="radio" name="view" id="show-{name}"{" checked" if not at else ""}>'
        f'<label for="show-{name}">{escaped(name.capitalize())}</label>'
        for at, name in enumerate(choices)
    )
    views = "\n".join(
        f'<div class="view {name}"><div class="scroll" tabindex="0">{picture}</div></div>'
        for name, picture in pictures.items()
    )
    return section(
        "Hosts", f'<div class="views" role="group" aria-label="Picture">\n{inputs}\n{views}\n</div>'
    )
