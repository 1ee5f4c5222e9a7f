"""Simulations as plain values: every counter is there, as it was counted."""

import csv
import io
import json

import pytest

from numaplace.report.tables.simulation_summary import host_summaries, repeats
from numaplace.report.tables.simulations import OUTCOME, SIMULATION
from numaplace.report.tables.talk import POINT, TALK, point_table
from numaplace.solver.simulator.from_plan import SimulatedAffinity
from numaplace.solver.simulator.ranks import spearman
from numaplace.solver.simulator.runs import Repeated, RunOptions
from numaplace.solver.simulator.scenario import Dom0
from numaplace.tests.report.simulation_samples import (
    SPREAD,
    S,
    experiment,
    instance,
    outcome,
    repeated,
)


def test_an_outcome_has_all_its_counters() -> None:
    found = OUTCOME.plain((outcome(14.0, 9.0), [3, 7]))
    assert found["time_us"] == 10 * S and found["throughput_vcpus"] == pytest.approx(2.3)
    assert found["steals"] == [
        {"relative_distance": 1.0, "count": 30},
        {"relative_distance": 2.0, "count": 10},
    ]
    assert (found["migrations"], found["switches"], found["events"]) == (5, 700, 9000)
    web = found["vms"][0]
    assert web["node_us"] == {"3": 10 * S, "7": 5 * S}
    assert (web["run_us"], web["wait_us"], web["moves"]) == (15 * S, 5 * S, 40)
    assert (web["wait_share"], web["throughput_vcpus"]) == (0.25, 1.4)


def test_a_simulation_has_means_and_every_run() -> None:
    options = RunOptions(
        SimulatedAffinity.SOFT,
        {"db": SimulatedAffinity.BOTH},
        time_s=10,
        seed=4,
        repetitions=2,
        dom0=Dom0(4, 0.5, 10.0),
    )
    found = SIMULATION.plain((instance(), repeated(), options))
    assert found["affinity"] == {"web": "soft", "db": "both"}
    assert found["dom0"] == {"vcpus": 4, "pcpus": 0.5, "busy_ms": 10.0}
    assert found["throughput_vcpus"] == {
        "mean": pytest.approx(2.4),
        "deviation": pytest.approx(0.2 / 2**0.5),
        "count": 2,
    }
    assert found["lost_vcpus"]["mean"] == pytest.approx(0.6)
    assert found["predicted_loss_vcpus"] == pytest.approx(0.45)
    assert found["predicted_loss_micro_by_term"] == {"cpu_contention": 450_000}
    assert [run["seed"] for run in found["runs"]] == [4, 5]
    works = [run["hosts"]["host"]["vms"][0]["work_us"] for run in found["runs"]]
    assert works == [14 * S, 16 * S]
    assert json.loads(json.dumps(found)) == found


def test_what_was_stopped_has_no_loss() -> None:
    """A run cut short is told as such; nothing at all is no error."""
    cut = SIMULATION.plain((instance(), repeated(complete=False), RunOptions(repetitions=2)))
    assert (cut["complete"], cut["repetitions_done"], cut["lost_vcpus"]) == (False, 0, None)
    assert len(cut["runs"]) == 1
    none = SIMULATION.plain((instance(), Repeated((), 1), RunOptions()))
    assert (none["runs"], none["throughput_vcpus"], none["predicted_loss_vcpus"]) == (
        [],
        None,
        None,
    )


def test_talk_has_points_and_raw_runs() -> None:
    found = TALK.plain(experiment())
    assert len(found["points"]) == 6 and len(found["runs"]) == 18
    pinned = next(
        point
        for point in found["points"]
        if (point["configuration"], point["vms"]) == ("auto-pinning", 10)
    )
    assert pinned["bops"] == pytest.approx([12_500, 11_500, 13_500])  # dom0's work is none of it
    assert pinned["bops_deviation"] == pytest.approx(1000)
    assert pinned["gain_over_all_cpus"] == pytest.approx(0.25)
    assert [p["calibrated"] for p in found["points"] if p["vms"] == 2] == [True, True, False]
    assert not any(p["calibrated"] for p in found["points"] if p["vms"] == 10)
    last = found["runs"][-1]
    assert (last["vms"], last["repetition"], last["seed"]) == (10, 2, 7)
    assert len(last["outcome"]["vms"]) == 11
    assert pinned["bops_uncertainty"] == pytest.approx((1000**2 + (SPREAD * 12_500) ** 2) ** 0.5)
    rows = found["published_a_vm"]
    assert len(rows) == 24 and rows[2]["value"] == 49591.06 and rows[2]["calibrated"]
    assert {row["vms"] for row in rows} == {2, 6}
    assert json.loads(json.dumps(found)) == found


def test_talk_csv_has_a_row_a_point() -> None:
    rows = list(csv.DictReader(io.StringIO(point_table(experiment(missing=17)).csv())))
    assert [tuple(row) for row in rows] == [tuple(one.name for one in POINT if one.name[0] != "-")]
    assert rows[0]["bops_mean"] == "2000.0" and rows[0]["gain_over_all_cpus"] == "0.0"


# ---- summaries ----------------------------------------------------------------------------------


def test_summaries_are_means_over_repetitions() -> None:
    (host,) = host_summaries(instance(), repeated())
    web, db = host.vms
    assert (web.throughput.mean, web.wanted, db.wanted) == (pytest.approx(1.5), 2.0, 1.0)
    assert (web.remote, web.waited, web.moves) == (0.25, 0.25, 4.0)
    assert host.steals == {1.0: 3.0, 2.0: 1.0}
    assert (host.migrations, host.switches) == (0.5, 70.0)
    assert host.all.moves == pytest.approx(5.0) and host.all.vcpus == 4
    assert host.all.remote == pytest.approx(0.25 * 15 / 25)
    assert host_summaries(instance(), Repeated((), 3)) == []


def test_spread_is_of_a_sample() -> None:
    assert (repeats([3.0]).deviation, repeats([1.0, 3.0]).deviation) == (0.0, pytest.approx(2**0.5))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3, 4], [10, 100, 1000, 10_000], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        # By hand: ranks 1.5 1.5 3 and 1 2 3, covariance 1.5, variances 1.5 and 2.
        ([5, 5, 9], [1, 2, 3], 1.5 / 3**0.5),
        ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 0.8),
        ([1], [1], None),
        ([1, 1], [1, 2], None),
        ([], [], None),
    ],
)
def test_spearman(first: list[float], second: list[float], expected: float | None) -> None:
    found = spearman(first, second)
    assert found == (None if expected is None else pytest.approx(expected))
