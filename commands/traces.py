"""The command that replays a trace, alone or against the optimum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from numaplace.commands import output, running
from numaplace.commands.app import app
from numaplace.commands.options import (
    ChartOpt,
    ForceOpt,
    ParallelOpt,
    SeedOpt,
    SettingsOpt,
    argument,
    names_of,
    option,
    settings,
    whole,
    yes,
)
from numaplace.commands.printing import USUAL, Printing, bundled
from numaplace.commands.shown import Shown, deliver, drawn
from numaplace.models.errors import InputError, check_int, check_real
from numaplace.solver.parallel import JobEngine

if TYPE_CHECKING:
    from numaplace.instances.formats.tables.trace_csv import TraceReport
    from numaplace.models.fleet import Fleet
    from numaplace.models.trace import Trace
    from numaplace.solver.placing.replay import Replay

POLICIES = "first_fit,best_fit,greedy_life"
MIB_PER_GIB = 1024
OPTIMAL = "optimal"
_HOSTS = "NODESxCPUSxGIB (of a node), shape or file, with *COUNT; may be given again."
_POLICIES = f"Names of policies, with commas, or all. {POLICIES}, or all against the optimum."
_AGAINST = "Set policies against the best plan of the same VMs."
_WINDOWS = (
    "How many windows of how many VMs, at which peak demand over capacity; as it is unless told."
)
_STORE = "File that keeps results; the same command goes on from it."
_RULES = names_of("numaplace.solver.placing.rules", "RULES")
_COMPARING = "Against the optimum"

HostsOpt = Annotated[list[str], option(_HOSTS, "--hosts", metavar="SOURCE")]
PoliciesOpt = Annotated[str, option(_POLICIES, autocompletion=_RULES, show_default=False)]


def _of_comparison(text: str, *names: str, **more: Any) -> Any:
    return option(text, *names, rich_help_panel=_COMPARING, **more)


READING: dict[str, Callable[[str], Any]] = {
    "columns": str,
    "strict": yes,
    "split_above": str,
    "min_vcpus": whole,
    "lifetimes": str,
}
COMPARING = {"goals": str, "solver": str}


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """What the options say of a trace and its hosts."""

    hosts: list[str]
    seed: int = 0
    columns: str = ""
    strict: bool = False
    split_above: str = ""
    min_vcpus: int = 0
    lifetimes: str = "exact"


@app.command()
@bundled
def replay(
    ctx: typer.Context,
    trace: Annotated[Path, argument("File of a trace (CSV).", "TRACE")],
    hosts: HostsOpt,
    policies: PoliciesOpt = "",
    setting: SettingsOpt = [],  # noqa: B006
    seed: SeedOpt = 0,
    against: Annotated[str, _of_comparison(_AGAINST, metavar=OPTIMAL)] = "",
    windows: Annotated[str, _of_comparison(_WINDOWS, metavar="COUNTxVMS[@LOAD,...]")] = "10x200",
    store: Annotated[Path | None, _of_comparison(_STORE, metavar="FILE")] = None,
    time: Annotated[float, _of_comparison("Seconds it may take.", metavar="SECONDS")] = 60.0,
    parallel: ParallelOpt = "loky",
    plot: ChartOpt = None,
    force: ForceOpt = False,
    form: Printing = USUAL,
) -> None:
    """Replay a trace: VMs come and go, each is placed by a policy or rejected, at once.

    The trace is CSV with columns vmid, cpu, mem (GiB), at and lt (arrival and
    lifetime, in seconds), or vmid, cpu, memory, time and type (0 create, 1 delete).
    Ctrl-C shows what was done by then.

    With --against optimal, policies are replayed on windows of the trace, each
    beside the best plan of somebody who knows the future.

    KEY of --set:
    columns      of other names, such as memory=ram,predicted_lifetime=guess
    strict       yes: a broken row is an error, not just counted
    split_above  VMs over so many vCPUs (32) or GiB (64g) go on two nodes;
                 unless given, those that must
    min_vcpus    leave out VMs with fewer
    lifetimes    told to policies: exact, unknown, or an error (log-normal), 0.5
    goals        of the optimum: value,count,prefix
    solver       of the optimum: cpsat or milp
    """
    from numaplace.commands.against import Comparing, compare_with_optimum
    from numaplace.instances.lookup import check_no_input, check_writable
    from numaplace.report.tables.policies import WINDOW, replay_columns
    from numaplace.solver.placing.rules import rule_names

    check_writable([plot], inputs=[trace, *hosts], overwrite=force)
    check_no_input([store], [trace, *hosts])
    if against not in ("", OPTIMAL):
        raise InputError("replay", "--against", f"must be {OPTIMAL}, not {against!r:.60}")
    form.expect(WINDOW if against else replay_columns())
    told = settings(setting, "trace", READING | COMPARING if against else READING)
    how = {key: told.pop(key) for key in COMPARING if key in told}
    options = TraceOptions(hosts, seed, **told)
    engine = JobEngine.parse(parallel)
    if against:
        names = rule_names(policies or "all")
        wanted = Comparing(names, windows, store, time, engine, **how)
        shown = compare_with_optimum(trace, options, wanted, quiet=form.quiet)
    else:
        _check_alone(ctx)
        shown = _replayed(trace, options, rule_names(policies or POLICIES), quiet=form.quiet)
    files = drawn(plot, shown.figure)
    deliver(form, shown.plain, shown.views, shown.table, files, overwrite=force)


def _check_alone(ctx: typer.Context) -> None:
    """Complain of options that say nothing of a mere replay."""
    for name in ("windows", "store", "time", "parallel"):
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"--{name} goes with --against {OPTIMAL}")


def _replayed(path: Path, options: TraceOptions, names: list[str], *, quiet: bool) -> Shown:
    from numaplace.report.figures.replay_figure import replay_figure
    from numaplace.report.tables.policies import REPLAY, replay_table, replay_views

    fleet, vms, report = read_fleet_and_trace(path, options)
    found = _replay_all(vms, fleet, names, quiet=quiet)

    def plain() -> object:
        rows = replay_table(found, vms).rows
        return REPLAY.plain((report.plain(), zip(rows, found.values(), strict=True)))

    return Shown(
        table=lambda: replay_table(found, vms),
        figure=lambda: replay_figure(found, vms, fleet),
        plain=plain,
        views=lambda: replay_views(found, vms, fleet),
    )


def read_fleet_and_trace(path: Path, options: TraceOptions) -> tuple[Fleet, Trace, TraceReport]:
    """Read both, split VMs, and say on standard error what was left out."""
    from numaplace.instances.formats.tables.trace_csv import parse_columns, read_trace
    from numaplace.instances.lookup import parse_fleet
    from numaplace.instances.windows import drop_oversized
    from numaplace.models.fleet import split_to_fit
    from numaplace.models.trace import split_above, with_predictions

    sigma = _sigma(options.lifetimes)
    threshold = _threshold(options.split_above)
    check_int("trace", "min_vcpus", options.min_vcpus, 0, 4096)
    check_int("trace", "--seed", options.seed, 0, 2**31 - 1)
    if not options.hosts:
        raise InputError("fleet", "--hosts", "is missing: say which hosts there are")
    fleet = parse_fleet(options.hosts)
    trace, report = read_trace(path, columns=parse_columns(options.columns), strict=options.strict)
    for note in report.notes():
        output.remark(f"{path}: {note}")
    trace = trace.part(trace.vcpus >= options.min_vcpus)
    trace = split_above(trace, **threshold) if threshold else split_to_fit(trace, fleet)
    trace, oversized = drop_oversized(trace, fleet)
    if oversized:
        output.remark(f"{path}: {oversized} VMs are larger than any host, and left out")
    if sigma != 0.0:
        trace = with_predictions(trace, sigma, options.seed)
    if not len(trace):
        raise InputError("trace", "", "no VM of it is left", file=str(path))
    return fleet, trace, report


def _sigma(text: str) -> float | None:
    """Error of predicted lives: 0 if they are exact, None if there are none."""
    if text in ("exact", "unknown"):
        return 0.0 if text == "exact" else None
    try:
        sigma = float(text)
    except ValueError:
        reason = f"must be exact, unknown or a number, not {text!r:.60}"
        raise InputError("trace", "lifetimes", reason) from None
    check_real("trace", "lifetimes", sigma, 0, 100)
    return sigma


def _threshold(text: str) -> dict[str, int]:
    number, gib = text.removesuffix("g"), text.endswith("g")
    if not text:
        return {}
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        reason = f"must be vCPUs like 32 or GiB like 64g, not {text!r:.60}"
        raise InputError("trace", "split_above", reason)
    return {"memory_mib": int(number) * MIB_PER_GIB} if gib else {"vcpus": int(number)}


def _replay_all(trace: Trace, fleet: Fleet, names: list[str], *, quiet: bool) -> dict[str, Replay]:
    from numaplace.models.schedule import REJECTED, faults
    from numaplace.solver.placing.replay import replay as run
    from numaplace.solver.placing.rules import RULES

    def work(line: Any, stop: Any) -> dict[str, Replay]:
        found: dict[str, Replay] = {}
        for name in names:
            if stop():
                break
            found[name] = run(
                trace,
                fleet,
                RULES[name],
                should_stop=stop,
                on_progress=lambda seen, name=name: line.label(  # type: ignore[misc]
                    f"{name} has placed or rejected {seen} of {len(trace)} VMs"
                ),
            )
            for fault in faults(trace, fleet, found[name].slots.clip(min=REJECTED)):
                raise AssertionError(f"policy {name} breaks a rule: {fault}")
        return found

    return running.on_terminal(work, "replaying", quiet=quiet)
