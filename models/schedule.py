"""Which slot each VM of a trace gets: validity, worth, and the same as an instance with a plan.

`faults` is the specification of what a schedule must obey; it knows no policy and no solver.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import numpy as np

from numaplace.models.fleet import Fleet
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.trace import NEVER_MS, NO_NODE, Bools, Ints, Trace
from numaplace.models.vm import Cell, GuestNuma, MemoryMode, Vm

REJECTED = -1  # slot of a VM that is not placed


class Goal(StrEnum):
    """What a schedule is measured by.

    ``value``: vCPU time of the VMs placed, in vCPU milliseconds. ``count``: VMs placed.
    ``prefix``: VMs placed before the first one, in order of arrival, that is not.
    """

    VALUE = "value"
    COUNT = "count"
    PREFIX = "prefix"


def worth(trace: Trace, slots: Ints, goal: Goal) -> int:
    """Return what a schedule reaches; `slots` has a slot, or `REJECTED`, for each VM."""
    placed = slots != REJECTED
    if goal is Goal.VALUE:
        return int(trace.vcpu_ms[placed].sum())
    if goal is Goal.COUNT:
        return int(placed.sum())
    return len(trace) if placed.all() else int(np.argmin(placed))


def faults(trace: Trace, fleet: Fleet, slots: Ints) -> Iterator[str]:
    """Yield, in words, every way in which a schedule breaks a rule.

    A VM of two cells takes two places of one host, each VM keeps its slot from start to end, and
    at every instant no place holds more vCPUs or memory than it has.
    """
    if slots.shape != (len(trace),):
        yield f"{slots.shape} slots for {len(trace)} VMs"
        return
    for index in np.flatnonzero(slots != REJECTED).tolist():
        span = fleet.slots(int(trace.cells[index]))
        if not span.start <= slots[index] < span.stop:
            yield f"VM {trace.names[index]!r} is cut in {trace.cells[index]}: slot {slots[index]}"
            return
    for what, parts, capacity in (
        ("vCPUs", trace.vcpu_parts, fleet.cpu_capacity),
        ("MiB", trace.memory_parts_mib, fleet.memory_mib),
    ):
        for place, at_ms, used in _overfull(trace, fleet, slots, parts, capacity):
            host = fleet.host_name(int(fleet.place_host[place]))
            held = f"holds {used} of {capacity[place]} {what} at {at_ms} ms"
            yield f"{host}/{fleet.node_id[place]} {held}"


def _overfull(
    trace: Trace, fleet: Fleet, slots: Ints, parts: tuple[Ints, Ints], capacity: Ints
) -> Iterator[tuple[int, int, int]]:
    """Places, with time and amount, that hold more than they can; the first time of each."""
    placed: Bools = slots != REJECTED
    start, end, two = trace.start_ms[placed], trace.end_ms[placed], trace.cells[placed] == 2
    first, second = parts[0][placed], parts[1][placed]
    at = slots[placed]
    place = np.concatenate([fleet.first[at], fleet.second[at][two]])
    amount = np.concatenate([first, second[two]])
    begins, ends = np.concatenate([start, start[two]]), np.concatenate([end, end[two]])
    where = np.concatenate([place, place])
    when = np.concatenate([begins, ends])
    change = np.concatenate([amount, -amount])
    # At equal times what ends makes room for what starts.
    order = np.lexsort((change, when, where))
    where, when, change = where[order], when[order], change[order]
    running = np.cumsum(change)
    lows = np.flatnonzero(np.diff(where, prepend=-1)).tolist()
    for low, high in zip(lows, [*lows[1:], len(where)], strict=False):
        used = running[low:high] - (running[low - 1] if low else 0)
        over = used > capacity[where[low]]
        if over.any():
            worst = int(np.argmax(over))
            yield int(where[low]), int(when[low + worst]), int(used[worst])


def as_plan(trace: Trace, fleet: Fleet, slots: Ints) -> tuple[Instance, Plan]:
    """Return the same as an instance whose VMs have start and end, and a plan for it.

    Times become milliseconds in place of seconds. Meant for windows, not for whole traces.
    """
    vms: list[Vm] = []
    placements: dict[str, Placement] = {}
    hosts = fleet.hosts()
    known = {int(node) for node in fleet.node_id}
    for index, name in enumerate(trace.names):
        parts = [
            (int(trace.vcpu_parts[k][index]), int(trace.memory_parts_mib[k][index]))
            for k in range(int(trace.cells[index]))
        ]
        soft, end = int(trace.soft_node[index]), int(trace.end_ms[index])
        vms.append(
            Vm(
                name,
                vcpus=int(trace.vcpus[index]),
                memory_mib=int(trace.memory_mib[index]),
                utilisation=float(trace.utilisation[index]),
                memory_intensity=float(trace.memory_intensity[index]),
                memory_mode=MemoryMode.STRICT,
                # Cells it does not see: no access is local by the guest's own doing.
                guest_numa=GuestNuma.NONE if len(parts) == 1 else GuestNuma.EXPLICIT,
                cells=() if len(parts) == 1 else tuple(Cell(*part) for part in parts),
                guest_locality=0.0,
                max_cells=1 if len(parts) == 1 else None,
                soft_nodes=None if soft == NO_NODE or soft not in known else frozenset({soft}),
                soft_weight=float(trace.soft_weight[index]),
                start=int(trace.start_ms[index]),
                end=None if end >= NEVER_MS else end,
            )
        )
        slot = int(slots[index])
        if slot == REJECTED:
            continue
        places = [int(fleet.first[slot]), int(fleet.second[slot])][: len(parts)]
        placements[name] = Placement(
            hosts[fleet.host_of(slot)].name,
            tuple(
                PlacedCell(int(fleet.node_id[place]), vcpus, ((int(fleet.node_id[place]), mib),))
                for place, (vcpus, mib) in zip(places, parts, strict=True)
            ),
        )
    return Instance(hosts, tuple(vms)), Plan(placements)
