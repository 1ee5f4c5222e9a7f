"""Do two dependent VMs belong on one node? Simulated for many workloads; print Markdown.

``python benchmarks/together.py``: two VMs of 2 vCPUs on a host of 2 nodes (4 cores with 2 threads,
distance 21) send each other messages (cooperation), spoil each other's last-level cache
(competition), or want memory bandwidth; they run on one node, or on one each. Shown is what one
node gains over two, in percent of the throughput, and whether the cost chooses the same.
"""

from __future__ import annotations

from dataclasses import replace

from numaplace.instances.shapes import HostShape, make_host
from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan
from numaplace.models.relations import Competition, Cooperation, Scope
from numaplace.models.vm import Vm
from numaplace.solver.simulator.plans import Simulated, simulate_plan

SECONDS = 5.0
MESSAGES = (0.0, 0.1, 0.3, 1.0, 2.0)
CACHE = (0.0, 0.1, 0.3, 0.6, 1.0)
DEMANDS_MBPS = (0, 4_000, 8_000, 12_000)
LIMIT_MBPS = 12_000
HOST = make_host(
    HostShape(cores_per_node=4, threads_per_core=2, cores_per_llc=4, bandwidth_mbps=LIMIT_MBPS),
    "host",
)


def simulated(together: bool, messages: float, cache: float, demand_mbps: int) -> Simulated:
    """Run both VMs on one node, or on one each."""
    vms = tuple(
        Vm(name, 2, 2048, memory_intensity=0.5, bandwidth_mbps=demand_mbps) for name in ("a", "b")
    )
    instance = Instance((HOST,), vms)
    if messages:
        instance = replace(instance, cooperations=(Cooperation("a", "b", messages),))
    if cache:
        instance = replace(instance, competitions=(Competition("a", "b", cache, Scope.LLC),))
    nodes = (0, 0) if together else (0, 1)
    placements = {
        vm.name: Placement("host", (PlacedCell(node, 2, ((node, 2048),)),))
        for vm, node in zip(vms, nodes, strict=True)
    }
    return simulate_plan(instance, Plan(placements), SECONDS)


def gain(messages: float, cache: float, demand_mbps: int) -> str:
    """Percent that one node gains, marked if the cost would choose otherwise."""
    one = simulated(True, messages, cache, demand_mbps)
    two = simulated(False, messages, cache, demand_mbps)
    percent = 100 * (one.throughput / two.throughput - 1)
    differs = abs(percent) >= 0.5 and (one.predicted < two.predicted) != (percent > 0)
    return f"{percent:+.1f}{' (cost differs)' if differs else ''}"


def main() -> None:
    """Print a table of messages against cache, and one of messages against bandwidth."""
    heads = " | ".join(f"messages {weight:g}" for weight in MESSAGES)
    print(f"| cache | {heads} |\n|{'---|' * (len(MESSAGES) + 1)}")
    for cache in CACHE:
        cells = " | ".join(gain(messages, cache, 0) for messages in MESSAGES)
        print(f"| {cache:g} | {cells} |", flush=True)
    print(f"\n| MB/s a VM of {LIMIT_MBPS} | {heads} |\n|{'---|' * (len(MESSAGES) + 1)}")
    for demand in DEMANDS_MBPS:
        cells = " | ".join(gain(messages, 0.0, demand) for messages in MESSAGES)
        print(f"| {demand} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
