"""Plans: where VMs are, what is lost, what is not placed, which rules are broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from numaplace.models.cost import Cost
from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan
from numaplace.models.result import Provenance, Result, SolveStatus
from numaplace.models.units import MILLI
from numaplace.models.verify import Violation
from numaplace.report.picture.terminal import bar_of, plan_view
from numaplace.report.tables import words
from numaplace.report.tables.columns import Column, Plain, Record, columns, within
from numaplace.report.tables.fleet import fleet_view, is_fleet, unplaced_by_reason
from numaplace.report.tables.table import Table, Views
from numaplace.report.tables.usage import host_uses

STATUS_STYLE = {
    SolveStatus.OPTIMAL: "bold green",
    SolveStatus.FEASIBLE: "bold yellow",
    SolveStatus.INFEASIBLE: "bold red",
    SolveStatus.UNKNOWN: "bold red",
}


def status_text(status: SolveStatus) -> Text:
    """Status in its colour."""
    return Text(str(status), STATUS_STYLE[status])


def plan_schema() -> Plain:
    """Schema of a file that holds a plan."""
    from numaplace.instances.formats.document.schema import json_schema

    return json_schema("plan")


def plan_column(path: str, told_path: str) -> Column:
    """The plan itself with how it came about, as they stand in a file; null if there is none."""
    plan, told = Column("plan", object, path), Column("told", object, told_path)

    def document(row: Any) -> Plain | None:
        from numaplace.instances.formats.document.io import told_plan_to_dict

        found = plan.value(row)
        return None if found is None else told_plan_to_dict(found, told.value(row))

    return Column("plan", (plan_schema, None), document)


# ---- what was reached ---------------------------------------------------------------------------

COST = Record(
    Column("value", float, lambda cost: cost.value_milli / MILLI),
    "hosts_used:int loss_vcpus:float loss_micro:int",
    Column(
        "loss_micro_by_term", {str: int}, lambda cost: {t: m for t, m in cost.terms.items() if m}
    ),
)
"""Value and loss, in vCPUs and in the exact integers."""

_STAGES = Column("stages", [Record("stage objective:int bound:int? gap:float?")])
_MADE = Record(
    within(
        "0",
        "solver version seed:int status reasons:[str] runtime_s:float made_at instance_sha256",
        "within",
        _STAGES,
        Column("unplaced", {str: str}),
    ),
    Column("gap", (float, None), lambda row: None if row[1] is None else row[1].gap),
)
TOLD = columns(
    Column("provenance", (_MADE, None), lambda row: None if row[0] is None else row),
    Column("proof_holds", (bool, None), lambda row: None if row[0] is None else row[1] is not None),
)
"""Of a pair (how the plan came about as its file tells, the result as far as that holds)."""

RESULT = columns(
    "instance=0.name solver=1.solver status=1.status runtime_s=1.runtime_s:float",
    Column("vms", int, lambda row: len(row[0].vms)),
    Column("vms_placed", int, lambda row: 0 if row[1].plan is None else len(row[1].plan)),
    Column("cost", (COST, None), "1.cost"),
    within("1", _STAGES),
    Column("unplaced", {str: str}, lambda row: words.unplaced(row[0], row[1])),
    "reasons=1.reasons:[str] remarks=1.remarks:[str]",
    Column("stats", {str: object}, "1.stats"),
)
"""Everything of a pair (instance, result) but the plan itself."""

SOLVE = Record(RESULT, plan_column("1.plan", "2"), name="solve")
"""Of a triple (instance, result, how the plan came about)."""

VIOLATION = (
    Column("subject", head="what", prose=True),
    Column("message", head="how", prose=True),
    Column("rule", head="rule"),
)
CHECK = Record(
    Column("valid", bool, lambda row: not row[0]),
    Column("violations", [Record(VIOLATION)], "0"),
    Column("cost", (COST, None), "1"),
    within(lambda row: row[2:], TOLD),
    name="check",
)
"""Verdict on (violations, cost, how the plan came about, result as far as that holds)."""


def summary(instance: Instance, result: Result) -> Text:
    """One paragraph on what a solve came to."""
    text = Text.assemble((instance.name or "instance", "bold"), f"  {result.solver}: ")
    text.append_text(status_text(result.status))
    if instance.vms and result.plan is not None and not result.plan.placements:
        proven = result.status in (SolveStatus.OPTIMAL, SolveStatus.INFEASIBLE)
        text.append(f", nothing {'can be' if proven else 'is'} placed")
        return text.append(f", {words.seconds(result.runtime_s)}")
    if result.cost is None or result.plan is None:
        return text.append(f" after {words.seconds(result.runtime_s)}")
    clauses = words.cost_words(instance, result.cost, len(result.plan))
    proof = words.proof_words(result)
    return text.append(f", {', '.join(clauses)} ({proof}), {words.seconds(result.runtime_s)}")


# ---- where VMs are ------------------------------------------------------------------------------


def _on_nodes(placement: Placement) -> dict[int, int]:
    vcpus: dict[int, int] = {}
    for cell in placement.cells:
        vcpus[cell.node] = vcpus.get(cell.node, 0) + cell.vcpus
    return dict(sorted(vcpus.items()))


def memory_on(placement: Placement) -> dict[int, int]:
    """MiB by node, of nodes that hold any."""
    return {node: mib for node, mib in sorted(placement.memory_by_node().items()) if mib}


def _pcpus(placement: Placement) -> tuple[int, ...]:
    return tuple(sorted(pcpu for cell in placement.cells for pcpu in cell.pcpus))


def _on_words(on: Mapping[int, int]) -> str:
    return ", ".join(f"{count} on {node}" for node, count in on.items())


def _memory_words(on: Mapping[int, int]) -> str:
    return "\n".join(f"{words.memory(mib)} on {node}" for node, mib in on.items())


def _devices(placement: Placement) -> dict[str, int]:
    return {one.address: one.functions for one in placement.devices}


def _devices_words(held: Mapping[str, int]) -> str:
    times = {address: f" ×{count}" if count > 1 else "" for address, count in held.items()}
    return ", ".join(words.short_address(address) + more for address, more in times.items())


_RARE: Any = {"prose": True, "optional": True}
PLAN = columns(
    Column("vm", str, "0.name", "VM"),
    Column("host", str, "1.host", "host"),
    within(
        "1",
        Column("vcpus_by_node", {str: int}, _on_nodes, "vCPUs on node", _on_words, prose=True),
        Column("memory_mib_by_node", {str: int}, memory_on, "memory on node", _memory_words),
        Column("devices", {str: int}, _devices, "devices", _devices_words, **_RARE),
        Column("pcpus", [int], _pcpus, "pCPUs", words.id_ranges, **_RARE),
    ),
)
"""Of pairs (VM, placement)."""


def plan_table(plan: Plan, instance: Instance) -> Table:
    """Where each VM is: host, vCPUs by node, memory by node, devices, pCPUs."""
    rows = [(vm, plan.placements[vm.name]) for vm in instance.vms if vm.name in plan]
    notes = [
        Text(
            f"pages of {copy.group} on {copy.host}: node "
            f"{words.id_ranges(tuple(sorted(copy.nodes)))}",
            "dim",
        )
        for copy in plan.copies
    ]
    return Table(
        PLAN, rows, "Plan", "VM", without=("host",) * (len(instance.hosts) == 1), notes=notes
    )


# ---- what is lost -------------------------------------------------------------------------------


def worst_words(cost: Cost, term: str) -> str:
    """Who loses most by a term, and how many more lose by it."""
    items = sorted(
        (i for i in cost.items if words.term_name(i.term) == term), key=lambda i: -i.micro
    )
    subjects = ", ".join(f"{item.subject} {words.loss(item.micro)}" for item in items[:3])
    return subjects + (f", {len(items) - 3} more" if len(items) > 3 else "")


def loss_table(cost: Cost) -> RenderableType:
    """Loss by term, the largest first, each with the subjects that lose most."""
    losses = words.term_losses(cost)
    if not losses:
        return Text("No loss: every VM runs as if it were alone.", "dim")
    largest, total = max(losses.values()), ("all", cost.loss_micro)

    def share(row: Any) -> str | Text:
        return "" if row is total else bar_of(row[1], largest, 10)

    parts = (
        Column("term", str, "0", "term"),
        Column("loss_micro", int, "1", "vCPUs", words.loss),
        Column("-share", object, ".", " ", share),
        Column("-most_by", str, lambda row: worst_words(cost, row[0]), "most by", prose=True),
    )
    return Table(parts, [*losses.items()], "Loss in vCPUs", "term", total=total)


UNPLACED = (
    Column("vm", str, "0", "VM"),
    Column("reason", str, "1", "why", lambda why: why or "not told", prose=True),
)


def unplaced_table(missing: Mapping[str, str]) -> Table:
    """VMs that are not placed, and why."""
    title = f"Not placed: {words.plural(len(missing), 'VM')}"
    return Table(UNPLACED, [*missing.items()], title, "VM")


def violation_table(found: Sequence[Violation]) -> Table:
    """Rules that a plan breaks."""
    title = f"The plan breaks rules in {words.plural(len(found), 'place')}"
    return Table(VIOLATION, found, title, "place")


# ---- what commands show -------------------------------------------------------------------------


def hosts_view(plan: Plan, instance: Instance, width: int) -> RenderableType:
    """The picture of a plan: of its hosts, or of a fleet's shapes and nodes."""
    if is_fleet(instance):
        return fleet_view(host_uses(instance, plan), width)
    return plan_view(plan, instance, width)


def solve_views(instance: Instance, result: Result, width: int) -> Views:
    """Outcome of a solve: verdict, picture, plan, losses, what is not placed and why."""
    if is_fleet(instance):
        return _fleet_views(instance, result, width)
    views: Views = [summary(instance, result)]
    if result.plan is not None and result.plan.placements:
        views += [hosts_view(result.plan, instance, width), plan_table(result.plan, instance)]
        if result.cost is not None:
            views.append(loss_table(result.cost))
    missing = words.unplaced(instance, result)
    if missing and result.plan is not None:
        views.append(unplaced_table(missing))
    return views + [Text(text) for text in (*result.reasons, *result.remarks)]


def _fleet_views(instance: Instance, result: Result, width: int) -> Views:
    """The same of many hosts on one screen, the verdict last."""
    views: Views = []
    if result.plan is not None:
        views.append(hosts_view(result.plan, instance, width))
    if result.cost is not None and result.cost.loss_micro:
        views.append(loss_table(result.cost))
    missing = words.unplaced(instance, result)
    if missing and result.plan is not None:
        views.append(unplaced_by_reason(missing))
    views += [Text(text) for text in (*result.reasons, *result.remarks)]
    return [*views, summary(instance, result)]


def told_views(told: Provenance | None, result: Result | None) -> Views:
    """How a plan came about, if that is told."""
    return [] if told is None else [Text(words.told_words(told, result))]


def check_views(
    instance: Instance,
    plan: Plan,
    found: Sequence[Violation],
    cost: Cost | None,
    told: Provenance | None = None,
    result: Result | None = None,
) -> Views:
    """Verdict of a check; `told` is how the plan came about, `result` that as far as it holds."""
    if found:
        return [violation_table(found)]
    verdict = Text("The plan obeys every rule.", "bold green")
    if cost is None:
        return [verdict]
    clauses = ", ".join(words.cost_words(instance, cost, len(plan)))
    views: Views = [verdict.append(f"  {clauses}", "not bold default"), *told_views(told, result)]
    return [*views, loss_table(cost)] if plan.placements else views
