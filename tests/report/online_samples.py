"""Replays of random traces, and comparisons made up by hand, of which every number is known."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache

import numpy as np
from rich.console import Console, RenderableType

from numaplace.instances.shapes import HostShape, make_host
from numaplace.models.fleet import Fleet, split_to_fit
from numaplace.models.result import SolveStatus
from numaplace.models.schedule import Goal
from numaplace.models.trace import Trace, make_trace
from numaplace.solver.compare.policies import Comparison, Optimum, PolicyRow
from numaplace.solver.placing.replay import Replay, replay
from numaplace.solver.placing.rules import RULES

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def fleet(hosts: int = 4) -> Fleet:
    """Hosts of 2 nodes with 8 pCPUs and 32 GiB each."""
    shape = HostShape(cores_per_node=4, threads_per_core=2, node_mib=32768)
    return Fleet(((make_host(shape, "box"), hosts),))


@cache
def trace(size: int = 300, seed: int = 0) -> Trace:
    """VMs over three days, too many for `fleet`; some large ones are cut in two."""
    rng = np.random.default_rng(seed)
    vcpus = rng.choice([1, 2, 4, 12], size, p=[0.4, 0.3, 0.2, 0.1])
    starts = np.sort(rng.integers(0, 3 * DAY_MS, size))
    made = make_trace(
        tuple(f"vm{i}" for i in range(size)),
        vcpus=vcpus,
        memory_mib=vcpus * rng.choice([1024, 4096], size),
        start_ms=starts,
        end_ms=starts + rng.integers(HOUR_MS, 12 * HOUR_MS, size),
        utilisation=rng.uniform(0.3, 1.0, size),
        soft_node=np.where(rng.random(size) < 0.2, rng.integers(0, 2, size), -1),
        soft_weight=np.full(size, 0.25),
    )
    return split_to_fit(made, fleet())


@cache
def replays(*names: str) -> dict[str, Replay]:
    """What policies make of `trace` on `fleet`."""
    return {name: replay(trace(), fleet(), RULES[name]) for name in names or RULES}


def stopped(name: str, after: int) -> Replay:
    """A replay of `trace` that is stopped at its check number `after`."""
    return replay(trace(), fleet(), RULES[name], should_stop=_after(after))


def _after(count: int) -> Callable[[], bool]:
    asked = iter(range(count))
    return lambda: next(asked, None) is None


def row(
    case: str,
    policy: str,
    reached: tuple[int, int, int],
    gaps: tuple[float | None, float | None, float | None],
    load: float | None = 0.9,
) -> PolicyRow:
    """A row with value, count and prefix reached, of a window of 10 VMs."""
    full, fragmented = len(case), len(policy)
    goals = tuple(Goal)
    return PolicyRow(
        case,
        load,
        policy,
        10,
        dict(zip(goals, reached, strict=True)),
        dict(zip(goals, gaps, strict=True)),
        frozenset(),
        full,
        fragmented,
        20.0,
        90.0 + len(case),
    )


def optimum(case: str, goal: Goal, objective: int, bound: int) -> Optimum:
    """An optimum that is proven if it meets its bound."""
    status = SolveStatus.OPTIMAL if objective == bound else SolveStatus.FEASIBLE
    return Optimum(case, goal, status, objective, bound, 1.5)


def comparison(missing: int = 0, reused: int = 0) -> Comparison:
    """Two policies on three windows; value of all is solved, prefix of two, count of none."""
    hour = HOUR_MS
    rows = (
        row("a", "first_fit", (900 * hour, 8, 4), (0.1, None, 0.5)),
        row("a", "greedy_life", (1000 * hour, 9, 8), (0.0, None, 0.0)),
        row("bb", "first_fit", (1900 * hour, 8, 4), (0.05, None, 0.2)),
        row("bb", "greedy_life", (1990 * hour, 7, 4), (0.005, None, 0.2)),
        row("ccc", "first_fit", (1000 * hour, 10, 10), (0.0, None, None)),
        row("ccc", "greedy_life", (990 * hour, 10, 10), (0.01, None, None)),
    )
    optima = (
        optimum("a", Goal.VALUE, 1000 * hour, 1000 * hour),
        optimum("bb", Goal.VALUE, 1990 * hour, 2000 * hour),
        optimum("ccc", Goal.VALUE, 1000 * hour, 1000 * hour),
        optimum("a", Goal.PREFIX, 8, 8),
        optimum("bb", Goal.PREFIX, 5, 5),
    )
    return Comparison(rows, optima, missing, reused)


@cache
def random_comparison(
    loads: tuple[float | None, ...] = (0.9, 1.2), windows: int = 12, seed: int = 0
) -> Comparison:
    """All policies on windows of several loads; about one optimum in ten is not proven."""
    rng = np.random.default_rng(seed)
    rows: list[PolicyRow] = []
    optima: list[Optimum] = []
    for load in loads:
        for case in (f"window {number} at {load}" for number in range(windows)):
            bounds = dict(zip(Goal, (10**9, 900, 500), strict=True))
            for goal, bound in bounds.items():
                optima.append(optimum(case, goal, bound - int(rng.random() < 0.1), bound))
            for policy in RULES:
                lost = {goal: float(rng.uniform(0, (load or 1) ** 6)) / 4 for goal in Goal}
                reached = {goal: round(bounds[goal] * (1 - lost[goal])) for goal in Goal}
                gaps: dict[Goal, float | None] = {
                    goal: (bounds[goal] - reached[goal]) / bounds[goal] for goal in Goal
                }
                rejected = rng.integers(0, 50, 2).tolist()
                micros = np.sort(rng.uniform(10, 400, 2)).tolist()
                rows.append(
                    PolicyRow(
                        case, load, policy, 1000, reached, gaps, frozenset(), *rejected, *micros
                    )
                )
    return Comparison(tuple(rows), tuple(optima))


def printed(*views: RenderableType, width: int = 80) -> str:
    """What a terminal without colours shows."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, no_color=True, highlight=False)
    for view in views:
        console.print(view)
    return stream.getvalue()
