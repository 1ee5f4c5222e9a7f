"""Threads that share a core: what they yield together and what each loses; cost and simulator.

A thread that waits for memory leaves its core to its sibling. Of a unit of work that takes a time
1 alone, a share 1 - mu computes and takes ``2 / y0`` beside an equal sibling, y0 the yield of
programs that only compute; the share mu waits and takes as long as ever. So two threads yield

    y = 2 / ((1 - mu) 2 / y0 + mu),

1.25 at mu = 0 and 1.57 at 0.55, where the pinned rows of sysbench cpu and memory imply 1.41 and
1.47 (Xen commit ebce2d836c, docs/simulator.md). What threads take from one another in caches is
not in it: a VM that knows better states its own yield.
"""

from __future__ import annotations

from numaplace.models.units import MILLI
from numaplace.models.vm import CpuPolicy, Vm

CROWDING_STEP_MILLI = 50
"""Crowding counts in twentieths, so that VMs are alike in a few ways and prices are whole."""


def smt_yield(vm: Vm, computing: float) -> float:
    """Throughput of a core with two threads busy with vCPUs of `vm`; alone is 1.

    `computing` is the host's yield (`Host.smt_yield`), that of programs that only compute.
    """
    if vm.smt_yield is not None:
        return vm.smt_yield
    wait = vm.memory_intensity
    return 2.0 / ((1.0 - wait) * 2.0 / computing + wait)


def thread_speed(two_yield: float, busy: int) -> float:
    """Speed of one of the `busy` threads of a core, which is ``2 - two_yield`` less for each more.

    The same straight line from one busy thread to all as in the cost.
    """
    return 1.0 - (2.0 - two_yield) * (busy - 1) / busy


def crowding_milli(vm: Vm, computing: float) -> int:
    """What a core loses by one more busy thread of `vm`, ``2 - y``, in thousandths.

    A dedicated vCPU of utilisation u meets its sibling in a share u² of the time.
    """
    lost = 2.0 - smt_yield(vm, computing)
    if vm.cpu_policy is CpuPolicy.DEDICATED:
        lost *= vm.utilisation**2
    return round(lost * MILLI / CROWDING_STEP_MILLI) * CROWDING_STEP_MILLI
