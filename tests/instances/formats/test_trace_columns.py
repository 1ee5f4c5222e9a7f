"""TraceColumns of traces: by their names, or as an option says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from numaplace.instances.formats.tables.trace_csv import parse_columns, read_trace
from numaplace.models.errors import InputError
from numaplace.tests.instances.formats.trace_files import TRACES, write


def test_an_option_chooses_where_there_are_several(tmp_path: Path) -> None:
    header = "vmid,id,cpu,mem,memory_mib,at,lt,end,time,type\n"
    file = write(tmp_path, header + "a,x,1,2,512,0,5,7,3,0\n")
    option = "vmid=id,memory=mem,departure=end,arrival=at"
    trace, report = read_trace(file, columns=parse_columns(option), strict=True)
    assert (trace.names, trace.memory_mib.tolist(), trace.end_ms.tolist()) == (
        ("x",),
        [2048],
        [7000],
    )
    assert report.ignored == ("vmid", "memory_mib", "lt", "time", "type")
    option = "vmid=vmid,memory_mib=memory_mib,type=type"
    trace, report = read_trace(file, columns=parse_columns(option), strict=True)
    assert (trace.names, trace.start_ms.tolist()) == (("a",), [3000])
    assert report.ignored == ("id", "mem", "at", "lt", "end")


def test_a_column_stated_is_not_guessed_for_another_field(tmp_path: Path) -> None:
    file = write(tmp_path, "vmid,cpu,mem,time,lt\na,1,1,3,4\n")
    trace, _ = read_trace(file, columns={"arrival": "time"}, strict=True)
    assert (trace.start_ms.tolist(), trace.end_ms.tolist()) == ([3000], [7000])
    file = write(tmp_path, "vmid,id,mem,at,lt\na,3,1,3,4\n")
    trace, _ = read_trace(file, columns={"cpu": "id"}, strict=True)
    assert (trace.names, trace.vcpus.tolist()) == (("a",), [3])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("memory", "must be FIELD=NAME"),
        ("memory=", "must be FIELD=NAME"),
        ("=ram", "must be FIELD=NAME"),
        ("memory=a,memory=b", "'memory' occurs twice"),
        ("disk=d", "'disk' is no field (they are vmid, cpu"),
    ],
)
def test_what_is_no_map_of_columns(text: str, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        parse_columns(text)


def test_maps_of_columns() -> None:
    assert parse_columns("") == {}
    assert parse_columns(" memory = a=b ,, cpu=n") == {"memory": "a=b", "cpu": "n"}


def test_columns_stated_must_be_there() -> None:
    with pytest.raises(InputError, match="column of memory: there is no column 'ram'"):
        read_trace(TRACES / "lifetimes.csv", columns={"memory": "ram"})
    with pytest.raises(InputError, match="'disk' is no field"):
        read_trace(TRACES / "lifetimes.csv", columns={"disk": "mem"})
