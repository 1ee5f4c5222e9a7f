"""Simulations as plain values for JSON, with every counter; the talk's points as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from numaplace.models.instance import Instance
from numaplace.report.tables.simulation_summary import spread, waited_share
from numaplace.solver.simulator.counters import GuestCount, Outcome
from numaplace.solver.simulator.plans import Simulated
from numaplace.solver.simulator.runs import Repeated, RunOptions
from numaplace.solver.simulator.talk import SPECJBB, SYSBENCH_CPU, SYSBENCH_MEMORY, Point, talk_host
from numaplace.solver.simulator.talk_run import Experiment

Plain = dict[str, Any]

POINT_FIELDS = (
    "configuration",
    "vms",
    "repetitions",
    "bops_mean",
    "bops_deviation",
    "gain_over_all_cpus",
    "remote_share",
    "wait_share",
    "steals_per_s",
    "calibrated",
)
"""Columns of the CSV of the talk's experiment."""


def outcome_plain(outcome: Outcome, node_ids: Sequence[int]) -> Plain:
    """All counters of one host; times of VMs are by the id of the node."""
    return {
        "time_us": outcome.time_us,
        "throughput_vcpus": outcome.throughput,
        "remote_share": outcome.remote_share,
        "wait_share": outcome.wait_share,
        "fairness": outcome.fairness,
        "steals": [
            {"relative_distance": distance, "count": count}
            for distance, count in outcome.steals.items()
        ],
        "migrations": outcome.migrations,
        "switches": outcome.switches,
        "events": outcome.events,
        "vms": [_guest_plain(guest, outcome.time_us, node_ids) for guest in outcome.guests],
    }


def _guest_plain(guest: GuestCount, time_us: int, node_ids: Sequence[int]) -> Plain:
    return {
        "name": guest.name,
        "vcpus": guest.vcpus,
        "throughput_vcpus": guest.throughput(time_us),
        "work_us": guest.work_us,
        "run_us": guest.run_us,
        "wait_us": guest.wait_us,
        "wait_share": waited_share(guest),
        "remote_share": guest.remote_share,
        "moves": guest.moves,
        "node_us": {
            str(node): run_us for node, run_us in zip(node_ids, guest.node_us, strict=True)
        },
    }


def simulation_plain(instance: Instance, repeated: Repeated, options: RunOptions) -> Plain:
    """Everything of the repetitions of a simulation."""
    runs = repeated.runs
    told = options.told(instance)
    return {
        "instance": instance.name,
        "affinity": {name: str(affinity) for name, affinity in told.items()},
        "release": str(options.release),
        "time_s": options.time_s,
        "warm_up_s": options.warm_up_s,
        "busy_ms": options.busy_ms,
        "seed": options.seed,
        "repetitions": repeated.wanted,
        "repetitions_done": len(runs) if repeated.complete else 0,
        "complete": repeated.complete,
        "wanted_vcpus": runs[0].wanted if runs else 0.0,
        "throughput_vcpus": _spread_plain([run.throughput for run in runs]),
        "lost_vcpus": _spread_plain([run.lost for run in runs] if repeated.complete else []),
        "predicted_loss_vcpus": runs[0].predicted if runs else None,
        "predicted_loss_micro_by_term": _terms(runs[0]) if runs else {},
        "runs": [
            {"seed": options.seed + number, "hosts": _hosts_plain(instance, run)}
            for number, run in enumerate(runs)
        ],
    }


def _terms(run: Simulated) -> dict[str, int]:
    return {str(term): micro for term, micro in run.predicted_micro.items() if micro}


def _hosts_plain(instance: Instance, run: Simulated) -> Plain:
    return {
        name: outcome_plain(outcome, [node.id for node in instance.host(name).nodes])
        for name, outcome in run.hosts.items()
    }


def _spread_plain(numbers: Sequence[float]) -> Plain | None:
    return asdict(spread(numbers)) if numbers else None


# ---- the talk -----------------------------------------------------------------------------------


def talk_plain(experiment: Experiment) -> Plain:
    """The talk's experiment: parameters, points, and all counters of every run."""
    setup = experiment.setup
    nodes = [node.id for node in talk_host().nodes]
    rows = {
        "specjbb2005_bops": SPECJBB,
        "sysbench_memory": SYSBENCH_MEMORY,
        "sysbench_cpu_per_s": SYSBENCH_CPU,
    }
    return {
        "workload": asdict(setup.work),
        "vms": list(setup.counts),
        "time_s": setup.time_s,
        "repetitions": setup.repetitions,
        "seed": setup.seed,
        "bops_per_vcpu": experiment.bops,
        "published_a_vm_of_two": {name: asdict(row) for name, row in rows.items()},
        "points": [
            {**point_plain(experiment, point), "bops": list(point.scores)}
            for point in experiment.points
        ],
        "runs_missing": experiment.missing,
        "runs": [
            {
                "configuration": str(configuration),
                "vms": vms,
                "repetition": repetition,
                "seed": setup.seed + repetition,
                "outcome": outcome_plain(outcome, nodes),
            }
            for (configuration, vms, repetition), outcome in experiment.outcomes.items()
        ],
    }


def point_plain(experiment: Experiment, point: Point) -> Plain:
    """One point by `POINT_FIELDS`; shares are of 1."""
    return {
        "configuration": str(point.configuration),
        "vms": point.vms,
        "repetitions": len(point.scores),
        "bops_mean": point.mean,
        "bops_deviation": point.deviation,
        "gain_over_all_cpus": experiment.gain(point),
        "remote_share": point.remote_share,
        "wait_share": point.wait_share,
        "steals_per_s": point.steals,
        "calibrated": point.calibrated,
    }


def talk_csv(experiment: Experiment) -> str:
    """The points as CSV with a header; cells without a value are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, POINT_FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(point_plain(experiment, point) for point in experiment.points)
    return text.getvalue()
