"""Windows of traces, and the load they are brought to."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from numaplace.instances.formats.tables.trace_csv import read_trace
from numaplace.instances.windows import (
    FACTOR_MAX,
    Window,
    drop_oversized,
    peak_load,
    windows,
    with_load,
)
from numaplace.models.errors import InputError
from numaplace.models.fleet import Fleet
from numaplace.models.schedule import REJECTED, faults
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.trace import ARRAYS, NEVER_MS, Trace, make_trace
from numaplace.tests.instances.shared_data import shared_data
from numaplace.tests.random_traces import fleets, small_host, traces

FLEET = Fleet(((small_host("a", (4, 4), (4096, 4096)), 2),))


def plain(size: int, **columns: object) -> Trace:
    """VMs of 1 vCPU and 64 MiB that come every 10 ms and live 15 ms."""
    starts = 10 * np.arange(size)
    rest = {
        "vcpus": np.ones(size),
        "memory_mib": np.full(size, 64),
        "start_ms": starts,
        "end_ms": starts + 15,
    }
    return make_trace(tuple(f"vm{i}" for i in range(size)), **{**rest, **columns})


def naive_peak(trace: Trace, fleet: Fleet) -> float:
    """The same as `peak_load`, counted instant by instant."""
    cpus, mib = sum(fleet.cpu_capacity.tolist()), sum(fleet.memory_mib.tolist())
    peak = 0.0
    for instant in trace.start_ms.tolist():
        there = (trace.start_ms <= instant) & (instant < trace.end_ms)
        wanted = int(trace.vcpus[there].sum()) / cpus, int(trace.memory_mib[there].sum()) / mib
        peak = max(peak, *wanted)
    return peak


def stretched(trace: Trace, factor: float) -> Trace:
    if not len(trace):
        return trace
    first = trace.start_ms[0]
    return trace.with_starts(first + np.rint((trace.start_ms - first) * factor).astype(np.int64))


# ---- what fits no host ---------------------------------------------------------------------------


def test_vms_larger_than_any_slot_are_dropped() -> None:
    wide = small_host("wide", (8, 2), (1024, 8192))
    fleet = Fleet(((small_host("a", (4, 4), (4096, 4096)), 3), (wide, 2)))
    trace = plain(
        7,
        vcpus=[4, 8, 8, 9, 8, 10, 10],
        memory_mib=[4096, 1024, 1025, 64, 8192, 64, 4096],
        cells=[1, 1, 1, 1, 2, 2, 2],
    )
    # On "wide" two cells of 5 vCPUs have no room: its second node has two pCPUs.
    found, dropped = drop_oversized(trace, fleet)
    assert (found.names, dropped) == (("vm0", "vm1", "vm4"), 4)


def test_a_host_of_one_node_takes_no_vm_of_two_cells() -> None:
    fleet = Fleet(((small_host("a", (8,), (4096,)), 2),))
    found, dropped = drop_oversized(plain(2, vcpus=[2, 2], cells=[1, 2]), fleet)
    assert (found.names, dropped) == (("vm0",), 1)


@given(traces(), fleets())
def test_what_is_kept_fits_an_empty_slot_and_nothing_else_does(trace: Trace, fleet: Fleet) -> None:
    found, dropped = drop_oversized(trace, fleet)
    assert dropped == len(trace) - len(found)
    for index, name in enumerate(trace.names):
        alone = trace.part(slice(index, index + 1))
        span = fleet.slots(int(alone.cells[0]))
        fits = any(
            not list(faults(alone, fleet, np.array([slot])))
            for slot in range(span.start, span.stop)
            if slot != REJECTED
        )
        assert fits == (name in found.names)


# ---- load ----------------------------------------------------------------------------------------


def test_peak_of_vcpus_and_of_memory() -> None:
    trace = plain(3, vcpus=[4, 4, 2], memory_mib=[64, 8192, 64], end_ms=[10, 25, NEVER_MS])
    # 16 vCPUs and 16 GiB in all. The first VM makes room for the second.
    assert peak_load(trace, FLEET) == (8192 + 64) / 16384
    assert peak_load(trace.part(slice(0, 1)), FLEET) == 4 / 16
    assert peak_load(trace.part(slice(0, 0)), FLEET) == 0


def test_a_fleet_without_memory_is_overloaded() -> None:
    node = NumaNode(0, (PCpu(0, core=0),), 64, reserved_mib=64)
    fleet = Fleet(((Host("h", (node,)), 1),))
    assert peak_load(plain(1), fleet) == math.inf


@given(traces(most=20), fleets())
def test_the_peak_is_that_of_a_naive_count(trace: Trace, fleet: Fleet) -> None:
    assert peak_load(trace, fleet) == naive_peak(trace, fleet)


def test_no_load_leaves_the_trace_as_it_is() -> None:
    trace = plain(4)
    found, attained = with_load(trace, FLEET, None)
    assert found is trace
    assert attained == 2 / 16


def test_arrivals_are_compressed_and_stretched() -> None:
    trace = plain(16)
    found, attained = with_load(trace, FLEET, 0.5)
    # Some VM must still be there, in its last millisecond, when the seventh after it comes.
    assert attained == 8 / 16
    assert (found.start_ms[7:] - found.start_ms[:-7]).min() == 14
    assert (found.end_ms - found.start_ms).tolist() == [15] * 16
    found, attained = with_load(trace, FLEET, 1 / 16)
    assert attained == 1 / 16
    assert np.all(np.diff(found.start_ms) >= 15)


def test_a_load_that_all_vms_together_do_not_reach_gets_them_at_once() -> None:
    found, attained = with_load(plain(8), FLEET, 2.0)
    assert attained == 8 / 16
    assert found.start_ms.tolist() == [0] * 8


def test_a_load_that_is_not_got_down_to_stretches_no_more_than_helps() -> None:
    found, attained = with_load(plain(3, vcpus=[4, 4, 4]), FLEET, 0.1)
    assert attained == 4 / 16
    assert found.start_ms.tolist() == [0, 15, 30]
    # The first two arrive at one instant: nothing parts them.
    burst = plain(3, vcpus=[4, 4, 4], start_ms=[0, 0, 10], end_ms=[9, 5, 25])
    found, attained = with_load(burst, FLEET, 0.3)
    assert attained == 8 / 16
    assert found.start_ms.tolist() == [0, 0, 10]


def test_the_factor_is_bounded() -> None:
    apart = plain(3, vcpus=[4, 4, 4], end_ms=[NEVER_MS, NEVER_MS, 10**9])
    found, attained = with_load(apart, FLEET, 0.6)
    assert attained == 12 / 16
    assert found.start_ms.tolist() == [0, 10, 20]
    apart = plain(2, start_ms=[0, 1], end_ms=[FACTOR_MAX, 2])
    assert with_load(apart, FLEET, 0.05)[0].start_ms.tolist() == [0, FACTOR_MAX]
    apart = plain(2, start_ms=[0, 1], end_ms=[FACTOR_MAX + 1, 2])
    assert with_load(apart, FLEET, 0.05)[0].start_ms.tolist() == [0, 1]


def test_a_step_just_below_the_load_is_near_enough() -> None:
    fleet = Fleet(((small_host("a", (1000,), (1 << 20,)), 1),))
    starts = np.array([0, 10, 100])
    trace = plain(3, vcpus=[500, 395, 600], start_ms=starts, end_ms=starts + 15)
    # Closer and closer: 600, then the first two together, the last two, all three.
    assert with_load(trace, fleet, 0.9)[1] == 0.895
    assert with_load(trace, fleet, 0.91)[1] == 0.995
    assert with_load(trace, fleet, 1.0)[1] == 0.995
    # More than 1 % below would be too little: rather more than asked than less.
    assert with_load(trace, fleet, 1.01)[1] == 1.495
    # Of a step just below and one just above the nearer one counts.
    trace = plain(3, vcpus=[500, 395, 507], start_ms=starts, end_ms=starts + 15)
    assert with_load(trace, fleet, 0.9)[1] == 0.902
    assert with_load(trace, fleet, 0.897)[1] == 0.895


def test_times_stay_below_what_stands_for_no_end() -> None:
    starts = np.array([0, 10**14, 2 * 10**14])
    trace = plain(3, start_ms=starts, end_ms=[NEVER_MS, 10**14 + 5, 2 * 10**14 + 5])
    found, attained = with_load(trace, FLEET, 0.01)
    assert attained == 2 / 16
    assert found.end_ms[-1] < NEVER_MS
    assert (found.end_ms - found.start_ms)[1:].tolist() == [5, 5]
    assert int(found.vcpu_ms.sum()) > 0
    many = plain(2, vcpus=[4096, 4096], start_ms=starts[:2], end_ms=[NEVER_MS] * 2)
    assert all(with_load(many, FLEET, 0.01)[0].vcpu_ms > 0)


@pytest.mark.parametrize("load", [0.0, -1.0, math.nan, math.inf])
def test_a_load_is_a_number_above_0(load: float) -> None:
    with pytest.raises(InputError, match="load"):
        with_load(plain(2), FLEET, load)


def test_an_empty_trace_has_no_load() -> None:
    assert with_load(plain(0), FLEET, 0.5)[1] == 0


@settings(deadline=None)
@given(traces(most=12), fleets(), st.floats(0.05, 3), st.integers(10**5, 10**6))
def test_a_load_is_hit_where_it_can_be(trace: Trace, fleet: Fleet, load: float, scale: int) -> None:
    lives = np.where(trace.end_ms < NEVER_MS, (trace.end_ms - trace.start_ms) * scale, NEVER_MS)
    starts = trace.start_ms * scale
    trace = make_trace(
        trace.names,
        vcpus=trace.vcpus,
        memory_mib=trace.memory_mib,
        start_ms=starts,
        end_ms=np.where(lives < NEVER_MS, starts + lives, NEVER_MS),
    )
    found, attained = with_load(trace, fleet, load)
    assert attained == peak_load(found, fleet)
    assert found.names == trace.names
    for name in set(ARRAYS) - {"start_ms", "end_ms", "predicted_end_ms"}:
        assert getattr(found, name).tolist() == getattr(trace, name).tolist()
    finite = trace.end_ms < NEVER_MS
    assert ((found.end_ms - found.start_ms)[finite] == lives[finite]).all()
    assert (found.end_ms[~finite] == NEVER_MS).all()
    # Times are long, so that the rounding to milliseconds changes none of these.
    others = [peak_load(stretched(trace, f), fleet) for f in (0, *np.geomspace(1e-3, 1e3, 60))]
    enough = [other for other in others if other >= load]
    if attained < 0.99 * load:
        assert attained == max(others)
    if any(abs(other - load) <= 0.01 * load for other in others):
        assert abs(attained - load) <= 0.01 * load * (1 + 1e-9)
    if enough:
        assert 0.99 * load <= attained * (1 + 1e-9)
        assert attained <= min(enough)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from((0.3, 0.5, 0.9, 1.2)))
def test_many_small_vms_hit_a_load_within_a_hundredth(seed: int, load: float) -> None:
    rng = np.random.default_rng(seed)
    starts = np.sort(rng.integers(0, 10**6, 400))
    fleet = Fleet(((small_host("a", (160,), (1 << 20,)), 1),))
    lives = rng.integers(10**4, 10**6, 400)
    trace = plain(400, start_ms=starts, end_ms=starts + lives)
    assume(len(set(starts.tolist())) == 400)
    assert with_load(trace, fleet, load)[1] == pytest.approx(load, rel=0.01)


# ---- windows -------------------------------------------------------------------------------------


def take(trace: Trace, **changes: object) -> list[Window]:
    asked = {"size": 10, "count": 3, "load": None, "seed": 0}
    return windows(trace, FLEET, **{**asked, **changes})  # type: ignore[arg-type]


def test_windows_are_parts_of_the_trace_that_begin_at_0() -> None:
    trace = plain(100)
    found = take(trace)
    assert [window.index for window in found] == [0, 1, 2]
    assert [window.offset for window in found] == sorted({w.offset for w in found})
    for window in found:
        part = trace.part(slice(window.offset, window.offset + 10))
        assert window.trace.names == part.names
        assert window.trace.start_ms.tolist() == (part.start_ms - part.start_ms[0]).tolist()
        assert window.trace.end_ms.tolist() == (part.end_ms - part.start_ms[0]).tolist()
        assert (window.load, window.attained) == (None, 2 / 16)
    names = [name for window in found for name in window.trace.names]
    assert len(set(names)) == 30


def test_the_same_seed_draws_the_same_windows_at_any_load() -> None:
    trace = plain(1000)
    offsets = partial(map, lambda window: window.offset)
    drawn = list(offsets(take(trace, seed=5)))
    assert drawn == list(offsets(take(trace, seed=5)))
    assert drawn == list(offsets(take(trace, seed=5, load=0.5)))
    assert any(drawn != list(offsets(take(trace, seed=seed))) for seed in range(3))


def test_windows_are_brought_to_a_load() -> None:
    for window in take(plain(100), load=0.5):
        assert (window.load, window.attained) == (0.5, 0.5)
        assert window.trace.start_ms[0] == 0
        assert peak_load(window.trace, FLEET) == 0.5


def test_small_and_oversized_vms_are_left_out_first() -> None:
    trace = plain(9, vcpus=[1, 2, 9, 2, 1, 3, 4, 2, 2])
    found = take(trace, size=3, count=2, min_vcpus=2)
    assert [window.trace.names for window in found] == [
        ("vm1", "vm3", "vm5"),
        ("vm6", "vm7", "vm8"),
    ]
    assert [window.offset for window in found] == [1, 6]


def test_windows_may_begin_at_a_vm() -> None:
    trace = plain(100)
    found = take(trace, first=33, seed=7)
    assert [window.offset for window in found] == [33, 43, 53]
    for window in take(trace, load=0.5):
        (again,) = take(trace, load=0.5, first=window.offset, count=1)
        assert again.trace.names == window.trace.names
        assert again.trace.start_ms.tolist() == window.trace.start_ms.tolist()


def test_all_windows_there_are_can_be_had() -> None:
    assert [window.offset for window in take(plain(39))] == [0, 10, 20]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"count": 4}, "3 windows of 10 VMs fit a trace of 39 VMs, not 4"),
        ({"size": 40, "count": 1}, "0 windows of 40 VMs fit a trace of 39 VMs, not 1"),
        ({"first": 11}, "2 windows of 10 VMs fit a trace of 28 VMs, not 3"),
        ({"min_vcpus": 2}, "0 windows of 10 VMs fit a trace of 0 VMs"),
        ({"size": 0}, "size: 0 is below 1"),
        ({"count": 0}, "count: 0 is below 1"),
        ({"first": -1}, "first: is negative"),
    ],
)
def test_a_trace_too_short_says_how_many_windows_there_can_be(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        take(plain(39), **changes)


def test_windows_of_the_published_trace() -> None:
    trace, _ = read_trace(shared_data("traces/huawei-east-1-part1.csv"))
    fleet = Fleet(((small_host("a", (40, 40), (90 * 1024, 90 * 1024)), 5),))
    found = windows(trace, fleet, size=1000, count=5, load=0.9, seed=0)
    for window in found:
        assert len(window.trace) == 1000
        assert window.attained >= 0.9 * 0.99
        assert window.attained == naive_peak(window.trace, fleet)
