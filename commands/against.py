"""Online policies set against the optimal offline plan, on windows of a trace."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from numaplace.commands import output, running
from numaplace.commands.shown import Shown
from numaplace.commands.traces import TraceOptions, read_fleet_and_trace
from numaplace.models.errors import InputError, check_int, check_real
from numaplace.models.schedule import Goal
from numaplace.report.figures.gap_figure import gap_figure
from numaplace.report.tables.policies import AGAINST, comparison_views, window_table
from numaplace.solver.compare.policies import Case, Setup, compare_online
from numaplace.solver.compare.store import Store
from numaplace.solver.deadline import COMMAND_CLOCK
from numaplace.solver.names import EXACT
from numaplace.solver.parallel import JobEngine
from numaplace.solver.placing.rules import RULES

if TYPE_CHECKING:
    from numaplace.models.fleet import Fleet
    from numaplace.models.trace import Trace

_WINDOWS = re.compile(r"([0-9]{1,9})x([0-9]{1,9})(?:@(.+))?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Comparing:
    """What the options of a comparison say."""

    policies: list[str]
    windows: str
    store: Path | None
    time_limit_s: float
    engine: JobEngine
    goals: str = ",".join(Goal)
    solver: str = "cpsat"


@dataclass(frozen=True, slots=True)
class Windows:
    """How many windows of how many VMs, and the loads they are brought to; None: as they are."""

    count: int
    size: int
    loads: tuple[float | None, ...] = (None,)


def compare_with_optimum(
    path: Path, trace_options: TraceOptions, options: Comparing, *, quiet: bool
) -> Shown:
    """Set online policies against the offline optimum on windows of a trace."""
    goals = _goals(options.goals)
    if options.solver not in EXACT:
        reason = f"must be one of {', '.join(EXACT)}, not {options.solver!r:.60}"
        raise InputError("comparison", "solver", reason)
    wanted = _windows(options.windows)
    check_real("comparison", "--time", options.time_limit_s, 0, 1e6)
    fleet, trace, _ = read_fleet_and_trace(path, trace_options)
    cases = _cases(trace, fleet, wanted, trace_options.seed)
    setup = Setup(
        fleet,
        {name: RULES[name] for name in options.policies},
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
                engine=options.engine,
                on_done=line.count("jobs"),
                until=COMMAND_CLOCK.deadline(options.time_limit_s, stop),
            ),
            f"comparing on {len(cases)} windows",
            quiet=quiet,
        )
    for words in found.failed:
        output.remark(words)
    return Shown(
        table=lambda: window_table(found),
        figure=lambda: gap_figure(found),
        plain=lambda: AGAINST.plain(found),
        views=lambda: comparison_views(found),
    )


def _cases(trace: Trace, fleet: Fleet, wanted: Windows, seed: int) -> list[Case]:
    from numaplace.instances.windows import windows

    cases: list[Case] = []
    for load in wanted.loads:
        found = windows(trace, fleet, size=wanted.size, count=wanted.count, load=load, seed=seed)
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
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in list(Goal):
            reason = f"{name!r:.60} is none of {', '.join(Goal)}"
            raise InputError("comparison", "goals", reason)
    return tuple(dict.fromkeys(Goal(name) for name in names))


def _windows(text: str) -> Windows:
    found = _WINDOWS.fullmatch(text)
    if not found:
        reason = f"must be COUNTxVMS[@LOAD,...], such as 10x200@0.9,1.2, not {text!r:.60}"
        raise InputError("comparison", "--windows", reason)
    count, size = int(found[1]), int(found[2])
    for number in (count, size):
        check_int("comparison", "--windows", number, 1, 1_000_000)
    loads: list[float] = []
    for part in (found[3] or "").split(",") if found[3] else ():
        try:
            loads.append(float(part))
        except ValueError:
            reason = f"loads must be numbers with commas, not {part!r:.60}"
            raise InputError("comparison", "--windows", reason) from None
        check_real("comparison", "--windows", loads[-1], 0.01, 100)
    return Windows(count, size, tuple(dict.fromkeys(loads)) or (None,))
