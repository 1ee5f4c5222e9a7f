"""Free pCPUs of one node, for dedicated VMs: which are free when, and which to take.

Instants are bits of a mask, so that "free for the whole life of a VM" is one operation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import reduce
from operator import or_

from numaplace.models.rates import core_loss
from numaplace.models.topology import NumaNode
from numaplace.models.vm import ThreadPolicy, Vm


class CorePool:
    """Cores of a node and who uses them.

    A core serves, over all time, VMs that take whole cores or VMs that take single threads
    (`verify_cpu`), so it also counts its users of each kind, ended ones included.
    """

    def __init__(self, node: NumaNode) -> None:
        threads: dict[int, list[int]] = defaultdict(list)
        llcs: dict[int, int | None] = {}
        for pcpu in node.pcpus:
            threads[pcpu.core].append(pcpu.id)
            llcs[pcpu.core] = pcpu.llc
        self.cores = [tuple(sorted(threads[core])) for core in sorted(threads)]
        self.llc = [llcs[core] for core in sorted(threads)]
        self._core_of = {pcpu: c for c, core in enumerate(self.cores) for pcpu in core}
        self._busy = dict.fromkeys(self._core_of, 0)
        self._whole = [0] * len(self.cores)
        self._single = [0] * len(self.cores)
        self._users: dict[int, list[tuple[int, int]]] = {}  # rows and crowding, by single pCPU

    def _free_threads(self, core: int, rows: int) -> list[int]:
        if self._whole[core]:
            return []
        return [pcpu for pcpu in self.cores[core] if not self._busy[pcpu] & rows]

    def _free_core(self, core: int, rows: int) -> bool:
        return not self._single[core] and not any(
            self._busy[pcpu] & rows for pcpu in self.cores[core]
        )

    def room(self, policy: ThreadPolicy, rows: int) -> int:
        """VCPUs of a dedicated VM that would find pCPUs at the instants `rows`."""
        cores = range(len(self.cores))
        if policy is ThreadPolicy.PREFER:
            return sum(len(self._free_threads(core, rows)) for core in cores)
        free = [len(self.cores[core]) for core in cores if self._free_core(core, rows)]
        if policy is ThreadPolicy.ISOLATE:
            return len(free)
        return sum(threads for threads in free if threads > 1)

    def choose(
        self,
        policy: ThreadPolicy,
        vcpus: int,
        rows: int,
        avoid: frozenset[int],
        *,
        siblings: bool = False,
    ) -> tuple[int, ...] | None:
        """Choose pCPUs for a cell, last-level caches of `avoid` last; None if there are too few.

        Single threads take a core each while there are such, then the rest; with `siblings` they
        fill used cores first, as Nova does. Whole cores come from the end.
        """
        chosen: list[int] = []
        if policy is ThreadPolicy.PREFER:
            free = [(core, self._free_threads(core, rows)) for core in range(len(self.cores))]
            order = [
                (self.llc[c] in avoid, 0 if siblings else held + nth, not self._single[c], c, t)
                for c, threads in free
                for held in [len(self.cores[c]) - len(threads)]
                for nth, t in enumerate(threads)
            ]
            chosen = [pcpu for *_, pcpu in sorted(order)]
        else:
            isolate = policy is ThreadPolicy.ISOLATE
            for core in self._whole_order(avoid, fewest_threads=isolate):
                if len(chosen) >= vcpus:
                    break
                if self._free_core(core, rows) and (isolate or len(self.cores[core]) > 1):
                    chosen += self.cores[core][:1] if isolate else self.cores[core]
        return tuple(sorted(chosen[:vcpus])) if len(chosen) >= vcpus else None

    def _whole_order(self, avoid: frozenset[int], *, fewest_threads: bool) -> list[int]:
        return sorted(
            range(len(self.cores)),
            key=lambda c: (
                self.llc[c] in avoid,
                len(self.cores[c]) if fewest_threads else 0,
                not self._whole[c],
                -c,
            ),
        )

    def held(self, vm: Vm, pcpus: Iterable[int]) -> list[int]:
        """Return the pCPUs that a VM with `pcpus` keeps from others."""
        if vm.thread_policy is ThreadPolicy.PREFER:
            return list(pcpus)
        return [t for core in sorted({self._core_of[p] for p in pcpus}) for t in self.cores[core]]

    def shared_loss(self, more: Iterable[int] = (), rows: int = 0, crowding: int = 0) -> int:
        """Loss of single threads that share cores, at the worst instant; with more pCPUs held."""
        users: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for pcpu, held in self._users.items():
            users[self._core_of[pcpu]] += held
        for pcpu in more:
            users[self._core_of[pcpu]].append((rows, crowding))
        shared = [found for found in users.values() if len(found) > 1]
        worst, left = 0, reduce(or_, (at for found in shared for at, _ in found), 0)
        while left:
            row = left & -left
            left ^= row
            at_once = ([s for at, s in found if at & row] for found in shared)
            worst = max(worst, sum(core_loss(crowdings) for crowdings in at_once))
        return worst

    def take(self, vm: Vm, pcpus: Iterable[int], rows: int, crowding: int) -> None:
        """Note that `vm` holds `pcpus` at the instants `rows`."""
        if vm.thread_policy is ThreadPolicy.PREFER:
            for pcpu in pcpus:
                self._users.setdefault(pcpu, []).append((rows, crowding))
        held = self.held(vm, pcpus)
        for pcpu in held:
            self._busy[pcpu] |= rows
        self._count(vm, held, 1)

    def release(self, vm: Vm, pcpus: Iterable[int], rows: int, *, forget: bool) -> None:
        """Undo `take`; unless it is to be forgotten, the kind of use of its cores stays."""
        held = self.held(vm, pcpus)
        for pcpu in held:
            self._busy[pcpu] &= ~rows
            if pcpu in self._users:
                self._users[pcpu] = [user for user in self._users[pcpu] if user[0] != rows]
        if forget:
            self._count(vm, held, -1)

    def _count(self, vm: Vm, held: Iterable[int], step: int) -> None:
        users = self._single if vm.thread_policy is ThreadPolicy.PREFER else self._whole
        for core in {self._core_of[pcpu] for pcpu in held}:
            users[core] += step
