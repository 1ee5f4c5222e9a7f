"""Sentences on the talk's experiment that the table and the picture share."""

from __future__ import annotations

from numaplace.report.tables import words
from numaplace.solver.simulator.talk import SPECJBB
from numaplace.solver.simulator.talk_run import Experiment

UNPINNED_DEVIATION = 1359.56
PINNED_DEVIATION = 952.93
"""Published with the two-VM row of SPECjbb2005 (Xen commit ebce2d836c), a VM."""

NOTHING_RUN = "Nothing was run: stopped before the first run came to its end."
PUBLISHED = (
    f"published, bops of one VM of two: unpinned {SPECJBB.unpinned:.2f} ± {UNPINNED_DEVIATION}, "
    f"pinned {SPECJBB.pinned:.2f} ± {PINNED_DEVIATION}"
)
SOURCES_OF_ERROR = (
    "memory latency is that of the X5650, the same design; none is published for the E5620",
    "what dom0 does is assumed, not measured",
    "garbage collection of the JVM, and its threads that share a heap, are not modelled",
    "two threads of a core are assumed to do 1.25 times the work of one",
    "memory bandwidth of the host is not known and left out, so nobody waits for it",
)


def setup_words(experiment: Experiment) -> str:
    """What was run: repetitions, time, seeds."""
    setup = experiment.setup
    last = setup.seed + setup.repetitions - 1
    seeds = f"seed {setup.seed}" if setup.repetitions == 1 else f"seeds {setup.seed} to {last}"
    times = words.plural(setup.repetitions, "repetition")
    return f"{times} of {setup.time_s:g} simulated s, {seeds}"


def calibration_words(experiment: Experiment) -> str:
    """On what parameters were calibrated, and to which values."""
    work = experiment.setup.work
    return (
        "calibrated on all-cpus and auto-pinning with 2 VMs: memory intensity "
        f"{work.specjbb_intensity:.3f}, {work.cache_refill_us:.0f} µs of work lost on a new cache; "
        "all other points are predictions"
    )


def missing_words(experiment: Experiment) -> str:
    """How many runs are missing; empty if none is."""
    if not experiment.missing:
        return ""
    were = "run was" if experiment.missing == 1 else "runs were"
    return f"stopped: {experiment.missing} {were} left out"


def gain(share: float | None) -> str:
    """Gain over all-cpus in percent, with its sign."""
    return "-" if share is None else f"{100 * share:+.1f}"
