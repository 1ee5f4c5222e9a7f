"""The command that simulates a plan in the hypervisor's scheduler."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from numaplace.commands import output, running
from numaplace.commands.app import app
from numaplace.commands.exit_codes import BROKEN_RULES, OK, exit_code
from numaplace.commands.options import (
    ChartOpt,
    ForceOpt,
    InstanceArg,
    SeedOpt,
    SettingsOpt,
    argument,
    names_of,
    option,
    real,
    settings,
)
from numaplace.commands.printing import USUAL, Printing, bundled
from numaplace.commands.shown import drawn, hand_over, provenance
from numaplace.models.errors import InputError, check_real
from numaplace.models.verify import violations
from numaplace.report.tables.plans import CHECK, SOLVE, check_views, solve_views
from numaplace.solver.params import SolveParams
from numaplace.solver.simulator.balance import Release
from numaplace.solver.simulator.from_plan import SimulatedAffinity
from numaplace.solver.simulator.scenario import SchedulerName
from numaplace.solver.simulator.talk import Configuration

if TYPE_CHECKING:
    from numaplace.models.instance import Instance
    from numaplace.models.plan import Plan
    from numaplace.models.result import Provenance
    from numaplace.solver.simulator.runs import Repeated, RunOptions
    from numaplace.solver.simulator.scenario import Dom0

PLANNER = "greedy"
TIMELINE_MS_MAX = 60_000
SETTINGS = {"warm_up": 1.0, "busy_ms": 20.0, "plan_time": 60.0, "timeline_ms": 500.0}


def _release(text: str) -> Release:
    if text not in list(Release):
        raise ValueError(f"one of {', '.join(Release)}")
    return Release(text)


KEYS = {**dict.fromkeys((*SETTINGS, "start_ms"), real), "release": _release}

_SOLVERS = names_of("numaplace.solver.names", "SOLVER_NAMES")
_SOLVER = option("Who plans if no PLAN is given: greedy unless said.", autocompletion=_SOLVERS)
_AFFINITIES = f"[NAME=]{'|'.join(SimulatedAffinity)}"
_AFFINITY = "none, hard (unless said), soft, both: told of the plan, or of a VM; may be repeated."
_CONFIGURATION = "As in the talk: who plans, affinity and release in one."
_SCHEDULER = "credit unless said; credit2 is Xen's default since 4.12, and lets soft VMs leave."
_DOM0 = "Dom0's vCPUs, pCPUs it keeps busy, ms of CPU time at a stretch: 4,0.5,10."

SimulatedOpt = Annotated[float, option("Simulated seconds that count.", metavar="SECONDS")]
RepetitionsOpt = Annotated[int, option("Runs, each with the next seed.")]


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan to simulate, where it is from in words, how, and what its file tells of it."""

    plan: Plan
    origin: str
    options: RunOptions
    told: Provenance | None = None


@app.command()
@bundled
def simulate(
    instance: InstanceArg,
    plan: Annotated[Path | None, argument("File of a plan.", "[PLAN]")] = None,
    solver: Annotated[str | None, _SOLVER] = None,
    affinity: Annotated[list[str], option(_AFFINITY, metavar="[NAME=]HOW")] = [],  # noqa: B006
    configuration: Annotated[Configuration | None, option(_CONFIGURATION)] = None,
    scheduler: Annotated[SchedulerName | None, option(_SCHEDULER)] = None,
    dom0: Annotated[str | None, option(_DOM0, metavar="VCPUS,PCPUS,BUSY_MS")] = None,
    time: SimulatedOpt = 60.0,
    setting: SettingsOpt = [],  # noqa: B006
    seed: SeedOpt = 0,
    repetitions: RepetitionsOpt = 1,
    timeline: ChartOpt = None,
    force: ForceOpt = False,
    form: Printing = USUAL,
) -> None:
    """Simulate Xen's scheduler on a plan: what each VM gets of what it wants.

    All VMs of the plan run at the same time, whatever their start and end.
    Under credit2 soft affinity does not hold VMs at home: hard, or credit, does.
    The picture shows who ran where right after the warm-up. Ctrl-C shows what
    was simulated by then.

    KEY of --set:
    warm_up      simulated seconds before those that count (1)
    busy_ms      mean length of a busy phase (20)
    plan_time    seconds that planning may take (60)
    timeline_ms  milliseconds in the picture (500)
    release      credit scheduler of Xen 4.2, 4.3 or 4.17 (4.17)
    start_ms     milliseconds between the starts of VMs (credit2 100, credit 0)
    """
    from numaplace.instances import lookup
    from numaplace.report.tables.simulations import GOT
    from numaplace.solver.simulator.runs import PLANNERS, RunOptions

    form.expect(GOT)
    lookup.check_writable([timeline], inputs=[instance, plan], overwrite=force)
    more = {**SETTINGS, **settings(setting, "simulation", KEYS)}
    release = more.get("release")
    check_real("simulation", "timeline_ms", more["timeline_ms"], 1, TIMELINE_MS_MAX)
    _check_conflicts(plan, solver, affinity, configuration, release, scheduler)
    all_told, single = _affinities(affinity)
    planner, told, known = solver or PLANNER, all_told or SimulatedAffinity.HARD, release
    if configuration:
        planner, told, known = PLANNERS[configuration]
    options = RunOptions(
        told,
        single,
        known or Release.XEN_4_17,
        more["busy_ms"],
        time,
        more["warm_up"],
        seed,
        repetitions,
        _dom0(dom0),
        scheduler or SchedulerName.CREDIT,
        more.get("start_ms"),
    )
    params = SolveParams(time_limit_s=more["plan_time"], seed=seed, explain=False)
    problem = lookup.find_instance(instance)
    options.told(problem)  # complains of unknown names before anything is planned
    if plan:
        planned = _checked(problem, plan, options, form)
    else:
        planned = _planned(problem, planner, params, options, form)
    if configuration is Configuration.ALL_CPUS:
        planned = _afloat(problem, planned)
    repeated = _run(problem, planned, quiet=form.quiet)
    hand_over(
        lambda: _show(problem, planned, repeated, form),
        drawn(timeline, lambda: _timeline(problem, planned, more["timeline_ms"])),
        overwrite=force,
    )


def _check_conflicts(
    plan: Path | None,
    solver: str | None,
    affinity: list[str],
    configuration: Configuration | None,
    release: Release | None,
    scheduler: SchedulerName | None,
) -> None:
    if plan and solver:
        raise InputError("simulation", "--solver", "plans, but a PLAN is given")
    if scheduler is SchedulerName.CREDIT2 and release:
        raise InputError("simulation", "--set release", "is of credit, not of --scheduler credit2")
    given: dict[str, object] = {"PLAN": plan, "--solver": solver, "--affinity": affinity}
    given |= {"--set release": release, "--scheduler": scheduler}
    for name, value in given.items():
        if configuration and value:
            reason = f"settles what {name} says; give one of them"
            raise InputError("simulation", "--configuration", reason)


def _affinities(texts: list[str]) -> tuple[SimulatedAffinity | None, dict[str, SimulatedAffinity]]:
    """Return what all VMs have, and what single VMs have instead."""
    found: dict[str, SimulatedAffinity] = {}
    for text in texts:
        name, _, told = text.rpartition("=")
        if told not in list(SimulatedAffinity) or text.startswith("="):
            reason = f"must be {_AFFINITIES}, not {text!r:.80}"
            raise InputError("simulation", "--affinity", reason)
        if name in found:
            reason = f"VM {name!r:.80} occurs twice" if name else "is given twice for all VMs"
            raise InputError("simulation", "--affinity", reason)
        found[name] = SimulatedAffinity(told)
    return found.pop("", None), found


def _dom0(text: str | None) -> Dom0 | None:
    from numaplace.solver.simulator.scenario import Dom0

    if text is None:
        return None
    try:
        vcpus, pcpus, busy_ms = (real(part) for part in text.split(","))
        if vcpus != int(vcpus):
            raise ValueError
    except ValueError:
        reason = f"must be VCPUS,PCPUS,BUSY_MS as 4,0.5,10, not {text!r:.80}"
        raise InputError("simulation", "--dom0", reason) from None
    return Dom0(int(vcpus), pcpus, busy_ms)


def _checked(problem: Instance, path: Path, options: RunOptions, form: Printing) -> Planned:
    """Read a plan; one that breaks a rule is shown as `check` does, and ends the command."""
    from numaplace.instances.formats.document.io import read_told_plan

    plan, told = read_told_plan(path)
    found = violations(problem, plan)
    if not found:
        return Planned(plan, f"plan of {path.name}", options, told)
    if form.json:
        output.print_json(CHECK.plain((found, None, told, None)))
    elif not form.quiet:
        output.show(check_views(problem, plan, found, None, told, None))
    raise typer.Exit(BROKEN_RULES)


def _planned(
    problem: Instance, solver: str, params: SolveParams, options: RunOptions, form: Printing
) -> Planned:
    """Plan; without a plan, the command ends as `solve` does."""
    result = running.solve_on_terminal(problem, solver, params, quiet=form.quiet)
    code = exit_code(problem, result)
    if code == OK and result.plan is not None:
        told = provenance(problem, result, params)
        return Planned(result.plan, f"plan of {result.solver}", options, told)
    if form.json:
        output.print_json({**SOLVE.plain((problem, result, None)), "plan": None})
    elif not form.quiet:
        output.show(solve_views(problem, result, output.width()))
    raise typer.Exit(code)


def _afloat(problem: Instance, planned: Planned) -> Planned:
    from numaplace.solver.simulator.runs import floating

    plan = floating(problem, planned.plan)
    return Planned(plan, f"hosts of the {planned.origin}, memory striped", planned.options)


def _run(problem: Instance, planned: Planned, *, quiet: bool) -> Repeated:
    from numaplace.solver.simulator.runs import run_repeatedly

    wanted = planned.options.repetitions

    def work(line: Any, stop: Any) -> Repeated:
        return run_repeatedly(
            problem,
            planned.plan,
            planned.options,
            should_stop=stop,
            on_step=lambda number, host: line.label(
                f"simulating {host}, repetition {number + 1} of {wanted}"
            ),
        )

    return running.on_terminal(work, "simulating", quiet=quiet)


def _timeline(problem: Instance, planned: Planned, span_ms: float) -> Any:
    from numaplace.report.figures.timeline_figure import timeline_figure
    from numaplace.solver.simulator.runs import timelines

    found = running.on_terminal(
        lambda _line, stop: timelines(
            problem, planned.plan, planned.options, span_ms, should_stop=stop
        ),
        "simulating for the picture",
        quiet=True,
    )
    told = ", ".join(sorted(set(planned.options.told(problem).values())))
    subtitle = f"{problem.name or 'instance'}, {planned.origin}, affinity {told}"
    return timeline_figure(found, subtitle)


def _show(problem: Instance, planned: Planned, repeated: Repeated, form: Printing) -> None:
    from numaplace.report.tables.simulations import SIMULATE, simulation_views, vm_rows

    missing = sum(vm.name not in planned.plan for vm in problem.vms)
    if missing and form.people and not form.quiet:
        output.remark(f"{missing} of {len(problem.vms)} VMs are not placed, and left out")
    options, origin = planned.options, planned.origin
    form.answer(
        lambda: SIMULATE.plain(((problem, repeated, options), planned.plan, origin, planned.told)),
        lambda: simulation_views(problem, repeated, options, origin),
        lambda: vm_rows(problem, repeated),
    )
