"""Measure numaplace against its peers and targets; print Markdown for docs/benchmarks.md.

``python benchmarks/run.py talk pairs30 pairs60 fit hosts agreement`` (all by default). What is
compared runs in the same process, one after the other, on the same machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from peers import Plain

from numaplace.instances.catalog import load_catalog
from numaplace.instances.generate import SHAPES, generate_instance, preset
from numaplace.instances.import_source import ImportSource
from numaplace.instances.importer import HostOptions, read_hosts
from numaplace.instances.shapes import make_host
from numaplace.models.instance import Instance
from numaplace.models.result import Result, SolveStatus
from numaplace.models.units import MICRO
from numaplace.models.vm import Vm
from numaplace.solver.params import SolveParams
from numaplace.solver.registry import solve

TALK = ("talk-2", "talk-4", "talk-6", "talk-8", "talk-10")
SECONDS = 60.0
WORKERS = 2


def machine() -> str:
    """Describe the machine and the versions."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("ortools", "pulp", "highspy"))
    python = platform.python_version()
    return f"{model}, {os.cpu_count()} cores used, Python {python}, {versions}"


def table(head: str, rows: list[str]) -> None:
    """Print a Markdown table."""
    columns = head.count("|") + 1
    print(f"| {head} |\n|{'---|' * columns}")
    for row in rows:
        print(f"| {row} |")
    print(flush=True)


def _loss(result: Result) -> str:
    return "-" if result.cost is None else f"{result.cost.loss_micro / MICRO:.6f}"


def talk(_: argparse.Namespace) -> None:
    """Target 1: the talk's five instances, proven by both exact solvers and by brute force."""
    from numaplace.tests.oracle import brute_force

    rows = []
    for name in TALK:
        instance = load_catalog(name)
        # One block a VM: coarser than the solvers', so their optimum is at most this one.
        coarse = tuple(replace(vm, block_mib=vm.memory_mib) for vm in instance.vms)
        began = time.perf_counter()
        best = brute_force(replace(instance, vms=coarse))
        assert best is not None
        rows.append(
            f"{name} | brute force | exhausted | {best.value_milli / 1000:g} "
            f"| {best.loss_micro / MICRO:.6f} | {time.perf_counter() - began:.3f}"
        )
        for solver in ("cpsat", "milp"):
            result = solve(instance, solver, SolveParams(workers=WORKERS))
            value = "-" if result.cost is None else f"{result.cost.value_milli / 1000:g}"
            rows.append(
                f"{name} | {solver} | {result.status} | {value} | {_loss(result)} "
                f"| {result.runtime_s:.3f}"
            )
    table("instance | solver | status | value | loss (vCPUs) | seconds", rows)


def _gap(result: Result) -> str:
    return "-" if result.gap is None else f"{result.gap:.1%}"


def _pairs(name: str, seeds: list[int], forms: tuple[str, ...]) -> None:
    rows = []
    ratios: list[float] = []
    for seed in seeds:
        instance = generate_instance(preset(name), seed)
        result = solve(instance, "cpsat", SolveParams(time_limit_s=SECONDS, workers=WORKERS))
        assert result.cost is not None
        ours = result.cost.loss_micro / MICRO
        cells = [f"{seed} | {ours:.3f} | {_gap(result)} | {result.runtime_s:.1f}"]
        for form in forms:
            peer = Plain(instance, form).solve(SECONDS, WORKERS, 0)
            cells.append(f"{peer.loss:.3f} | {peer.gap:.1%} | {peer.seconds:.1f}")
            if form == "big-M":
                ratios.append(1 - ours / peer.loss if peer.loss else 0.0)
        rows.append(" | ".join(cells))
    head = "seed | numaplace loss | gap | s"
    table(head + "".join(f" | {form} loss | gap | s" for form in forms), rows)
    print(f"Better than plain big-M by {statistics.median(ratios):.1%} (median), ", end="")
    print(f"{min(ratios):.1%} at least, {max(ratios):.1%} at most.\n", flush=True)


def pairs30(args: argparse.Namespace) -> None:
    """Target 2, first part: 30 VMs, 30 cooperating and 15 competing pairs on 8 nodes."""
    _pairs("8n-30vm", args.seeds, ("big-M", "flow"))


def pairs60(args: argparse.Namespace) -> None:
    """Target 2, second part: 60 VMs and 90 pairs."""
    _pairs("8n-60vm", args.seeds, ("big-M",))


def fit(_: argparse.Namespace) -> None:
    """Target 3: fit of one VM of 8 cells by matching, also when it does not fit."""
    from numaplace.solver.placing.matching import match

    rows = []
    for nodes in (16, 24, 36, 64):
        for name, options in _fit_cases(nodes).items():
            demands = [1] * len(options)
            times = []
            for _ in range(2000):
                began = time.perf_counter()
                found = match(options, demands)
                times.append((time.perf_counter() - began) * 1e6)
            times.sort()
            fits = "fits" if found is not None else "does not fit"
            rows.append(f"{nodes} | {name} | {fits} | {times[1000]:.1f} | {times[1980]:.1f}")
    table("nodes | case | answer | median (us) | p99 (us)", rows)
    _engine_fit()


def _fit_cases(nodes: int) -> dict[str, list[int]]:
    """Nodes each of 8 cells may use, as bit masks."""
    everywhere = (1 << nodes) - 1
    return {
        "8 equal cells, all nodes free": [everywhere] * 8,
        "8 cells, 7 nodes free": [(1 << 7) - 1] * 8,
        "7 small cells, 2 large ones want one node": [everywhere] * 6 + [1, 1],
        "cell k fits nodes 0..k": [(2 << k) - 1 for k in range(8)],
    }


def _engine_fit() -> None:
    """Decide a whole VM of 8 unequal cells with memory by the online engine."""
    from numaplace.models.vm import Cell, GuestNuma
    from numaplace.solver.placing.placer import Placer

    rows = []
    for shape in ("16n", "24n", "64n"):
        host = make_host(SHAPES[shape], "host")
        room = host.nodes[0].threads
        for name, widest in (("fits", room), ("does not fit", room + 1)):
            cells = tuple(Cell(max(1, widest - k // 2), 1024) for k in range(8))
            vcpus = sum(cell.vcpus for cell in cells)
            vm = Vm("wide", vcpus, 8192, guest_numa=GuestNuma.EXPLICIT, cells=cells)
            instance = Instance((host,), (vm,))
            times = []
            for _ in range(200):
                engine = Placer(instance)
                began = time.perf_counter()
                found = engine.find(vm)
                times.append((time.perf_counter() - began) * 1e3)
                assert (found is not None) == (name == "fits")
            rows.append(f"{len(host.nodes)} | {name} | {statistics.median(times):.3f}")
    table("nodes | 8 unequal cells, strictly checked | whole decision (ms)", rows)


def hosts(args: argparse.Namespace) -> None:
    """Target 3: every recorded host is read and planned, large ones of our own too."""
    shared = Path(os.environ.get("NUMAPLACE_SHARED_DATA", "../shared/data"))
    recorded = sorted((shared / "topologies").glob("*.*")) + sorted((shared / "libvirt").glob("*"))
    rows = []
    for path in recorded:
        if path.name.startswith("LICENSE"):
            continue
        began = time.perf_counter()
        (host,) = read_hosts(ImportSource(path), HostOptions(), [])
        rows.append(_planned(path.name, host, time.perf_counter() - began, args))
    for shape in ("24n", "64n"):
        began = time.perf_counter()
        host = make_host(SHAPES[shape], shape)
        rows.append(_planned(f"generated {shape}", host, time.perf_counter() - began, args))
    table("host | nodes | pCPUs | VMs | read (s) | status | gap | plan (s)", rows)


def _planned(name: str, host: object, seconds: float, args: argparse.Namespace) -> str:
    from numaplace.models.topology import Host

    assert isinstance(host, Host)
    memory_mib = sum(node.memory_mib for node in host.nodes)
    count = max(2, min(40, host.threads // 4))
    mib = max(16, memory_mib * 7 // 10 // count // 64 * 64)
    vms = tuple(Vm(f"vm{k}", 2 + k % 2, mib) for k in range(count))
    instance = Instance((host,), vms)
    result = solve(instance, "cpsat", SolveParams(time_limit_s=args.limit, workers=WORKERS))
    return (
        f"{name} | {len(host.nodes)} | {host.threads} | {count} | {seconds:.2f} "
        f"| {result.status} | {_gap(result)} | {result.runtime_s:.1f}"
    )


def agreement(args: argparse.Namespace) -> None:
    """Target 4: CP-SAT = MILP = brute force on random small instances."""
    from numaplace.tests.oracle import between_of, brute_force
    from numaplace.tests.strategies import random_small_instance

    same: Counter[str] = Counter()
    params = SolveParams(time_limit_s=60, workers=1, explain=False)
    spent: Counter[str] = Counter()
    for seed in range(args.count):
        instance = random_small_instance(seed)
        began = time.perf_counter()
        best = brute_force(instance)
        spent["brute force"] += time.perf_counter() - began
        for solver in ("cpsat", "milp"):
            began = time.perf_counter()
            result = solve(instance, solver, params)
            spent[solver] += time.perf_counter() - began
            if best is None:
                agrees = result.status is SolveStatus.INFEASIBLE
            else:
                cost = result.cost
                agrees = (
                    result.status is SolveStatus.OPTIMAL
                    and cost is not None
                    and (cost.value_milli, between_of(instance, cost), cost.loss_micro)
                    == (best.value_milli, best.between, best.loss_micro)
                )
            same[f"{solver} {'agrees' if agrees else f'DIFFERS (seed {seed})'}"] += 1
    table("outcome | instances", [f"{what} | {n}" for what, n in sorted(same.items())])
    table("solver | seconds in all", [f"{what} | {s:.1f}" for what, s in spent.items()])


SECTIONS: dict[str, Callable[[argparse.Namespace], None]] = {
    "talk": talk,
    "pairs30": pairs30,
    "pairs60": pairs60,
    "fit": fit,
    "hosts": hosts,
    "agreement": agreement,
}


def main() -> None:
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), help="what to measure")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3, 4, 5])
    parser.add_argument("--count", type=int, default=1000, help="instances of `agreement`")
    parser.add_argument("--limit", type=float, default=30.0, help="seconds a host in `hosts`")
    args = parser.parse_args()
    print(machine(), "\n")
    for name in args.sections:
        print(f"### {name}\n\n{(SECTIONS[name].__doc__ or '').strip()}\n", flush=True)
        SECTIONS[name](args)


if __name__ == "__main__":
    main()
