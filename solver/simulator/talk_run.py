"""The talk's experiment as a whole: all its runs, in parallel, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from numaplace.models.errors import check_int, check_real
from numaplace.solver.deadline import NEVER, Deadline
from numaplace.solver.parallel import ONE_BY_ONE, JobEngine, run_parallel
from numaplace.solver.simulator.counters import Outcome
from numaplace.solver.simulator.published import TalkProgram
from numaplace.solver.simulator.talk import (
    CALIBRATED,
    REPETITIONS,
    TIME_S,
    VM_COUNTS,
    Configuration,
    Point,
    Traits,
    jobs,
    points,
    run,
    slopes,
    vm_work,
)

VMS_MAX = max(VM_COUNTS)
"""More do not fit the host's memory."""

SLOPE_TIME_S = 5.0
Job = tuple[Configuration, int, int]


@dataclass(frozen=True, slots=True)
class TalkSetup:
    """What the experiment runs.

    Parameters
    ----------
    traits
        What the program does to the machine.
    counts
        Numbers of VMs.
    repetitions, time_s, seed
        Runs of each point, simulated seconds of each, and seed of the first.
    """

    traits: Traits = CALIBRATED[TalkProgram.SPECJBB]
    counts: tuple[int, ...] = VM_COUNTS
    repetitions: int = REPETITIONS
    time_s: float = TIME_S
    seed: int = 0

    def __post_init__(self) -> None:
        check_real("talk", "--time", self.time_s, 0.1, 1e6)
        check_int("talk", "--repetitions", self.repetitions, 1, 10_000)
        check_int("talk", "--seed", self.seed, 0, 2**31 - 1)
        for count in self.counts:
            check_int("talk", "--vms", count, 1, VMS_MAX)


@dataclass(frozen=True, slots=True)
class Experiment:
    """What came of the experiment.

    Parameters
    ----------
    setup
        What was to be run.
    outcomes
        By configuration, number of VMs and repetition; less than asked for if it was stopped.
    points
        Repetitions put together.
    missing
        Runs left out because it was stopped, or that failed.
    failed
        Which of them failed, and why.
    """

    setup: TalkSetup
    outcomes: Mapping[Job, Outcome]
    points: tuple[Point, ...]
    missing: int
    failed: tuple[str, ...] = ()

    def point(self, configuration: Configuration, vms: int) -> Point | None:
        """Return one point, None if none of its runs came to its end."""
        at = (configuration, vms)
        return next((each for each in self.points if (each.configuration, each.vms) == at), None)

    def gain(self, point: Point) -> float | None:
        """Return how much more than all-cpus it reaches, as a share; None if that did not run."""
        floating = self.point(Configuration.ALL_CPUS, point.vms)
        return None if floating is None else point.mean / floating.mean - 1.0


def run_talk(
    setup: TalkSetup,
    *,
    engine: JobEngine = ONE_BY_ONE,
    on_done: Callable[[int, int, str], None] | None = None,
    until: Deadline = NEVER,
) -> Experiment:
    """Run the experiment.

    Parameters
    ----------
    setup
        What to run.
    engine
        Where runs are made; the result does not depend on it.
    on_done
        Told the number of runs done, of all runs, and words for the last one.
    until
        When to end; runs that have not begun by then are left out.
    """
    every: Sequence[Job] = jobs(setup.counts, setup.repetitions)
    found: dict[Job, Outcome] = {}
    spread: dict[tuple[Configuration, int], float] = {}
    # The longest first, so that no process is left alone with one at the end.
    longest_first = sorted(every, key=lambda job: -job[1])

    def keep(job: Job, came: tuple[Outcome, float | None]) -> None:
        found[job], uncertain = came
        if uncertain is not None:
            spread[job[:2]] = uncertain
        if on_done is not None:
            on_done(len(found), len(every), _words(job))

    ran = run_parallel(
        partial(_run, setup), longest_first, engine=engine, until=until, on_result=keep
    )
    failed = tuple(f"{_words(longest_first[index])}: {why}" for index, why in ran.failed.items())
    outcomes = {job: found[job] for job in every if job in found}
    shown = tuple(points(outcomes, setup.traits.score, spread))
    return Experiment(setup, outcomes, shown, len(every) - len(outcomes), failed)


def _words(job: Job) -> str:
    return f"{job[0]} with {job[1]} VMs"


def _run(setup: TalkSetup, job: Job, _until: Deadline) -> tuple[Outcome, float | None]:
    """Run one repetition; with the first comes how uncertain the calibration leaves its point."""
    configuration, vms, repetition = job
    spread = None
    if not repetition:
        time_s = min(setup.time_s, SLOPE_TIME_S)
        steep = slopes(
            lambda tried: vm_work(configuration, vms, tried, time_s=time_s, seeds=(setup.seed,)),
            setup.traits,
        )
        spread = setup.traits.spread(steep)
    return run(job, setup.traits, setup.time_s, setup.seed), spread
