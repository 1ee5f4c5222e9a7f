"""Rows of traces: every fault is counted, or refused; no row is lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numaplace.instances.formats.tables.trace_csv import read_trace
from numaplace.instances.formats.tables.trace_fields import RowProblem
from numaplace.models.errors import InputError
from numaplace.models.trace import NEVER_MS
from numaplace.tests.instances.formats.trace_files import EVENTS, HEADER, TRACES, write


def test_faulty_lifetimes_are_counted_and_dropped() -> None:
    trace, report = read_trace(TRACES / "faulty-lifetimes.csv")
    assert trace.names == ("early", "good", "ever")
    assert trace.start_ms.tolist() == [4000, 10000, 12000]
    assert report.rows == 16
    assert report.problems == {
        RowProblem.BROKEN_ROW: 2,
        RowProblem.BAD_NAME: 1,
        RowProblem.NOT_A_NUMBER: 2,
        RowProblem.OUT_OF_RANGE: 4,
        RowProblem.NEGATIVE_TIME: 1,
        RowProblem.NO_LIFE: 2,
        RowProblem.OCCURS_TWICE: 1,
        RowProblem.UNSORTED: 1,
        RowProblem.NEVER_DELETED: 1,
    }
    assert report.examples == {
        RowProblem.BROKEN_ROW: "line 3: has 3 fields, the header has 6",
        RowProblem.BAD_NAME: "line 10: vmid '' must be printable, of 1 to 240 characters",
        RowProblem.NOT_A_NUMBER: "line 4: cpu 'x' is no number",
        RowProblem.OUT_OF_RANGE: "line 5: cpu '0' must be at least 1 and at most 4096",
        RowProblem.NEGATIVE_TIME: "line 6: arrival '-1' is negative",
        RowProblem.NO_LIFE: "line 7: lifetime 0 is not above 0",
        RowProblem.OCCURS_TWICE: "line 9: vmid 'good' occurs twice",
        RowProblem.UNSORTED: "line 11: arrival 4 comes after 10",
        RowProblem.NEVER_DELETED: "line 18: vmid 'ever' has no end",
    }
    assert report.notes()[0] == (
        "2 x broken row, dropped (first: line 3: has 3 fields, the header has 6)"
    )
    assert report.notes()[-1] == "columns not read: 'zone'"
    assert report.plain()["problems"] == {str(p): count for p, count in report.problems.items()}


def test_faulty_events_are_counted_and_dropped() -> None:
    trace, report = read_trace(TRACES / "faulty-events.csv")
    assert trace.names == ("a", "f", "g")
    assert trace.end_ms.tolist() == [3000, 9000, NEVER_MS]
    assert report.problems == {
        RowProblem.NOT_A_NUMBER: 1,
        RowProblem.NO_LIFE: 1,
        RowProblem.BAD_TYPE: 1,
        RowProblem.CREATED_TWICE: 1,
        RowProblem.DELETED_BEFORE_CREATED: 1,
        RowProblem.DELETED_NOT_THERE: 1,
        RowProblem.NEVER_DELETED: 1,
    }
    before = report.examples[RowProblem.DELETED_BEFORE_CREATED]
    assert before == "line 6: vmid 'b' is deleted before it is created in line 7"
    assert report.examples[RowProblem.DELETED_NOT_THERE].startswith("line 2: vmid 'stray'")
    assert report.examples[RowProblem.NO_LIFE] == "line 9: vmid 'c' is deleted as it is created"


def test_a_deletion_from_before_the_record_costs_no_other_life(tmp_path: Path) -> None:
    rows = "a,,,0,1\na,1,1,1,0\na,,,2,1\na,1,1,3,0\n"
    trace, report = read_trace(write(tmp_path, EVENTS + rows))
    assert trace.end_ms.tolist() == [2000, NEVER_MS]
    assert report.problems[RowProblem.DELETED_NOT_THERE] == 1
    assert RowProblem.DELETED_BEFORE_CREATED not in report.problems


def test_unsorted_events_are_sorted_before_they_are_matched(tmp_path: Path) -> None:
    file = write(tmp_path, EVENTS + "a,1,1,9,1\nb,2,1,3,0\na,1,1,1,0\nb,2,1,8,1\n")
    trace, report = read_trace(file)
    assert trace.names == ("a", "b")
    assert trace.end_ms.tolist() == [9000, 8000]
    assert report.problems == {RowProblem.UNSORTED: 2}
    assert report.examples[RowProblem.UNSORTED] == "line 3: time 3 comes after 9"
    # Lives are numbered in order of time, examples are the first in the file.
    rows = "a,4,1,5,0\na,4,1,6,0\na,,,7,1\na,2,1,0,0\na,2,1,1,0\na,,,2,1\n"
    trace, report = read_trace(write(tmp_path, EVENTS + rows))
    assert (trace.names, trace.vcpus.tolist()) == (("a", "a#2"), [2, 4])
    assert report.problems[RowProblem.CREATED_TWICE] == 2
    assert report.examples[RowProblem.CREATED_TWICE] == "line 3: vmid 'a' is created twice"


@pytest.mark.parametrize(
    ("row", "problem", "words"),
    [
        ("a,4097,1,0,1", RowProblem.OUT_OF_RANGE, "cpu '4097'"),
        ("a,1.5,1,0,1", RowProblem.OUT_OF_RANGE, "cpu '1.5' is no whole number"),
        ("a,1,0,0,1", RowProblem.OUT_OF_RANGE, "memory '0' must be above 0"),
        ("a,1,-2,0,1", RowProblem.OUT_OF_RANGE, "memory '-2' must be above 0"),
        ("a,1,1e10,0,1", RowProblem.OUT_OF_RANGE, "memory '1e10'"),
        ("a,1,,0,1", RowProblem.NOT_A_NUMBER, "memory '' is no number"),
        ("a,1,1_0,0,1", RowProblem.NOT_A_NUMBER, "memory '1_0'"),
        ("a,1,1,,1", RowProblem.NOT_A_NUMBER, "arrival ''"),
        ("a,1,1,inf,1", RowProblem.NOT_A_NUMBER, "arrival 'inf'"),
        ("a,1,1,1e12,1", RowProblem.OUT_OF_RANGE, "arrival '1e12'"),
        ("a,1,1,-0.5,1", RowProblem.NEGATIVE_TIME, "arrival '-0.5' is negative"),
        ("a,1,1,0,nan", RowProblem.NOT_A_NUMBER, "lifetime 'nan'"),
        ("a,1,1,0,-1", RowProblem.NO_LIFE, "lifetime -1 is not above 0"),
        ("a,1,1,6e11,5e11", RowProblem.OUT_OF_RANGE, "add up to 1100000000000"),
        ("a,1,1,0", RowProblem.BROKEN_ROW, "has 4 fields"),
        ("a,1,1,0,1,", RowProblem.BROKEN_ROW, "has 6 fields"),
        ('"a,1,1,0,1', RowProblem.BROKEN_ROW, "is no CSV"),
        ("a\x07,1,1,0,1", RowProblem.BAD_NAME, "must be printable"),
        ("a" * 241 + ",1,1,0,1", RowProblem.BAD_NAME, "1 to 240"),
    ],
)
def test_each_fault_is_counted_or_refused(
    row: str, problem: RowProblem, words: str, tmp_path: Path
) -> None:
    file = write(tmp_path, f"{HEADER}{row}\ngood,1,1,0,1\n")
    trace, report = read_trace(file)
    assert trace.names == ("good",)
    assert report.problems == {problem: 1}
    assert words in report.examples[problem]
    with pytest.raises(InputError, match=re.escape(words)) as error:
        read_trace(file, strict=True)
    assert (error.value.file, error.value.line) == (str(file), 2)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("utilisation", "1.5", "utilisation '1.5'"),
        ("memory_intensity", "-1", "memory_intensity '-1'"),
        ("soft_node", "0.5", "soft_node '0.5' is no whole number"),
        ("soft_node", "-1", "soft_node '-1'"),
        ("soft_weight", "x", "soft_weight 'x' is no number"),
        ("predicted_lifetime", "-1", "predicted_lifetime '-1'"),
    ],
)
def test_more_columns_are_checked(header: str, row: str, words: str, tmp_path: Path) -> None:
    file = write(tmp_path, f"{HEADER[:-1]},{header}\na,1,1,0,1,{row}\n")
    with pytest.raises(InputError, match=re.escape(words)):
        read_trace(file, strict=True)


def test_a_departure_comes_after_the_arrival(tmp_path: Path) -> None:
    file = write(tmp_path, "vmid,cpu,mem,arrival,departure\na,1,1,5,5\nb,1,1,5,6\nc,1,1,5,-6\n")
    trace, report = read_trace(file)
    assert trace.names == ("b",)
    assert report.problems == {RowProblem.NO_LIFE: 2}
    assert report.examples[RowProblem.NO_LIFE] == "line 2: departure 5 is not after arrival 5"


def test_strict_names_the_first_fault_of_all_kinds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r":2: row: vmid 'stray' is deleted but not there"):
        read_trace(TRACES / "faulty-events.csv", strict=True)
    with pytest.raises(InputError, match=r":3: row: arrival 1 comes after 2"):
        read_trace(write(tmp_path, HEADER + "a,1,1,2,1\nb,1,1,1,1\nc,x,1,3,1\n"), strict=True)


def test_an_open_quote_breaks_one_row_only(tmp_path: Path) -> None:
    file = write(tmp_path, HEADER + 'a,1,1,0,1\n"b,1,1,0,1\n"c ""d""",1,1,0,1\n')
    trace, report = read_trace(file)
    assert trace.names == ("a", 'c "d"')
    assert report.problems == {RowProblem.BROKEN_ROW: 1}


LINES = st.lists(
    st.tuples(
        st.sampled_from(("a", "b", "c", "")),
        st.sampled_from(("1", "x")),
        st.sampled_from(("1", "0")),
        st.sampled_from(("0", "1", "2", "3", "-1")),
        st.sampled_from(("0", "1", "1", "2")),
    ).map(",".join),
    max_size=10,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lines=LINES, header=st.sampled_from((HEADER, EVENTS)))
def test_every_row_is_used_or_counted(lines: list[str], header: str, tmp_path: Path) -> None:
    file = write(tmp_path, header + "".join(f"{line}\n" for line in lines))
    try:
        trace, report = read_trace(file)
    except InputError as error:
        assert error.file == str(file)
        return
    dropped = sum(n for problem, n in report.problems.items() if problem.outcome == "dropped")
    assert report.rows == len(lines)
    if header == HEADER:
        assert dropped == report.rows - len(trace)
    else:
        # A VM dropped for its life takes two rows with it: one is counted.
        ends = int((trace.end_ms < NEVER_MS).sum())
        lost = sum(
            report.problems.get(problem, 0)
            for problem in (RowProblem.NO_LIFE, RowProblem.DELETED_BEFORE_CREATED)
        )
        assert len(trace) + ends + dropped + lost == report.rows
    assert list(report.problems) == list(report.examples)
