"""Find the best placement of one VM by a rule.

Places are tried in order of a lower bound of the loss they add; the search ends when no bound is
below the best exact loss. Equal VMs share tables of these bounds (`tables`). A VM of several cells
is an assignment of cells to the nodes of a host. What its cells lose by lying far from each other
is quadratic; trying every node as *anchor*, with the distance to it as a linear price, keeps that
polynomial, and the exact loss decides.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import combinations_with_replacement

import numpy as np

from numaplace.models.forms import CellType, VmShape
from numaplace.models.instance import Between
from numaplace.models.rates import access_loss, load_milli
from numaplace.models.units import ceil_div
from numaplace.models.vm import DevicePolicy, Vm, kind_of
from numaplace.solver.placing.arrays import Bools, Ints, Reals
from numaplace.solver.placing.build import Candidate, Home, build
from numaplace.solver.placing.cell_offer import (
    CellOffer,
    device_rates,
    expecting,
    has_partners,
    pair_loss,
    places_for,
)
from numaplace.solver.placing.matching import FORBIDDEN, assign
from numaplace.solver.placing.occupancy import EVER, Occupancy
from numaplace.solver.placing.rules import LOCAL, LOSS_FIRST, Rule, beside_loss, prices
from numaplace.solver.placing.tables import KindTable

TRIES_MAX = 64  # Exact losses worked out for one VM once a placement is known
ANCHORS_MAX = 24
# Shapes with more cells that may be no better before the search of shapes ends.
WORSE_SHAPES_MAX = 2
FORCED = 1e12  # Reward in micro-vCPU that makes an assignment use a node


Ways = tuple[bool, bool]  # Whether a VM's memory may spill, and whether it may be ballooned
# What a candidate is compared by, the stage between value and loss, then the loss; and itself.
Ranked = tuple[tuple[int, int], Candidate]


def _better(found: Ranked | None, best: Ranked | None) -> bool:
    return found is not None and (best is None or found[0] < best[0])


class PlaceSearch:
    """Search of the placement of a VM that is not placed, the best by a rule."""

    def __init__(self, state: Occupancy, vm: Vm, rule: Rule) -> None:
        self.state, self.vm, self.rule, self.by_loss = state, vm, rule, rule in LOSS_FIRST
        self.form = state.instance.form(vm.name)
        self.pairs = self.by_loss and has_partners(state, vm)
        self.kind = self._kind()
        # Tables know the places that a kind may use; what rules say beside others is asked anew.
        self.allowed, self.exactly = places_for(state, vm)
        self.first = _stage_keys(state, vm) if self.by_loss else None

    def _kind(self) -> Hashable:
        """Return what VMs that share tables have in common; None if this one needs its own."""
        state, name, current = self.state, self.vm.name, self.state.instance.current
        moved = current is not None and name in current.placements
        if self.rule not in LOCAL or moved or name in state.instance.group_of:
            return None
        rows = state.rows(name)
        waits = self.by_loss and expecting(state, self.vm)
        # Equal VMs have one form, which the instance keeps.
        return self.rule, kind_of(self.vm), id(self.form), rows.start, rows.stop, waits

    def best(self) -> Candidate | None:
        """Return the best placement found; None if the VM fits nowhere."""
        if not self.allowed.any():
            return None
        passes: list[Ways] = [(True, False)]
        if not self.by_loss:
            passes.insert(0, (False, False))
        if self.form.balloon_blocks:
            passes.append((True, True))
        for ways in passes:
            found = self._best_shape(ways)
            if found is not None:
                return found[1]
        return None

    def _best_shape(self, ways: Ways) -> Ranked | None:
        best: Ranked | None = None
        worse = 0
        for shape in self.form.shapes:
            if self.exactly is not None and shape.num_cells != len(self.exactly):
                continue
            look = self._one_cell if shape.num_cells == 1 else self._cells
            found = look(shape, ways)
            if found is not None and not self.by_loss:
                return found
            if _better(found, best):
                best, worse = found, 0
            elif best is not None:
                worse += 1
            if best is not None and (worse >= WORSE_SHAPES_MAX or best[0] == (0, 0)):
                break
        return best

    def _offer(
        self, kind: CellType, cells: int, ways: Ways, allowed: Bools, at: Ints | None = None
    ) -> CellOffer:
        size, (spill, balloon) = (kind.vcpus, kind.blocks, cells), ways
        return CellOffer(self.state, self.vm, allowed, *size, balloon=balloon, spill=spill, at=at)

    def _prices(self, kind: CellType, cells: int, ways: Ways) -> tuple[Reals, Ints]:
        """Price of each place by the rule, and of its loss what is sure (if the rule asks)."""
        if self.kind is None:
            offer = self._offer(kind, cells, ways, self.allowed)
            keys: Reals = np.where(offer.fits, prices(offer, self.rule), FORBIDDEN)
            return keys, offer.loss if self.by_loss else offer.none
        table = self._table(kind, cells, ways)
        keys, loss = table.keys, table.loss
        if self.pairs:
            loss = loss + pair_loss(self.state, self.vm, kind.vcpus, cells)
            keys = np.where(table.fits, loss + table.rest, FORBIDDEN)
        return np.where(self.allowed, keys, FORBIDDEN), loss

    def _table(self, kind: CellType, cells: int, ways: Ways) -> KindTable:
        """Return the table of a cell, as things are now."""
        state, key = self.state, (self.kind, kind.vcpus, kind.blocks, cells, ways)
        table = state.tables.get(key)
        if table is None:
            table = state.tables.add(key, state.arrays.allowed(self.vm))
        at = state.places_changed(table.seen)
        table.seen = state.changes
        if at is None or len(at):
            offer = self._offer(kind, cells, ways, table.allowed, at)
            if self.by_loss:
                loss = offer.loss = offer.loss_beside(0)
                table.enter(offer.at, offer.fits, loss, beside_loss(offer, self.rule))
            else:
                table.enter(offer.at, offer.fits, 0, prices(offer, self.rule))
        return table

    def _one_cell(self, shape: VmShape, ways: Ways) -> Ranked | None:
        kind = shape.types[0]
        keys, loss = self._prices(kind, 1, ways)
        first = None if self.first is None else self.first[self.state.arrays.host_index]
        best: Ranked | None = None
        tries = 0
        for place_index in _ascending(keys, first):
            bound = _at(first, place_index), loss.item(place_index)
            if best is not None and (bound >= best[0] or tries >= TRIES_MAX):
                break
            found = self._build([Home(place_index, kind.vcpus, kind.blocks)], ways)
            if found is not None:
                tries += 1
                if _better(found, best):
                    best = found
                if not self.by_loss:
                    break
        return best

    def _build(self, homes: Sequence[Home], ways: Ways) -> Ranked | None:
        found = build(self.state, self.vm, homes, balloon=ways[1])
        if found is None:
            return None
        return (_at(self.first, found.footprint.host_index), found.loss), found

    def _cells(self, shape: VmShape, ways: Ways) -> Ranked | None:
        keys = [self._prices(kind, shape.num_cells, ways)[0] for kind in shape.types]
        bounds = self._bounds(shape, keys)
        best: Ranked | None = None
        for host_index in (
            _ascending(bounds, self.first)
            if self.by_loss
            else np.flatnonzero(bounds < FORBIDDEN).tolist()
        ):
            bound = _at(self.first, host_index), int(bounds.item(host_index))
            if best is not None and bound >= best[0]:
                break
            found = self._on_host(shape, ways, host_index, keys)
            if found is not None and not self.by_loss:
                return found
            if _better(found, best):
                best = found
        return best

    def _bounds(self, shape: VmShape, keys: Sequence[Reals]) -> Reals:
        """Return a lower bound of the price by host, `FORBIDDEN` where nodes are too few."""
        arrays, cells = self.state.arrays, shape.num_cells
        least = keys[0] if len(keys) == 1 else np.minimum.reduce(keys)
        bounds = np.full(len(arrays.host_slice), FORBIDDEN)
        for hosts, places in arrays.hosts_by_size:
            if places.shape[1] >= cells:
                nearest = np.partition(least[places], cells - 1, axis=1)[:, :cells]
                bounds[hosts] = np.minimum(nearest.sum(axis=1), FORBIDDEN)
        if self.by_loss:
            bounds = np.floor(bounds) + self._split_least(shape)
        return bounds

    def _split_least(self, shape: VmShape) -> Ints:
        """What a VM loses by its cells' distances at least, by host."""
        vm, form, r = self.vm, self.form, self.state.arrays.least_r
        loss: Ints = np.zeros(len(r), np.int64)
        for a, b in combinations_with_replacement(shape.types, 2):
            pairs = a.count * b.count if a is not b else a.count * (a.count - 1) // 2
            for these, those in ((a, b), (b, a)):
                share = (1.0 - vm.locality) * those.blocks * form.block_mib / form.memory_mib
                busy = these.vcpus * vm.utilisation
                loss += pairs * access_loss(busy, share, vm.memory_intensity, r)
        return loss

    def _on_host(
        self, shape: VmShape, ways: Ways, host_index: int, keys: Sequence[Reals]
    ) -> Ranked | None:
        span = self.state.arrays.host_slice[host_index]
        costs = np.array([key[span] for key in keys])
        demands = [kind.count for kind in shape.types]
        best: Ranked | None = None
        seen: set[tuple[Home, ...]] = set()
        usable = np.flatnonzero(costs.min(axis=0) < FORBIDDEN).tolist()
        # Equal cells on as many nodes have one way to be there.
        sole = len(demands) == 1 and len(usable) == shape.num_cells
        for anchor in [None] if sole else self._anchors(costs, host_index):
            priced = costs
            if anchor is not None:
                priced = costs + self._pull(shape, host_index, anchor)
                priced[:, anchor] -= FORCED
            given = [dict.fromkeys(usable, 1)] if sole else assign(priced.tolist(), demands)
            if given is None:
                return None
            homes = tuple(
                Home(span.start + position, kind.vcpus, kind.blocks)
                for kind, taken in zip(shape.types, given, strict=True)
                for position in sorted(taken)
            )
            if homes in seen:
                continue
            seen.add(homes)
            found = self._build(homes, ways)
            if _better(found, best):
                best = found
            if best is not None and not self.by_loss:
                break
        return best

    def _anchors(self, costs: Reals, host_index: int) -> list[int | None]:
        """Nodes to gather cells around; None for nowhere in particular."""
        near = self._device_nodes(host_index)
        usable = [p for p in range(costs.shape[1]) if costs[:, p].min() < FORBIDDEN]
        usable.sort(key=lambda p: (not near[p], float(costs[:, p].min())))
        return [None, *usable[:ANCHORS_MAX]]

    def _device_nodes(self, host_index: int) -> Bools:
        """Nodes of a host that a cell must use for the VM's required devices."""
        span = self.state.arrays.host_slice[host_index]
        near = np.zeros(span.stop - span.start, np.bool_)
        for request in self.vm.devices:
            if request.policy is not DevicePolicy.PREFERRED:
                near |= device_rates(self.state.arrays, request)[0][span]
        return near

    def _pull(self, shape: VmShape, host_index: int, anchor: int) -> Reals:
        """Price of each node for each type of cell, if its other cells were at `anchor`.

        A star with k - 1 pairs stands for all k (k - 1) / 2, hence the factor.
        """
        vm, form = self.vm, self.form
        relative = self.state.arrays.relative(host_index)
        prices: list[Reals] = []
        for kind in shape.types:
            share = (1.0 - vm.locality) * kind.blocks * form.block_mib / form.memory_mib
            busy, mu = kind.vcpus * vm.utilisation * shape.num_cells / 2, vm.memory_intensity
            there = access_loss(busy, share, mu, relative[:, anchor])
            prices.append(there + access_loss(busy, share, mu, relative[anchor, :]))
        return np.array(prices)


def _at(keys: Ints | None, index: int) -> int:
    return 0 if keys is None else keys.item(index)


def _ascending(keys: Reals, first: Ints | None) -> Iterator[int]:
    """Indices of finite keys, least first key, then least key first; lazily where that pays."""
    if first is not None and first.any():
        for index in np.lexsort((keys, first)).tolist():
            if keys[index] < FORBIDDEN:
                yield index
        return
    index = int(keys.argmin())
    if keys[index] < FORBIDDEN:
        yield index
        keys = keys.copy()
    while keys[index] < FORBIDDEN:
        keys[index] = FORBIDDEN
        index = int(keys.argmin())
        if keys[index] < FORBIDDEN:
            yield index


def _stage_keys(state: Occupancy, vm: Vm) -> Ints | None:
    """What placing `vm` on each host does to the stage between value and loss."""
    between, ledger = state.instance.between, state.ledger
    if between is Between.FEWEST_HOSTS:
        opened: Ints = (ledger.host_vms == 0).astype(np.int64)
        return opened
    if between is Between.BALANCE:
        # The sum of cells is within rounding of the load of the whole VM.
        load = load_milli(vm, vm.vcpus)
        ever = np.maximum(ledger.past_host_load_milli, ledger.most(ledger.host_load_milli, EVER))
        now = ceil_div(ever, state.arrays.host_threads)
        after = ledger.most(ledger.host_load_milli, state.rows(vm.name)) + load
        worst: Ints = np.maximum(now.max(), ceil_div(after, state.arrays.host_threads))
        return worst
    return None
