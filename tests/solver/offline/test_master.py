"""Rules of the programs: variables are fixed, and the programs must say what brute force says."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from numaplace.models.fleet import Fleet
from numaplace.models.result import SolveStatus
from numaplace.models.schedule import REJECTED, Goal, faults
from numaplace.models.trace import Ints, Trace
from numaplace.solver.cpsat.offline import run_program as by_cpsat
from numaplace.solver.formulation.program import Program
from numaplace.solver.milp.offline import run_program as by_milp
from numaplace.solver.offline.cores import Packer
from numaplace.solver.offline.data import OfflineProblem, assigned, make_problem
from numaplace.solver.offline.greedy import filled, greedy_schedule
from numaplace.solver.offline.master import Master, OfflineRun, Places, ProgramRunner
from numaplace.solver.offline.rows import capacity_rows, patterns
from numaplace.tests.solver.offline.offline_cases import brute_force, cases, fleet_of, trace_of

each_engine = pytest.mark.parametrize("engine", [by_cpsat, by_milp], ids=["cpsat", "milp"])


def run(seconds: float = 20.0) -> OfflineRun:
    return OfflineRun(time.monotonic() + seconds)


def problem_of(trace: Trace, fleet: Fleet) -> OfflineProblem:
    return make_problem(trace, fleet, np.ones(len(trace), np.int64))


def counts_of(problem: OfflineProblem, chosen: Ints) -> Ints:
    """How many VMs of each kind are chosen."""
    return np.array([sum(chosen[vm] for vm in vms) for vms in problem.kinds.members], np.int64)


def fixed(program: Program, counts: Ints) -> Program:
    """The program with its first variables fixed and nothing to maximise."""
    program = program.copy()
    program.objective = []
    for variable, count in enumerate(counts.tolist()):
        program.equal([(variable, 1)], count)
    return program


@each_engine
@settings(max_examples=40, deadline=None)
@given(case=cases(), data=st.data())
def test_vms_can_be_packed_just_if_brute_force_can(
    engine: ProgramRunner, case: tuple[Trace, Fleet], data: st.DataObject
) -> None:
    trace, fleet = case
    chosen = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(trace), max_size=len(trace))), np.bool_
    )
    problem = problem_of(trace, fleet)
    counts = counts_of(problem, chosen)
    assume(counts.sum() == chosen.sum() > 0)  # none that fits nowhere
    part = trace.part(chosen)
    fits = brute_force(part, fleet, Goal.COUNT) == len(part)
    packed = Packer(problem, engine, run()).pack(counts, 10.0)
    if isinstance(packed, np.ndarray):
        assert list(faults(trace, fleet, packed)) == []
        assert int((packed != REJECTED).sum()) == chosen.sum()
    assert isinstance(packed, np.ndarray) == fits
    everything = Places(problem, problem.kinds, Master(problem).program).program
    answer = engine(fixed(everything, counts), run())
    assert (answer.status is SolveStatus.OPTIMAL) == fits


@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_the_master_never_forbids_what_can_be_placed(case: tuple[Trace, Fleet]) -> None:
    """Rows, patterns and what was learnt from cores leave every valid schedule alone."""
    trace, fleet = case
    problem = problem_of(trace, fleet)
    master = Master(problem)
    for instant in range(problem.instants):
        master.add_patterns(instant)
    packer = Packer(problem, by_cpsat, run())
    everything = [(0, problem.instants)]
    for core in packer.cores(problem.kinds.count, everything, problem.instants, 8):
        assert packer.fits(core.kinds) is False
        master.forbid(core.kinds, core.low, core.high)
        # It is learnt: all VMs together break it.
        answer = by_cpsat(fixed(master.program, problem.kinds.count), run())
        assert answer.status is SolveStatus.INFEASIBLE
    best = brute_force(trace, fleet, Goal.COUNT)
    answer = by_cpsat(master.program, run())
    assert answer.bound is not None
    assert answer.bound >= best
    greedy = greedy_schedule(problem, time.monotonic() + 10)
    assert list(faults(trace, fleet, greedy)) == []
    held = by_cpsat(fixed(master.program, counts_of(problem, greedy != REJECTED)), run())
    assert held.status is SolveStatus.OPTIMAL


@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_a_core_is_minimal(case: tuple[Trace, Fleet]) -> None:
    """Without any one of its VMs a core fits."""
    problem = problem_of(*case)
    packer = Packer(problem, by_cpsat, run())
    for core in packer.cores(problem.kinds.count, [(0, problem.instants)], problem.instants, 8):
        for kind in range(len(core.kinds)):
            fewer = core.kinds.count.copy()
            fewer[kind] -= 1
            assert packer.fits(core.kinds.chosen(fewer, core.low, core.high)) is True


def test_rows_see_what_vcpus_alone_do_not() -> None:
    """Three VMs above half a node do not fit two nodes, though all vCPUs are enough."""
    problem = problem_of(trace_of(*[(5, 1, 1, 0, 9)] * 3), fleet_of((1, 2, 8, 8)))
    assert problem.kinds.count.tolist() == [3]
    assert next((w.tolist(), most) for _, w, most in capacity_rows(problem)) == ([1], 2)


def test_patterns_are_the_maximal_ones() -> None:
    found = patterns([(5, 1), (3, 4), (2, 2)], [9, 9, 1], 10, 8)
    assert found is not None
    assert set(found) == {(2, 0, 0), (1, 1, 1), (0, 2, 0)}
    assert patterns([(1, k) for k in range(1, 12)], [99] * 11, 60, 400) is None


def test_instants_are_maximal_cliques() -> None:
    """Starts at 0, 1, 5 and 6, ends at 3, 5, 7 and 9: what ends makes room for what starts."""
    trace = trace_of((1, 1, 1, 0, 3), (2, 1, 1, 1, 5), (3, 1, 1, 5, 7), (4, 1, 1, 6, 9))
    problem = problem_of(trace, fleet_of((1, 1, 9, 9)))
    assert problem.instants == 2
    assert problem.load(problem.kinds.size[:, 0]).tolist() == [3, 7]


def test_a_schedule_is_filled_up() -> None:
    trace, fleet = (
        trace_of((4, 1, 1, 0, 5), (4, 1, 1, 0, 9), (4, 1, 1, 5, 9)),
        fleet_of((1, 1, 8, 8)),
    )
    problem = problem_of(trace, fleet)
    slots = filled(problem, np.array([0, REJECTED, REJECTED]), time.monotonic() + 5)
    assert slots.tolist() == [0, 0, 0]
    places = Places(problem, problem.kinds)
    values = places.start(slots)
    given_ = [(kind, slot, values[variable]) for variable, kind, slot in places.variables]
    assert assigned(problem, problem.kinds, iter(given_)).tolist() == [0, 0, 0]


@each_engine
def test_an_engine_answers_honestly(engine: ProgramRunner) -> None:
    program = Program()
    x, y = program.variable(10), program.variable(10)
    program.objective = [(x, 3), (y, 2)]
    program.at_most([(x, 2), (y, 2)], 7)
    program.at_least([(y, 1)], 1)
    answer = engine(program, run())
    assert (answer.status, answer.bound) == (SolveStatus.OPTIMAL, 8)
    assert answer.values is not None
    assert answer.values.tolist() == [2, 1]
    assert program.holds(answer.values)
    assert not program.holds(np.array([3, 1]))
    assert not program.holds(np.array([3, 0]))
    program.equal([(x, 2), (y, 2)], 5)
    assert engine(program, run()).status is SolveStatus.INFEASIBLE
    program.objective = []
    assert engine(program, run()).status is SolveStatus.INFEASIBLE
    assert engine(program, run(0.0)).status is SolveStatus.UNKNOWN


@each_engine
def test_a_start_that_lacks_variables_gives_no_wrong_bound(engine: ProgramRunner) -> None:
    """HiGHS tells bounds of the program in which the start is fixed while it completes it."""
    rng = np.random.default_rng(5)
    program = Program()
    some = [program.variable(3) for _ in range(40)]
    more = [program.variable(3) for _ in range(10)]
    weights = rng.integers(5, 30, 40).tolist()
    program.objective = list(zip(some, weights, strict=True))
    for _ in range(12):
        row = zip(some, rng.integers(1, 20, 40).tolist(), strict=True)
        program.at_most([*row, *((z, -int(rng.integers(1, 9))) for z in more)], 150)
    program.at_most([(z, 1) for z in more], 4)
    best = engine(program, run()).bound
    bounds: list[int] = []
    start = np.full(50, -1)
    start[:40] = 0
    told = OfflineRun(time.monotonic() + 20, start=start, on_bound=bounds.append)
    answer = engine(program, told)
    assert answer.bound == best
    assert best is not None
    assert all(bound >= best for bound in bounds)
