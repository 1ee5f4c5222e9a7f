"""OpenStack Nova's choice of host NUMA cells, as a baseline.

What Nova does (openstack/nova, nova/virt/hardware.py, ``numa_fit_instance_to_host``): the host's
cells are sorted by free memory, then by CPUs in use (or free pCPUs, for dedicated ones), then by
whether they have PCI devices (wanted: first, not wanted: last), each sort keeping the order of the
one before among equals; ``spread``, the default, takes the emptiest first, ``pack`` the fullest.
No sort if the guest has as many cells as the host. Then permutations of host cells are tried in
that order, and the first that fits is taken: every guest cell has all its CPUs and memory on its
host cell. Distances play no role. PCI policies: required, socket, preferred.

What differs here: the first permutation is found by matching, without trying them all, and
without the caches that make Nova refuse or accept wrongly. A guest has the cells it is given: its
explicit ones, all of ``max_cells`` if it sees an automatic topology, else as few as an empty host
allows; a guest for which Nova would make no topology (it floats over the host) counts as one with
a single cell. Hosts are taken in the order of Nova's CPU and RAM weighers, emptiest first.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from numaplace.models.forms import Shape
from numaplace.models.instance import Instance, Place
from numaplace.models.units import PageSize
from numaplace.models.vm import CpuPolicy, DevicePolicy, GuestNuma, Vm
from numaplace.solver.placing.board import Bools, Reals
from numaplace.solver.placing.build import Candidate, build
from numaplace.solver.placing.engine import Engine
from numaplace.solver.placing.matching import first_match
from numaplace.solver.placing.paging import Home
from numaplace.solver.placing.scores import device_rates, places_for, score
from numaplace.solver.placing.state import State


class NovaPlacement:
    """Chooser that takes the fit Nova would stop at.

    Parameters
    ----------
    instance
        The instance.
    pack
        Fullest cells first, emptiest first if not.
    """

    def __init__(self, instance: Instance, *, pack: bool = False) -> None:
        self.instance = instance
        self.pack = pack

    def __call__(self, engine: Engine, vm: Vm) -> Candidate | None:
        """Choose a host and cells for `vm`; None if no host has cells that fit."""
        state = engine.state
        mask, exactly = places_for(state, vm)
        shape = self._shape(vm)
        if not mask.any() or (exactly is not None and len(exactly) != shape.num_cells):
            return None
        cells = shape.cells()
        # A guest whose memory is bound elsewhere by hand cannot have it on its own cell.
        spill = vm.memory_nodes is not None
        fits = {
            cell: score(state, vm, mask, *cell, shape.num_cells, spill=spill).fits
            for cell in set(cells)
        }
        for host_index in self._hosts(state, vm):
            found = self._on_host(state, vm, cells, fits, host_index)
            if found is not None:
                return found
        return None

    def _shape(self, vm: Vm) -> Shape:
        shapes = self.instance.form(vm.name).shapes
        wants_all = vm.guest_numa is GuestNuma.AUTOMATIC and vm.max_cells is not None
        return shapes[-1] if wants_all else shapes[0]

    def _hosts(self, state: State, vm: Vm) -> list[int]:
        """Hosts by the sum of their normalised free memory and CPUs, most first."""
        board, rows = state.board, state.rows(vm.name)
        allowed = [self.instance.host_index[h.name] for h in self.instance.allowed_hosts(vm)]
        weight: Reals = np.zeros(len(self.instance.hosts))
        for capacity, used in (
            (board.pool_mib[PageSize.SMALL], state.mib_used[PageSize.SMALL]),
            (board.cpu_capacity, state.cpu_used),
        ):
            free = np.add.reduceat(capacity - state.peak(used, rows), board.host_starts)
            among = free[allowed]
            weight += (free - among.min()) / max(1, int(among.max() - among.min()))
        return sorted(allowed, key=lambda h: -float(weight[h]))

    def _on_host(
        self,
        state: State,
        vm: Vm,
        cells: list[tuple[int, int]],
        fits: dict[tuple[int, int], Bools],
        host_index: int,
    ) -> Candidate | None:
        order = self._cell_order(state, vm, host_index, len(cells))
        options = [
            sum(1 << rank for rank, place in enumerate(order) if fits[cell][place])
            for cell in cells
        ]
        for ranks in self._fits(state, vm, options, order):
            homes = [
                Home(order[rank], vcpus, blocks)
                for rank, (vcpus, blocks) in zip(ranks, cells, strict=True)
            ]
            found = build(state, vm, homes)
            if found is not None:
                return found
        return None

    def _fits(
        self, state: State, vm: Vm, options: list[int], order: list[int]
    ) -> list[tuple[int, ...]]:
        """Fits in the order Nova would meet them, the first one for each way to reach devices.

        Devices that must be near ask for a cell on one of their nodes; each guest cell is tried
        on each such node.
        """
        near = [
            device_rates(state.board, r.kind, r.policy, r.weight)[0]
            for r in vm.devices
            if r.policy is not DevicePolicy.PREFERRED
        ]
        found = {tuple(first_match(options) or ())}
        for mask, cell in product(near, range(len(options))):
            for rank, place in enumerate(order):
                if mask[place] and options[cell] >> rank & 1:
                    tied = [*options[:cell], 1 << rank, *options[cell + 1 :]]
                    found.add(tuple(first_match(tied) or ()))
        return sorted(fit for fit in found if fit)

    def _cell_order(self, state: State, vm: Vm, host_index: int, num_cells: int) -> list[int]:
        places = list(self.instance.host_places[host_index])
        if len(places) > num_cells:
            rows = state.rows(vm.name)
            emptiest = -1 if not self.pack else 1
            places.sort(key=lambda p: emptiest * self._free_mib(state, p, rows))
            if vm.cpu_policy is CpuPolicy.SHARED:
                places.sort(key=lambda p: emptiest * -self._cpus_used(state, p, rows))
            else:
                mask = state.row_mask(vm.name)
                policy = vm.thread_policy
                places.sort(key=lambda p: emptiest * state.room(p.index, policy, mask))
            kinds = [request.kind for request in vm.devices]
            if kinds:
                places.sort(key=lambda p: not _has_device(p, kinds))
            else:
                places.sort(key=lambda p: any(p.node.id in d.nodes for d in p.host.devices))
        return [place.index for place in places]

    def _free_mib(self, state: State, place: Place, rows: slice) -> int:
        return sum(state.free_mib(place.index, size, rows) for size in PageSize)

    def _cpus_used(self, state: State, place: Place, rows: slice) -> int:
        return int(state.board.cpu_capacity[place.index]) - state.free_cpu(place.index, rows)


def _has_device(place: Place, kinds: list[str]) -> bool:
    """Tell whether a node has a device that answers one of some requests."""
    return any(
        place.node.id in device.nodes and any(device.answers(kind) for kind in kinds)
        for device in place.host.devices
    )
