"""Whether a device is near enough to a cell, and in which domain a host is."""

from __future__ import annotations

from collections.abc import Iterator

from numaplace.models.instance import Instance, Place
from numaplace.models.relations import Scope
from numaplace.models.topology import Device, Host
from numaplace.models.vm import DevicePolicy


def is_local(device: Device, policy: DevicePolicy, home: Place) -> bool:
    """Tell whether `device` satisfies `policy` for a cell whose vCPUs run at `home`.

    ``required``: the device is on that node; ``socket``: on a node of the same package (or on that
    node, if packages are unknown); ``preferred``: always. A device of unknown node satisfies
    ``preferred`` only.
    """
    if policy is DevicePolicy.PREFERRED or home.node.id in device.nodes:
        return True
    if policy is DevicePolicy.REQUIRED:
        return False
    host = home.host
    near = [host.nodes[host.position[node]].sockets for node in device.nodes]
    return any(home.node.sockets & sockets for sockets in near)


def domain_of(host: Host, scope: str) -> tuple[str, int]:
    """Return what tells the domain of a host from others, in a scope of whole hosts."""
    label = host.labels.get(scope)
    return (host.name, -1) if label is None else (label, -2)


def unlabelled(instance: Instance) -> Iterator[str]:
    """Say which hosts lack a label that relations have as their scope."""
    for scope in sorted(instance.scopes - set(Scope)):
        without = [host.name for host in instance.hosts if scope not in host.labels]
        if without:
            which = f"{without[0]!r}" + (f" and {len(without) - 1} more" if without[1:] else "")
            yield f"no label {scope!r} on host {which}: each is a {scope} of its own"
