"""Small random traces and fleets (hypothesis)."""

import numpy as np
from hypothesis import strategies as st

from numaplace.models.fleet import Fleet
from numaplace.models.topology import Host, NumaNode, PCpu
from numaplace.models.trace import NEVER_MS, Trace, make_trace


def small_host(name: str, cpus: tuple[int, ...], mib: tuple[int, ...], smt: int = 1) -> Host:
    """A host with one node per entry; `smt` threads a core."""
    nodes, first = [], 0
    for number, (threads, memory) in enumerate(zip(cpus, mib, strict=True)):
        pcpus = tuple(PCpu(first + c, core=(first + c) // smt) for c in range(threads))
        nodes.append(NumaNode(number, pcpus, memory))
        first += -(-threads // smt) * smt
    return Host(name, tuple(nodes))


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """One or two shapes of hosts with 1 to 3 nodes."""
    shapes = []
    for name in ("a", "b")[: draw(st.integers(1, 2))]:
        nodes = draw(st.integers(1, 3))
        cpus = tuple(draw(st.integers(1, 4)) for _ in range(nodes))
        mib = tuple(draw(st.sampled_from((512, 1024, 2048))) for _ in range(nodes))
        smt = draw(st.integers(1, 2))
        shapes.append((small_host(name, cpus, mib, smt), draw(st.integers(1, 2))))
    return Fleet(tuple(shapes))


@st.composite
def traces(draw: st.DrawFn, most: int = 8) -> Trace:
    """VMs with a chance to meet; some cut in two, some for ever, some with a soft node."""
    size = draw(st.integers(0, most))
    starts = sorted(draw(st.lists(st.integers(0, 20), min_size=size, max_size=size)))
    ends = [s + draw(st.integers(1, 15)) for s in starts]
    vcpus = [draw(st.integers(1, 4)) for _ in range(size)]
    return make_trace(
        tuple(f"vm{i}" for i in range(size)),
        vcpus=vcpus,
        memory_mib=[128 * draw(st.integers(1, 8)) for _ in range(size)],
        cells=[draw(st.integers(1, 2)) if n > 1 else 1 for n in vcpus],
        start_ms=starts,
        end_ms=[draw(st.sampled_from((end, end, NEVER_MS))) for end in ends],
        utilisation=[draw(st.sampled_from((0.5, 1.0))) for _ in range(size)],
        soft_node=[draw(st.sampled_from((-1, 0, 1))) for _ in range(size)],
        soft_weight=np.full(size, 0.25),
    )
