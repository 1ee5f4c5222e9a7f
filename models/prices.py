"""What losses are priced by where no VM or relation says so, and how large a loss can get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from numaplace.models.errors import InputError
from numaplace.models.fields import Bound, checked
from numaplace.models.relations import Competition, Cooperation
from numaplace.models.topology import Host
from numaplace.models.units import LEAST_VCPUS, to_micro, to_vcpus
from numaplace.models.vm import Share, Vm

LOSS_MAX_MICRO = 1 << 50  # beyond what 64-bit solvers count exactly, an instance is refused
_Priced = Bound(0, 1000, "vCPUs", LEAST_VCPUS)
_Rate = Annotated[float, Bound(1, 1e12, "MiB/s")]


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of the terms that no VM or relation states itself."""

    THING: ClassVar[str] = "prices"

    balloon_pressure: Annotated[
        float, _Priced, "Lost of each vCPU of a VM if all its memory were taken away."
    ] = 0.5
    vcpus_per_mbps: Annotated[
        float,
        _Priced,
        "Lost per MB/s of memory bandwidth demanded beyond what a node has; "
        "a fifth of it from 49 % on.",
    ] = 0.0002
    copy_mib_per_s: Annotated[_Rate, "Of moving memory between nodes of a host."] = 1000.0
    network_mib_per_s: Annotated[_Rate, "Of moving memory between hosts."] = 1000.0
    slowed_share: Annotated[Share, "Share of a VM's vCPUs lost while its memory moves."] = 0.5
    horizon_s: Annotated[float, Bound(1, 1e12, "s"), "Time over which a move must pay back."] = (
        3600.0
    )

    def __post_init__(self) -> None:
        checked(self)


DEFAULT_PRICES = Prices()


def check_worst_loss(
    prices: Prices,
    hosts: Sequence[Host],
    vms: Sequence[Vm],
    cooperations: Sequence[Cooperation],
    competitions: Sequence[Competition],
) -> None:
    """Raise `InputError` if the losses that could come together exceed about 10^9 vCPUs.

    An upper estimate term by term, so that sums of integers never overflow in a solver.
    """
    r = max(
        max(host.network_factor for host in hosts),
        max(max(map(max, host.relative)) for host in hosts),
    )
    worst = {
        "cooperation": sum(pair.weight for pair in cooperations) * r,
        "competition": sum(pair.weight for pair in competitions),
        "soft_weight": sum(vm.soft_weight for vm in vms),
        "devices": sum(d.weight * d.count for vm in vms for d in vm.devices) * r,
        "vcpus": sum(vm.vcpus for vm in vms) * (4 + prices.balloon_pressure),
        "vcpus_per_mbps": sum(vm.bandwidth_mbps for vm in vms) * prices.vcpus_per_mbps,
        "migration prices": sum(vm.vcpus * vm.memory_mib for vm in vms)
        * prices.slowed_share
        / (min(prices.copy_mib_per_s, prices.network_mib_per_s) * prices.horizon_s),
    }
    largest = max(worst, key=lambda name: worst[name])
    if to_micro(sum(worst.values())) > LOSS_MAX_MICRO:
        reason = (
            f"could add up to a loss of {worst[largest]:.3g} vCPUs, more than the "
            f"{to_vcpus(LOSS_MAX_MICRO):.0f} that can be counted exactly: use smaller weights"
        )
        raise InputError("instance", largest, reason)
