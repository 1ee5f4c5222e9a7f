"""Whether a device is near enough to a cell."""

from __future__ import annotations

from numaplace.models.instance import Place
from numaplace.models.topology import Device
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
