"""The shape of a host in a few plain values, to compare with what a file says."""

from numaplace.models.topology import Host


def cpus_by_node(host: Host) -> dict[int, list[int]]:
    """Ids of the pCPUs of each node."""
    return {node.id: [pcpu.id for pcpu in node.pcpus] for node in host.nodes}


def memory_by_node(host: Host) -> dict[int, int]:
    """MiB of each node."""
    return {node.id: node.memory_mib for node in host.nodes}


def cores(host: Host) -> list[set[int]]:
    """Threads of each core, by the smallest thread."""
    threads: dict[int, set[int]] = {}
    for node in host.nodes:
        for pcpu in node.pcpus:
            threads.setdefault(pcpu.core, set()).add(pcpu.id)
    return sorted(threads.values(), key=min)


def caches(host: Host) -> list[set[int]]:
    """Threads of each last-level cache, by the smallest thread; unknown ones are absent."""
    threads: dict[int, set[int]] = {}
    for node in host.nodes:
        for pcpu in node.pcpus:
            if pcpu.llc is not None:
                threads.setdefault(pcpu.llc, set()).add(pcpu.id)
    return sorted(threads.values(), key=min)


def sockets(host: Host) -> dict[int, set[int]]:
    """Packages of each node."""
    return {node.id: set(node.sockets) for node in host.nodes}


def devices(host: Host) -> dict[str, tuple[str, set[int]]]:
    """Kind and nodes of each device, by address."""
    return {device.address: (device.kind, set(device.nodes)) for device in host.devices}
