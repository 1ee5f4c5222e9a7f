"""Small traces and fleets, and their optimum by exhaustive search over `models.schedule`."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from numaplace.models.fleet import Fleet
from numaplace.models.schedule import REJECTED, Goal, faults, worth
from numaplace.models.trace import NEVER_MS, Ints, Trace, make_trace
from numaplace.tests.builders import make_host

UNIT_MIB = 512


def fleet_of(*shapes: tuple[int, int, int, int]) -> Fleet:
    """Fleet of (hosts, nodes, vCPUs a node, units of memory a node)."""
    return Fleet(
        tuple(
            (make_host(f"h{k}", nodes, cores=cpus, memory_mib=units * UNIT_MIB), hosts)
            for k, (hosts, nodes, cpus, units) in enumerate(shapes)
        )
    )


def trace_of(*vms: tuple[int, int, int, int, int]) -> Trace:
    """Trace of (vCPUs, units of memory, cells, start, end)."""
    rows = sorted(vms, key=lambda vm: vm[3])
    vcpus, units, cells, start, end = (list(column) for column in zip(*rows, strict=True))
    memory = [UNIT_MIB * number for number in units]
    return make_trace(
        tuple(f"v{k}" for k in range(len(rows))),
        vcpus=vcpus,
        memory_mib=memory,
        cells=cells,
        start_ms=start,
        end_ms=end,
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[Trace, Fleet]:
    """Up to six VMs on up to four nodes: identical and mixed hosts, one and two cells."""
    shapes = []
    for _ in range(draw(st.integers(1, 2))):
        nodes = draw(st.integers(1, 3))
        hosts = draw(st.integers(1, 2)) if nodes == 1 else 1
        shapes.append((hosts, nodes, draw(st.integers(2, 6)), draw(st.integers(2, 6))))
    fleet = fleet_of(*shapes)
    vms = []
    for _ in range(draw(st.integers(1, 6))):
        cells = draw(st.integers(1, 2))
        start = draw(st.integers(0, 6))
        end = draw(st.one_of(st.just(NEVER_MS), st.integers(start + 1, 9)))
        size = draw(st.integers(cells, 5)), draw(st.integers(1, 5))
        vms.append((*size, cells, start, end))
    return trace_of(*vms), fleet


def brute_force(trace: Trace, fleet: Fleet, goal: Goal) -> int:
    """The optimum, by trying every slot of every VM; parts that cannot win are left out."""
    best = 0
    slots: Ints = np.full(len(trace), REJECTED)
    value = trace.vcpu_ms if goal is Goal.VALUE else np.ones(len(trace), np.int64)

    def extend(index: int) -> None:
        nonlocal best
        best = max(best, worth(trace, slots, goal))
        rest = value[index:].sum() + value[:index][slots[:index] != REJECTED].sum()
        if index == len(trace) or rest <= best:
            return
        span = fleet.slots(int(trace.cells[index]))
        for slot in range(span.start, span.stop):
            slots[index] = slot
            if next(faults(trace, fleet, slots), None) is None:
                extend(index + 1)
        slots[index] = REJECTED
        if goal is not Goal.PREFIX:
            extend(index + 1)

    extend(0)
    return best
