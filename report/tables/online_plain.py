"""Replays and comparisons of online policies as plain values for JSON, and rows for CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from numaplace.models.schedule import Goal
from numaplace.models.trace import Trace
from numaplace.models.units import MICRO
from numaplace.report.tables.online_summary import (
    LOSSES,
    LoadSummary,
    PolicySummary,
    Spread,
    load_summaries,
    replay_summary,
    vcpu_hours,
)
from numaplace.solver.compare.policies import Comparison, Optimum, PolicyRow
from numaplace.solver.placing.replay import Replay, Sample

Plain = dict[str, Any]

ROW_FIELDS = (
    "case",
    "load",
    "policy",
    "vms",
    "value_vcpu_hours",
    "value_vcpu_ms",
    "count",
    "prefix",
    *(f"{goal}_gap" for goal in Goal),
    *(f"{goal}_proven" for goal in Goal),
    "rejected_full",
    "rejected_fragmented",
    "p50_us",
    "p99_us",
)
"""Fields of a row of a comparison, which are the columns of its CSV."""


def comparison_plain(comparison: Comparison) -> Plain:
    """Everything of a comparison, with its sums by load and policy."""
    return {
        "rows": [policy_row_plain(row) for row in comparison.rows],
        "optima": [optimum_plain(optimum) for optimum in comparison.optima],
        "summary": [_load_plain(summary) for summary in load_summaries(comparison)],
        "jobs_missing": comparison.missing,
        "jobs_reused": comparison.reused,
    }


def comparison_csv(comparison: Comparison) -> str:
    """The rows of a comparison as CSV with a header; cells without a value are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ROW_FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(policy_row_plain(row) for row in comparison.rows)
    return text.getvalue()


def policy_row_plain(row: PolicyRow) -> Plain:
    """What one policy made of one window, by `ROW_FIELDS`; gaps are shares of the bound."""
    reached = row.reached
    return {
        "case": row.case,
        "load": row.load,
        "policy": row.policy,
        "vms": row.vms,
        "value_vcpu_hours": vcpu_hours(reached[Goal.VALUE]),
        "value_vcpu_ms": reached[Goal.VALUE],
        "count": reached[Goal.COUNT],
        "prefix": reached[Goal.PREFIX],
        **{f"{goal}_gap": row.gaps[goal] for goal in Goal},
        **{f"{goal}_proven": goal in row.proven for goal in Goal},
        "rejected_full": row.full,
        "rejected_fragmented": row.fragmented,
        "p50_us": row.p50_us,
        "p99_us": row.p99_us,
    }


def optimum_plain(optimum: Optimum) -> Plain:
    """What is known of the best schedule of a window; value in vCPU ms, and in vCPU hours."""
    plain: Plain = {
        "case": optimum.case,
        "goal": str(optimum.goal),
        "status": str(optimum.status),
        "proven": optimum.proven,
        "objective": optimum.objective,
        "bound": optimum.bound,
        "seconds": optimum.seconds,
    }
    if optimum.goal is Goal.VALUE:
        plain["objective_vcpu_hours"] = vcpu_hours(optimum.objective)
        plain["bound_vcpu_hours"] = vcpu_hours(optimum.bound)
    return plain


def _load_plain(summary: LoadSummary) -> Plain:
    return {
        "load": summary.load,
        "windows": summary.windows,
        "windows_with_all_policies": summary.compared,
        "vms": summary.vms,
        "optima": {
            str(goal): {
                "windows": count,
                "proven": summary.proven[goal],
                "proven_share": summary.proven[goal] / count,
            }
            for goal, count in summary.solved.items()
        },
        "policies": [_policy_plain(policy) for policy in summary.policies],
    }


def _policy_plain(summary: PolicySummary) -> Plain:
    return {
        "policy": summary.policy,
        "windows": summary.windows,
        "vms": summary.vms,
        "value_vcpu_hours": vcpu_hours(summary.reached[Goal.VALUE]),
        "value_vcpu_ms": summary.reached[Goal.VALUE],
        "count": summary.reached[Goal.COUNT],
        "gap": {str(goal): _spread_plain(gap) for goal, gap in summary.gaps.items()},
        "windows_best": {str(goal): count for goal, count in summary.best.items()},
        "rejected_full": summary.full,
        "rejected_fragmented": summary.fragmented,
        "p50_us_median": summary.p50_us,
        "p99_us_median": summary.p99_us,
        "p99_us_max": summary.p99_max_us,
    }


def _spread_plain(spread: Spread | None) -> Plain | None:
    if spread is None:
        return None
    return {
        "median": spread.median,
        "mean": spread.mean,
        "p90": spread.p90,
        "max": spread.largest,
    }


def replay_plain(name: str, replay: Replay, trace: Trace) -> Plain:
    """All counters of a replay, and its samples as a list for each quantity."""
    summary = replay_summary(name, replay, trace)
    return {
        "policy": name,
        "complete": summary.complete,
        "vms": summary.vms,
        "seen": summary.seen,
        "accepted": summary.accepted,
        "rejected_full": summary.full,
        "rejected_fragmented": summary.fragmented,
        "value_vcpu_hours": vcpu_hours(summary.vcpu_ms),
        "value_vcpu_ms": summary.vcpu_ms,
        "prefix": summary.prefix,
        "mean_cpu": summary.cpu,
        "mean_memory": summary.memory,
        "mean_fragmentation": summary.fragmentation,
        "peak_loss_vcpus": {
            str(term): micro / MICRO for term, micro in summary.peak_loss_micro.items()
        },
        "peak_loss_micro": {str(term): micro for term, micro in summary.peak_loss_micro.items()},
        "decisions_per_s": summary.decisions_per_s,
        "p50_us": summary.p50_us,
        "p99_us": summary.p99_us,
        "max_us": summary.max_us,
        "samples": samples_plain(replay.samples),
    }


def samples_plain(samples: Sequence[Sample]) -> dict[str, list[Any]]:
    """Samples as one list a quantity, all of one length."""
    columns: dict[str, list[Any]] = {}
    for name in (field.name for field in fields(Sample)):
        numbers = [getattr(sample, name) for sample in samples]
        if name == "node_cpu":
            for at, percentile in enumerate(("p10", "p50", "p90")):
                columns[f"node_cpu_{percentile}"] = [shares[at] for shares in numbers]
        else:
            columns[f"{name}_micro" if name in LOSSES.values() else name] = numbers
    return columns
