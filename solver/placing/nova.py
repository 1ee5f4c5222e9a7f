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

from itertools import groupby, product

import numpy as np

from numaplace.models.forms import VmShape
from numaplace.models.instance import Instance, Place
from numaplace.models.trace import Ints
from numaplace.models.vm import CpuPolicy, DevicePolicy, GuestNuma, Vm
from numaplace.solver.placing.arrays import Bools
from numaplace.solver.placing.build import Candidate, Home, build
from numaplace.solver.placing.cell_offer import CellOffer, device_rates, places_for
from numaplace.solver.placing.matching import first_match
from numaplace.solver.placing.occupancy import Occupancy
from numaplace.solver.placing.offer import Lazy, Offer
from numaplace.solver.placing.placer import Placer
from numaplace.solver.placing.rules import ascending, nova


class NovaPlacement:
    """Chooser that takes the fit Nova would stop at; `pack`: fullest cells first."""

    def __init__(self, instance: Instance, *, pack: bool = False) -> None:
        self.instance = instance
        self.pack = pack

    def __call__(self, engine: Placer, vm: Vm) -> Candidate | None:
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
            cell: CellOffer(state, vm, mask, *cell, shape.num_cells, spill=spill).fits
            for cell in set(cells)
        }
        offer = _Cells(state, vm, shape.num_cells, pack=self.pack)
        places = offer.slots[ascending(nova(offer))].tolist()
        for _, order in groupby(places, key=offer.ledger.place_host.item):
            found = self._on_host(state, vm, cells, fits, list(order))
            if found is not None:
                return found
        return None

    def _shape(self, vm: Vm) -> VmShape:
        shapes = self.instance.form(vm.name).shapes
        wants_all = vm.guest_numa is GuestNuma.AUTOMATIC and vm.max_cells is not None
        return shapes[-1] if wants_all else shapes[0]

    def _on_host(
        self,
        state: Occupancy,
        vm: Vm,
        cells: list[tuple[int, int]],
        fits: dict[tuple[int, int], Bools],
        order: list[int],
    ) -> Candidate | None:
        options = [
            sum(1 << rank for rank, place_index in enumerate(order) if fits[cell][place_index])
            for cell in cells
        ]
        for ranks in self._fits(state, vm, options, order):
            homes = [
                Home(order[rank], vcpus, blocks)
                for rank, (vcpus, blocks) in zip(ranks, cells, strict=True)
            ]
            found = build(state, vm, homes, siblings=True)
            if found is not None:
                return found
        return None

    def _fits(
        self, state: Occupancy, vm: Vm, options: list[int], order: list[int]
    ) -> list[tuple[int, ...]]:
        """Fits in the order Nova would meet them, the first one for each way to reach devices.

        Devices that must be near ask for a cell on one of their nodes; each guest cell is tried
        on each such node.
        """
        near = [
            device_rates(state.arrays, r)[0]
            for r in vm.devices
            if r.policy is not DevicePolicy.PREFERRED
        ]
        found = {tuple(first_match(options) or ())}
        for mask, cell in product(near, range(len(options))):
            for rank, place_index in enumerate(order):
                if mask[place_index] and options[cell] >> rank & 1:
                    tied = [*options[:cell], 1 << rank, *options[cell + 1 :]]
                    found.add(tuple(first_match(tied) or ()))
        return sorted(fit for fit in found if fit)


class _Cells(Offer):
    """The nodes of the hosts that may run a VM, as Nova sorts them."""

    def __init__(self, state: Occupancy, vm: Vm, num_cells: int, *, pack: bool) -> None:
        super().__init__(state.ledger, state.rows(vm.name))
        self.state, self.vm = state, vm
        instance = state.instance
        hosts = [instance.host_index[host.name] for host in instance.allowed_hosts(vm)]
        self.places = [place for host in hosts for place in instance.host_places[host]]
        self.slots = self.first = self.second = np.array([place.index for place in self.places])
        # Equal keys where nothing is sorted, since the guest has as many cells as the host.
        sorts = np.array([len(place.host.nodes) > num_cells for place in self.places])
        self.sign: Ints = sorts * (-1 if pack else 1)

    @Lazy
    def misplaced(self) -> Ints:
        """Nodes without the devices wanted, or with devices though none are."""
        kinds = [request.kind for request in self.vm.devices]
        wrong: Ints = np.array([_has_device(at, kinds) != bool(kinds) for at in self.places])
        return wrong * abs(self.sign)

    @Lazy
    def busy(self) -> tuple[Ints, Ints]:
        """CPUs in use, or for dedicated ones those not free."""
        if self.vm.cpu_policy is CpuPolicy.SHARED:
            return self.sign * super().busy[0], self.none
        mask, policy = self.state.row_mask(self.vm.name), self.vm.thread_policy
        free = [self.state.room(place.index, policy, mask) for place in self.places]
        return self.sign * -np.array(free), self.none

    @Lazy
    def left_mib(self) -> Ints:
        """MiB free in pages of all sizes."""
        pools = [self.ledger.least(pool, self.rows) for pool in self.ledger.free_mib.values()]
        return self.sign * self.total(np.add.reduce(pools))


def _has_device(place: Place, kinds: list[str]) -> bool:
    """Tell whether a node has a device that answers some requests, or any if there are none."""
    return any(
        place.node.id in device.nodes and (not kinds or any(device.answers(kind) for kind in kinds))
        for device in place.host.devices
    )
