"""Why a VM fits nowhere, even on empty hosts, in the user's words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from numaplace.models.forms import VmForm, VmShape, node_takes
from numaplace.models.instance import Place
from numaplace.models.vm import CpuPolicy, DevicePolicy, ThreadPolicy, Vm
from numaplace.solver.formulation.empty_hosts import EmptyHosts, functions_near

UNDECIDED = "no room was found in time, but none was excluded"
COSTS_OTHERS = "not placed: giving it room would cost other VMs their place"
NO_TIME = "not placed; there was no time to find out why"


def reason_alone(empty: EmptyHosts, vm: Vm) -> str | None:
    """Tell why no node can take any cell of `vm`; None if it has somewhere to go."""
    if empty.possible(vm):
        return None
    instance = empty.instance
    form = instance.form(vm.name)
    hosts = {host.name for host in instance.allowed_hosts(vm)}
    places = [place for place in instance.places if place.host.name in hosts]
    if vm.hard_nodes is not None:
        places = [place for place in places if place.node.id in vm.hard_nodes]
        if not places:
            return f"its hard nodes {sorted(vm.hard_nodes)} are on none of its hosts"
    shape = form.shapes[-1]
    for reason in _reasons(empty, vm, form, shape, places):
        return reason
    cells = shape.num_cells
    return f"no host has {cells} nodes that each take one of its {cells} cells"


def _reasons(
    empty: EmptyHosts, vm: Vm, form: VmForm, shape: VmShape, places: list[Place]
) -> Iterator[str]:
    """Reasons that hold for the smallest cell of the finest shape, most telling first."""
    kind = min(shape.types, key=lambda kind: (kind.vcpus, kind.blocks))
    many = shape.num_cells > 1
    cut = f"a cell of {kind.vcpus} vCPUs is" if many else f"its {kind.vcpus} vCPUs are"
    wide = [place for place in places if node_takes(vm, kind.vcpus, place.node, place.host)]
    if not wide:
        most = max((_capacity(vm, place) for place in places), default=0)
        more = _more_cells(vm) if most and not vm.cells else ""
        if vm.cpu_policy is CpuPolicy.SHARED:
            more += " (vcpu_overcommit, import --overcommit, allows more)"
        if not most and vm.thread_policy is ThreadPolicy.REQUIRE:
            yield "it requires cores with sibling threads (SMT), and no node it may use has any"
        else:
            yield f"{cut} wider than every node it may use: the widest takes {most}{more}"
        return
    need_mib = kind.blocks * form.block_mib - vm.balloon_mib
    rooms = {
        place.index: sum(at.node.pool_mib(vm.page_size) for at in empty.page_places(vm, place))
        for place in wide
    }
    if not max(rooms.values()):
        yield f"no node it may use has a pool of {vm.page_size} pages"
        return
    if need_mib > max(rooms.values()):
        yield (
            f"its {need_mib} MiB in {vm.page_size} pages are more than any node it may use has "
            f"({vm.memory_mode} memory): at most {max(rooms.values())} MiB"
        )
        return
    by_host: dict[int, list[Place]] = defaultdict(list)
    for place in wide:
        by_host[place.host_index].append(place)
    for request in vm.devices:
        anywhere = replace(request, policy=DevicePolicy.PREFERRED)
        if not any(functions_near(anywhere, homes) for homes in by_host.values()):
            yield f"no host it may use has a {request.kind!r}"
        most = max(functions_near(request, homes) for homes in by_host.values())
        if not most:
            yield f"no node it may use has a {request.kind!r} near enough ({request.policy})"
        elif most < request.count:
            wanted = f"it wants {request.count} of {request.kind!r}"
            yield f"{wanted}, no host it may use has more than {most}"
    least_mib = (form.blocks - form.balloon_blocks) * form.block_mib
    room_mib = max(empty.host_room_mib(vm, homes) for homes in by_host.values())
    if least_mib > room_mib:
        yield f"its {least_mib} MiB in {vm.page_size} pages are more than any host it may use has"


def _capacity(vm: Vm, place: Place) -> int:
    """Most vCPUs of `vm` the empty node runs."""
    if vm.cpu_policy is CpuPolicy.DEDICATED and vm.thread_policy is ThreadPolicy.ISOLATE:
        return place.node.cores
    low, high = 0, vm.vcpus
    while low < high:
        middle = (low + high + 1) // 2
        if node_takes(vm, middle, place.node, place.host):
            low = middle
        else:
            high = middle - 1
    return low


def _more_cells(vm: Vm) -> str:
    allowed = 1 if vm.max_cells is None else vm.max_cells
    return f"; allow it more cells (max_cells, now {allowed})"
