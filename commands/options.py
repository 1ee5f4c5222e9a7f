"""Options and arguments that several commands share, and the completion of names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from numaplace.models.errors import InputError
from numaplace.report.figures.figure_file import drawable, drawable_plan
from numaplace.solver.names import AUTO, EXACT, ONLINE, PATTERNS, MilpBackend


def names_of(module: str, table: str) -> Callable[[str], list[str]]:
    """Complete a name, or the last of several, from a table of a module imported when needed."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        found = getattr(import_module(module), table)
        known = found() if callable(found) else found
        return [f"{before}{comma}{name}" for name in known if name.startswith(last)]

    return complete


def instance_names(incomplete: str) -> list[str]:
    """Complete the name of an instance."""
    from numaplace.instances.lookup import complete_instance

    return complete_instance(incomplete)


def option(text: str, *names: str, **more: Any) -> Any:
    """Return an option with its help."""
    return typer.Option(*names, help=text, **more)


def argument(text: str, metavar: str, complete: Callable[[str], list[str]] | None = None) -> Any:
    """Return an argument with its help and what it is called there."""
    return typer.Argument(help=text, metavar=metavar, show_default=False, autocompletion=complete)


_SOLVERS = names_of("numaplace.solver.names", "SOLVER_NAMES")
SOLVER = option(
    f"{AUTO}; {', '.join(EXACT)} (exact); {PATTERNS} (fleets); {', '.join(ONLINE)}.",
    autocompletion=_SOLVERS,
)
SOLVER_LIST = option("Names of solvers, with commas.", autocompletion=_SOLVERS)
_IN_CATALOG = "File, or name in the catalogue."

InstanceArg = Annotated[str, argument(_IN_CATALOG, "INSTANCE", instance_names)]
InstancesArg = Annotated[list[str], argument(_IN_CATALOG, "INSTANCE", instance_names)]
PlanArg = Annotated[Path, argument("File of a plan.", "PLAN")]
JsonOpt = Annotated[bool, option("Print JSON on standard output, and nothing else.", "--json")]
ForceOpt = Annotated[bool, option("Overwrite files that exist.", "--force")]
QuietOpt = Annotated[bool, option("Print no tables and no progress.", "--quiet", "-q")]
OutOpt = Annotated[Path | None, option("Write it to this file (.json, .yaml).", metavar="FILE")]
_DRAW = "Draw it (.png, .svg, .pdf)."
ChartOpt = Annotated[Path | None, option(_DRAW, metavar="FILE", callback=drawable)]
PictureOpt = Annotated[Path | None, option(_DRAW, metavar="FILE", callback=drawable_plan)]
_CURRENT = "Where VMs are now, if the instance does not say or is outdated."
CurrentOpt = Annotated[Path | None, option(_CURRENT, metavar="PLAN")]
TimeOpt = Annotated[float, option("Seconds it may take.", "--time", metavar="SECONDS")]
WorkersOpt = Annotated[int, option("Threads; 0: one per core.")]
_PARALLEL = "loky, or how many processes; dask or ray, with =ADDRESS of a cluster."
ParallelOpt = Annotated[str, option(_PARALLEL, metavar="ENGINE")]
SeedOpt = Annotated[int, option("Seed of everything random.")]
BackendOpt = Annotated[MilpBackend, option("Code behind the solver milp.")]
SettingsOpt = Annotated[
    list[str],
    option(
        "One of the KEYs above; may be given again.",
        "--set",
        metavar="KEY=VALUE",
        show_default=False,
    ),
]


def settings(
    texts: Iterable[str], thing: str, known: Mapping[str, Callable[[str], Any]]
) -> dict[str, Any]:
    """Return the values of `SettingsOpt`, texts like ``busy_ms=20``, by their keys.

    `known` has by key what reads its value (its `ValueError` says what a value must be); `thing` is
    what they are of, for errors.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key not in known:
            reason = f"must be KEY=VALUE with KEY one of {', '.join(known)}, not {text!r:.60}"
            raise InputError(thing, "--set", reason)
        if key in found:
            raise InputError(thing, "--set", f"{key} occurs twice")
        try:
            found[key] = known[key](value)
        except ValueError as error:
            raise InputError(thing, f"--set {key}", f"must be {error}, not {value!r:.60}") from None
    return found


def whole(text: str) -> int:
    """Read a whole number."""
    if not re.fullmatch("-?[0-9]{1,9}", text, re.ASCII):
        raise ValueError("a whole number")
    return int(text)


def real(text: str) -> float:
    """Read a number."""
    if not re.fullmatch(r"-?([0-9]{1,9}(\.[0-9]{0,9})?|\.[0-9]{1,9})", text, re.ASCII):
        raise ValueError("a number")
    return float(text)


def yes(text: str) -> bool:
    """Read yes or no."""
    if text not in ("yes", "no"):
        raise ValueError("yes or no")
    return text == "yes"
