"""How large a loss can get: beyond what 64-bit solvers count exactly, an instance is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numaplace.models.errors import InputError
from numaplace.models.units import MICRO

if TYPE_CHECKING:
    from numaplace.models.instance import Instance

LOSS_MAX_MICRO = 1 << 50


def check_worst_loss(instance: Instance) -> None:
    """Raise `InputError` if the losses that could come together exceed about 10^9 vCPUs.

    An upper estimate term by term, so that sums of integers never overflow in a solver.
    """
    prices = instance.prices
    r = max(
        max(host.network_factor for host in instance.hosts),
        max(max(map(max, host.relative)) for host in instance.hosts),
    )
    worst = {
        "cooperation": sum(pair.weight for pair in instance.cooperations) * r,
        "competition": sum(pair.weight for pair in instance.competitions),
        "soft_weight": sum(vm.soft_weight for vm in instance.vms),
        "devices": sum(d.weight * d.count for vm in instance.vms for d in vm.devices) * r,
        "vcpus": sum(vm.vcpus for vm in instance.vms) * (4 + prices.balloon_pressure),
        "vcpus_per_mbps": sum(vm.bandwidth_mbps for vm in instance.vms) * prices.vcpus_per_mbps,
        "migration prices": sum(vm.vcpus * vm.memory_mib for vm in instance.vms)
        * prices.slowed_share
        / (min(prices.copy_mib_per_s, prices.network_mib_per_s) * prices.horizon_s),
    }
    largest = max(worst, key=lambda name: worst[name])
    if sum(worst.values()) * MICRO > LOSS_MAX_MICRO:
        reason = (
            f"could add up to a loss of {worst[largest]:.3g} vCPUs, more than the "
            f"{LOSS_MAX_MICRO // MICRO} that can be counted exactly: use smaller weights"
        )
        raise InputError("instance", largest, reason)
