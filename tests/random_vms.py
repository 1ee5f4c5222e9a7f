"""Small random VMs for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from numaplace.models.topology import Host
from numaplace.models.units import PageSize
from numaplace.models.vm import (
    Cell,
    CpuPolicy,
    DevicePolicy,
    DeviceRequest,
    GuestNuma,
    MemoryMode,
    ThreadPolicy,
    Vm,
)
from numaplace.tests.choices import Choices, chance, of, some

WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0, 1.7)


def random_vm(
    c: Choices, name: str, hosts: Sequence[Host], max_blocks: int, features: frozenset[str]
) -> Vm:
    """Return a VM of 1 to `max_blocks` blocks of memory."""
    page = _page_size(c, hosts) if "pages" in features else PageSize.SMALL
    block = 1024 if page is PageSize.HUGE_1G else of(c, (128, 256))
    blocks = c.integer(1, min(2, max_blocks) if page is PageSize.HUGE_1G else max_blocks)
    mode = of(c, tuple(MemoryMode)) if "modes" in features else MemoryMode.STRICT
    allowed = chance(c, 20 * ("allowed_hosts" in features))
    names = some(c, [host.name for host in hosts]) if allowed else None
    allowed_hosts = [host for host in hosts if names is None or host.name in names]
    nodes = [node for host in allowed_hosts for node in host.nodes]
    run = [node.id for node in nodes if node.pcpus]
    hold = [node.id for node in nodes if node.pool_mib(page)] or run

    def node_set(feature: str, ids: list[int]) -> frozenset[int] | None:
        if not chance(c, 20 * (feature in features)):
            return None
        return some(c, sorted(set(ids)) if chance(c, 85) else sorted({n.id for n in nodes}))

    least = None
    if mode is not MemoryMode.INTERLEAVE and chance(c, 25 * ("balloon" in features)):
        least = block * c.integer(1, blocks)
    start = c.integer(0, 3) if chance(c, 30 * ("times" in features)) else None
    stay = c.integer(1, 3) if chance(c, 30 * ("times" in features)) else None
    vm = Vm(
        name=name,
        vcpus=of(c, (2, 1, 3, 4)) if chance(c, 80) else 1,
        memory_mib=block * blocks,
        memory_min_mib=least,
        utilisation=of(c, (1.0, 0.5, 0.25, 0.0)) if "utilisation" in features else 1.0,
        memory_intensity=of(c, (0.3, 0.0, 0.1, 0.7, 1.0)),
        smt_yield=of(c, (1.0, 1.6, 1.93)) if chance(c, 25 * ("smt" in features)) else None,
        bandwidth_mbps=of(c, (0, 1500, 4000)) if "bandwidth" in features else 0,
        page_size=page,
        memory_mode=mode,
        memory_nodes=node_set("memory_nodes", hold),
        hard_nodes=node_set("hard", run),
        soft_nodes=node_set("soft", run),
        soft_weight=of(c, WEIGHTS),
        allowed_hosts=names,
        devices=tuple(_requests(c, allowed_hosts))
        if chance(c, 45 * ("devices" in features))
        else (),
        value=of(c, (1.0, 0.0, 0.5, 7.5)) if chance(c, 25 * ("values" in features)) else None,
        required=chance(c, 5 * ("required" in features)),
        start=start,
        end=(3 if start is None else start + stay) if stay is not None else None,
        block_mib=block,
    )
    if chance(c, 25 * ("dedicated" in features)):
        smt = any(node.threads > node.cores for host in hosts for node in host.nodes)
        policies = [p for p in ThreadPolicy if smt or p is not ThreadPolicy.REQUIRE]
        threads = of(c, policies if chance(c, 90) else tuple(ThreadPolicy))
        vm = replace(vm, cpu_policy=CpuPolicy.DEDICATED, thread_policy=threads)
    return _with_guest_numa(c, vm, block, features)


def with_odd_memory(c: Choices, vm: Vm, blocks: int) -> Vm:
    """Return a VM of `blocks` blocks of its own, sometimes with less in the last one."""
    assert vm.block_mib is not None
    pages = vm.block_mib // vm.page_size.mib
    if blocks < 2 or pages < 2 or not chance(c, 20):
        return vm
    less = vm.page_size.mib * c.integer(1, pages - 1)
    memory_mib = vm.memory_mib - less
    cells = vm.cells and (Cell(vm.cells[0].vcpus, vm.cells[0].memory_mib - less), *vm.cells[1:])
    least = None if vm.memory_min_mib is None else min(vm.memory_min_mib, memory_mib)
    return replace(vm, memory_mib=memory_mib, memory_min_mib=least, cells=cells)


def _page_size(c: Choices, hosts: Sequence[Host]) -> PageSize:
    """Return mostly a size that some node has pages of."""
    if not chance(c, 50):
        return PageSize.SMALL
    nodes = [node for host in hosts for node in host.nodes]
    known = [size for size in PageSize if any(node.pool_mib(size) for node in nodes)]
    return of(c, known if chance(c, 95) else list(PageSize))


def _requests(c: Choices, hosts: Sequence[Host]) -> list[DeviceRequest]:
    """Return requests, mostly such as one of the hosts answers."""
    devices = [device for device in of(c, hosts).devices if device.functions]
    if not devices or chance(c, 8):
        return [DeviceRequest(of(c, ("nic", "gpu")), 1)] if chance(c, 10) else []
    requests: dict[str, DeviceRequest] = {}
    for device in devices[:1] if chance(c, 70) else devices:
        kind = of(c, (device.kind, device.vendor_product or device.address))
        near = bool(device.nodes) or chance(c, 10)
        policy = of(c, tuple(DevicePolicy)[::-1]) if near else DevicePolicy.PREFERRED
        count = 2 if device.functions > 1 and chance(c, 30) else 1
        requests[kind] = DeviceRequest(kind, count, policy, of(c, WEIGHTS))
    return list(requests.values())


def _with_guest_numa(c: Choices, vm: Vm, block: int, features: frozenset[str]) -> Vm:
    kind = of(c, ["plain"] * 4 + sorted(features & {"split", "automatic", "explicit"}))
    locality = of(c, (0.8, 0.0, 0.5, 1.0))
    if kind == "split":
        return replace(vm, max_cells=c.integer(1, 2))
    if kind == "automatic":
        most = of(c, (2, 1, None))
        automatic = GuestNuma.AUTOMATIC
        return replace(vm, guest_numa=automatic, max_cells=most, guest_locality=locality)
    blocks = vm.memory_mib // block
    if kind == "explicit" and min(vm.vcpus, blocks) >= 2:
        vcpus = c.integer(1, vm.vcpus - 1)
        mib = block * c.integer(1, blocks - 1)
        cells = (Cell(vcpus, mib), Cell(vm.vcpus - vcpus, vm.memory_mib - mib))
        return replace(vm, guest_numa=GuestNuma.EXPLICIT, cells=cells, guest_locality=locality)
    return vm
