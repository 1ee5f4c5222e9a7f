"""Replays and comparisons as JSON and CSV: all digits, all counters, and nothing JSON lacks."""

import csv
import io
import json

import pytest

from numaplace.models.schedule import Goal
from numaplace.models.trace import Trace, make_trace
from numaplace.report.tables.columns import Plain, Record
from numaplace.report.tables.online_summary import replay_summary
from numaplace.report.tables.policies import AGAINST, REPLAYED, WINDOW, window_table
from numaplace.solver.compare.policies import Comparison
from numaplace.solver.placing.replay import Replay, Sample, replay
from numaplace.solver.placing.rules import RULES
from numaplace.tests.report.online_samples import (
    HOUR_MS,
    comparison,
    fleet,
    random_comparison,
    replays,
    stopped,
    trace,
)

FIELDS = tuple(column.name for column in WINDOW)


def replay_plain(name: str, found: Replay, vms: Trace) -> Plain:
    return REPLAYED.plain((replay_summary(name, found, vms), found))


def _through_json(value: object) -> object:
    return json.loads(json.dumps(value, allow_nan=False))


def test_plain_comparison() -> None:
    plain = AGAINST.plain(comparison(missing=2, reused=4))
    assert _through_json(plain) == plain
    assert (plain["jobs_missing"], plain["jobs_reused"]) == (2, 4)
    assert len(plain["rows"]) == 6 and len(plain["optima"]) == 5
    first = plain["rows"][0]
    assert first["value_vcpu_hours"] == 900 and first["value_vcpu_ms"] == 900 * HOUR_MS
    assert (first["value_gap"], first["count_gap"], first["prefix_gap"]) == (0.1, None, 0.5)
    assert plain["optima"][1]["bound_vcpu_hours"] == 2000 and not plain["optima"][1]["proven"]
    assert "bound_vcpu_hours" not in plain["optima"][4]


def test_plain_summary() -> None:
    (load,) = AGAINST.plain(comparison())["summary"]
    assert load["optima"]["value"] == {"windows": 3, "proven": 2, "proven_share": 2 / 3}
    assert set(load["optima"]) == {"value", "prefix"}
    best, other = load["policies"]
    assert (best["policy"], best["windows_best"]["value"]) == ("greedy_life", 2)
    assert best["gap"]["value"] == pytest.approx(
        {"median": 0.005, "mean": 0.005, "p90": 0.009, "max": 0.01}
    )
    assert other["gap"]["count"] is None and other["value_vcpu_hours"] == 3800


def test_csv_reads_back() -> None:
    found = random_comparison()
    rows = list(csv.DictReader(io.StringIO(window_table(found).csv())))
    assert len(rows) == len(found.rows)
    for read, known in zip(rows, found.rows, strict=True):
        assert (read["case"], read["policy"]) == (known.case, known.policy)
        assert float(read["load"]) == known.load
        assert int(read["value_vcpu_ms"]) == known.reached[Goal.VALUE]
        assert float(read["prefix_gap"]) == known.gaps[Goal.PREFIX]
        assert int(read["rejected_fragmented"]) == known.fragmented


def test_csv_has_one_header_whatever_is_known() -> None:
    """What is not known is an empty cell; without rows there is the header alone."""
    header, first, *_ = window_table(comparison()).csv().splitlines()
    assert header.split(",") == list(FIELDS) == list(Record(WINDOW).plain(comparison().rows[0]))
    assert first.split(",")[FIELDS.index("count_gap")] == ""
    assert window_table(Comparison((), ())).csv() == header + "\n"


def test_plain_of_nothing() -> None:
    plain = AGAINST.plain(Comparison((), (), missing=9))
    assert plain["rows"] == plain["optima"] == plain["summary"] == []
    assert plain["jobs_missing"] == 9


def test_plain_replay() -> None:
    """Counters add up, samples are columns of one length, and JSON takes all of it."""
    found = replays()["greedy_life"]
    plain = replay_plain("greedy_life", found, trace())
    assert _through_json(plain) == plain
    rejected = plain["rejected_full"] + plain["rejected_fragmented"]
    assert plain["accepted"] + rejected == plain["seen"] == len(trace())
    assert plain["value_vcpu_hours"] == plain["value_vcpu_ms"] / HOUR_MS
    for term, micro in plain["peak_loss_micro"].items():
        assert plain["peak_loss_vcpus"][term] == micro / 1_000_000
        assert max(plain["samples"][f"{term}_micro"]) == micro
    samples = plain["samples"]
    assert {len(column) for column in samples.values()} == {len(found.samples)}
    assert len(samples) == len(Sample.__dataclass_fields__) + 2
    last = found.samples[-1]
    assert samples["node_cpu_p90"][-1] == last.node_cpu[2]
    assert samples["time_ms"][-1] == last.time_ms and samples["accepted"][-1] == plain["accepted"]


def test_plain_replay_of_nothing() -> None:
    """Stopped at once, or with no VMs at all: what is not known is null."""
    empty = make_trace((), vcpus=[], memory_mib=[], start_ms=[])
    for plain in (
        replay_plain("xen", stopped("xen", 0), trace()),
        replay_plain("xen", replay(empty, fleet(), RULES["xen"]), empty),
    ):
        assert _through_json(plain) == plain
        assert plain["seen"] == plain["accepted"] == 0
        assert plain["p50_us"] is plain["mean_cpu"] is plain["decisions_per_s"] is None
        assert all(column == [] for column in plain["samples"].values())
