"""Results as plain values for JSON: what the tables show, with all digits and exact integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from numaplace.models.cost import Cost
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Provenance, Result
from numaplace.models.units import MICRO, MILLI
from numaplace.models.verify import Violation
from numaplace.report.tables.usage import host_uses
from numaplace.report.tables.words import unplaced
from numaplace.solver.compare.solvers import Row

Plain = dict[str, Any]


def cost_plain(cost: Cost) -> Plain:
    """Value and loss, in vCPUs and in the exact integers."""
    return {
        "value": cost.value_milli / MILLI,
        "hosts_used": cost.hosts_used,
        "loss_vcpus": cost.loss_vcpus,
        "loss_micro": cost.loss_micro,
        "loss_micro_by_term": {str(term): micro for term, micro in cost.terms.items() if micro},
    }


def result_plain(instance: Instance, result: Result) -> Plain:
    """Everything of a result but the plan itself."""
    return {
        "instance": instance.name,
        "solver": result.solver,
        "status": str(result.status),
        "runtime_s": result.runtime_s,
        "vms": len(instance.vms),
        "vms_placed": 0 if result.plan is None else len(result.plan),
        "cost": None if result.cost is None else cost_plain(result.cost),
        "stages": [
            {
                "stage": str(stage.stage),
                "objective": stage.objective,
                "bound": stage.bound,
                "gap": stage.gap,
            }
            for stage in result.stages
        ],
        "unplaced": dict(unplaced(instance, result)),
        "reasons": list(result.reasons),
        "remarks": list(result.remarks),
        "stats": dict(result.stats),
    }


def told_plain(told: Provenance | None, result: Result | None) -> Plain:
    """What the plan's file tells of how it came about, and whether its proof holds."""
    if told is None:
        return {"provenance": None, "proof_holds": None}
    plain = {**asdict(told), "gap": None if result is None else result.gap}
    return {"provenance": plain, "proof_holds": result is not None}


def check_plain(found: Sequence[Violation], cost: Cost | None) -> Plain:
    """Verdict of a check."""
    return {
        "valid": not found,
        "violations": violations_plain(found),
        "cost": None if cost is None else cost_plain(cost),
    }


def violations_plain(found: Sequence[Violation]) -> list[Plain]:
    """Rules that a plan breaks."""
    return [{"rule": str(v.rule), "subject": v.subject, "message": v.message} for v in found]


def row_plain(row: Row) -> Plain:
    """One row of a comparison; also a row of its CSV."""
    gaps = {f"{stage}_gap": gap for stage, gap in row.gaps.items()}
    return {
        "instance": row.instance,
        "solver": row.solver,
        "seed": row.seed,
        "status": str(row.status),
        "vms": row.vms,
        "vms_placed": row.vms_placed,
        "value": None if row.value_milli is None else row.value_milli / MILLI,
        "loss_vcpus": None if row.loss_micro is None else row.loss_micro / MICRO,
        "runtime_s": row.runtime_s,
        **gaps,
        **{f"loss_{term}": micro / MICRO for term, micro in row.terms.items()},
    }


def rows_csv(rows: Sequence[Row]) -> str:
    """A comparison as CSV with a header; cells without a value are empty."""
    import csv
    import io

    plain = [row_plain(row) for row in rows]
    columns = list(dict.fromkeys(key for row in plain for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain)
    return text.getvalue()


def usage_plain(instance: Instance, plan: Plan) -> list[Plain]:
    """What is on each node: vCPUs and memory by VM, and who holds which device."""
    return [
        {
            "host": use.host.name,
            "node": node.place.node.id,
            "pcpus": node.place.node.threads,
            "vcpus": {cpu.vm: cpu.vcpus for cpu in node.cpu},
            "memory_mib": node.place.node.memory_mib,
            "reserved_mib": node.place.node.reserved_mib,
            "used_mib": [
                {"owner": part.owner, "mib": part.mib, "pages": str(part.pool), "home": part.home}
                for part in node.memory
            ],
            "devices": [
                {"address": device.device.address, "holders": dict(device.holders)}
                for device in node.devices
            ],
        }
        for use in host_uses(instance, plan)
        for node in use.nodes
    ]
