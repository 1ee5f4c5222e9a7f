"""Who is where, what is left, and what one VM more would lose: the state of the online engine.

A row of the ledger is an instant of the instance (`Instance.instants`), so that VMs may come and
go in any order of decisions; or, with `online=True`, there is a single row, now: VMs are then
placed in order of time and `finish` frees what they held. Without start and end times both are the
same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from numaplace.models import rates
from numaplace.models.instance import Instance
from numaplace.models.plan import Placement, Plan, SharedCopy
from numaplace.models.relations import SharingGroup
from numaplace.models.units import PageSize
from numaplace.models.vm import CpuPolicy, ThreadPolicy, Vm
from numaplace.solver.placing.arrays import InstanceArrays, Ints
from numaplace.solver.placing.corepool import CorePool
from numaplace.solver.placing.ledger import NOW, Footprint, Ledger, make_footprint
from numaplace.solver.placing.tables import KindTables

REMEMBERED_MAX = 50_000

EVER = slice(None)  # All rows
CopyKey = tuple[str, int]  # Sharing group and host index


class Occupancy:
    """Placements of an instance and what they leave free (`ledger`).

    With `online` there is one row, for VMs that are placed in order of start; else one per instant.
    Not for sharing groups whose members come and go: their copies take memory at other times too.
    `remember` keeps footprints, for searches that try the same placements again and again.
    `changes` counts changes, `changed` has the number of the last one of each host.
    """

    def __init__(self, arrays: InstanceArrays, *, online: bool = False) -> None:
        self.arrays = arrays
        self.instance: Instance = arrays.instance
        self.online = online
        self.rows_of = None if online else _rows_of(self.instance)
        self.num_rows = 1 if online else max(1, len(self.instance.instants))
        pools, starts = arrays.pool_mib, arrays.host_starts
        self.ledger = Ledger(arrays.cpu_capacity, pools, starts, arrays.lines, self.num_rows)
        self.contention: Ints = np.zeros(arrays.size, np.int64)
        self._past_contention = np.zeros_like(self.contention)
        self.functions: dict[tuple[int, str], list[int]] = {}
        self.placed: dict[str, Footprint] = {}
        self.ended: set[str] = set()
        self.copies: dict[CopyKey, frozenset[int]] = {}
        self.changes, self.changed = 0, np.zeros(len(self.instance.hosts), np.int64)
        self.tables = KindTables()
        self.remember = False
        self._footprints: dict[tuple[str, Placement], Footprint] = {}
        self._pools: dict[int, CorePool] = {}
        self._room: dict[int, dict[tuple[ThreadPolicy, int], int]] = {}
        self._groups = {group.name: group for group in self.instance.sharing}

    def rows(self, name: str) -> slice:
        """Rows at which a VM exists."""
        return NOW if self.rows_of is None else self.rows_of[name]

    def row_mask(self, name: str) -> int:
        """Return the same rows as bits."""
        rows = self.rows(name)
        return int((1 << rows.stop) - (1 << rows.start))

    def group_rows(self, group: SharingGroup) -> Ints:
        """Rows at which a sharing group's copies take memory: a member, placed or not, exists."""
        found = {r for name in group.vms for r in range(*self.rows(name).indices(1 << 30))}
        return np.array(sorted(found), np.int64)

    def free_mib(self, place_index: int, size: PageSize, rows: slice | Ints) -> int:
        """Memory free on a place at all of some rows."""
        return self.ledger.least_at(self.ledger.free_mib[size], place_index, rows)

    def free_cpu(self, place_index: int, rows: slice) -> int:
        """Part of `InstanceArrays.cpu_capacity` free on a place at all of some rows."""
        return self.ledger.least_at(self.ledger.free_cpu, place_index, rows)

    def free_functions(self, host_index: int, address: str, has: int, rows: slice) -> int:
        """Functions of a device free at all of some rows."""
        used = self.functions.get((host_index, address))
        return has if used is None else has - max(used[rows])

    def room(self, place_index: int, policy: ThreadPolicy, mask: int) -> int:
        """VCPUs of a dedicated VM that would find pCPUs on a place at all rows of a bit mask."""
        known = self._room.setdefault(place_index, {})
        if (policy, mask) not in known:
            known[policy, mask] = self.pool(place_index).room(policy, mask)
        return known[policy, mask]

    def pool(self, place_index: int) -> CorePool:
        """Cores of a place."""
        if place_index not in self._pools:
            self._pools[place_index] = CorePool(self.instance.places[place_index].node)
        return self._pools[place_index]

    def footprint(self, vm: Vm, placement: Placement) -> Footprint:
        """What `vm` takes at `placement`."""
        key = (vm.name, placement)
        known = self._footprints.get(key) if self.remember else None
        if known is not None:
            return known
        held = [0] * len(placement.cells)
        if vm.cpu_policy is CpuPolicy.DEDICATED:
            for index, cell in enumerate(placement.cells):
                place_index = self.instance.place_of[placement.host, cell.node].index
                held[index] = len(self.pool(place_index).held(vm, cell.pcpus))
        made = make_footprint(self.instance, vm, placement, tuple(held))
        if self.remember:
            if len(self._footprints) >= REMEMBERED_MAX:
                self._footprints.clear()
            self._footprints[key] = made
        return made

    def take(self, print_: Footprint, copies: Iterable[int] = ()) -> None:
        """Place a VM; `copies` are places that get a copy of its sharing group's pages."""
        name = print_.vm.name
        self._add(print_, 1)
        self.placed[name] = print_
        self.ledger.host_vms[print_.host_index] += 1
        for place_index, pool, pcpus in self._pinned(print_):
            pool.take(print_.vm, pcpus, self.row_mask(name), _crowding(print_, place_index))
        self._contend(print_)
        group = self.instance.group_of.get(name)
        if group is not None:
            key = (group.name, print_.host_index)
            self.set_copies(key, self.copies.get(key, frozenset()) | frozenset(copies))

    def release(self, name: str) -> Footprint:
        """Unplace a VM as if it had never been there; copies stay until `set_copies`."""
        print_ = self.placed.pop(name)
        self.ledger.host_vms[print_.host_index] -= 1
        if name in self.ended:
            self.ended.discard(name)
        else:
            self._add(print_, -1)
        self._unpin(print_, forget=True)
        self._contend(print_)
        return print_

    def finish(self, name: str) -> None:
        """End a VM (online): what it held is free, but it stays in the plan and in the peaks."""
        if name not in self.ended:
            self.ledger.keep_peaks()
            np.maximum(self._past_contention, self.contention, out=self._past_contention)
            self._add(self.placed[name], -1)
            self._unpin(self.placed[name], forget=False)
            self._contend(self.placed[name])
            self.ended.add(name)

    def _unpin(self, print_: Footprint, *, forget: bool) -> None:
        for _, pool, pcpus in self._pinned(print_):
            pool.release(print_.vm, pcpus, self.row_mask(print_.vm.name), forget=forget)

    def _pinned(self, print_: Footprint) -> Iterator[tuple[int, CorePool, tuple[int, ...]]]:
        """Places where a dedicated VM holds pCPUs, with their cores; their room changes."""
        if print_.vm.cpu_policy is CpuPolicy.DEDICATED:
            for (place_index, _), cell in zip(print_.homes, print_.placement.cells, strict=True):
                self._room.pop(place_index, None)
                yield place_index, self.pool(place_index), cell.pcpus

    def pinned_loss(self, place_index: int) -> int:
        """Loss by the cores that single threads share on a place."""
        pool = self._pools.get(place_index)
        return 0 if pool is None else pool.shared_loss()

    def _touch(self, host_index: int) -> None:
        self.changes += 1
        self.changed[host_index] = self.changes

    def places_changed(self, since: int) -> Ints | None:
        """Places of hosts that changed after a change; None if they are too many to be listed."""
        hosts = np.flatnonzero(self.changed > since).tolist() if since >= 0 else None
        if hosts is None or 2 * len(hosts) > len(self.changed):
            return None
        numbers, slices = self.arrays.numbers, self.arrays.host_slice
        return np.concatenate([numbers[:0], *(numbers[slices[host]] for host in hosts)])

    def _contend(self, print_: Footprint) -> None:
        """Work out the contention of a VM's places anew, at the worst time."""
        self._touch(print_.host_index)
        for place, _ in print_.homes:
            now = max(self.pinned_loss(place), self.ledger.crowded(place))
            self.contention[place] = max(now, self._past_contention.item(place))

    def _add(self, print_: Footprint, sign: int) -> None:
        rows = self.rows(print_.vm.name)
        self.ledger.change(print_, rows, sign)
        for address, count in print_.functions:
            used = self.functions.setdefault((print_.host_index, address), [0] * self.num_rows)
            for row in range(rows.start, rows.stop):
                used[row] += sign * count

    def set_copies(self, key: CopyKey, places: frozenset[int]) -> None:
        """Say which places hold a group's copies on a host."""
        self._touch(key[1])
        group = self._groups[key[0]]
        before = self.copies.get(key, frozenset())
        for sign, changed in ((1, places - before), (-1, before - places)):
            pages = tuple((place_index, group.shared_mib) for place_index in changed)
            self.ledger.take_pages(PageSize.SMALL, key[1], pages, self.group_rows(group), sign)
        if places:
            self.copies[key] = places
        else:
            self.copies.pop(key, None)

    def marginal(self, print_: Footprint, copies: Iterable[int] = ()) -> int:
        """Loss in micro-vCPU that placing a VM (not placed now) would add, exactly."""
        loss = print_.own_micro + self._pair_loss(print_)
        rows = self.rows(print_.vm.name)
        single = print_.vm.thread_policy is ThreadPolicy.PREFER
        pins = {at: (pool, pcpus) for at, pool, pcpus in self._pinned(print_) if single}
        for place_index, milli, crowding in print_.crowd:
            before = self.contention.item(place_index)
            after = self.ledger.crowded_by(rows, place_index, milli, crowding)
            if place_index in pins:
                pool, pcpus = pins[place_index]
                mask = self.row_mask(print_.vm.name)
                after = max(after, pool.shared_loss(pcpus, mask, crowding))
            loss += max(0, after - before)
        demands = self.ledger.demand_milli, self.ledger.past_demand_milli
        for place_index, milli in print_.demand:
            before, after = self._peaks(*demands, place_index, rows, milli)
            bandwidth = self.arrays.bandwidth[place_index]
            if bandwidth is not None:
                loss += bandwidth.loss(after) - bandwidth.loss(before)
        group = self.instance.group_of.get(print_.vm.name)
        return loss if group is None else loss + self._sharing_loss(group, print_, copies)

    def _peak_at(self, array: Ints, past: Ints, place_index: int) -> int:
        return max(self.ledger.most_at(array, place_index, EVER), past.item(place_index))

    def _peaks(
        self, array: Ints, past: Ints, place_index: int, rows: slice, added: int
    ) -> tuple[int, int]:
        """Peak of a place at any time, without and with an amount added at some rows."""
        before = self._peak_at(array, past, place_index)
        return before, max(before, self.ledger.most_at(array, place_index, rows) + added)

    def _pair_loss(self, print_: Footprint) -> int:
        name, instance, loss = print_.vm.name, self.instance, 0
        for talk, partner in self.arrays.cooperations.get(name, ()):
            other = self.placed.get(partner.name)
            if other is not None and talk.scope is not None:
                mine = print_.domains(instance, talk.scope)
                if mine.isdisjoint(other.domains(instance, talk.scope)):
                    loss += rates.parted_price(talk)
            elif other is not None:
                first, second = (print_, other) if partner.first else (other, print_)
                for a, vcpus_a in first.homes:
                    for b, vcpus_b in second.homes:
                        at = (instance.places[a], instance.places[b])
                        loss += rates.cooperation_rate(instance, talk, (vcpus_a, vcpus_b), at)
        for rival, partner in self.arrays.competitions.get(name, ()):
            other = self.placed.get(partner.name)
            if other is not None:
                mine = print_.domains(instance, rival.scope)
                if not mine.isdisjoint(other.domains(instance, rival.scope)):
                    loss += rates.competition_price(rival)
        return loss

    def _sharing_loss(self, group: SharingGroup, print_: Footprint, added: Iterable[int]) -> int:
        old = self.copies.get((group.name, print_.host_index), frozenset())
        new = old | frozenset(added)
        loss = self._copy_loss(print_, new)
        if old and new != old:
            for name in group.vms:
                other = self.placed.get(name)
                if other is not None and other.host_index == print_.host_index:
                    loss += self._copy_loss(other, new) - self._copy_loss(other, old)
        return loss

    def _copy_loss(self, print_: Footprint, copies: frozenset[int]) -> int:
        """Loss of a member that reads its group's pages at the nearest of `copies`."""
        return sum(
            min((rate for rate, _ in self._copy_rates(print_, home, vcpus, copies)), default=0)
            for home, vcpus in print_.homes
        )

    def copies_of(self, group: SharingGroup) -> set[int]:
        """Places that hold a copy of a group's pages, on any host."""
        of_group = [where for (name, _), where in self.copies.items() if name == group.name]
        return set().union(*of_group)

    def copies_read(
        self, group: SharingGroup, host_index: int, copies: frozenset[int]
    ) -> frozenset[int]:
        """Those of `copies` that some member placed on a host reads."""
        read: set[int] = set()
        for name in group.vms:
            print_ = self.placed.get(name)
            if copies and print_ is not None and print_.host_index == host_index:
                for home, vcpus in print_.homes:
                    nearest = min(self._copy_rates(print_, home, vcpus, copies))[1]
                    read.add(home if home in copies else nearest)
        return frozenset(read)

    def _copy_rates(
        self, print_: Footprint, home: int, vcpus: int, copies: Iterable[int]
    ) -> list[tuple[int, int]]:
        """Pairs (loss, place) for reading each copy from a home."""
        instance, places = self.instance, self.instance.places
        return [
            (rates.sharing_rate(instance, print_.vm, vcpus, places[home], places[at]), at)
            for at in copies
        ]

    def plan(self) -> Plan:
        """Return the plan, ended VMs included."""
        index = self.instance.vm_index
        names = sorted(self.placed, key=index.__getitem__)
        places = self.instance.places
        copies = tuple(
            SharedCopy(
                group,
                self.instance.hosts[host].name,
                tuple(places[place_index].node.id for place_index in sorted(where)),
            )
            for (group, host), where in sorted(self.copies.items())
        )
        return Plan({name: self.placed[name].placement for name in names}, copies)


def _crowding(print_: Footprint, place: int) -> int:
    return next(crowding for at, _, crowding in print_.crowd if at == place)


def _rows_of(instance: Instance) -> dict[str, slice]:
    """Rows of each VM: it exists at consecutive instants."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for row, alive in enumerate(instance.instants):
        for name in alive:
            first.setdefault(name, row)
            last[name] = row
    return {name: slice(first[name], last[name] + 1) for name in first}
