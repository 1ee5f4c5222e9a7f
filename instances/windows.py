"""Parts of a trace to compare policies on: windows of it, brought to a load."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from numaplace.models.errors import InputError, check_int, check_real
from numaplace.models.fleet import Fleet
from numaplace.models.trace import NEVER_MS, Bools, Ints, Trace

FACTOR_MAX = 1e6
LOAD_MAX = 1e6

_STEPS = 40
_NEAR = 0.01
_VCPU_MS_MAX = 1 << 62


@dataclass(frozen=True, slots=True)
class Window:
    """Some VMs of a trace that follow one another."""

    index: int  # number of the window
    offset: int  # index of its first VM in the trace that it was taken from
    load: float | None  # peak load that was asked for, if any
    attained: float  # the one it has
    trace: Trace  # its VMs; the first arrives at 0


def drop_oversized(trace: Trace, fleet: Fleet) -> tuple[Trace, int]:
    """Return the VMs that fit some empty slot of their number of cells, and how many do not."""
    fits = _fits(trace, fleet)
    return trace.part(fits), int(len(trace) - fits.sum())


def peak_load(trace: Trace, fleet: Fleet) -> float:
    """Return the largest share of the fleet's vCPUs or memory that is wanted at any time.

    All VMs count, whether or not a policy would find room for them.
    """
    order = np.argsort(trace.end_ms, kind="stable")
    ended = np.searchsorted(trace.end_ms[order], trace.start_ms, side="right")
    peak = 0.0
    for sizes, capacity in (
        (trace.vcpus, int(fleet.cpu_capacity.sum())),
        (trace.memory_mib, int(fleet.memory_mib.sum())),
    ):
        # The most is wanted just after a start; what has ended by then has left.
        left = np.concatenate([[0], np.cumsum(sizes[order])])
        most = int((np.cumsum(sizes) - left[ended]).max(initial=0))
        if most:
            peak = max(peak, most / capacity if capacity else math.inf)
    return peak


def with_load(trace: Trace, fleet: Fleet, load: float | None) -> tuple[Trace, float]:
    """Stretch or compress the times between arrivals until the peak load is as asked.

    Lives stay as they are, so that the peak load falls by steps as the factor grows, and never
    rises (but for what the rounding to milliseconds does). The factor is the largest one whose peak
    load is at least `load`; or the least with a lower one, if that is nearer and within 1 %. Where
    no factor gets below the load (VMs that arrive at one instant stay together), it is the least
    from 1 on whose peak load is as low as it gets.

    Parameters
    ----------
    trace, fleet
        What wants room, and where.
    load
        The peak load wanted, None to leave the trace as it is.

    Returns
    -------
    tuple
        The trace, and its peak load. That is less than `load` by more than 1 % only if all VMs
        together want less; then all arrive at once. It is more by more than 1 % if a step or the
        largest factor, at most `FACTOR_MAX`, stands in the way.

    Raises
    ------
    InputError
        If the load is no number above 0.
    """
    if load is None:
        return trace, peak_load(trace, fleet)
    check_real("window", "load", load, math.ulp(0.0), LOAD_MAX)

    def at(factor: float) -> tuple[Trace, float]:
        moved = _stretched(trace, factor)
        return moved, peak_load(moved, fleet)

    low, high = (1.0, _factor_max(trace)) if at(1.0)[1] >= load else (0.0, 1.0)
    reached, below = at(low), at(high)
    # What cannot be got below the load is brought to its least.
    limit = load if below[1] < load else math.nextafter(below[1], math.inf)
    if reached[1] < limit:
        return reached
    for _ in range(_STEPS):
        middle = math.sqrt(low * high) if low >= 1 else (low + high) / 2
        found = at(middle)
        if found[1] >= limit:
            low, reached = middle, found
        else:
            high, below = middle, found
    short = load - below[1]
    return below if short <= min(_NEAR * load, reached[1] - load) else reached


def windows(
    trace: Trace,
    fleet: Fleet,
    *,
    size: int,
    count: int,
    load: float | None,
    seed: int,
    first: int | None = None,
    min_vcpus: int = 0,
) -> list[Window]:
    """Return windows of a trace that do not overlap, in order.

    Parameters
    ----------
    trace, fleet
        VMs and hosts; VMs that are larger than any slot are left out.
    size, count
        VMs of a window, and windows.
    load
        As for `with_load`.
    seed
        Seed of the places of the windows, which are drawn; the same whatever the load.
    first
        Index of the VM the first window begins with; the others follow without a gap, and nothing
        is drawn.
    min_vcpus
        VMs with fewer vCPUs are left out.

    Raises
    ------
    InputError
        If the trace is too short for them.
    """
    for name, value in (("size", size), ("count", count)):
        check_int("windows", name, value, 1, NEVER_MS)
    kept = np.flatnonzero((trace.vcpus >= min_vcpus) & _fits(trace, fleet))
    if first is not None:
        check_int("windows", "first", first, 0, len(trace))
        kept = kept[kept >= first]
    most = len(kept) // size
    if count > most:
        reason = f"{most} windows of {size} VMs fit a trace of {len(kept)} VMs, not {count}"
        raise InputError("windows", "count", reason)
    if first is None:
        numbers = np.sort(np.random.default_rng(seed).choice(most, count, replace=False))
    else:
        numbers = np.arange(count)
    found: list[Window] = []
    for index, number in enumerate(numbers.tolist()):
        chosen = kept[number * size : (number + 1) * size]
        part = trace.part(chosen)
        part = part.with_starts(part.start_ms - part.start_ms[0])
        part, attained = with_load(part, fleet, load)
        found.append(Window(index, int(chosen[0]), load, attained, part))
    return found


def _fits(trace: Trace, fleet: Fleet) -> Bools:
    """Whether each VM fits some empty slot of its number of cells."""
    # The slots of a shape's first host stand for those of all its copies.
    hosts = np.unique(fleet.host_shape, return_index=True)[1]
    stands = np.isin(fleet.place_host[fleet.first], hosts)
    fits: Bools = np.zeros(len(trace), np.bool_)
    for cells in (1, 2):
        slots = np.arange(fleet.num_slots)[fleet.slots(cells)]
        slots = slots[stands[slots]]
        places = [fleet.first[slots]] if cells == 1 else [fleet.first[slots], fleet.second[slots]]
        rooms = [room[place] for place in places for room in (fleet.cpu_capacity, fleet.memory_mib)]
        wants = [
            part[k] for k in range(cells) for part in (trace.vcpu_parts, trace.memory_parts_mib)
        ]
        for room in set(zip(*(column.tolist() for column in rooms), strict=True)):
            enough = trace.cells == cells
            for want, most in zip(wants, room, strict=True):
                enough = enough & (want <= most)
            fits |= enough
    return fits


def _stretched(trace: Trace, factor: float) -> Trace:
    if not len(trace):
        return trace
    origin = trace.start_ms[0]
    moved: Ints = origin + np.rint((trace.start_ms - origin) * factor).astype(np.int64)
    return trace.with_starts(moved)


def _factor_max(trace: Trace) -> float:
    """Largest factor at which times and vCPU times can still be counted."""
    if not len(trace):
        return FACTOR_MAX
    finite = trace.end_ms < NEVER_MS
    life = int((trace.end_ms - trace.start_ms)[finite].max(initial=0))
    origin, last = int(trace.start_ms[0]), int(trace.start_ms[-1])
    # A VM without end counts until the last event.
    latest = min(NEVER_MS - 1, _VCPU_MS_MAX // int(trace.vcpus.sum()))
    return max(1.0, min(FACTOR_MAX, (latest - origin - life) / max(last - origin, 1)))
