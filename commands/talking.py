"""The command that runs the talk's experiment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from numaplace.commands import output, running
from numaplace.commands.app import app
from numaplace.commands.options import ChartOpt, ForceOpt, ParallelOpt, SeedOpt, option
from numaplace.commands.printing import USUAL, Printing, bundled
from numaplace.commands.shown import deliver, drawn
from numaplace.commands.simulations import RepetitionsOpt, SimulatedOpt
from numaplace.models.errors import InputError
from numaplace.solver.deadline import Deadline
from numaplace.solver.parallel import JobEngine

if TYPE_CHECKING:
    from numaplace.solver.simulator.calibration import Checked
    from numaplace.solver.simulator.published import TalkProgram
    from numaplace.solver.simulator.talk import Traits
    from numaplace.solver.simulator.talk_run import Experiment, TalkSetup


@app.command()
@bundled
def talk(
    time: SimulatedOpt = 60.0,
    repetitions: RepetitionsOpt = 3,
    vms: Annotated[str, option("Numbers of VMs, with commas.")] = "2,4,6,8,10",
    seed: SeedOpt = 0,
    workers: Annotated[int, option("Processes; 0: one per core.")] = 0,
    parallel: ParallelOpt = "loky",
    recalibrate: Annotated[
        bool, option("Find the traits anew, and show all published rows.", "--recalibrate")
    ] = False,
    csv: Annotated[Path | None, option("Write the points to this file.", metavar="FILE")] = None,
    plot: ChartOpt = None,
    force: ForceOpt = False,
    form: Printing = USUAL,
) -> None:
    """Run the talk's experiment: SPECjbb2005 in 2 to 10 VMs under three configurations.

    all-cpus: nothing is placed; auto-pinning: automatic placement of Xen 4.2;
    auto-affinity: what became Xen 4.3. Calibrated on three published rows,
    all else is predicted.
    """
    from numaplace.instances import lookup
    from numaplace.report.figures.talk_figure import talk_figure
    from numaplace.report.tables.talk import POINT, TALK, point_table, talk_views
    from numaplace.solver.simulator.talk_run import TalkSetup

    form.expect(POINT)
    lookup.check_writable([csv, plot], overwrite=force)
    engine = JobEngine.parse(parallel, workers)
    setup = TalkSetup(counts=_counts(vms), repetitions=repetitions, time_s=time, seed=seed)
    if recalibrate:
        setup = replace(setup, traits=_recalibrated(form))
    found = _run_talk(setup, engine, quiet=form.quiet)
    deliver(
        form,
        lambda: TALK.plain(found),
        lambda: talk_views(found),
        lambda: point_table(found),
        (csv, lambda: point_table(found).csv()),
        drawn(plot, lambda: talk_figure(found)),
        overwrite=force,
    )


def _counts(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts:
        if not part.isascii() or not part.isdigit() or len(part) > 9:
            reason = f"must be numbers with commas, not {part!r:.60}"
            raise InputError("talk", "--vms", reason)
    if not parts:
        raise InputError("talk", "--vms", "names no number")
    return tuple(sorted({int(part) for part in parts}))


def _recalibrated(form: Printing) -> Traits:
    """Calibrate, and show every published row beside what is simulated; JSON has the traits."""
    from numaplace.report.tables.calibration import calibration_views
    from numaplace.solver.simulator.calibration import calibrate, check, simulated_work
    from numaplace.solver.simulator.published import TalkProgram

    shown, work = form.people and not form.quiet, simulated_work()

    def calibration() -> tuple[dict[TalkProgram, Traits], list[Checked]]:
        found = calibrate(work)
        return found, check(found, work) if shown else []

    traits, checked = running.on_terminal(
        lambda line, stop: calibration(), "calibrating", quiet=form.quiet
    )
    if shown:
        output.show([*calibration_views(traits, checked), ""])
    return traits[TalkProgram.SPECJBB]


def _run_talk(setup: TalkSetup, engine: JobEngine, *, quiet: bool) -> Experiment:
    from numaplace.solver.simulator.talk_run import run_talk

    found = running.on_terminal(
        lambda line, stop: run_talk(
            setup, engine=engine, on_done=line.count("runs"), until=Deadline(should_stop=stop)
        ),
        "the talk's experiment",
        quiet=quiet,
    )
    for words in found.failed:
        output.remark(words)
    return found
