"""Tables of replays and comparisons: the right numbers in the right cells, at any width."""

import pytest

from numaplace.models.trace import make_trace
from numaplace.report.tables.online_summary import load_summaries, replay_summary
from numaplace.report.tables.online_words import micros, percent, time_unit
from numaplace.report.tables.policies import comparison_views, replay_views
from numaplace.solver.compare.policies import Comparison
from numaplace.solver.placing.replay import replay
from numaplace.solver.placing.rules import RULES
from numaplace.tests.report.online_samples import (
    DAY_MS,
    comparison,
    fleet,
    printed,
    random_comparison,
    replays,
    row,
    stopped,
    trace,
)

WIDTHS = (50, 60, 80, 120, 250)


def _order(text: str) -> list[str]:
    """Policies of the first table, from top to bottom."""
    first = [line.split()[0] for line in text.splitlines() if line.split()]
    return list(dict.fromkeys(name for name in first if name in RULES))


def _cells(text: str, policy: str) -> list[list[str]]:
    """Cells of the lines that begin with the name of a policy."""
    return [line.split()[1:] for line in text.splitlines() if line.split()[:1] == [policy]]


def test_cells_of_a_comparison() -> None:
    text = printed(*comparison_views(comparison()))
    assert "Load 0.9: 3 windows, 30 VMs in all" in text
    assert _cells(text, "greedy_life") == [["0.50", "0.50", "0.90", "10.00", "6/33", "2", "20/92"]]
    assert _cells(text, "first_fit") == [["5.00", "5.00", "9.00", "35.00", "6/27", "1", "20/92"]]
    assert text.index("greedy_life") < text.index("first_fit")
    flat = " ".join(text.split())
    assert "optimum proven: value 2/3 windows, prefix 2/2;" in flat
    assert "gaps to what is not proven are upper limits" in flat


def test_proven_optima_make_gaps_exact() -> None:
    whole = comparison()
    proven = tuple(optimum for optimum in whole.optima if optimum.proven)
    text = printed(*comparison_views(Comparison(whole.rows, proven)))
    assert "value 2/2 windows, prefix 2/2; gaps are exact" in " ".join(text.split())


@pytest.mark.parametrize(
    ("missing", "reused", "expected"),
    [
        (0, 0, ""),
        (1, 0, "1 job was not run: the same command goes on with them"),
        (12, 1, "12 jobs were not run: the same command goes on with them"),
        (0, 5, "5 results known from before"),
    ],
)
def test_jobs_left_out_are_told(missing: int, reused: int, expected: str) -> None:
    text = printed(*comparison_views(comparison(missing, reused)))
    assert expected in text
    assert ("not run" in text) == bool(missing) and ("from before" in text) == bool(reused)


@pytest.mark.parametrize("width", WIDTHS)
def test_comparisons_keep_the_width_and_their_numbers(width: int) -> None:
    """A table a load, one line a policy from 80 columns on; no number is cut at any width."""
    found = random_comparison((0.9, 1.2), windows=40)
    text = printed(*comparison_views(found), width=width)
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    for load in load_summaries(found):
        part = text[text.index(f"Load {load.load:g}") :]
        assert _order(part) == [policy.policy for policy in load.policies]
        for policy in load.policies:
            cells = [cell for line in _cells(part, policy.policy) for cell in line]
            for goal, gap in policy.gaps.items():
                assert gap is not None and percent(gap.median) in cells, goal
            assert f"{policy.full}/{policy.fragmented}" in cells
    lines = 2 if width >= 80 else 4
    assert all(len(_cells(text, policy)) == lines for policy in RULES)


def test_a_comparison_without_optima_shows_what_was_reached() -> None:
    bare = tuple(
        row(each.case, each.policy, tuple(each.reached.values()), (None, None, None), None)
        for each in comparison().rows
    )
    text = printed(*comparison_views(Comparison(bare, ())))
    assert "Load as it is" in text and "gap" not in text and "proven" not in text
    assert _cells(text, "greedy_life")[0][:2] == ["3980.0", "26/30"]
    assert _cells(text, "first_fit")[0][:2] == ["3800.0", "26/30"]


def test_an_empty_comparison_is_told_in_words() -> None:
    text = printed(*comparison_views(Comparison((), (), missing=8)))
    assert "Nothing was compared" in text and "8 jobs were not run" in text
    assert "──" not in text


@pytest.mark.parametrize("width", WIDTHS)
def test_replays_keep_the_width_and_their_numbers(width: int) -> None:
    text = printed(*replay_views(replays(), trace(), fleet()), width=width)
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    days = (trace().start_ms[-1] - trace().start_ms[0]) / DAY_MS
    head = f"300 VMs that arrive within {days:.3g} days, on 4 x box"
    assert head in " ".join(text.split())
    for name, found in replays().items():
        summary = replay_summary(name, found, trace())
        assert summary.cpu is not None and summary.p99_us is not None
        cells = [cell for line in _cells(text, name) for cell in line]
        for number in (
            str(summary.accepted),
            f"{100 * summary.accepted / 300:.2f}",
            str(summary.full),
            str(summary.fragmented),
            str(summary.prefix),
            percent(summary.cpu),
            f"{summary.decisions_per_s:.0f}",
            micros(summary.p99_us),
        ):
            assert number in cells
    assert _order(text) == list(RULES)


def test_a_wide_terminal_has_one_table_of_replays() -> None:
    """All columns in one line; on a narrow one each group has its title."""
    wide = printed(*replay_views(replays(), trace(), fleet()), width=250)
    assert all(len(_cells(wide, name)) == 1 for name in RULES)
    assert "The fleet over time" not in wide
    narrow = printed(*replay_views(replays(), trace(), fleet()))
    assert "The fleet over time" in narrow and "Time of a decision" in narrow
    assert all(len(_cells(narrow, name)) == 3 for name in RULES)


def test_losses_that_nobody_has_are_no_columns() -> None:
    plain = make_trace(("a", "b"), vcpus=[1, 1], memory_mib=[64, 64], start_ms=[0, 5000])
    found = {"xen": replay(plain, fleet(), RULES["xen"])}
    text = printed(*replay_views(found, plain, fleet()))
    assert "peak" not in text and "within 5 seconds" in text
    assert _cells(text, "xen")[0][:4] == ["2", "100.00", "0", "0"]
    assert "peak" in printed(*replay_views(replays(), trace(), fleet()))


def test_stopped_replays_are_told() -> None:
    found = {"first_fit": replays()["first_fit"], "nova": stopped("nova", 30)}
    seen = replay_summary("nova", found["nova"], trace()).seen
    text = printed(*replay_views(found, trace(), fleet()))
    assert f"nova was stopped after {seen} of 300 VMs" in text
    assert "first_fit was stopped" not in text


def test_replays_of_nothing() -> None:
    """No policy, no VM, no decision: words or dashes."""
    empty = make_trace((), vcpus=[], memory_mib=[], start_ms=[])
    assert "Nothing was replayed." in printed(*replay_views({}, trace(), fleet()))
    found = {"xen": replay(empty, fleet(), RULES["xen"])}
    text = printed(*replay_views(found, empty, fleet()))
    assert "0 VMs, on 4 x box" in text
    assert _cells(text, "xen")[0] == ["0", "-", "0", "0", "0", "0"]
    assert _cells(text, "xen")[-1] == ["-", "-", "-"]
    never = printed(*replay_views({"xen": stopped("xen", 0)}, trace(), fleet()))
    assert "xen was stopped after 0 of 300 VMs" in never


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (percent(0.0), "0.00"),
        (percent(0.00001), "<0.01"),
        (percent(0.00006), "0.01"),
        (percent(1.0), "100.00"),
        (micros(7.25), "7.2"),
        (micros(431.6), "432"),
        (time_unit(3 * 86_400_000), ("days", 86_400_000)),
        (time_unit(30 * 3_600_000), ("hours", 3_600_000)),
        (time_unit(119_999), ("seconds", 1000)),
        (time_unit(0), ("seconds", 1000)),
    ],
)
def test_numbers_in_words(made: object, expected: object) -> None:
    assert made == expected
