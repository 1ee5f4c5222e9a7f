"""What the terminal shows: bars, panels, tables, the progress line; any width, no colour needed."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from numaplace.commands.progress import ProgressLine, progress_words
from numaplace.models.cost import Term, evaluate
from numaplace.models.result import Result, SolveStatus, Stage, StageResult
from numaplace.models.verify import Rule, Violation
from numaplace.report.picture.terminal import HOSTS_MAX, Stretch, bar, plan_view
from numaplace.report.tables.comparisons import comparison_table
from numaplace.report.tables.instances import distance_table, show_views
from numaplace.report.tables.plans import loss_table, plan_table, solve_views, violation_table
from numaplace.solver.compare.solvers import Row
from numaplace.solver.params import Progress, SolveParams
from numaplace.solver.registry import solve
from numaplace.tests.report.samples import NAMES, rich, sample


def _printed(*views: RenderableType, width: int = 80) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, no_color=True, highlight=False)
    for view in views:
        console.print(view)
    return stream.getvalue()


def test_bars_share_their_letters_by_amount() -> None:
    """A bar has exactly its width; parts get their share, the rest is free."""
    parts = [Stretch("a", 4), Stretch("b", 2)]
    assert bar(parts, 8, 8).plain == "aaaabb··"
    assert bar(parts, 6, 12).plain == "aaaaaaaabbbb"
    assert bar([], 8, 4).plain == "····"


def test_small_parts_keep_a_letter() -> None:
    """The smallest VM has one letter as long as there is room; a full bar is never too long."""
    tiny = [Stretch("a", 1000), Stretch("b", 1), Stretch("c", 1000)]
    assert bar(tiny, 2001, 9).plain.count("b") == 1
    crowd = [Stretch(letter, 1) for letter in "abcdefghij"]
    assert bar(crowd, 10, 4).plain == "abcd"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [60, 80, 200])
def test_views_keep_the_width(name: str, width: int) -> None:
    """Every line of instance, plan and losses fits the terminal, with and without many nodes."""
    instance, plan = sample(name)
    views = [*show_views(instance, None, width), *show_views(instance, plan, width)]
    text = _printed(*views, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text


def test_panels_tell_who_is_where() -> None:
    """Each VM is in the panel of its node, pages away name the node of their vCPUs."""
    instance, plan = rich()
    text = _printed(plan_view(plan, instance, 80))
    for words in (
        "lab  3 nodes, 16 pCPUs, 32 GiB",
        "node 4",
        "of node 0",
        "CPU 0,2",
        "shared",
        "nic 3b:00.0 2/4: web ×2",
        "devices of unknown node: usb",
    ):
        assert words in text
    assert "a-database" in text and "$left[out]" not in text


def test_hosts_beyond_the_limit_are_counted() -> None:
    """A fleet shows its first hosts and says how many more there are."""
    instance, plan = sample("fleet")
    text = _printed(plan_view(plan, instance, 80))
    assert f"and {len(instance.hosts) - HOSTS_MAX} more hosts" in text


def test_plan_table_has_only_columns_that_say_something() -> None:
    """No devices, no pCPUs, one host: three columns; with them, all that apply."""
    instance, plan = sample("talk-10")
    plain = _printed(plan_table(plan, instance))
    assert "devices" not in plain and "host" not in plain and "vm10" in plain
    instance, plan = rich()
    full = _printed(plan_table(plan, instance))
    for words in ("devices", "pCPUs", "3b:00.0 ×2", "0,2", "pages of twins on lab: node 1"):
        assert words in full


def test_loss_table_adds_up() -> None:
    """Terms, the largest first, with who loses most, and the sum."""
    instance, plan = rich()
    cost = evaluate(instance, plan)
    text = _printed(loss_table(cost))
    lines = [line.split() for line in text.splitlines()]
    assert lines[-1][0] == "all"
    assert float(lines[-1][1]) == pytest.approx(cost.loss_vcpus, abs=1e-4)
    assert "a-database-with-a-very-long-name" in text


def test_markup_in_names_is_text() -> None:
    """Square brackets in names and messages are not taken for styles."""
    found = [Violation(Rule.CELLS, "VM '[bold]'", "has [/] cells")]
    text = _printed(violation_table(found))
    assert "VM '[bold]'" in text and "has [/] cells" in text and "in 1 place" in text


def test_distances_of_one_or_many_nodes_are_left_out() -> None:
    """A single node has no distances, a hundred do not fit."""
    assert distance_table(sample("64n")[0].hosts[0]) is None
    table = distance_table(rich()[0].hosts[0])
    assert table is not None and "28" in _printed(table)


def test_solve_views_tell_why_vms_are_missing() -> None:
    """VMs without a place are listed with the reason the solver gave, all reasons are printed."""
    instance, plan = rich()
    result = solve(instance, "greedy", SolveParams())
    reasons = {"$left[out]": "no node has [room]"}
    cost = evaluate(instance, plan)
    shown = Result("x", SolveStatus.FEASIBLE, plan, cost, unplaced=reasons, reasons=("because",))
    text = _printed(*solve_views(instance, shown, 80))
    for words in ("Not placed: 1 VM", "$left[out]", "no node has [room]", "because"):
        assert words in text
    nothing = Result("x", SolveStatus.UNKNOWN, None, None, runtime_s=2.0)
    assert "unknown after 2.00 s" in _printed(*solve_views(instance, nothing, 80))
    assert result.plan is not None


def test_solve_views_state_the_gap() -> None:
    """A plan that is not proven optimal says by how much it may miss."""
    instance, plan = rich()
    cost = evaluate(instance, plan)
    stages = (
        StageResult(Stage.VALUE, cost.value_milli, cost.value_milli),
        StageResult(Stage.LOSS, 1000, 900),
    )
    shown = Result("x", SolveStatus.FEASIBLE, plan, cost, stages)
    assert "valid, loss gap 10 %" in " ".join(_printed(*solve_views(instance, shown, 80)).split())


def test_progress_names_incumbent_bound_and_gap() -> None:
    """All numbers in the units people read; what is not known is not invented."""
    state = Progress("cpsat", Stage.LOSS, 2_000_000, 1_500_000, 3.0)
    assert progress_words(state) == ["cpsat, loss:", "2", "bound 1.5", "gap 25 %"]
    early = Progress("cpsat", Stage.VALUE, None, None, 0.1)
    assert progress_words(early) == ["cpsat, value:", "no plan yet"]


@pytest.mark.parametrize(("terminal", "quiet", "shown"), [(1, 0, 1), (0, 0, 0), (1, 1, 0)])
def test_progress_is_for_terminals_only(terminal: int, quiet: int, shown: int) -> None:
    """On a terminal the line appears and goes away; elsewhere, or if quiet, nothing is written."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=bool(terminal), width=100)
    with ProgressLine(console, "planning", quiet=bool(quiet)) as line:
        line.report(Progress("cpsat", Stage.LOSS, 2_000_000, 1_500_000, 3.0))
        line.note("stopping")
        assert "stopping" in line.text().plain and "bound 1.5" in line.text().plain
    assert ("planning" in stream.getvalue()) == bool(shown)


@pytest.mark.parametrize("width", [40, 60, 80, 250])
def test_comparison_keeps_numbers_and_names_whole(width: int) -> None:
    """However narrow: each name, status, number and every term with a loss is there, unbroken."""
    terms = {Term.CPU_CONTENTION: 1_234_567, Term.DEVICE: 2_345_678, Term.MIGRATION: 0}
    stages = {Stage.VALUE: 33_000, Stage.LOSS: 3_580_245}
    gaps = {Stage.VALUE: 0.0, Stage.LOSS: 0.1234}
    rows = [
        Row("lab", solver, seed, SolveStatus.FEASIBLE, 30, 29, stages, gaps, terms, 12.34)
        for solver in ("first_fit", "local_search")
        for seed in (0, 1)
    ]
    text = _printed(comparison_table(rows), width=width)
    words = text.split()
    for word in ("first_fit", "local_search", "29/30", "33", "3.5802", "1.2346", "2.3457"):
        assert words.count(word) >= 2, word
    assert words.count("feasible") == words.count("12.34") == 4
    assert {"contention", "device"} <= set(words) and "migration" not in words
    assert ("Loss by term" in text) == (width < 250)
    assert "…" not in text and max(map(len, text.splitlines())) <= width
