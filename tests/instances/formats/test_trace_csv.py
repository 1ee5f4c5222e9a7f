"""Traces from CSV tables: both forms, what is no trace, and all that is written is read."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numaplace.instances.formats.tables import trace_rows
from numaplace.instances.formats.tables.trace_csv import parse_columns, read_trace
from numaplace.instances.formats.tables.trace_fields import RowProblem
from numaplace.models.errors import InputError
from numaplace.models.trace import ARRAYS, NEVER_MS, NO_NODE, Trace, with_predictions
from numaplace.tests.instances.formats.trace_files import EVENTS, HEADER, TRACES, write
from numaplace.tests.instances.shared_data import shared_data
from numaplace.tests.random_traces import traces


def table(trace: Trace) -> str:
    """A trace as a table with lifetimes, with every column there is."""
    lines = [
        "vmid,cpu,memory_mib,arrival,lifetime,predicted_lifetime,utilisation,memory_intensity,"
        "soft_node,soft_weight"
    ]
    columns = [getattr(trace, name).tolist() for name in ARRAYS if name != "cells"]
    for name, row in zip(trace.names, zip(*columns, strict=True), strict=True):
        vcpus, mib, start, end, predicted, *more, node, weight = row
        lives = ["" if e >= NEVER_MS else (e - start) / 1000 for e in (end, predicted)]
        cells = [name, vcpus, mib, start / 1000, *lives, *more, "" if node == NO_NODE else node]
        lines.append(",".join(map(str, [*cells, weight])))
    return "\n".join(lines) + "\n"


def event_table(trace: Trace) -> str:
    """A trace as a table of events in order of time; at equal times deletions come first."""
    events = []
    for name, vcpus, mib, start, end in zip(
        trace.names,
        *(getattr(trace, n).tolist() for n in ("vcpus", "memory_mib", "start_ms", "end_ms")),
        strict=True,
    ):
        events.append((start, 0, f"{name},{vcpus},{mib / 1024},{start / 1000},0"))
        if end < NEVER_MS:
            events.append((end, -1, f"{name},{vcpus},{mib / 1024},{end / 1000},1"))
    events.sort(key=lambda event: event[:2])
    return EVENTS + "".join(f"{text}\n" for *_, text in events)


# ---- the two forms ------------------------------------------------------------------------------


def test_lifetimes() -> None:
    trace, report = read_trace(TRACES / "lifetimes.csv", strict=True)
    assert trace.names == ("a", "b", "c", "d")
    assert trace.vcpus.tolist() == [4, 1, 2, 64]
    assert trace.memory_mib.tolist() == [16384, 512, 4096, 131072]
    assert trace.start_ms.tolist() == [0, 2000, 2000, 83250]
    # A life that rounds to nothing is one millisecond.
    assert trace.end_ms.tolist() == [194000, 2001, NEVER_MS, 83250 + 6135500]
    assert trace.predicted_end_ms.tolist() == trace.end_ms.tolist()
    assert set(trace.cells.tolist()) == {1}
    assert (report.rows, report.vms, report.ignored) == (4, 4, ())
    assert report.problems == {RowProblem.NEVER_DELETED: 1}
    assert report.examples == {RowProblem.NEVER_DELETED: "line 4: vmid 'c' has no end"}


def test_events() -> None:
    trace, report = read_trace(TRACES / "events.csv", strict=True)
    assert trace.names == ("7", "8", "9", "7#2")
    assert trace.vcpus.tolist() == [1, 2, 4, 1]
    assert trace.memory_mib.tolist() == [2048, 4096, 8192, 2048]
    assert trace.start_ms.tolist() == [0, 0, 10000, 20000]
    assert trace.end_ms.tolist() == [10000, 12500, NEVER_MS, 30000]
    assert (report.rows, report.vms) == (7, 4)
    assert report.problems == {RowProblem.CREATED_AGAIN: 1, RowProblem.NEVER_DELETED: 1}


def test_columns_of_other_names() -> None:
    columns = parse_columns(
        "vmid=name, memory_mib=ram,utilisation=busy,soft_node=node,soft_weight=price,"
        "predicted_lifetime=guess"
    )
    trace, report = read_trace(TRACES / "extra-columns.csv", columns=columns, strict=True)
    assert trace.names == ("web 1", "db")
    assert trace.vcpus.tolist() == [2, 1]
    assert trace.memory_mib.tolist() == [2048, 512]
    assert trace.start_ms.tolist() == [1500, 1500]
    assert trace.end_ms.tolist() == [11500, 3600000]
    assert trace.predicted_end_ms.tolist() == [9500, NEVER_MS]
    assert trace.utilisation.tolist() == [0.25, 1.0]
    assert trace.memory_intensity.tolist() == [0.3, 0.3]
    assert trace.soft_node.tolist() == [3, NO_NODE]
    assert trace.soft_weight.tolist() == [0.5, 0.0]
    assert report.ignored == ("owner",)
    assert report.notes() == ("columns not read: 'owner'",)


def test_spaces_capitals_blank_lines_and_windows_line_ends(tmp_path: Path) -> None:
    text = "\ufeff VMID , CPU,Mem,At,LT\r\n\r\n a , 4.0 ,1e1, 5 ,+6\r\n,,,,\r\n"
    trace, report = read_trace(write(tmp_path, text), strict=True)
    assert (trace.names, trace.vcpus.tolist(), trace.memory_mib.tolist()) == (("a",), [4], [10240])
    assert (trace.start_ms.tolist(), trace.end_ms.tolist()) == ([5000], [11000])
    assert report.rows == 1


def test_events_at_one_time_come_in_order_of_rows(tmp_path: Path) -> None:
    trace, report = read_trace(
        write(tmp_path, EVENTS + "a,1,1,0,0\na,1,1,5,1\na,1,1,5,0\na,1,1,6,1\n"), strict=True
    )
    assert trace.names == ("a", "a#2")
    assert trace.end_ms.tolist() == [5000, 6000]
    _, report = read_trace(write(tmp_path, EVENTS + "a,1,1,0,0\na,1,1,5,0\na,1,1,5,1\n"))
    assert report.problems == {RowProblem.CREATED_TWICE: 1}


def test_many_rows_at_one_time_stay_in_order(tmp_path: Path) -> None:
    names = [f"vm{i}" for i in range(50)]
    rows = "".join(f"{name},1,1,5,9\n" for name in names)
    assert read_trace(write(tmp_path, HEADER + rows))[0].names == tuple(names)
    rows = "".join(f"{name},1,1,0,0\n" for name in names)
    rows += "".join(f"{name},,,5,1\n{name},1,1,5,0\n" for name in names)
    # A last row that belongs to the front makes it sort at all.
    trace, report = read_trace(write(tmp_path, f"{EVENTS}{rows}first,1,1,-0,0\nlast,1,1,1,0\n"))
    assert report.problems[RowProblem.CREATED_AGAIN] == 50
    assert trace.names == (*names, "first", "last", *(f"{name}#2" for name in names))
    assert trace.end_ms.tolist() == [5000] * 50 + [NEVER_MS] * 52


def test_what_rounds_to_nothing_is_the_least_there_is(tmp_path: Path) -> None:
    header = f"{HEADER[:-1]},predicted_lifetime\n"
    trace, _ = read_trace(write(tmp_path, header + "a,1,1e-9,5,1e-9,0\n"), strict=True)
    assert trace.memory_mib.tolist() == [1]
    assert trace.end_ms.tolist() == trace.predicted_end_ms.tolist() == [5001]


def test_words_for_types_and_rows_that_delete_without_sizes(tmp_path: Path) -> None:
    trace, report = read_trace(
        write(tmp_path, EVENTS + "a,1,1,0,CREATE\na,,,5,delete\n"), strict=True
    )
    assert trace.end_ms.tolist() == [5000]
    assert report.problems == {}


def test_a_name_made_for_a_vm_created_again_is_free(tmp_path: Path) -> None:
    rows = "a#2,1,1,0,0\na,1,1,0,0\na,,,1,1\na,1,1,2,0\na,,,3,1\na,1,1,4,0\n"
    trace, report = read_trace(write(tmp_path, EVENTS + rows))
    assert trace.names == ("a#2", "a", "a#3", "a#4")
    assert report.problems[RowProblem.CREATED_AGAIN] == 2


# ---- files that are no trace at all ---------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ":1: trace: is empty"),
        (b"\n \n", "is empty"),
        (b"\x00\x01\x02", "binary"),
        (b"vmid,cpu\xff", "no text in UTF-8"),
        (HEADER, "trace: has no rows"),
        (HEADER + "a,x,1,0,1\nb\n", ":2: trace: no row can be used: cpu 'x' is no number"),
        (EVENTS + "a,1,1,0,1\n", ":2: trace: no row can be used"),
        ("0,4,16,0.0,194.0\n", "the columns are '0', '4', '16', '0.0', '194.0'"),
        ("vmid;cpu;mem;at;lt\n1;1;1;1;1\n", "needed; the columns are 'vmid;cpu;mem;at;lt'"),
        ('"vmid,cpu\n', ":1: header: is no CSV"),
        ("cpu,mem,at,lt\n", "column of vmid: is missing (names known: vmid, vm_id, id)"),
        ("vmid,mem,at,lt\n", "column of cpu: is missing"),
        ("vmid,cpu,at,lt\n", "column of memory or memory_mib: is missing"),
        ("vmid,cpu,mem,at\n", "arrival with lifetime or departure, or time with type"),
        ("vmid,cpu,mem,time\n", "arrival with lifetime or departure, or time with type"),
        ("\n\nvmid,id,cpu,mem,at,lt\n", ":3: header: column of vmid: could be 'vmid' and 'id'"),
        ("vmid,cpu,cpu,mem,at,lt\n", "column of cpu: could be 'cpu' and 'cpu'"),
        ("vmid,cpu,mem,memory_mib,at,lt\n", "memory and memory_mib: columns for both"),
        ("vmid,cpu,mem,at,lt,end\n", "lifetime and departure: columns for both"),
        ("vmid,cpu,mem,at,lt,time,type\n", "say one"),
    ],
)
def test_what_is_no_trace(content: str | bytes, words: str, tmp_path: Path) -> None:
    file = write(tmp_path, content)
    with pytest.raises(InputError, match=re.escape(words)) as error:
        read_trace(file)
    assert str(error.value).startswith(f"{file}:")
    assert "\n" not in str(error.value)


def test_there_is_a_file() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_trace(TRACES / "none.csv")


def test_a_trace_has_a_bounded_number_of_vms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_rows, "VMS_MAX", 2)
    for text in (
        HEADER + "".join(f"{i},1,1,0,1\n" for i in range(3)),
        EVENTS + "".join(f"{i},1,1,0,0\n" for i in range(3)),
    ):
        with pytest.raises(InputError, match="has more than 2 VMs"):
            read_trace(write(tmp_path, text))


def test_vcpu_times_can_be_added_up(tmp_path: Path) -> None:
    row = "{},4096,1,0,9e11\n"
    assert len(read_trace(write(tmp_path, HEADER + row.format("a")))[0]) == 1
    rows = "".join(row.format(i) for i in range(3))
    with pytest.raises(InputError, match="vCPU times: add up to"):
        read_trace(write(tmp_path, HEADER + rows))


# ---- properties ----------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(trace=traces(), sigma=st.sampled_from((None, 0.0, 1.0)), scale=st.integers(1, 10**10))
def test_what_is_written_is_read_again(
    trace: Trace, sigma: float | None, scale: int, tmp_path: Path
) -> None:
    if not len(trace):
        return
    trace = with_predictions(trace.with_starts(trace.start_ms * scale), sigma)
    found, report = read_trace(write(tmp_path, table(trace)), strict=True)
    assert found.names == trace.names
    for name in ARRAYS:
        if name != "cells":
            assert getattr(found, name).tolist() == getattr(trace, name).tolist(), name
    assert report.vms == report.rows == len(trace)
    found, _ = read_trace(write(tmp_path, event_table(trace)), strict=True)
    for name in ("vcpus", "memory_mib", "start_ms", "end_ms"):
        assert getattr(found, name).tolist() == getattr(trace, name).tolist(), name


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    data=st.binary(max_size=60),
    header=st.sampled_from(("", HEADER, EVENTS, HEADER + "a,1,1,0,1\n")),
)
def test_any_bytes_are_read_or_refused(data: bytes, header: str, tmp_path: Path) -> None:
    file = write(tmp_path, header.encode() + data)
    try:
        trace, report = read_trace(file)
    except InputError as error:
        assert error.file == str(file)
        assert "\n" not in str(error)
    else:
        assert len(trace) == report.vms > 0


# ---- the published trace -------------------------------------------------------------------------


def test_the_published_trace_is_read_whole_and_fast() -> None:
    file = shared_data("traces/huawei-east-1-part1.csv")
    started = time.process_time()
    trace, report = read_trace(file, strict=True)
    seconds = time.process_time() - started
    assert (len(trace), report.rows, report.problems) == (70000, 70000, {})
    assert (trace.names[-1], trace.start_ms[-1]) == ("69999", 1602312000)
    assert np.unique(trace.vcpus).tolist() == [1, 2, 4, 8, 12, 16, 24, 32, 48, 64]
    assert seconds < 5  # 0.3 s where it was measured
