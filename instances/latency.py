"""Latencies that a source leaves out, put on the scale of those that it tells.

Firmware (the HMAT) tells how fast each memory is for the CPUs next to it and mostly no more. What
is missing is the latency of the nearest pair that is told and the way there: the distance (SLIT)
beyond local, in the initiator's own local latency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from numaplace.models.topology import DISTANCE_MAX, NumaNode
from numaplace.models.units import SLIT_LOCAL

Pairs = Mapping[tuple[int, int], float]
_WAYS_MAX = 16  # initiators told for one target that are tried; a bound on time


def complete_latency(
    nodes: Sequence[NumaNode], told: Pairs, distances: Pairs
) -> tuple[dict[tuple[int, int], float], list[str]]:
    """Return latencies of all pairs but a CPU-less node's own, and a remark if some were missing.

    Parameters
    ----------
    nodes
        All nodes of the host.
    told
        Latency in ns by (initiator, target).
    distances
        SLIT of all pairs.
    """
    ids = [node.id for node in nodes]
    there = set(ids)
    homes = [node.id for node in nodes if node.pcpus]
    known = {(a, b): ns for (a, b), ns in told.items() if ns > 0 and a in there and b in there}
    local = {n: known[n, n] for n in homes if (n, n) in known}
    if not known:
        return {}, []
    if not local:
        return {}, ["no node's latency to its own memory is told: distances are used instead"]
    full = known | {(n, n): local.get(n, min(local.values())) for n in homes}

    def hop(a: int, b: int) -> float:
        if (a, b) in known:
            return max(0.0, known[a, b] - full[a, a])
        return full[a, a] * max(0.0, distances[a, b] / SLIT_LOCAL - 1)

    for b in ids:
        sources = sorted((a for a in homes if (a, b) in known), key=lambda a: known[a, b])
        for a in homes:
            if (a, b) not in full:
                ways = [known[c, b] + hop(a, c) for c in sources[:_WAYS_MAX]]
                full[a, b] = min(ways, default=full[a, a] + hop(a, b))
    for a in sorted(there - set(homes)):  # what has no CPUs sends through the nearest that has
        nearest = min(homes, key=lambda home: full[home, a])
        for b in ids:
            if a != b and (a, b) not in full:
                way = full[nearest, a] + full[nearest, b] - full[nearest, nearest]
                full[a, b] = full[b, a] if b in homes else way
    full = {pair: min(round(ns, 3), DISTANCE_MAX) for pair, ns in full.items()}
    missing, pairs = sum((a, b) not in known for a in homes for b in ids), len(homes) * len(ids)
    if not missing:
        return full, []
    note = f"latency is told for {pairs - missing} of {pairs} pairs of CPUs' nodes and memory"
    return full, [f"{note}: the others are worked out from it and the distances"]
