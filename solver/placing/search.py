"""Find the best placement of one VM by a rule.

Places are tried in order of a lower bound of the loss they add; the search ends when no bound is
below the best exact loss. A VM of several cells is an assignment of cells to the nodes of a host.
What its cells lose by lying far from each other is quadratic; trying every node as *anchor*, with
the distance to it as a linear price, keeps that polynomial, and the exact loss decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from numaplace.models.forms import CellType, VmShape
from numaplace.models.instance import Between
from numaplace.models.rates import access_loss, load_milli
from numaplace.models.units import ceil_div
from numaplace.models.vm import DevicePolicy, Vm
from numaplace.solver.placing.arrays import Bools, Ints, Reals
from numaplace.solver.placing.build import Candidate, Home, build
from numaplace.solver.placing.cell_offer import CellOffer, device_rates, places_for
from numaplace.solver.placing.matching import FORBIDDEN, assign
from numaplace.solver.placing.occupancy import EVER, Occupancy
from numaplace.solver.placing.rules import LOSS_FIRST, Rule, prices

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
        self.allowed, self.exactly = places_for(state, vm)
        self.first = (
            _stage_keys(state, vm)
            if self.by_loss
            else np.zeros(len(state.ledger.host_vms), np.int64)
        )

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

    def _offer(self, kind: CellType, cells: int, ways: Ways) -> CellOffer:
        size, (spill, balloon) = (kind.vcpus, kind.blocks, cells), ways
        return CellOffer(self.state, self.vm, self.allowed, *size, balloon=balloon, spill=spill)

    def _keys(self, offer: CellOffer) -> Reals:
        """Price of each place by the rule."""
        keys: Reals = np.where(offer.fits, prices(offer, self.rule), FORBIDDEN)
        return keys

    def _one_cell(self, shape: VmShape, ways: Ways) -> Ranked | None:
        kind = shape.types[0]
        offer = self._offer(kind, 1, ways)
        keys = self._keys(offer)
        first = self.first[self.state.arrays.host_index]
        best: Ranked | None = None
        tries = 0
        for place_index in _ascending(keys, first):
            bound = (
                (int(first[place_index]), int(offer.loss[place_index])) if self.by_loss else (0, 0)
            )
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
        key = (0, 0) if found is None else (int(self.first[found.footprint.host_index]), found.loss)
        return None if found is None else (key, found)

    def _cells(self, shape: VmShape, ways: Ways) -> Ranked | None:
        cells = shape.num_cells
        keys = [self._keys(self._offer(kind, cells, ways)) for kind in shape.types]
        best: Ranked | None = None
        for bound, host_index in self._hosts(keys, cells):
            if best is not None and bound >= best[0]:
                break
            found = self._on_host(shape, ways, host_index, keys)
            if found is not None and not self.by_loss:
                return found
            if _better(found, best):
                best = found
        return best

    def _hosts(self, keys: Sequence[Reals], cells: int) -> list[tuple[tuple[int, int], int]]:
        """Hosts with nodes enough, with a lower bound, best first."""
        least = np.minimum.reduce(keys)
        found: list[tuple[tuple[int, int], int]] = []
        for host_index, span in enumerate(self.state.arrays.host_slice):
            here = least[span]
            if len(here) >= cells:
                bound = float(np.partition(here, cells - 1)[:cells].sum())
                if bound < FORBIDDEN:
                    found.append(((int(self.first[host_index]), int(bound)), host_index))
        return sorted(found) if self.by_loss else found

    def _on_host(
        self, shape: VmShape, ways: Ways, host_index: int, keys: Sequence[Reals]
    ) -> Ranked | None:
        span = self.state.arrays.host_slice[host_index]
        costs = np.array([key[span] for key in keys])
        demands = [kind.count for kind in shape.types]
        best: Ranked | None = None
        seen: set[tuple[Home, ...]] = set()
        for anchor in self._anchors(costs, host_index):
            priced = costs
            if anchor is not None:
                priced = costs + self._pull(shape, host_index, anchor)
                priced[:, anchor] -= FORCED
            given = assign(priced.tolist(), demands)
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


def _ascending(keys: Reals, first: Ints) -> Iterator[int]:
    """Indices of finite keys, least first key, then least key first; lazily where that pays."""
    if first.any():
        for index in np.lexsort((keys, first)).tolist():
            if keys[index] < FORBIDDEN:
                yield index
        return
    keys = keys.copy()
    while True:
        index = int(keys.argmin())
        if keys[index] == FORBIDDEN:
            return
        yield index
        keys[index] = FORBIDDEN


def _stage_keys(state: Occupancy, vm: Vm) -> Ints:
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
    return np.zeros(len(ledger.host_vms), np.int64)
