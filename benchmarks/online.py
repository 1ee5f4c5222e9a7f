"""Measure the online scheduler: decisions per second, latency percentiles; print Markdown.

``python benchmarks/online.py [hosts ...] [policies ...]``: fleets of so many hosts of 2 nodes x 40
vCPUs x 90 GiB (1000 and 10000 by default), filled to about 90 % of the vCPUs by first fit, then
every policy places the same VMs while as many leave. Sizes are those of the Huawei-East-1 trace
where ../shared/data is there, else of a made-up mix alike.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from pathlib import Path

import numpy as np

from numaplace.instances.lookup import parse_fleet
from numaplace.models.fleet import Fleet, split_to_fit
from numaplace.models.trace import Trace, make_trace
from numaplace.solver.placing.fleet_state import FleetState
from numaplace.solver.placing.replay import decide
from numaplace.solver.placing.rules import RULES, choose
from numaplace.solver.placing.slot_offer import SlotOffer

SHARED = Path(__file__).resolve().parents[2] / "shared/data/traces/huawei-east-1-part1.csv"
FILL = 0.9
MEASURED = 5_000
MADE_UP = ((1, 2), (1, 1), (2, 4), (4, 8), (8, 16), (16, 32), (64, 128))
MADE_UP_TIMES = (580, 198, 110, 68, 17, 5, 2)


def sizes() -> np.ndarray:
    """Pairs (vCPUs, GiB), one a VM."""
    if SHARED.exists():
        return np.loadtxt(SHARED, delimiter=",", skiprows=1, usecols=(1, 2)).astype(int)
    return np.repeat(MADE_UP, MADE_UP_TIMES, axis=0)


def stream(fleet: Fleet, measured: int) -> tuple[Trace, int]:
    """Return VMs that come one after another, and how many of them fill the fleet."""
    known = sizes()
    rng = np.random.default_rng(0)
    per_vm = known[:, 0].mean()
    filling = int(FILL * fleet.cpu_capacity.sum() / per_vm)
    drawn = known[rng.integers(len(known), size=filling + measured)]
    count = len(drawn)
    trace = make_trace(
        tuple(map(str, range(count))),
        vcpus=drawn[:, 0],
        memory_mib=drawn[:, 1] * 1024,
        start_ms=np.arange(count),
        # What a policy is told; who leaves when is decided below.
        predicted_end_ms=np.arange(count) + rng.integers(1, 10 * count, count),
    )
    return split_to_fit(trace, fleet), filling


def measure(fleet: Fleet, trace: Trace, filling: int, name: str) -> str:
    """One row of the table for one policy."""
    state = FleetState(fleet, trace)
    rng = np.random.default_rng(1)
    running: list[int] = []
    for vm in range(filling):
        state.mix.see(vm)
        offer = SlotOffer(state, vm)
        if len(offer):
            state.take(vm, choose(offer, RULES["first_fit"]))
            running.append(vm)
    used = 1 - state.free_cpu.sum() / fleet.cpu_capacity.sum()
    leaving = deque(rng.permutation(running).tolist())
    spent = []
    rejected = 0
    for vm in range(filling, len(trace)):
        state.now_ms = vm
        began = time.perf_counter_ns()
        slot = decide(state, vm, RULES[name])
        if slot is not None and leaving:
            state.release(leaving.popleft())
        spent.append(time.perf_counter_ns() - began)
        rejected += slot is None
    micros = np.array(spent) / 1000
    p50, p99 = np.quantile(micros, (0.5, 0.99))
    speed = f"{1e6 / micros.mean():,.0f} | {p50:.0f} | {p99:.0f} | {micros.max():.0f}"
    return f"{fleet.num_hosts} | {name} | {used:.0%} | {speed} | {rejected}"


def main(words: list[str]) -> None:
    """Measure fleets of the given numbers of hosts under the given policies."""
    counts = [int(word) for word in words if word.isdigit()] or [1000, 10_000]
    names = [word for word in words if word in RULES] or list(RULES)
    print("| hosts | policy | full | decisions/s | p50 (us) | p99 (us) | max (us) | rejected |")
    print("|---|---|---|---|---|---|---|---|")
    for hosts in counts:
        fleet = parse_fleet([f"2x40x90*{hosts}"])
        trace, filling = stream(fleet, MEASURED)
        for name in names:
            print(f"| {measure(fleet, trace, filling, name)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
