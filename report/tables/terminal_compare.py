"""The comparison of solvers in a terminal; numbers and names are never broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from numaplace.report.tables import words
from numaplace.report.tables.terminal_tables import STATUS_STYLE, new_table, titled
from numaplace.solver.compare.solvers import Row

Columns = Mapping[str, Sequence[Text]]


def comparison_table(rows: Sequence[Row], width: int) -> RenderableType:
    """One line a solve, one table an instance, in a terminal `width` columns wide.

    The gap is that to the best bound any of the solvers proved. Losses by term are further
    columns, or tables of their own where the terminal is too narrow.
    """
    seeds = len({row.seed for row in rows}) > 1
    parts: list[RenderableType] = []
    for name, group in groupby(rows, key=lambda row: row.instance):
        parts += [*([Text()] if parts else []), *_of_instance(name, list(group), width, seeds)]
    return Group(*parts)


def _of_instance(name: str, rows: Sequence[Row], width: int, seeds: bool) -> list[RenderableType]:
    keys = {"solver": [Text(row.solver) for row in rows]}
    if seeds:
        keys["seed"] = [Text(str(row.seed)) for row in rows]
    compared, terms = _compared(rows), _terms(rows)
    title = f"Comparison on {name}"
    whole = _table({**keys, **compared, **terms})
    if _wide(whole) <= width:
        return [titled(title, whole)]
    parts: list[RenderableType] = [Text(title, "bold"), *_fitting(keys, compared, width)]
    if terms:
        parts += [Text(), Text("Loss by term", "bold"), *_fitting(keys, terms, width)]
    return parts


def _compared(rows: Sequence[Row]) -> Columns:
    return {
        "placed": [Text(f"{row.vms_placed}/{row.vms}") for row in rows],
        "value": [_or_dash(row.value_milli, words.value) for row in rows],
        "loss": [_or_dash(row.loss_micro, words.loss) for row in rows],
        "gap": [Text(_gap_words(row)) for row in rows],
        "time": [Text(words.seconds(row.runtime_s)) for row in rows],
        "status": [Text(str(row.status), STATUS_STYLE[row.status]) for row in rows],
    }


def _terms(rows: Sequence[Row]) -> Columns:
    """Losses by term, those that any of the plans has; one word of the name a line."""
    terms = dict.fromkeys(term for row in rows for term, micro in row.terms.items() if micro)
    return {
        words.term_name(term).replace(" ", "\n"): [
            _or_dash(row.terms.get(term), words.loss) for row in rows
        ]
        for term in terms
    }


def _or_dash(number: int | None, shown: Callable[[int], str]) -> Text:
    return Text("-" if number is None else shown(number))


def _fitting(keys: Columns, columns: Columns, width: int) -> list[Table]:
    """Spread columns over as few tables as fit, each with the columns `keys` first."""
    tight = len(columns) > 0 and _wide(_table({**keys, **columns})) > width
    tables: list[Table] = []
    taken: dict[str, Sequence[Text]] = {}
    for name, cells in columns.items():
        if taken and _wide(_table({**keys, **taken, name: cells}, tight=tight)) > width:
            tables.append(_table({**keys, **taken}, tight=tight))
            taken = {}
        taken[name] = cells
    return [*tables, _table({**keys, **taken}, tight=tight)]


def _table(columns: Columns, *, tight: bool = False) -> Table:
    table = new_table(*columns, right=set(columns) - {"solver", "status"})
    for column in table.columns:
        column.no_wrap = True
    if tight:
        table.padding = (0, 0)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


def _wide(table: Table) -> int:
    return Console(width=10_000).measure(table).maximum


def _gap_words(row: Row) -> str:
    """Gap of a row: that of the loss, or of the first stage before it that is open."""
    if row.gap is None:
        return "-"
    stage, share = row.gap
    text = words.gap(share)
    return text if stage == "loss" or share is None else f"{stage} {text}"
