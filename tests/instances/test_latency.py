"""Latencies that firmware leaves out are put on the scale of those that it tells."""

from __future__ import annotations

import time

import pytest

from numaplace.instances.hostparts import complete_latency
from numaplace.models.topology import NumaNode, PCpu

DISTANCES = ((10, 21, 17, 28), (21, 10, 28, 17), (17, 28, 10, 28), (28, 17, 28, 10))
SLIT = {(a, b): float(DISTANCES[a][b]) for a in range(4) for b in range(4)}
NODES = [*(NumaNode(n, (PCpu(n, n),), 1024) for n in (0, 1)), NumaNode(2), NumaNode(3)]
HMAT = {(0, 0): 90.0, (1, 1): 90.0, (0, 2): 250.0, (1, 3): 250.0}


def test_far_memory_is_farther_than_near_memory() -> None:
    """As on a real QEMU with an HMAT: 250 ns to the near memory, and the way on top to the far."""
    full, notes = complete_latency(NODES, HMAT, SLIT)
    assert [full[0, b] for b in range(4)] == [90, 189, 250, 349]
    assert [full[2, b] for b in (0, 1, 3)] == [250, 349, 509]
    assert all(full[a, b] == full[b, a] for a, b in full)
    assert {pair: full[pair] for pair in HMAT} == HMAT
    (note,) = notes
    assert note.startswith("latency is told for 4 of 8 pairs")


def test_far_memory_is_farther_even_without_distances() -> None:
    """Where all others are assumed to be 20 away, the way to the near CPUs still counts."""
    flat = {pair: 10.0 if pair[0] == pair[1] else 20.0 for pair in SLIT}
    full, _ = complete_latency(NODES, HMAT, flat)
    assert (full[0, 2], full[0, 3]) == (250, 340)


def test_told_ways_are_taken_before_distances() -> None:
    """A latency between CPUs that is told is the way to memory beyond them."""
    full, _ = complete_latency(NODES, HMAT | {(0, 1): 140.0, (1, 0): 80.0}, SLIT)
    assert (full[0, 3], full[1, 2], full[1, 0]) == (300, 250, 80)


def test_everything_told_or_nothing() -> None:
    """No remark where nothing is missing; without local latencies there is no scale."""
    whole = {(a, b): 100.0 + a + b for a in range(4) for b in range(4)}
    assert complete_latency(NODES, whole, SLIT) == (whole, [])
    assert complete_latency(NODES, {}, SLIT) == ({}, [])
    full, notes = complete_latency(NODES, {(0, 2): 250.0}, SLIT)
    assert full == {} and "distances are used" in notes[0]


def test_nodes_without_a_latency_of_their_own() -> None:
    """The least local latency stands for a CPU's node that tells none, as in the prices."""
    full, _ = complete_latency(NODES, {(0, 0): 90.0, (0, 2): 250.0, (9, 0): 1.0}, SLIT)
    assert (full[1, 1], full[1, 0], full[1, 2], full[1, 3]) == (90, 189, 349, 153)


@pytest.mark.parametrize("told", [1, 2])
def test_many_nodes_take_little_time(told: int) -> None:
    """Half of 512 nodes told from everywhere: seconds, not minutes."""
    nodes = [NumaNode(n, (PCpu(n, n),) if n < 256 else ()) for n in range(512)]
    slit = {(a, b): 10.0 if a == b else 20.0 for a in range(512) for b in range(512)}
    hmat = {(a, b): 90.0 for a in range(0, 256, told) for b in range(0, 512, told)}
    began = time.perf_counter()
    full, _ = complete_latency(nodes, hmat, slit)
    assert len(full) >= 512 * 511 and time.perf_counter() - began < 20
