"""What empty hosts take of each VM: whatever does not fit one alone is in no plan."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cached_property

from numaplace.models.forms import CellType, VmForm, node_takes
from numaplace.models.instance import Instance, Place
from numaplace.models.locality import is_local
from numaplace.models.pages import page_nodes
from numaplace.models.vm import DevicePolicy, DeviceRequest, MemoryMode, Vm
from numaplace.solver.deadline import NEVER, Deadline


class EmptyHosts:
    """Where VMs fit as if each were alone; equal VMs and equal hosts are looked at once.

    Work that is late raises `OutOfTimeError`.
    """

    def __init__(self, instance: Instance, until: Deadline = NEVER) -> None:
        self.instance = instance
        self.until = until
        self._fits: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        self._page_places: dict[tuple[object, ...], list[Place]] = {}
        self._page_rooms: dict[tuple[object, ...], int] = {}
        self._possible: dict[tuple[object, ...], bool] = {}

    @property
    def num_choices(self) -> int:
        """Count options, and pages of each on other nodes, without making them."""
        total = 0
        counts = Counter(map(self.kind, self.instance.vms))
        for vm in self.until.each({self.kind(vm): vm for vm in self.instance.vms}.values()):
            spread = self.instance.form(vm.name).max_cells > 1
            for host, count in self.hosts_to_try(vm).items():
                cells = self.fits(vm, host)
                pages = len(self.instance.host_places[host]) if spread else 0
                total += counts[self.kind(vm)] * count * len(cells) * (1 + pages)
        return total

    def fits(self, vm: Vm, host_index: int) -> list[tuple[int, int, int]]:
        """Shapes, types of cell and positions of a host that an empty host of its kind takes."""
        name = self.instance.hosts[host_index].name
        if vm.allowed_hosts is not None and name not in vm.allowed_hosts:
            return []
        like = self.like_host[host_index]
        key = self.like_vm[vm.name], like
        if key not in self._fits:
            form = self.instance.form(vm.name)
            places = self.instance.host_places[like]
            found = [
                (s, t, place.position)
                for s, shape in enumerate(form.shapes)
                for t, kind in enumerate(shape.types)
                for place in places
                if self._may_be(vm, kind, form, place)
            ]
            whole = _complete(found, form)
            at = [places[position] for position in sorted({cell[2] for cell in whole})]
            self._fits[key] = whole if self._serves(vm, form, at) else []
        return self._fits[key]

    def _serves(self, vm: Vm, form: VmForm, homes: list[Place]) -> bool:
        """Tell whether an empty host has memory and devices for a whole VM, near these homes."""
        least_mib = (form.blocks - form.balloon_blocks) * form.block_mib
        return self.host_room_mib(vm, homes) >= least_mib and all(
            functions_near(request, homes) >= request.count for request in vm.devices
        )

    def host_room_mib(self, vm: Vm, homes: list[Place]) -> int:
        """Memory of an empty host that may hold pages of cells at these homes."""
        pools = {at.index: at for home in homes for at in self.page_places(vm, home)}
        return sum(at.node.pool_mib(vm.page_size) for at in pools.values())

    def possible(self, vm: Vm) -> bool:
        """Tell whether there is a choice of place for a VM: if not, no plan has it."""
        key = self.kind(vm)
        if key not in self._possible:
            self._possible[key] = any(self.fits(vm, host) for host in self.hosts_to_try(vm))
        return self._possible[key]

    def kind(self, vm: Vm) -> tuple[object, ...]:
        """What VMs that take the same of the same hosts have in common."""
        return self.like_vm[vm.name], vm.allowed_hosts

    @cached_property
    def _hosts_alike(self) -> dict[int, int]:
        return Counter(self.like_host)

    def hosts_to_try(self, vm: Vm) -> dict[int, int]:
        """Hosts that may run a VM and differ in what they take, with the number of each."""
        if vm.allowed_hosts is None:
            return self._hosts_alike
        return {self.instance.host_index[name]: 1 for name in sorted(vm.allowed_hosts)}

    @cached_property
    def possible_value_milli(self) -> int:
        """What a plan that places every VM that fits anywhere alone is worth, in thousandths."""
        vms = self.until.each(self.instance.vms)
        return sum(self.instance.value_milli(vm) for vm in vms if self.possible(vm))

    @cached_property
    def like_vm(self) -> dict[str, int]:
        """Of each VM, the index of the first that fits where it does, on hosts allowed to both."""
        first: dict[tuple[object, ...], int] = {}
        found: dict[str, int] = {}
        for index, vm in enumerate(self.until.each(self.instance.vms)):
            group = self.instance.group_of.get(vm.name)
            key = (
                self.instance.form(vm.name),
                (vm.cpu_policy, vm.thread_policy, vm.hard_nodes, vm.devices),
                (vm.page_size, vm.memory_mode, vm.memory_nodes, vm.balloon_mib),
                None if group is None else group.name,
            )
            found[vm.name] = first.setdefault(key, index)
        return found

    @cached_property
    def like_host(self) -> list[int]:
        """Of each host, the first that takes the same cells: alike but for name and distances."""
        first: dict[tuple[object, ...], int] = {}
        # Hosts that were counted out of one have the same nodes, which are long to compare.
        same: dict[tuple[object, ...], int] = {}
        found: list[int] = []
        for index, host in enumerate(self.instance.hosts):
            key = id(host.nodes), host.devices, host.vcpu_overcommit
            if key not in same:
                same[key] = first.setdefault((host.nodes, *key[1:]), index)
            found.append(same[key])
        return found

    def _may_be(self, vm: Vm, kind: CellType, form: VmForm, place: Place) -> bool:
        if vm.hard_nodes is not None and place.node.id not in vm.hard_nodes:
            return False
        if not node_takes(vm, kind.vcpus, place.node, place.host):
            return False
        if kind.blocks * form.block_mib - vm.balloon_mib > self.page_room_mib(vm, place):
            return False
        group = self.instance.group_of.get(vm.name)
        pool_mib = place.node.pool_mib(vm.page_size)
        if group is not None and not group.across_nodes and pool_mib < group.shared_mib:
            return False
        near = [d for d in vm.devices if d.policy is not DevicePolicy.PREFERRED]
        return form.max_cells > 1 or all(functions_near(d, [place]) for d in near)

    def page_room_mib(self, vm: Vm, home: Place) -> int:
        """Memory of the empty places that may hold pages of a cell at `home`."""
        key = _page_key(vm, home)
        if key not in self._page_rooms:
            places = self.page_places(vm, home)
            self._page_rooms[key] = sum(at.node.pool_mib(vm.page_size) for at in places)
        return self._page_rooms[key]

    def page_places(self, vm: Vm, home: Place) -> list[Place]:
        """Places that may hold pages of a cell at `home`."""
        key = _page_key(vm, home)
        if key not in self._page_places:
            nodes = page_nodes(vm, home.host, home.node.id)
            of_host = self.instance.host_places[home.host_index]
            self._page_places[key] = [of_host[home.host.position[node]] for node in nodes]
        return self._page_places[key]


def functions_near(request: DeviceRequest, homes: list[Place]) -> int:
    """Count the functions of a host that answer a request and are near enough to some home."""
    return sum(
        device.functions
        for device in (homes[0].host.devices if homes else ())
        if device.answers(request.kind)
        and any(is_local(device, request.policy, home) for home in homes)
    )


def _page_key(vm: Vm, home: Place) -> tuple[object, ...]:
    """What tells where the pages of a cell at `home` may lie."""
    own_node_only = vm.memory_mode is MemoryMode.STRICT and vm.memory_nodes is None
    where = home.index if own_node_only else -1
    return home.host_index, vm.page_size, vm.memory_nodes, where


def _complete(found: list[tuple[int, int, int]], form: VmForm) -> list[tuple[int, int, int]]:
    """Leave out cells (shape, type, position) of a shape that one host has not enough nodes for.

    Neither for some type of it alone, nor, as cells are on distinct nodes, for all together.
    """
    nodes = Counter((s, t) for s, t, _ in found)
    used: dict[int, set[int]] = defaultdict(set)
    for s, _, position in found:
        used[s].add(position)
    whole = {
        s
        for s, shape in enumerate(form.shapes)
        if len(used[s]) >= shape.num_cells
        and all(nodes[s, t] >= kind.count for t, kind in enumerate(shape.types))
    }
    return [cell for cell in found if cell[0] in whole]
