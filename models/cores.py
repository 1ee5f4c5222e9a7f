"""Physical cores of a node, grouped as far as dedicated vCPUs can tell them apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from numaplace.models.topology import NumaNode


@dataclass(frozen=True, slots=True)
class CoreGroup:
    """Interchangeable cores of one node."""

    llc: int | None  # their last-level cache, None if unknown
    threads_per_core: int  # that are online
    cores: tuple[tuple[int, ...], ...]  # pCPU ids of each, cores and ids ascending

    @property
    def num_cores(self) -> int:
        """Number of cores."""
        return len(self.cores)

    @property
    def num_threads(self) -> int:
        """Number of pCPUs."""
        return len(self.cores) * self.threads_per_core


def core_groups(node: NumaNode, *, by_llc: bool) -> tuple[CoreGroup, ...]:
    """Group the cores of `node` by number of threads, and by last-level cache if asked to."""
    threads: dict[int, list[int]] = defaultdict(list)
    llc_of: dict[int, int | None] = {}
    for pcpu in node.pcpus:
        threads[pcpu.core].append(pcpu.id)
        llc_of[pcpu.core] = pcpu.llc if by_llc else None
    groups: dict[tuple[int, int], list[tuple[int, ...]]] = defaultdict(list)
    for core in sorted(threads):
        llc = llc_of[core]
        groups[-1 if llc is None else llc, len(threads[core])].append(tuple(sorted(threads[core])))
    return tuple(
        CoreGroup(None if llc < 0 else llc, count, tuple(groups[llc, count]))
        for llc, count in sorted(groups)
    )


def node_llcs(node: NumaNode) -> frozenset[int]:
    """Last-level cache domains of a node; empty if unknown for any of its pCPUs."""
    known = frozenset(pcpu.llc for pcpu in node.pcpus if pcpu.llc is not None)
    return frozenset() if any(pcpu.llc is None for pcpu in node.pcpus) else known


def threads_a_core(node: NumaNode) -> int:
    """Threads of the cores of `node` that have most; 1 without cores."""
    return max(Counter(pcpu.core for pcpu in node.pcpus).values(), default=1)
