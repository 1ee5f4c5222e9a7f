"""Prices in micro-vCPU: the coefficients of every term, rounded here and nowhere else.

Cost, formulation, greedy, online and bounds multiply these integers with what a plan does, so all
of them mean the same number. What is asked of many places at once (typed `Any`) takes an array as
well as a number, and gives the same. The formulas are those of docs/model.md; r is the relative
distance of `Instance.r`, u the utilisation, mu the memory intensity.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from numaplace.models.cores import threads_a_core
from numaplace.models.forms import VmForm
from numaplace.models.instance import Instance, Place
from numaplace.models.relations import Competition, Cooperation
from numaplace.models.smt import CROWDING_STEP_MILLI, crowding_milli
from numaplace.models.topology import Device, NumaNode
from numaplace.models.units import MICRO, MILLI, ceil_div, to_micro, to_milli
from numaplace.models.vm import CpuPolicy, DeviceRequest, ThreadPolicy, Vm

if TYPE_CHECKING:
    from numaplace.models.units import Ints

Whole = TypeVar("Whole", int, "Ints")

NANO_PER_MICRO = 1000

# Load that a variance of one busy vCPU adds; from the simulation, docs/simulator.md.
FLUCTUATION = 0.25
# Up to where a memory is nearly as quick as idle; what more costs from there: docs/simulator.md.
QUIET_PERCENT, LATENCY_PERCENT = 49, 20


def slowdown(mu: float, r: Any) -> Any:
    """Share of a vCPU's work lost when all its accesses go to relative distance `r`.

    A share mu of the run time waits for memory; it grows by the factor r:
    ``mu (r - 1) / (1 + mu (r - 1))``.
    """
    extra = mu * (r - 1.0)
    return extra / (1.0 + extra)


def memory_rate(
    instance: Instance, vm: Vm, vcpus: int, cell_mib: int, home: Place, at: Place
) -> int:
    """Loss per block of a cell's own pages on `at` while its `vcpus` run on `home`."""
    r = instance.r(home, at)
    micro: int = memory_loss(instance.form(vm.name), vm, vcpus, cell_mib, r)
    return micro


def memory_loss(form: VmForm, vm: Vm, vcpus: int, cell_mib: int, r: Any) -> Any:
    """Loss per block of a cell's own pages at relative distance `r`.

    A vCPU finds a share ``((1 - g) m' + g own) / M`` of its accesses in the m' MiB of its own cell,
    spread evenly over them; own: MiB that the VM shares with nobody, g: the guest's locality.
    """
    per_mib = (1.0 - vm.locality) / form.memory_mib
    per_mib += vm.locality * form.own_mib / (form.memory_mib * cell_mib) if cell_mib else 0.0
    lost = vcpus * vm.utilisation * slowdown(vm.memory_intensity, r)
    return to_micro(lost * per_mib * form.block_mib)


def access_loss(busy: float, share: float, mu: float, r: Any) -> Any:
    """Loss of vCPUs, busy for so much in all, that find a share of their accesses at `r`."""
    return to_micro(busy * share * slowdown(mu, r))


def split_rate(
    instance: Instance, vm: Vm, a: tuple[int, int], b: tuple[int, int], at_a: Place, at_b: Place
) -> int:
    """Loss of two cells of one VM at two places, both directions.

    `a` and `b` are (vCPUs, own MiB). The vCPUs of each reach the other's pages, at the other's
    home, with the share ``(1 - g) m/M``.
    """

    def one_way(vcpus: int, mib: int, home: Place, at: Place) -> int:
        share = (1.0 - vm.locality) * mib / instance.form(vm.name).memory_mib
        busy, r = vcpus * vm.utilisation, instance.r(home, at)
        micro: int = access_loss(busy, share, vm.memory_intensity, r)
        return micro

    return one_way(a[0], b[1], at_a, at_b) + one_way(b[0], a[1], at_b, at_a)


def sharing_rate(instance: Instance, vm: Vm, vcpus: int, home: Place, copy: Place) -> int:
    """Loss of `vcpus` on `home` that read their sharing group's pages at `copy`."""
    form = instance.form(vm.name)
    share = form.shared_mib / form.memory_mib
    busy, r = vcpus * vm.utilisation, instance.r(home, copy)
    micro: int = access_loss(busy, share, vm.memory_intensity, r)
    return micro


def affinity_rate(vm: Vm, vcpus: int, node_id: int) -> int:
    """Loss of `vcpus` on a node outside the VM's soft set."""
    if vm.soft_nodes is None or node_id in vm.soft_nodes:
        return 0
    return outside_loss(vm.soft_weight, vcpus, vm.vcpus)


def outside_loss(weight: float, vcpus: int, all_vcpus: int) -> int:
    """Loss of some of a VM's vCPUs that are outside its soft set."""
    return to_micro(weight * vcpus / all_vcpus)


def device_rate(instance: Instance, request: DeviceRequest, home: Place, device: Device) -> int:
    """Loss per function of a device for the cell on `home`; 0 if the device's node is unknown."""
    if not device.nodes:
        return 0
    of_host = instance.host_places[home.host_index]
    near = min(instance.r(home, place) for place in of_host if place.node.id in device.nodes)
    micro: int = distance_loss(request.weight, near)
    return micro


def distance_loss(weight: float, r: Any) -> Any:
    """Loss of a relation of some weight at relative distance `r`."""
    return to_micro(weight * (r - 1.0))


def cooperation_rate(
    instance: Instance, pair: Cooperation, vcpus: tuple[int, int], at: tuple[Place, Place]
) -> int:
    """Loss of two cells, one of each cooperating VM, with their vCPUs and places.

    Distance counts as the mean of both directions, a cell as its share of its VM's vCPUs.
    """
    r = (instance.r(at[0], at[1]) + instance.r(at[1], at[0])) / 2
    micro: int = distance_loss(pair.weight * talk_share(instance, pair, vcpus), r)
    return micro


def talk_share(instance: Instance, pair: Cooperation, vcpus: tuple[int, int]) -> float:
    """What two cells talk of all that their VMs do."""
    return vcpus[0] / instance.vm(pair.first).vcpus * vcpus[1] / instance.vm(pair.second).vcpus


def parted_price(pair: Cooperation) -> int:
    """Loss of two VMs that talk and do not meet in the scope of that."""
    return to_micro(pair.weight)


def competition_price(pair: Competition) -> int:
    """Loss of two VMs that meet where they compete."""
    return to_micro(pair.weight)


def balloon_rate(instance: Instance, vm: Vm) -> int:
    """Loss per block that ballooning takes away."""
    form = instance.form(vm.name)
    pressure = instance.prices.balloon_pressure
    return to_micro(pressure * vm.vcpus * form.block_mib / form.memory_mib)


def move_rates_nano(instance: Instance, vm: Vm) -> tuple[int, int]:
    """Nano-vCPU per MiB moved within a host, and to another host.

    The VM's vCPUs are slowed while the copy lasts; the plan pays that over its horizon.
    """
    prices = instance.prices
    slowed = prices.slowed_share * vm.vcpus * vm.utilisation / prices.horizon_s
    rates = (prices.copy_mib_per_s, prices.network_mib_per_s)
    local, network = (round(MICRO * NANO_PER_MICRO * slowed / rate) for rate in rates)
    return local, network


def moved_loss(nano: Any) -> Any:
    """Loss of what a VM moves, rounded up once a VM."""
    return ceil_div(nano, NANO_PER_MICRO)


def load_milli(vm: Vm, vcpus: int) -> int:
    """CPU load of a cell in milli-vCPU, see `busy_load`; what `balance` balances."""
    milli: int = to_milli(busy_load(vcpus, vm.utilisation))
    return milli


def busy_load(vcpus: Any, utilisation: Any) -> Any:
    """Load of vCPUs that are busy for a share of the time: ``c (u + u (1 - u) / 4)``.

    VMs that are idle at times are busy at the same time by chance, so a node contends before its
    mean load reaches its cores. The second part stands for that: the variance of the number of
    busy vCPUs, at the price that the simulation shows (docs/simulator.md). It vanishes for vCPUs
    that are always busy.
    """
    return vcpus * (utilisation + FLUCTUATION * utilisation * (1.0 - utilisation))


def crowd(vm: Vm, vcpus: int, place: Place) -> tuple[int, int]:
    """What a cell is to CPU contention: its load in milli-vCPU, and its crowding in thousandths.

    A dedicated vCPU keeps its thread however busy it is, one that requires whole cores its core.
    """
    if vm.cpu_policy is CpuPolicy.SHARED:
        load = load_milli(vm, vcpus)
    else:
        load = MILLI * (vcpus - siblings(vm, vcpus, place))
    return load, crowding_milli(vm, place.host.smt_yield)


def siblings(vm: Vm, vcpus: int, place: Place) -> int:
    """Dedicated vCPUs of a cell that requires whole cores which are not the first of their core."""
    if vm.cpu_policy is CpuPolicy.SHARED or vm.thread_policy is not ThreadPolicy.REQUIRE:
        return 0
    return vcpus - ceil_div(vcpus, threads_a_core(place.node))


def siblings_loss(vm: Vm, vcpus: int, place: Place) -> int:
    """Loss of a cell that requires whole cores, by its own siblings."""
    extra = siblings(vm, vcpus, place)
    return extra and extra * crowding_milli(vm, place.host.smt_yield) * (MICRO // MILLI)


@dataclass(frozen=True, slots=True)
class Contention:
    """CPU contention of a node: convex and piecewise linear in what is placed.

    Cores are shared out as if the scheduler knew who suffers least: a vCPU alone on one of C cores
    takes one, one on one of T threads C / T of it and loses (1 - C / T) of its crowding s, one that
    waits takes none and loses all. The least loss is a linear program, whose dual has one
    price x of a core, so the loss is the greatest over x of

        sum of load * min(x, x C / T + s (1 - C / T), 1) - x C,

    and the only x that matter are those where some s makes it bend. If all is of one crowding, that
    is: nothing up to the cores, s per vCPU up to the threads, then 1.

    Parameters
    ----------
    cores, threads
        Of the node.
    """

    cores: int
    threads: int

    def bends(self, crowdings: Iterable[int]) -> tuple[int, ...]:
        """Prices of a core in thousandths at which the loss of such crowdings may bend."""
        if self.threads <= self.cores:
            return (MILLI,)
        extra, found = self.threads - self.cores, set(crowdings)
        if self.threads != 2 * self.cores:  # weights are rounded: alike, whoever might be there
            found = set(range(0, MILLI + 1, CROWDING_STEP_MILLI))
        waiting = {(MILLI * self.threads - s * extra) // self.cores for s in found}
        return tuple(sorted(found - {0} | waiting))

    def weight(self, price: int, crowding: int) -> int:
        """What a vCPU counts for at a price of a core, in thousandths."""
        if self.threads <= self.cores:
            return min(price, MILLI)
        extra = self.threads - self.cores
        return min(price, (price * self.cores + crowding * extra) // self.threads, MILLI)

    def offset(self, price: int) -> int:
        """What all cores are worth at a price, in micro-vCPU."""
        return price * self.cores * MILLI

    def loss(self, parts: Mapping[int, int]) -> int:
        """Loss in micro-vCPU of loads in milli-vCPU by crowding."""
        if sum(parts.values()) <= self.cores * MILLI:
            return 0
        bends = {x: sum(m * self.weight(x, s) for s, m in parts.items()) for x in self.bends(parts)}
        return max(0, *(load - self.offset(price) for price, load in bends.items()))


def by_crowding(crowds: Iterable[tuple[int, int]]) -> Mapping[int, int]:
    """Add up loads by crowding: what `Contention.loss` takes."""
    parts: Counter[int] = Counter()
    for milli, crowding in crowds:
        parts[crowding] += milli
    return parts


def contention(place: Place) -> Contention:
    """Contention of the node at `place`."""
    return Contention(place.node.cores, place.node.threads)


def pinned_loss(node: NumaNode, held: Mapping[int, int]) -> int:
    """Loss of dedicated vCPUs by the cores they share; `held`: their crowding by pCPU id.

    Each of two on a core loses half of its crowding, as in `Contention`.
    """
    if not held:
        return 0
    cores: dict[int, list[int]] = defaultdict(list)
    for pcpu in node.pcpus:
        if pcpu.id in held:
            cores[pcpu.core].append(held[pcpu.id])
    return sum(core_loss(crowdings) for crowdings in cores.values())


def core_loss(crowdings: Sequence[int]) -> int:
    """Loss of one core whose threads have these crowdings, in micro-vCPU."""
    busy = len(crowdings)
    return sum(crowdings) * (busy - 1) * (MICRO // MILLI) // busy if busy > 1 else 0


class ContentionLines:
    """Contention of many nodes as arrays: what each line of each node is worth now.

    Parameters
    ----------
    curves
        The nodes.
    crowdings
        All crowdings there can be.

    Attributes
    ----------
    offsets
        By line and node, in micro-vCPU: the value of an empty node's line is their negative.
    """

    def __init__(self, curves: Sequence[Contention], crowdings: Iterable[int]) -> None:
        import numpy as np

        kinds = list(dict.fromkeys(curves))
        self.crowdings = sorted(set(crowdings))
        bends = [curve.bends(self.crowdings) or (MILLI,) for curve in kinds]
        # A node of fewer lines has its first more than once.
        lines = max(map(len, bends), default=1)
        prices = [[*found, *found[:1] * (lines - len(found))] for found in bends]
        number = {curve: index for index, curve in enumerate(kinds)}
        of_node = np.fromiter((number[curve] for curve in curves), np.int64, len(curves))

        def by_node(value: Callable[[Contention, int], int]) -> Ints:
            rows = [[value(c, x) for x in found] for c, found in zip(kinds, prices, strict=True)]
            return np.array(rows, np.int64).reshape(len(kinds), lines).T[:, of_node].copy()

        self.offsets: Ints = by_node(Contention.offset)
        self._weights: dict[int, Ints] = {
            s: by_node(lambda curve, x, s=s: curve.weight(x, s))  # type: ignore[misc]
            for s in self.crowdings
        }

    def weights(self, crowding: int) -> Ints:
        """What a milli-vCPU of a crowding adds to each line of each node, in micro-vCPU."""
        return self._weights[crowding]

    @staticmethod
    def loss(values: Ints) -> Ints:
        """Loss of nodes from the values of their lines, which come first."""
        lost: Ints = positive(*values)
        return lost


def positive(first: Any, *others: Any) -> Any:
    """Return the largest of numbers, or of arrays entry by entry; 0 at least."""
    if isinstance(first, int):
        return max(0, first, *others)
    import numpy as np

    return reduce(np.maximum, others, np.maximum(0, first))


def demand_per_block(instance: Instance, vm: Vm) -> int:
    """Bandwidth in thousandths of MB/s that a VM demands of the node that holds a block of it.

    Demand follows the pages; pages shared with others are taken as cold.
    """
    form = instance.form(vm.name)
    return to_milli(vm.bandwidth_mbps * form.block_mib / form.memory_mib)


@dataclass(frozen=True, slots=True)
class Bandwidth(Generic[Whole]):
    """Loss of a node (or of many, as arrays) by what its memory is asked for; convex.

    Latency rises before the peak: a MB/s beyond `quiet_milli` costs `LATENCY_PERCENT` of the price.
    """

    price: int
    limit_milli: Whole

    @property
    def quiet_milli(self) -> Whole:
        """Demand up to which nothing is lost; whole MB/s."""
        return self.limit_milli // MILLI * QUIET_PERCENT // 100 * MILLI

    def lines(self) -> list[tuple[int, int, Whole]]:
        """Price, scale and limit of each ``price demand_milli - scale loss <= limit``."""
        early = self.price * LATENCY_PERCENT // 100
        slow, beyond = early * self.quiet_milli, (self.price - early) * self.limit_milli
        lines = [(early, MILLI, slow), (self.price, MILLI, slow + beyond)]
        return [line for line in lines if line[0]]

    def loss(self, demand_milli: Whole) -> Whole:
        """Loss in micro-vCPU at a demand in thousandths of MB/s."""
        early, quiet = self.price * LATENCY_PERCENT // 100, demand_milli - self.quiet_milli
        beyond = (self.price - early) * positive(demand_milli - self.limit_milli)
        return ceil_div(early * positive(quiet) + beyond, MILLI)  # type: ignore[no-any-return]


def bandwidth(instance: Instance, place: Place) -> Bandwidth[int] | None:
    """Bandwidth contention of the node at `place`; None if its bandwidth is unknown."""
    limit = place.host.node_bandwidth_mbps(place.position)
    if limit is None:
        return None
    return Bandwidth(bandwidth_price(instance), limit * MILLI)


def bandwidth_price(instance: Instance) -> int:
    """Loss per MB/s of excess demand."""
    return to_micro(instance.prices.vcpus_per_mbps)


def bandwidth_loss(instance: Instance, place: Place, demand_milli: int) -> int:
    """Loss of a node whose memory is asked for `demand_milli` thousandths of MB/s."""
    known = bandwidth(instance, place)
    return 0 if known is None else known.loss(demand_milli)
