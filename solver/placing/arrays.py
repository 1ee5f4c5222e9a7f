"""What of an instance never changes while VMs come and go, as arrays over places.

A *place* is a node of a host, numbered over all hosts (`Instance.places`). Everything here is
read-only: any number of states can share one board.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from numaplace.models import rates
from numaplace.models.cores import threads_a_core
from numaplace.models.instance import Instance
from numaplace.models.pages import page_nodes
from numaplace.models.relations import Apart, Competition, Cooperation, Together
from numaplace.models.smt import crowding_milli
from numaplace.models.units import PageSize
from numaplace.models.vm import DevicePolicy, MemoryMode, Vm

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

NO_LIMIT = 1 << 60
MEAN_R_CACHED_MAX = 512
ALONE_R = 1e9  # Distance to the nearest other node where there is none

Pair = TypeVar("Pair", Cooperation, Competition)
Tied = TypeVar("Tied", Together, Apart)


class Partner(NamedTuple):
    """The other VM of a pair; `first` tells whether the VM asked about is the pair's first."""

    name: str
    first: bool


class InstanceArrays:
    """Arrays over the places of an instance, and the relations of each VM.

    `cpu_capacity` is ``ratio_milli * threads`` of each place: a shared vCPU takes 1000 of it, a
    pCPU that a dedicated VM holds ``ratio_milli``. `contention` and `bandwidth` are curves place by
    place, `contentions` and `bandwidths` the same as arrays; `pool_mib` is memory by page size and
    place. `least_r` is the least distance of two nodes by host, `hosts_by_size` has the hosts of
    each number of nodes, with their places as rows.
    """

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        places = instance.places
        self.size = len(places)
        self.numbers = np.arange(self.size)
        self.host_index = _ints(place.host_index for place in places)
        self.position = _ints(place.position for place in places)
        self.node_id = _ints(place.node.id for place in places)
        self.threads = _ints(place.node.threads for place in places)
        self.ratio_milli = _ints(p.host.ratio_milli for p in places)
        self.cpu_capacity = self.ratio_milli * self.threads
        self.pool_mib = {
            size: _ints(place.node.pool_mib(size) for place in places) for size in PageSize
        }
        self.bandwidth = [rates.bandwidth(instance, place) for place in places]
        limits = _ints(NO_LIMIT if b is None else b.limit_milli for b in self.bandwidth)
        self.bandwidths = rates.Bandwidth(rates.bandwidth_price(instance), limits)
        self._number_crowds()
        self.network_factor = np.array([place.host.network_factor for place in places])
        self.has_cpus: Bools = self.threads > 0
        sizes = [len(group) for group in instance.host_places]
        starts = [0, *np.cumsum(sizes).tolist()]
        self.host_slice = [slice(a, b) for a, b in itertools.pairwise(starts)]
        self.host_starts = _ints(starts[:-1])
        self.host_threads = _ints(max(1, host.threads) for host in instance.hosts)
        self._relative = [np.array(host.relative) for host in instance.hosts]
        self.nearest_r: Reals = np.concatenate([_nearest(r) for r in self._relative])
        self.least_r: Reals = np.minimum.reduceat(self.nearest_r, self.host_starts)
        by_size = np.array(sizes)
        self.hosts_by_size = [
            (hosts, self.host_starts[hosts, np.newaxis] + np.arange(size))
            for size in sorted(set(sizes))
            for hosts in [np.flatnonzero(by_size == size)]
        ]
        self._mean_r: dict[int, Reals] = {}
        self._page_places: dict[tuple[object, ...], list[int]] = {}
        self.device_cache: dict[tuple[str, DevicePolicy, float], tuple[Bools, Ints]] = {}
        self.cooperations = _partners(instance, instance.cooperations)
        self.competitions = _partners(instance, instance.competitions)
        self.togethers, self.aparts = _members(instance.togethers), _members(instance.aparts)
        self._domains: dict[str, Ints] = {}

    def domains(self, scope: str) -> Ints:
        """Domain of each place in a scope of whole hosts, as `Instance.domains` numbers them."""
        if scope not in self._domains:
            self._domains[scope] = np.array(self.instance.domains(scope))[self.host_index]
        return self._domains[scope]

    def _number_crowds(self) -> None:
        """Number kinds of nodes by all that says how a VM crowds them, and make their lines."""
        places, kinds = self.instance.places, dict[tuple[float, int], int]()
        self.crowd_kind = _ints(
            kinds.setdefault((p.host.smt_yield, threads_a_core(p.node)), len(kinds)) for p in places
        )
        self._of_kind = [int(np.argmax(self.crowd_kind == kind)) for kind in range(len(kinds))]
        crowdings = {
            crowding_milli(vm, places[at].host.smt_yield)
            for vm in self.instance.vms
            for at in self._of_kind
        }
        self.lines = rates.ContentionLines([rates.contention(place) for place in places], crowdings)
        self._crowds: dict[tuple[tuple[int, int], ...], Ints] = {}

    def crowd(self, vm: Vm, vcpus: int) -> Ints:
        """What a cell of a VM adds to each line of CPU contention, by line and place."""
        places = self.instance.places
        by_kind = tuple(rates.crowd(vm, vcpus, places[at]) for at in self._of_kind)
        if by_kind not in self._crowds:
            each = [milli * self.lines.weights(crowding) for milli, crowding in by_kind]
            self._crowds[by_kind] = of_kinds(each, self.crowd_kind)
        return self._crowds[by_kind]

    def relative(self, host_index: int) -> Reals:
        """Relative distances within a host, by position."""
        return self._relative[host_index]

    def mean_r(self, place_index: int) -> Reals:
        """Mean of the relative distances to and from `place`, for each place."""
        known = self._mean_r.get(place_index)
        if known is not None:
            return known
        mean: Reals = np.maximum(self.network_factor, self.network_factor[place_index])
        host, at = int(self.host_index[place_index]), int(self.position[place_index])
        relative = self._relative[host]
        mean[self.host_slice[host]] = (relative[:, at] + relative[at, :]) / 2
        if self.size <= MEAN_R_CACHED_MAX:
            self._mean_r[place_index] = mean
        return mean

    def page_places(self, vm: Vm, home: int) -> list[int]:
        """Places that may hold pages of a cell of `vm` at `home`."""
        own_only = vm.memory_mode is MemoryMode.STRICT and vm.memory_nodes is None
        host_index = int(self.host_index.item(home))
        key = (host_index, vm.page_size, vm.memory_nodes, home if own_only else -1)
        if key not in self._page_places:
            host = self.instance.hosts[host_index]
            base = self.host_slice[host_index].start
            nodes = page_nodes(vm, host, int(self.node_id.item(home)))
            self._page_places[key] = [base + host.position[node] for node in nodes]
        return self._page_places[key]

    def allowed(self, vm: Vm) -> Bools:
        """Places whose pCPUs the VM may use."""
        mask = self.has_cpus
        if vm.hard_nodes is not None:
            mask = mask & np.isin(self.node_id, list(vm.hard_nodes))
        if vm.allowed_hosts is not None:
            hosts = [self.instance.host_index[name] for name in vm.allowed_hosts]
            mask = mask & np.isin(self.host_index, hosts)
        return mask


def _partners(instance: Instance, pairs: Iterable[Pair]) -> dict[str, list[tuple[Pair, Partner]]]:
    """Pairs of VMs that exist at the same time, by VM."""
    found: dict[str, list[tuple[Pair, Partner]]] = defaultdict(list)
    for pair in pairs:
        if instance.vm(pair.first).overlaps(instance.vm(pair.second)):
            found[pair.first].append((pair, Partner(pair.second, True)))
            found[pair.second].append((pair, Partner(pair.first, False)))
    return found


def _members(groups: Iterable[Tied]) -> dict[str, list[Tied]]:
    """Groups by VM."""
    found: dict[str, list[Tied]] = defaultdict(list)
    for group in groups:
        for name in group.vms:
            found[name].append(group)
    return found


def of_kinds(each: Sequence[Ints], kind: Ints) -> Ints:
    """Return for each place (the last axis) what the array of its kind has there."""
    found: Ints = each[0]
    if len(each) > 1:
        found = np.stack(each)[kind, :, np.arange(len(kind))].T.copy()
    return found


def _nearest(relative: Reals) -> Reals:
    """Relative distance from each node of a host to the nearest other one."""
    others = relative.copy()
    others.flat[:: len(relative) + 1] += ALONE_R
    nearest: Reals = others.min(axis=1)
    return nearest


def _ints(values: object) -> Ints:
    return np.fromiter(values, dtype=np.int64)  # type: ignore[call-overload, no-any-return]
