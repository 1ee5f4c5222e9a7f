"""HiGHS through PuLP: silent, interruptible, with a start, its bound and its honest status."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import highspy
import numpy as np
import pulp

from numaplace.solver.deadline import GRACE_S, Deadline, OutOfTimeError, left_running, within
from numaplace.solver.milp.backend import GAP, Linear, MilpOutcome, Task

TOLERANCE = 1e-8
POLL_S = 0.05

# Presolve rules left out: with rules 12 and 16, HiGHS 1.16.0 cut off the optimum of a small model
# and called it infeasible (tests/regression/test_highs.py).
RULES_OFF = (1 << 12) | (1 << 16)
# HiGHS keeps its threads from run to run and refuses another number of them: they are reset before
# each run, which no other run may be in the middle of.
_ONE_AT_A_TIME = threading.Lock()

OnState = Callable[[float, float], bool]
"""Takes the best objective and bound so far (infinite if none); True ends the run."""


class _SilentHighs(highspy.Highs):
    """HiGHS that prints nothing, not even the greeting of its constructor."""

    def enableCallbacks(self) -> None:  # the name is highspy's
        self.silent()
        super().enableCallbacks()  # type: ignore[no-untyped-call]


class _HighsSolver(pulp.HiGHS):  # type: ignore[misc]
    """PuLP's HiGHS with a start, a callback, and Ctrl-C that ends a run instead of losing it."""

    def __init__(self, task: Task, on_state: OnState | None, *, presolve: bool) -> None:
        super().__init__(msg=False)
        self.task = task
        self.presolve = presolve
        self.on_state = on_state
        self.stop = False
        self.failure: BaseException | None = None

    def createAndConfigureSolver(self, lp: Linear) -> None:  # the name is PuLP's
        lp.solverModel = _SilentHighs()  # type: ignore[no-untyped-call]
        options = {
            "threads": self.task.workers,
            "random_seed": self.task.seed,
            "mip_rel_gap": float(self.task.relative_gap),
            "mip_abs_gap": GAP,
            "presolve": "choose" if self.presolve else "off",
            "presolve_rule_off": RULES_OFF,
            "mip_feasibility_tolerance": TOLERANCE,
            "primal_feasibility_tolerance": TOLERANCE,
            "dual_feasibility_tolerance": TOLERANCE,
        }
        for name, value in options.items():
            lp.solverModel.setOptionValue(name, value)

    def callSolver(self, lp: Linear) -> None:  # the name is PuLP's
        highs = lp.solverModel
        # A variable that is in no row and not in the objective is no column, so has no index.
        known = [(var.index, value) for var, value in self.task.start if hasattr(var, "index")]
        if known:
            index = np.array([column for column, _ in known], dtype=np.int32)
            values = np.array([value for _, value in known], dtype=np.float64)
            highs.setSolution(len(known), index, values)
        highs.cbMipInterrupt.subscribe(self._on_event)
        highs.cbSimplexInterrupt.subscribe(self._on_event)
        # In a thread of its own, so that Ctrl-C arrives here and not inside a callback.
        runner = threading.Thread(target=self._run, args=(highs,), daemon=True)
        runner.start()
        over_since = math.inf
        while runner.is_alive():
            try:
                runner.join(POLL_S)
            except KeyboardInterrupt:
                self.stop = True
            if self.stop or self.task.until.over:
                over_since = min(over_since, time.monotonic())
            if time.monotonic() > over_since + GRACE_S:
                left_running.append(runner)
                raise OutOfTimeError
        if self.failure is not None:
            raise self.failure

    def _run(self, highs: highspy.Highs) -> None:
        with _ONE_AT_A_TIME:
            if self.stop:
                return  # what it waited for took all the time
            highspy.Highs.resetGlobalScheduler(True)
            highs.setOptionValue("time_limit", self.task.seconds_left)
            highs.run()
            highspy.Highs.resetGlobalScheduler(False)

    def _on_event(self, event: highspy.HighsCallbackEvent) -> None:
        if self.on_state is not None and not self.stop:
            mip = event.callback_type == highspy.cb.HighsCallbackType.kCallbackMipInterrupt
            state = (event.data_out.mip_primal_bound, event.data_out.mip_dual_bound)
            try:
                self.stop = self.on_state(*(state if mip else (math.inf, -math.inf)))
            except BaseException as failure:  # it must not cross the C++ of HiGHS
                self.failure, self.stop = failure, True
        if self.stop:
            event.interrupt()


def solve_highs(
    problem: Linear, task: Task, on_state: OnState | None = None, *, presolve: bool = True
) -> MilpOutcome:
    """Minimise `problem`, a `pulp.LpProblem`; its variables hold the solution, if there is one.

    `on_state` is called often, from another thread. That a problem is infeasible is believed only
    without presolve.
    """
    solver = _HighsSolver(task, on_state, presolve=presolve)
    problem.solve(solver)
    highs = problem.solverModel
    info, status = highs.getInfo(), highs.getModelStatus()
    found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    objective = info.objective_function_value if found else None
    worse = objective is not None and problem.objective.valueOrDefault() > objective + GAP
    if worse and task.start:
        # HiGHS 1.16 may prove an optimum in the presolved model but hand back the start instead.
        return solve_highs(problem, replace(task, start=[]), on_state)
    known = highspy.HighsModelStatus
    infeasible = status in (known.kInfeasible, known.kUnboundedOrInfeasible)
    if infeasible and presolve:
        return solve_highs(problem, replace(task, start=[]), on_state, presolve=False)
    return MilpOutcome(objective, info.mip_dual_bound, infeasible, float(info.mip_node_count))


def quiet_highs() -> highspy.Highs:
    """Return a HiGHS that prints nothing, for programs of the caller's."""
    highs = _SilentHighs()  # type: ignore[no-untyped-call]
    highs.silent()
    options = {"threads": 1, "presolve_rule_off": RULES_OFF, "mip_feasibility_tolerance": TOLERANCE}
    for name, value in {**options, "primal_feasibility_tolerance": TOLERANCE}.items():
        highs.setOptionValue(name, value)
    return highs


def run_by(highs: highspy.Highs, until: Deadline) -> None:
    """Run a HiGHS of `quiet_highs` until it is done or it is time; `OutOfTimeError` if it is late.

    What a search of whole numbers has found by then is its solution.
    """

    def stop(event: highspy.HighsCallbackEvent) -> None:
        if until.over:
            event.interrupt()

    def run() -> None:
        with _ONE_AT_A_TIME:
            until.check()
            highspy.Highs.resetGlobalScheduler(True)
            left_s = min(until.left_s, 1e9)
            highs.setOptionValue("time_limit", highs.getRunTime() + left_s)
            highs.run()
            highspy.Highs.resetGlobalScheduler(False)

    highs.cbMipInterrupt.subscribe(stop)
    within(until, run)
    highs.cbMipInterrupt.unsubscribe(stop)
