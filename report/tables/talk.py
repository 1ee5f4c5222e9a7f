"""The talk's experiment: its points, and the sentences that its table and picture share."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from numaplace.report.tables import words
from numaplace.report.tables.columns import Column, Plain, Record, columns, within
from numaplace.report.tables.online_words import percent
from numaplace.report.tables.simulation_summary import Repeats
from numaplace.report.tables.simulations import OUTCOME, shown_repeats
from numaplace.report.tables.table import Table, Views
from numaplace.solver.simulator.published import ROWS, TalkProgram, row
from numaplace.solver.simulator.talk import DOM0_LOAD, Configuration, Point, talk_host
from numaplace.solver.simulator.talk_run import Experiment

NOTHING_RUN = "Nothing was run: stopped before the first run came to its end."
_ROWS = [row(TalkProgram.SPECJBB, 2, pinned=pinned) for pinned in (False, True)]
PUBLISHED = "published, bops of one VM of two: " + ", ".join(
    f"{'pinned' if each.pinned else 'unpinned'} {each.value:.2f} ± {each.deviation}"
    for each in _ROWS
)
SOURCES_OF_ERROR = (
    "memory latency is that of the X5650, the same design; none is published for the E5620",
    f"what dom0 does is not known: taken is {DOM0_LOAD.pcpus:g} pCPUs in stretches of "
    f"{DOM0_LOAD.busy_ms:g} ms, as traced in another Xen",
    "garbage collection of the JVM, and its threads that share a heap, are not modelled",
    "what threads of VMs take from one another in caches and at the memory is in the SMT yield",
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
    traits = experiment.setup.traits
    return (
        "calibrated on all-cpus and auto-pinning with 2 VMs, auto-pinning with 6: memory intensity "
        f"{traits.intensity:.3f}, SMT yield {traits.smt_yield:.3f}; all other points are "
        "predictions"
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


# ---- tables -------------------------------------------------------------------------------------


def _bops(point: Point) -> Repeats:
    return Repeats(point.mean, point.uncertainty, 2 if point.uncertainty else 1)


def _gain(row: tuple[Experiment, Point]) -> str:
    floats = row[1].configuration is Configuration.ALL_CPUS
    return "-" if floats else gain(row[0].gain(row[1]))


POINT = columns(
    Column("-vms", int, "1.vms", "VMs"),
    Column("configuration", str, "1.configuration", "configuration"),
    "vms=1.vms:int",
    Column("repetitions", int, lambda row: len(row[1].scores)),
    "bops_mean=1.mean:float bops_deviation=1.deviation:float bops_uncertainty=1.uncertainty:float",
    Column("gain_over_all_cpus", (float, None), lambda row: row[0].gain(row[1])),
    within("1", Column("-bops", object, _bops, "bops", shown_repeats(0), True)),
    Column("-gain", object, ".", "gain\n%", _gain, right=True),
    Column("remote_share", float, "1.remote_share", "remote\n%", percent),
    Column("-is", bool, "1.calibrated", "is", lambda it: "calibrated" if it else "predicted"),
    Column("wait_share", float, "1.wait_share", "waited\n%", percent),
    Column("steals_per_s", float, "1.steals", "steals\n/s", "{:.0f}".format),
    "calibrated=1.calibrated:bool",
)
"""A configuration with a number of VMs, of pairs (experiment, point); shares are of 1."""


def _raw(experiment: Experiment) -> list[Any]:
    nodes, seed = [node.id for node in talk_host().nodes], experiment.setup.seed
    return [(*key, seed + key[2], (one, nodes)) for key, one in experiment.outcomes.items()]


_RAW = Record(
    "configuration=0 vms=1:int repetition=2:int seed=3:int", Column("outcome", OUTCOME, "4")
)
_SCORES = Record(POINT, "bops=1.scores:[float]")
PUBLISHED_ROW = Record(
    "program=program vms=vms:int pinned=pinned:bool changed=changed:bool value=value:float",
    "deviation=deviation:float calibrated=fitted:bool",
)
"""A row of the Xen commit ebce2d836c: throughput of one VM, before or with that commit."""


def _traits(experiment: Experiment) -> Plain:
    found = asdict(experiment.setup.traits)
    return {**found, "covariance": [list(line) for line in found["covariance"]]}


def _points(experiment: Experiment) -> list[tuple[Experiment, Point]]:
    return [(experiment, point) for point in experiment.points]


TALK = Record(
    Column("traits", {str: object}, _traits),
    "vms=setup.counts:[int] time_s=setup.time_s:float repetitions=setup.repetitions:int",
    "seed=setup.seed:int runs_missing=missing:int",
    Column("published_a_vm", [PUBLISHED_ROW], lambda _: list(ROWS)),
    Column("points", [_SCORES], _points),
    Column("runs", [_RAW], _raw),
    name="talk",
)
"""The talk's experiment: parameters, points, and all counters of every run."""


def point_table(experiment: Experiment) -> Table:
    """The points in the order in which they were run."""
    return Table(POINT, _points(experiment), noun="point", keys=2)


def talk_views(experiment: Experiment) -> Views:
    """The talk's table: throughput by configuration and number of VMs, and what is uncertain."""
    head = Text.assemble(("The talk's experiment", "bold"), f"  {setup_words(experiment)}")
    if not experiment.points:
        return [head, Text(NOTHING_RUN, "bold yellow")]
    notes = Text(calibration_words(experiment), "dim")
    if experiment.missing:
        notes.append(f"\n{missing_words(experiment)}", "bold yellow")
    errors = Text("Sources of error\n", "bold")
    lines = (*SOURCES_OF_ERROR, f"for comparison, {PUBLISHED}")
    errors.append("\n".join(f"- {line}" for line in lines), "not bold")
    return [head, _talk_view(experiment), notes, errors]


def _talk_view(experiment: Experiment) -> RenderableType:
    counts = experiment.setup.counts
    found = [experiment.point(each, count) for count in counts for each in Configuration]
    rows = [(experiment, point) for point in found if point is not None]
    note = Text("±: repetitions and calibration; gain: over all-cpus; steals include dom0's", "dim")
    table = Table(POINT, rows, noun="point", keys=2, section=lambda row: row[1].vms)
    return Group(table, note)
