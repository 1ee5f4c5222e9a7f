"""What losses are priced by where no VM or relation says so, and how large a loss can get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numaplace.models.errors import InputError, check_counted, check_real
from numaplace.models.relations import Competition, Cooperation
from numaplace.models.topology import Host
from numaplace.models.units import LEAST_VCPUS, to_micro, to_vcpus
from numaplace.models.vm import Vm

LOSS_MAX_MICRO = 1 << 50
"""Beyond what 64-bit solvers count exactly, an instance is refused."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of the terms that no VM or relation states itself.

    Parameters
    ----------
    balloon_pressure
        Share of a VM's vCPUs lost if all its memory were taken away.
    vcpus_per_mbps
        vCPUs lost per MB/s of memory bandwidth demanded beyond what a node has.
    copy_mib_per_s, network_mib_per_s
        Rate of moving memory between nodes of a host, and between hosts.
    slowed_share
        Share of a VM's vCPUs lost while its memory moves.
    horizon_s
        Time over which a move must pay back.
    """

    balloon_pressure: float = 0.5
    vcpus_per_mbps: float = 0.0002
    copy_mib_per_s: float = 1000.0
    network_mib_per_s: float = 1000.0
    slowed_share: float = 0.5
    horizon_s: float = 3600.0

    def __post_init__(self) -> None:
        for name in ("balloon_pressure", "vcpus_per_mbps"):
            check_counted("prices", name, getattr(self, name), 1000, LEAST_VCPUS)
        check_real("prices", "slowed_share", self.slowed_share, 0, 1)
        for name in ("copy_mib_per_s", "network_mib_per_s", "horizon_s"):
            check_real("prices", name, getattr(self, name), 1, 1e12)


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
