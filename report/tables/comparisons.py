"""Comparisons of solvers: one row a solve, one table an instance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from numaplace.models.cost import Term
from numaplace.models.result import Stage
from numaplace.models.units import MICRO, MILLI
from numaplace.report.tables import words
from numaplace.report.tables.columns import ABSENT, Column, Record, columns
from numaplace.report.tables.plans import status_text
from numaplace.report.tables.table import Table
from numaplace.solver.compare.solvers import Row


def _gap_words(row: Row) -> str:
    """Gap of a row: that of the loss, or of the first stage before it that is open."""
    if row.gap is None:
        return "-"
    stage, share = row.gap
    text = words.gap(share)
    return text if stage == "loss" or share is None else f"{stage} {text}"


def _over(name: str, unit: int) -> Callable[[Row], float | None]:
    return lambda row: None if getattr(row, name) is None else getattr(row, name) / unit


def _value(value: float) -> str:
    return words.value(round(value * MILLI))


def _of_stage(stage: Stage) -> Column:
    def gap(row: Row) -> Any:
        return row.gaps.get(stage, ABSENT)

    return Column(f"{stage}_gap", (float, None), gap, optional=True)


def _of_term(term: Term) -> Column:
    def vcpus(row: Row) -> Any:
        return row.terms[term] / MICRO if term in row.terms else ABSENT

    head = words.term_name(term).replace(" ", "\n")
    group = "Loss by term"
    return Column(f"loss_{term}", float, vcpus, head, words.lost_vcpus, optional=True, group=group)


ROW = columns(
    "instance",
    Column("solver", str, "", "solver"),
    Column("seed", int, "", "seed"),
    Column("-placed", object, ".", "placed", lambda r: f"{r.vms_placed}/{r.vms}", right=True),
    Column("status", str, "", "status", status_text),
    "vms:int vms_placed:int",
    Column("value", (float, None), _over("value_milli", MILLI), "value", _value),
    Column("loss_vcpus", (float, None), _over("loss_micro", MICRO), "loss", words.lost_vcpus),
    Column("-gap", object, ".", "gap", _gap_words, right=True),
    Column("runtime_s", float, "", "time", words.seconds),
    map(_of_stage, Stage),
    map(_of_term, Term),
)

COMPARE = Record(Column("rows", [Record(ROW)], "."), name="compare")
DEMO = Record("folder=0", Column("rows", [Record(ROW)], "1"), name="demo")
"""Of a pair (folder, rows)."""


def row_table(rows: Sequence[Row]) -> Table:
    """The rows of any instances."""
    return Table(ROW, rows, keys=3)


def comparison_table(rows: Sequence[Row]) -> RenderableType:
    """One line a solve, one table an instance.

    The gap is that to the best bound any of the solvers proved. Losses by term are further
    columns, or tables of their own where the terminal is too narrow.
    """
    seeds = len({row.seed for row in rows}) > 1
    parts: list[RenderableType] = []
    for name, group in groupby(rows, key=lambda row: row.instance):
        title, without = f"Comparison on {name}", () if seeds else ("seed",)
        keys = 2 if seeds else 1
        table = Table(ROW, list(group), title, "row", keys=keys, without=without)
        parts += [*([Text()] if parts else []), table]
    return Group(*parts)
