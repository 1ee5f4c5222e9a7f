"""Measure the offline optimum over time on windows of a trace, and on many equal VMs at once.

``python benchmarks/offline.py TRACE.csv windows static plain`` (all three by default) prints
Markdown. The trace is Huawei-East-1 (columns vmid, cpu, mem in GiB, at, lt in seconds), hosts are
those of its published environment.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from ortools.sat.python import cp_model

from numaplace.instances.formats.tables.trace_csv import read_trace
from numaplace.instances.windows import drop_oversized, peak_load, windows
from numaplace.models.fleet import Fleet
from numaplace.models.result import SolveStatus
from numaplace.models.schedule import Goal
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.trace import Trace, split_above
from numaplace.solver.offline.solve import OfflineResult, solve_offline

GIB = 1024
HOUR_MS = 3_600_000


def hosts(number: int, vcpus: int, gib: int) -> Fleet:
    """Return equal hosts of two nodes."""
    nodes = tuple(
        NumaNode(k, tuple(PCpu(k * vcpus + c, k * vcpus + c) for c in range(vcpus)), gib * GIB)
        for k in range(2)
    )
    return Fleet(((Host("host", nodes, ((10.0, 20.0), (20.0, 10.0))), number),))


def row(name: object, result: OfflineResult) -> str:
    """Return one line of a table."""
    return (
        f"| {name} | {result.status} | {result.objective} | {result.bound} | {result.gap:.4%} "
        f"| {result.runtime_s:.2f} | {dict(result.stats)} |"
    )


HEAD = "| what | status | objective | bound | gap | s | search |\n|---|---|---|---|---|---|---|"


def over_time(trace: Trace, options: argparse.Namespace) -> None:
    """Windows of consecutive VMs on 5 hosts of 2 x 40 vCPUs and 90 GiB, at several loads."""
    fleet = hosts(5, 40, 90)
    for load in options.loads:
        drawn = windows(
            trace,
            fleet,
            size=options.size,
            count=options.count,
            load=load,
            seed=options.seed,
            min_vcpus=options.min_vcpus,
        )
        print(
            f"\n{options.size} VMs of at least {options.min_vcpus} vCPUs on {fleet}, load "
            f"{load or 'as recorded'}, goal {options.goal}, {options.solver}, "
            f"{options.seconds:g} s, {options.workers} workers\n\n{HEAD}"
        )
        results = []
        for window in drawn:
            result = solve_offline(
                window.trace,
                fleet,
                Goal(options.goal),
                time_limit_s=options.seconds,
                workers=options.workers,
                seed=options.seed,
                solver=options.solver,
            )
            results.append(result)
            print(row(f"{window.offset} ({window.attained:.2f})", result), flush=True)
        proven = [result for result in results if result.status is SolveStatus.OPTIMAL]
        seconds = np.median([result.runtime_s for result in results])
        print(f"\nproven: {len(proven)} of {len(results)}, median {seconds:.2f} s")


def at_once(trace: Trace, options: argparse.Namespace) -> tuple[Trace, Fleet]:
    """Return 1,500 VMs of at least 4 vCPUs that all want the same hour, and 200 hosts."""
    fleet = hosts(200, 20, 40)
    some, _ = drop_oversized(split_above(trace, 16, 32 * GIB), fleet)
    some = some.part(some.vcpus >= 4)
    chosen = np.sort(np.random.default_rng(options.seed).choice(len(some), 1500, replace=False))
    some = some.part(chosen)
    some = some.with_starts(np.zeros_like(some.start_ms))
    hour = np.full_like(some.end_ms, HOUR_MS)
    return replace(some, end_ms=hour, predicted_end_ms=hour), fleet


def static(trace: Trace, options: argparse.Namespace) -> None:
    """Kinds of equal VMs as whole numbers: the program of this package."""
    vms, fleet = at_once(trace, options)
    print(f"\n{len(vms)} VMs at once on {fleet}, load {peak_load(vms, fleet):.2f}\n\n{HEAD}")
    for solver in ("milp", "cpsat"):
        result = solve_offline(
            vms, fleet, Goal.VALUE, time_limit_s=60, workers=options.workers, solver=solver
        )
        print(row(solver, result), flush=True)


def plain(trace: Trace, options: argparse.Namespace) -> None:
    """One boolean for each VM and slot, the peer: CP-SAT alone, without a hint."""
    vms, fleet = at_once(trace, options)
    model = cp_model.CpModel()
    cpu: list[list[tuple[cp_model.IntVar, int]]] = [[] for _ in range(fleet.num_places)]
    mib: list[list[tuple[cp_model.IntVar, int]]] = [[] for _ in range(fleet.num_places)]
    value = []
    for vm in range(len(vms)):
        span = fleet.slots(int(vms.cells[vm]))
        here = [model.new_bool_var("") for _ in range(span.start, span.stop)]
        model.add_at_most_one(here)
        value += [(x, int(vms.vcpus[vm])) for x in here]
        for x, slot in zip(here, range(span.start, span.stop), strict=True):
            for k, place in enumerate((fleet.first[slot], fleet.second[slot])[: vms.cells[vm]]):
                cpu[place].append((x, int(vms.vcpu_parts[k][vm])))
                mib[place].append((x, int(vms.memory_parts_mib[k][vm])))
    for place in range(fleet.num_places):
        model.add(sum(x * n for x, n in cpu[place]) <= int(fleet.cpu_capacity[place]))
        model.add(sum(x * n for x, n in mib[place]) <= int(fleet.memory_mib[place]))
    model.maximize(cp_model.LinearExpr.weighted_sum([x for x, _ in value], [n for _, n in value]))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = 60
    solver.parameters.num_workers = options.workers
    status = solver.solve(model)
    reached, bound = solver.objective_value, solver.best_objective_bound
    print(
        f"\nplain boolean model, {len(value)} booleans: {solver.status_name(status)}, value "
        f"{reached:g}, bound {bound:g} vCPUs, gap {1 - reached / bound if bound else 1:.1%}, "
        f"{solver.wall_time:.1f} s",
        flush=True,
    )


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trace", type=Path)
    parser.add_argument("what", nargs="*", choices=["windows", "static", "plain"])
    parser.add_argument("--loads", type=float, nargs="*", default=[0.9, 1.2, 1.6])
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--min-vcpus", type=int, default=4)
    parser.add_argument("--goal", default="value")
    parser.add_argument("--solver", default="cpsat")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    trace, _ = read_trace(options.trace)
    what = options.what or ["windows", "static", "plain"]
    if "windows" in what:
        over_time(split_above(trace, vcpus=32, memory_mib=64 * GIB), options)
    if "static" in what:
        static(trace, options)
    if "plain" in what:
        plain(trace, options)


if __name__ == "__main__":
    main()
