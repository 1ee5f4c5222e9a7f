"""Commands about traces: replay, and the part of compare that sets online against offline."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from numaplace.commands import output, running
from numaplace.commands.app import app
from numaplace.commands.options import (
    ForceOpt,
    JsonOpt,
    PictureOpt,
    QuietOpt,
    SeedOpt,
    argument,
    names_of,
    option,
)
from numaplace.commands.shown import Shown, drawn, hand_over
from numaplace.models.errors import InputError, check_int, check_real
from numaplace.solver.deadline import COMMAND_CLOCK
from numaplace.solver.params import EXACT

if TYPE_CHECKING:
    from numaplace.instances.formats.tables.trace_csv import TraceReport
    from numaplace.models.fleet import Fleet
    from numaplace.models.schedule import Goal
    from numaplace.models.trace import Trace
    from numaplace.solver.compare.policies import Case
    from numaplace.solver.placing.replay import Replay

PANEL = "Traces"
MIB_PER_GIB = 1024


def _trace_option(text: str, *names: str, **more: Any) -> Any:
    return option(text, *names, rich_help_panel=PANEL, **more)


_HOSTS = "NODESxCPUSxGIB (of a node), shape or file, with *COUNT; may be given again."
HostsOpt = Annotated[list[str], _trace_option(_HOSTS, "--hosts", metavar="SOURCE")]
PoliciesOpt = Annotated[
    str,
    _trace_option(
        "Names of policies, with commas, or all.",
        autocompletion=names_of("numaplace.solver.placing.trace_rules", "RULES"),
    ),
]
ColumnsOpt = Annotated[
    str,
    _trace_option("Columns of other names: memory=ram,predicted_lifetime=guess.", metavar="MAP"),
]
StrictOpt = Annotated[
    bool, _trace_option("A broken row is an error, not just counted.", "--strict")
]
SplitOpt = Annotated[
    str,
    _trace_option("VMs over so many vCPUs (32) or GiB (64g) go on two nodes. [if they must]"),
]
MinVcpusOpt = Annotated[int, _trace_option("Leave out VMs with fewer vCPUs.")]
LifetimesOpt = Annotated[
    str,
    _trace_option("What policies are told: exact, unknown, or an error such as 0.5 (log-normal)."),
]
TraceOpt = Annotated[
    Path | None, _trace_option("Trace (CSV): compare online policies on it.", metavar="FILE")
]
WindowOpt = Annotated[int, _trace_option("VMs of a window.")]
WindowsOpt = Annotated[int, _trace_option("Number of windows.")]
LoadOpt = Annotated[
    str,
    _trace_option("Peak demand over capacity that windows are brought to: 0.9,1.2. [as it is]"),
]
GoalsOpt = Annotated[str, _trace_option("Optima wanted: value, count, prefix.")]
OfflineOpt = Annotated[str, _trace_option("Solver of the offline optimum: cpsat or milp.")]
StoreOpt = Annotated[
    Path | None,
    _trace_option("File that keeps results; the same command goes on from it.", metavar="FILE"),
]


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """What the options say of a trace and its hosts."""

    hosts: list[str]
    columns: str = ""
    strict: bool = False
    split_above: str = ""
    min_vcpus: int = 0
    lifetimes: str = "exact"
    seed: int = 0


def read_fleet_and_trace(path: Path, options: TraceOptions) -> tuple[Fleet, Trace, TraceReport]:
    """Read both, split VMs, and say on standard error what was left out."""
    from numaplace.instances.fleet_source import parse_fleet
    from numaplace.instances.formats.tables.trace_csv import parse_columns, read_trace
    from numaplace.instances.windows import drop_oversized
    from numaplace.models.fleet import split_to_fit
    from numaplace.models.trace import split_above, with_predictions

    sigma = _sigma(options.lifetimes)
    threshold = _threshold(options.split_above)
    check_int("trace", "--min-vcpus", options.min_vcpus, 0, 4096)
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
        raise InputError("trace", "--lifetimes", reason) from None
    check_real("trace", "--lifetimes", sigma, 0, 100)
    return sigma


def _threshold(text: str) -> dict[str, int]:
    number, gib = text.removesuffix("g"), text.endswith("g")
    if not text:
        return {}
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        reason = f"must be vCPUs like 32 or GiB like 64g, not {text!r:.60}"
        raise InputError("trace", "--split-above", reason)
    return {"memory_mib": int(number) * MIB_PER_GIB} if gib else {"vcpus": int(number)}


@app.command()
def replay(
    trace: Annotated[Path, argument("File of a trace (CSV).", "TRACE")],
    hosts: HostsOpt,
    policies: PoliciesOpt = "first_fit,best_fit,greedy_life",
    columns: ColumnsOpt = "",
    strict: StrictOpt = False,
    split_above: SplitOpt = "",
    min_vcpus: MinVcpusOpt = 0,
    lifetimes: LifetimesOpt = "exact",
    seed: SeedOpt = 0,
    plot: PictureOpt = None,
    force: ForceOpt = False,
    as_json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Replay a trace: VMs come and go, each is placed by a policy or rejected, at once.

    The trace is CSV with columns vmid, cpu, mem (GiB), at and lt (arrival, lifetime; seconds), or
    vmid, cpu, memory, time and type (0 create, 1 delete). Ctrl-C shows what was replayed by then.
    """
    from numaplace.instances.lookup import check_writable
    from numaplace.report.figures.replay_figure import replay_figure
    from numaplace.report.tables.online_plain import replay_plain
    from numaplace.report.tables.terminal_online import replay_views
    from numaplace.solver.placing.trace_rules import rule_names

    check_writable([plot], inputs=[trace, *hosts], overwrite=force)
    names = rule_names(policies)
    options = TraceOptions(hosts, columns, strict, split_above, min_vcpus, lifetimes, seed)
    fleet, vms, report = read_fleet_and_trace(trace, options)
    found = _replay_all(vms, fleet, names, quiet=quiet)
    hand_over(
        lambda: output.answer(
            lambda: {
                "trace": report.plain(),
                "policies": [replay_plain(name, result, vms) for name, result in found.items()],
            },
            lambda width: replay_views(found, vms, fleet, width),
            as_json=as_json,
            quiet=quiet,
        ),
        drawn(plot, lambda: replay_figure(found, vms, fleet)),
        overwrite=force,
    )


def _replay_all(trace: Trace, fleet: Fleet, names: list[str], *, quiet: bool) -> dict[str, Replay]:
    from numaplace.models.schedule import REJECTED, faults
    from numaplace.solver.placing.replay import replay as run
    from numaplace.solver.placing.trace_rules import RULES

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


# ---- compare --trace --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OnlineOptions:
    """What the options of `compare --trace` say."""

    size: int
    count: int
    loads: str
    policies: str
    goals: str
    store: Path | None
    time_limit_s: float
    solver: str
    processes: int


def compare_trace(
    path: Path, trace_options: TraceOptions, options: OnlineOptions, *, quiet: bool
) -> Shown:
    """Set online policies against the offline optimum on windows of a trace."""
    from numaplace.report.figures.gap_figure import gap_figure
    from numaplace.report.tables.online_plain import comparison_csv, comparison_plain
    from numaplace.report.tables.terminal_online import comparison_views
    from numaplace.solver.compare.policies import Setup, compare_online
    from numaplace.solver.compare.store import Store
    from numaplace.solver.placing.trace_rules import RULES, rule_names

    names = rule_names(options.policies)
    goals = _goals(options.goals)
    if options.solver not in EXACT:
        reason = f"must be one of {', '.join(EXACT)}, not {options.solver!r:.60}"
        raise InputError("comparison", "--offline", reason)
    check_int("comparison", "--workers", options.processes, 0, 1024)
    for name, number in (("--window", options.size), ("--windows", options.count)):
        check_int("comparison", name, number, 1, 1_000_000)
    loads = _loads(options.loads)
    check_real("comparison", "--time", options.time_limit_s, 0, 1e6)
    fleet, trace, _ = read_fleet_and_trace(path, trace_options)
    cases = _cases(trace, fleet, options, loads, trace_options.seed)
    setup = Setup(
        fleet,
        {name: RULES[name] for name in names},
        goals,
        options.time_limit_s,
        seed=trace_options.seed,
        solver=options.solver,
    )
    with Store(options.store) as store:
        found = running.on_terminal(
            lambda line, stop: compare_online(
                cases,
                setup,
                store,
                processes=options.processes or os.cpu_count() or 1,
                on_done=lambda done, total, job: line.label(f"{done} of {total} jobs, last {job}"),
                should_stop=stop,
                until=COMMAND_CLOCK.deadline(options.time_limit_s, stop),
            ),
            f"comparing on {len(cases)} windows",
            quiet=quiet,
        )
    return Shown(
        csv=lambda: comparison_csv(found),
        figure=lambda: gap_figure(found),
        plain=lambda: comparison_plain(found),
        views=lambda width: comparison_views(found, width),
    )


def one_seed(text: str) -> int:
    """Return the seed of a comparison on a trace, which has only one."""
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        reason = f"must be one number with --trace, not {text!r:.60}"
        raise InputError("comparison", "--seeds", reason)
    return int(text)


def _cases(
    trace: Trace, fleet: Fleet, options: OnlineOptions, loads: list[float | None], seed: int
) -> list[Case]:
    from numaplace.instances.windows import windows
    from numaplace.solver.compare.policies import Case

    cases: list[Case] = []
    for load in loads:
        found = windows(trace, fleet, size=options.size, count=options.count, load=load, seed=seed)
        for window in found:
            at = "" if load is None else f" at load {load:g}"
            cases.append(Case(f"VMs from {window.offset}{at}", load, window.trace))
        short = [window for window in found if load is not None and window.attained < 0.99 * load]
        if short:
            least = min(window.attained for window in short)
            output.remark(
                f"{len(short)} of {len(found)} windows do not reach load {load:g} even with all "
                f"VMs at once (the least reaches {least:.2f})"
            )
        over = [window for window in found if load is not None and window.attained > 1.01 * load]
        if over:
            most = max(window.attained for window in over)
            output.remark(
                f"{len(over)} of {len(found)} windows stay above load {load:g}, since VMs arrive "
                f"together or never leave (the most has {most:.2f})"
            )
    return cases


def _goals(text: str) -> tuple[Goal, ...]:
    from numaplace.models.schedule import Goal

    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in list(Goal):
            reason = f"{name!r:.60} is none of {', '.join(Goal)}"
            raise InputError("comparison", "--goals", reason)
    return tuple(dict.fromkeys(Goal(name) for name in names))


def _loads(text: str) -> list[float | None]:
    if not text.strip():
        return [None]
    loads: list[float | None] = []
    for part in text.split(","):
        try:
            load = float(part)
        except ValueError:
            reason = f"must be numbers with commas, not {part!r:.60}"
            raise InputError("comparison", "--load", reason) from None
        check_real("comparison", "--load", load, 0.01, 100)
        loads.append(load)
    return list(dict.fromkeys(loads))
