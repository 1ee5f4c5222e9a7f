"""What an import has to assume or cannot meet, in words: told once, with what would change it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from numaplace.models.instance import Instance

ASSUMABLE = ("utilisation", "memory_intensity")
"""Fields of `Vm` that no configuration of a hypervisor tells."""


def assumptions(
    instance: Instance,
    *,
    untold_vms: Collection[str],
    untold_hosts: Collection[str],
    given: Collection[str],
) -> Iterator[str]:
    """Say which defaults stand for what no file told.

    Parameters
    ----------
    untold_vms, untold_hosts
        Names of VMs and hosts from files of formats that cannot tell.
    given
        What was asked for or told all the same: fields of `Vm`, `Host` and `HostOptions`.
    """
    parts: list[str] = []
    if untold_vms:
        some = instance.vm(min(untold_vms))
        told = [f"{key} {getattr(some, key):g}" for key in ASSUMABLE if key not in given]
        parts += [f"{', '.join(told)} (--assume KEY=VALUE)"] if told else []
    hosts = [host for host in instance.hosts if host.name in untold_hosts]
    if hosts and "vcpu_overcommit" not in given:
        parts.append(f"{hosts[0].vcpu_overcommit:g} shared vCPU(s) per pCPU at most (--overcommit)")
    if hosts and "reserve_mib" not in given:
        parts.append("no memory kept for the hypervisor (--reserve)")
    if parts:
        yield f"assumed, as no file tells it: {'; '.join(parts)}"


def misfits(instance: Instance) -> Iterator[str]:
    """Say which devices no host has, and how much memory is rounded up."""
    has = [device for host in instance.hosts for device in host.devices]
    answered: dict[str, bool] = {}
    for vm in instance.vms:
        for request in vm.devices:
            kind = request.kind
            if kind not in answered:
                answered[kind] = any(device.answers(kind) for device in has)
            if not answered[kind]:
                yield (
                    f"VM {vm.name!r}: wants {kind!r}, but no host file tells of one, so that it "
                    "fits nowhere: add it to the devices of a host, or take the wish away"
                )
    rounding = {vm.name: instance.form(vm.name).rounding_mib for vm in instance.vms}
    most = max(rounding, key=rounding.__getitem__, default="")
    if most and rounding[most]:
        count = sum(map(bool, rounding.values()))
        yield (
            f"memory of {count} VM{'s' * (count > 1)} is rounded up to be placed in equal blocks, "
            f"that of {most!r} by {rounding[most]} MiB"
        )
