"""Dedicated vCPUs onto pCPUs: turn the counts a solver chose into pCPU ids.

On each core group, whole-core cells and single-thread cells use disjoint cores over all time, so
each kind is an interval colouring: taking cells in order of their start, a free unit always
exists as long as the counts fit at every instant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numaplace.models.cores import CoreGroup
from numaplace.models.instance import Instance
from numaplace.models.smt import crowding_milli
from numaplace.models.topology import Host
from numaplace.models.vm import ThreadPolicy, Vm

ALWAYS_BEFORE = -(1 << 60)
ALWAYS_AFTER = 1 << 60


@dataclass(frozen=True, slots=True)
class PinRequest:
    """Cores or threads that one dedicated cell takes of one core group of its node."""

    key: object  # the caller's
    vm: Vm
    amount: int  # of cores for a VM that takes whole ones, of threads otherwise


class PinError(RuntimeError):
    """The counts do not fit the core group."""


def pin_group(
    instance: Instance, host: Host, group: CoreGroup, requests: list[PinRequest]
) -> dict[object, list[list[int]]]:
    """Give each request pCPUs of `group`, by its key: a list of pCPU ids for each core or thread.

    Single threads share no more cores than they must, and those share that suffer least.
    `PinError` is raised if at some instant more is asked for than the group has.
    """
    whole = [r for r in requests if r.vm.thread_policy is not ThreadPolicy.PREFER]
    single = [r for r in requests if r.vm.thread_policy is ThreadPolicy.PREFER]
    num_whole = _peak(instance, whole)
    cores = [list(core) for core in group.cores]
    # Whole cores come from the end.
    split = len(cores) - num_whole
    if split < 0:
        raise PinError(f"{num_whole} whole cores wanted, {len(cores)} are there")
    single.sort(key=lambda request: crowding_milli(request.vm, host.smt_yield))
    full, alone = _threads(cores[:split], _peak(instance, single))
    wanted = _wanted(instance, host, single, len(alone))
    return {**_colour(whole, cores[split:]), **_colour(single, full, alone, wanted)}


def _threads(cores: list[list[int]], most: int) -> tuple[list[list[int]], list[list[int]]]:
    """Threads for at most so many at once: all of full cores, and the first of each other core."""
    extra = max(0, most - len(cores))
    full = 0
    while full < len(cores) and extra > 0:
        extra -= len(cores[full]) - 1
        full += 1
    return [[t] for core in cores[:full] for t in core], [[core[0]] for core in cores[full:]]


def _wanted(
    instance: Instance, host: Host, single: list[PinRequest], cores: int
) -> dict[object, int]:
    """Threads alone on a core that each request should have: who suffers most has them first.

    `single` is in order of what they suffer; those that suffer least should have none.
    """
    crowdings = [crowding_milli(request.vm, host.smt_yield) for request in single]
    used = [0] * len(instance.instants)
    wanted: dict[object, int] = {}
    for request, crowding in zip(reversed(single), reversed(crowdings), strict=True):
        if crowding > crowdings[0]:
            rows = [i for i, alive in enumerate(instance.instants) if request.vm.name in alive]
            amount = min(request.amount, cores - max(used[i] for i in rows))
            wanted[request.key] = amount
            for i in rows:
                used[i] += amount
    return wanted


def _peak(instance: Instance, requests: list[PinRequest]) -> int:
    return max(sum(r.amount for r in requests if r.vm.name in alive) for alive in instance.instants)


def _colour(
    requests: list[PinRequest],
    units: list[list[int]],
    others: Sequence[list[int]] = (),
    wanted: Mapping[object, int] | None = None,
) -> dict[object, list[list[int]]]:
    """Interval colouring, first come first served by start time; `wanted` of `others` first."""
    split, units = len(units), [*units, *others]
    free_at = [ALWAYS_BEFORE] * len(units)
    given: dict[object, list[list[int]]] = defaultdict(list)
    for request in sorted(requests, key=_start):
        free = [u for u, end in enumerate(free_at) if end <= _start(request)]
        first = [u for u in free if u >= split][: (wanted or {}).get(request.key, 0)]
        chosen = [*first, *(u for u in free if u not in first)][: request.amount]
        if len(chosen) < request.amount:
            raise PinError(f"{request.amount} units wanted, {len(chosen)} are free")
        end = ALWAYS_AFTER if request.vm.end is None else request.vm.end
        for unit in chosen:
            free_at[unit] = end
            given[request.key].append(units[unit])
    return dict(given)


def _start(request: PinRequest) -> int:
    return ALWAYS_BEFORE if request.vm.start is None else request.vm.start
