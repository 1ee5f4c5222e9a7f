"""Results in the ways a command can hand them over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from numaplace import __version__
from numaplace.commands import interrupt, output
from numaplace.commands.options import ForceOpt, OutOpt, SeedOpt, TimeOpt, WorkersOpt
from numaplace.commands.printing import Printing
from numaplace.models.errors import WriteError
from numaplace.models.instance import Instance
from numaplace.models.plan import Plan
from numaplace.models.result import Provenance, Result
from numaplace.report.figures.figure_file import figure_bytes, picture_format
from numaplace.report.tables.table import Table
from numaplace.solver.params import SolveParams

File = tuple[Path | None, Callable[[], str | bytes]]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long a solver may work, on how many threads, from which seed."""

    time: TimeOpt = 60.0
    workers: WorkersOpt = 0
    seed: SeedOpt = 0

    def params(self, **more: Any) -> SolveParams:
        """Return the parameters of a solve."""
        return SolveParams(self.time, self.workers, self.seed, **more)


@dataclass(frozen=True, slots=True)
class Keeping:
    """The file that a plan goes to, and whether files are replaced."""

    out: OutOpt = None
    force: ForceOpt = False

    def plan(self, plan: Plan | None, told: Provenance | None) -> File:
        """Return a plan for `hand_over` to write, if there is one and a file is named."""
        from numaplace.instances.formats.document.io import plan_text

        path, kept = self.out, plan
        if path is None or kept is None:
            return None, str
        return path, lambda: plan_text(kept, path, told)


EFFORT, KEEPING = Effort(), Keeping()
"""What holds unless a user says more."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A result as its main table, picture, plain values for JSON, and views."""

    table: Callable[[], Table]
    figure: Callable[[], Any]
    plain: Callable[[], Any]
    views: Callable[[], Sequence[Any]]


def provenance(
    given: Instance, result: Result, params: SolveParams, within: str = ""
) -> Provenance | None:
    """Return how the plan of a result came about, None if there is no plan.

    `given` is the instance that the user named, `within` what the solver was held to beside it.
    """
    from numaplace.instances.formats.document.plain import instance_digest

    if result.plan is None:
        return None
    return Provenance(
        result.solver,
        __version__,
        params.seed,
        result.status,
        round(result.runtime_s, 3),
        datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        instance_digest(given),
        result.stages,
        result.unplaced,
        result.reasons,
        within,
    )


def result_told(
    instance: Instance, plan: Plan, told: Provenance | None, file: Path
) -> Result | None:
    """Return the result that a plan's file tells; a remark says if it no longer holds."""
    from numaplace.instances.formats.document.plain import instance_digest
    from numaplace.solver import base

    if told is None:
        return None
    result, fault = base.result_told(instance, instance_digest(instance), plan, told)
    if fault:
        output.remark(f"{file}: {fault}")
    return result


def with_current(instance: Instance, current: Path | None) -> Instance:
    """Return an instance, with another current plan if a file is given."""
    from numaplace.instances.lookup import read_known_plan

    if current is None:
        return instance
    plan, told = read_known_plan(current, instance)
    result_told(instance, plan, told, current)
    return replace(instance, current=plan)


def drawn(path: Path | None, figure: Callable[[], Any]) -> File:
    """Return a picture for `hand_over` to write; it is drawn once the answer is shown."""
    return (
        path,
        lambda: b"" if path is None else figure_bytes(figure(), picture_format(path, chart=False)),
    )


def deliver(
    form: Printing,
    plain: Callable[[], object],
    views: Callable[[], Sequence[RenderableType]],
    table: Callable[[], Table],
    *files: File,
    overwrite: bool,
) -> None:
    """Answer as `Printing.answer` does, then write files as `hand_over` does."""
    hand_over(
        lambda: form.answer(plain, views, table), *files, overwrite=overwrite, told=form.all_json
    )


def hand_over(show: Callable[[], None], *files: File, overwrite: bool, told: bool = False) -> None:
    """Show an answer, then write the files that hold it; no failure of one costs another.

    Parameters
    ----------
    show
        Prints the answer.
    files
        Paths, None if none is wanted, and what makes their contents. A text that cannot be written
        goes to standard output.
    overwrite
        Whether files that exist are replaced.
    told
        Whether `show` prints all that files hold, so that it need not be printed again.

    Raises
    ------
    WriteError
        Of a file that cannot be written, after all else is done.
    OSError
        If standard output cannot be written.
    """
    from numaplace.instances.files import write_bytes

    interrupt.hand_over()
    wanted = [(path, content) for path, content in files if path is not None]
    unshown = output.printed(show, hold=bool(wanted))
    failed: list[WriteError] = []
    for path, content in wanted:
        data: str | bytes = b""
        try:
            data = content()
            write_bytes(path, data.encode() if isinstance(data, str) else data, overwrite=overwrite)
        except OSError as refusal:  # what draws may need files of its own, on a disk that is full
            reason = f"cannot be made ({(refusal.strerror or str(refusal)).lower()})"
            failed.append(WriteError("file", "", reason, file=str(path)))
        except WriteError as fault:
            where = ""
            if isinstance(data, str) and unshown is None:
                where = "; what it was to hold is on standard output"
                show = partial(print, data, end="")
                unshown = None if told else output.printed(show, hold=True)
            failed.append(WriteError("file", "", fault.reason + where, file=fault.file))
    if unshown is not None:
        output.drop_output()
    for error in failed[1:] if unshown is None else failed:
        output.remark(str(error))
    if unshown is not None and not isinstance(unshown, BrokenPipeError):
        raise unshown
    if failed:
        raise failed[0]
