"""Solvers that decide one VM at a time, in order of start, and never go back.

Each is a function of an instance and parameters, found by name in `GREEDY_SOLVERS`. They prove
nothing: results carry no bounds, and a required VM left out means that no plan was found, not
that there is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Result, SolveStatus
from numaplace.models.vm import Vm
from numaplace.solver.base import Solver, make_result, no_plan
from numaplace.solver.deadline import NEVER, Deadline
from numaplace.solver.params import SolveParams
from numaplace.solver.placing.build import Candidate
from numaplace.solver.placing.nova import NovaPlacement
from numaplace.solver.placing.orders import Order, ordered, start_of
from numaplace.solver.placing.placer import Placer
from numaplace.solver.placing.reasons import why_not
from numaplace.solver.placing.rules import Rule, best_fit, first_fit, greedy
from numaplace.solver.placing.search import PlaceSearch
from numaplace.solver.placing.xen import XenPlacement

STOPPED = "the solve was stopped before it was looked at"
NO_TIME = "no time: the time limit was over before it was looked at"


class Chooser(Protocol):
    """Decides where one VM goes; None if it finds no place that obeys every rule."""

    def __call__(self, engine: Placer, vm: Vm) -> Candidate | None:
        """Choose a place for `vm`."""
        ...


@dataclass(slots=True)
class PlacedVms:
    """Plan of one run, why VMs are missing from it, and the time of each decision."""

    plan: Plan
    unplaced: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    @property
    def stats(self) -> dict[str, float]:
        """Decisions and their time in microseconds."""
        micros = [second * 1e6 for second in self.seconds]
        return {
            "decisions": float(len(micros)),
            "mean_decision_us": sum(micros) / max(1, len(micros)),
            "max_decision_us": max(micros, default=0.0),
        }


def place_all(
    engine: Placer,
    vms: Iterable[Vm],
    chooser: Chooser,
    *,
    explain: bool = True,
    until: Deadline = NEVER,
) -> PlacedVms:
    """Place VMs one after another; those that have ended by then are finished first (online)."""
    outcome = PlacedVms(Plan())
    running: list[Vm] = []
    for vm in vms:
        if engine.state.online:
            running = _finish_ended(engine, running, start_of(vm))
        if until.over:
            outcome.unplaced[vm.name] = STOPPED if until.stopped else NO_TIME
            continue
        began = time.perf_counter()
        found = chooser(engine, vm)
        if found is not None:
            engine.take(found)
            running.append(vm)
        outcome.seconds.append(time.perf_counter() - began)
        if found is None:
            outcome.unplaced[vm.name] = _reason(engine, vm) if explain else "does not fit"
    outcome.plan = engine.plan()
    return outcome


def _reason(engine: Placer, vm: Vm) -> str:
    """Say why a chooser did not place a VM, in words."""
    other = PlaceSearch(engine.state, vm, greedy).best()
    if other is None:
        return why_not(engine.state, vm)
    where = other.footprint.placement
    nodes = ", ".join(map(str, sorted(where.nodes)))
    return f"does not fit where this solver puts it (node {nodes} of {where.host} would do)"


def _finish_ended(engine: Placer, running: list[Vm], now: int) -> list[Vm]:
    left: list[Vm] = []
    for vm in running:
        if vm.end is not None and vm.end <= now:
            engine.finish(vm.name)
        else:
            left.append(vm)
    return left


def new_engine(instance: Instance, rule: Rule) -> Placer:
    """Return an engine for VMs that come in order of start.

    It keeps one picture of now, unless copies of shared pages take memory at other times too.
    """
    timed = any(vm.start is not None or vm.end is not None for vm in instance.vms)
    return Placer(instance, rule, online=timed and not instance.sharing)


def by_rule(engine: Placer, vm: Vm) -> Candidate | None:
    """Choose by the engine's own rule."""
    return engine.find(vm)


def solve_online(
    name: str,
    instance: Instance,
    params: SolveParams,
    *,
    rule: Rule,
    make_chooser: Callable[[Instance], Chooser],
    order: Order = Order.GIVEN,
) -> Result:
    """Place every VM by a chooser and wrap what came out."""
    began = time.perf_counter()
    outcome = place_all(
        new_engine(instance, rule),
        ordered(instance, order),
        make_chooser(instance),
        explain=params.explain,
        until=params.until,
    )
    missing = [
        f"VM {vm.name!r}: {outcome.unplaced[vm.name]}"
        for vm in instance.vms
        if vm.name in outcome.unplaced and (vm.required or params.require_all)
    ]
    seconds = time.perf_counter() - began
    if missing:
        return no_plan(name, SolveStatus.UNKNOWN, seconds, missing, outcome.stats)
    return make_result(
        name,
        instance,
        outcome.plan,
        {},
        runtime_s=seconds,
        unplaced=outcome.unplaced,
        stats=outcome.stats,
    )


def _rule_solver(name: str, rule: Rule, order: Order) -> Solver:
    return partial(
        solve_online, name, rule=rule, make_chooser=lambda instance: by_rule, order=order
    )


# Least marginal loss, VMs in the order of the instance: what an online system can do.
solve_greedy = _rule_solver("greedy", greedy, Order.GIVEN)
# Least marginal loss, required and large VMs first: a better start for other solvers.
solve_greedy_sorted = _rule_solver("greedy_sorted", greedy, Order.DECREASING)
solve_first_fit = _rule_solver("first_fit", first_fit, Order.GIVEN)  # First node that has room
solve_best_fit = _rule_solver("best_fit", best_fit, Order.GIVEN)  # Node that is fullest afterwards

# Automatic placement of Xen 4.2.
solve_xen_4_2: Solver = partial(
    solve_online, "xen_4_2", rule=first_fit, make_chooser=partial(XenPlacement, release_4_2=True)
)

# Automatic placement of Xen today.
solve_xen: Solver = partial(
    solve_online, "xen", rule=first_fit, make_chooser=partial(XenPlacement, release_4_2=False)
)

# OpenStack Nova's order of cells, spread.
solve_nova: Solver = partial(
    solve_online, "nova", rule=first_fit, make_chooser=partial(NovaPlacement, pack=False)
)

# Solvers of this folder by name.
GREEDY_SOLVERS: dict[str, Solver] = {
    "greedy": solve_greedy,
    "first_fit": solve_first_fit,
    "best_fit": solve_best_fit,
    "xen_4_2": solve_xen_4_2,
    "xen": solve_xen,
    "nova": solve_nova,
}
