"""How an answer is printed: -o, -c, --json and --quiet, and bundles of options like these."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from enum import StrEnum
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer
from rich.console import RenderableType

from numaplace.commands import output
from numaplace.commands.options import JsonOpt, QuietOpt, option
from numaplace.report.tables.columns import Column, picked
from numaplace.report.tables.table import Table

Command = Callable[..., None]


class OutputKind(StrEnum):
    """What an answer is printed as."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


_KIND = option("Print it as tables, JSON, or its main table as CSV.", "--output", "-o")
_COLUMN = option(
    "Only these of the main table, with commas; may be given again.",
    "--column",
    "-c",
    metavar="NAMES",
)


@dataclass(frozen=True, slots=True)
class Printing:
    """What a user wants to see of an answer."""

    kind: Annotated[OutputKind | None, _KIND] = None
    column: Annotated[list[str], _COLUMN] = field(default_factory=list)
    as_json: JsonOpt = False
    quiet: QuietOpt = False

    def __post_init__(self) -> None:
        """Check that --json and -o do not contradict."""
        if self.as_json and self.kind not in (None, OutputKind.JSON):
            raise typer.BadParameter(f"--json and -o {self.kind} exclude each other")

    @property
    def columns(self) -> list[str]:
        """Names of columns that are asked for."""
        names = [name.strip() for text in self.column for name in text.split(",")]
        return [name for name in names if name]

    @property
    def json(self) -> bool:
        """Whether JSON is printed."""
        return self.as_json or self.kind is OutputKind.JSON

    @property
    def all_json(self) -> bool:
        """Whether JSON is printed, with all there is."""
        return self.json and not self.columns

    @property
    def people(self) -> bool:
        """Whether tables are printed."""
        return not self.json and self.kind is not OutputKind.CSV

    def expect(self, columns: Sequence[Column]) -> None:
        """Complain, before any work is done, of a column that the main table does not have."""
        picked(columns, self.columns, people=True)

    def answer(
        self,
        plain: Callable[[], object],
        views: Callable[[], Sequence[RenderableType]],
        table: Callable[[], Table],
    ) -> None:
        """Print what is wanted: plain values as JSON, views, or the main table in any form."""
        if self.columns or self.kind is OutputKind.CSV:
            main = table()
            if self.columns:
                main = main.only(self.columns, people=self.people)
            if self.kind is OutputKind.CSV:
                output.print_text(main.csv())
            elif self.json:
                output.print_json(main.plain())
            elif not self.quiet:
                output.show([main])
        elif self.json:
            output.print_json(plain())
        elif not self.quiet:
            output.show(views())


USUAL = Printing()
"""Tables."""


def bundled(command: Command) -> Command:
    """Give a command, for each parameter that is a dataclass of options, these options."""
    hints = get_type_hints(command, include_extras=True)
    bundles: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        bundle = hints[name]
        if is_dataclass(bundle):
            bundles[name] = bundle
            parameters += _options_of(bundle)
        else:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(annotation=bundle, kind=kind))

    @wraps(command)
    def run(**given: Any) -> None:
        for name, bundle in bundles.items():
            given[name] = bundle(**{one.name: given.pop(one.name) for one in fields(bundle)})
        command(**given)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _options_of(bundle: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(bundle, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(one.name, kind, default=_default(one), annotation=hints[one.name])
        for one in fields(bundle)
    ]


def _default(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()
