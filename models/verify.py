"""The rules every plan obeys: the executable specification.

One function a rule; each yields its violations in words. The rules have the same names in the
CP-SAT and MILP formulations. Nothing here knows a solver.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, combinations

from numaplace.models.instance import Instance
from numaplace.models.locality import domain_of, is_local
from numaplace.models.pages import interleaved_blocks, page_nodes
from numaplace.models.plan import Placement, Plan
from numaplace.models.relations import Scope
from numaplace.models.units import MILLI, PageSize
from numaplace.models.verify_cpu import dedicated_cpus, held_threads
from numaplace.models.vm import CpuPolicy, DevicePolicy, MemoryMode, Vm


class Rule(StrEnum):
    """Names of the rules, the same in every formulation."""

    KNOWN_NAMES = "known_names"
    REQUIRED_VMS = "required_vms"
    ALLOWED_HOSTS = "allowed_hosts"
    HARD_NODES = "hard_nodes"
    CELLS = "cells"
    DISTINCT_NODES = "distinct_nodes"
    MEMORY_AMOUNT = "memory_amount"
    MEMORY_NODES = "memory_nodes"
    MEMORY_CAPACITY = "memory_capacity"
    SHARED_CPUS = "shared_cpus"
    DEDICATED_CPUS = "dedicated_cpus"
    DEVICE_COUNT = "device_count"
    DEVICE_LOCALITY = "device_locality"
    DEVICE_FUNCTIONS = "device_functions"
    TOGETHER = "together"
    APART = "apart"
    SHARED_PAGES = "shared_pages"


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a plan breaks, the VM, node or group it is broken for, and how, in words."""

    rule: Rule
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.message} [{self.rule}]"


Found = Iterator[tuple[str, str]]


def violations(instance: Instance, plan: Plan) -> list[Violation]:
    """Return every violation of every rule; an empty list means the plan is valid.

    If the plan names things that do not exist, only those are returned.
    """
    unknown = [Violation(Rule.KNOWN_NAMES, *found) for found in known_names(instance, plan)]
    if unknown:
        return unknown
    found: dict[Violation, None] = {}
    for rule, function in RULES.items():
        for subject, message in function(instance, plan):
            found.setdefault(Violation(rule, subject, message))
    return list(found)


def known_names(instance: Instance, plan: Plan) -> Found:
    """Every VM, host, node, device and group of the plan exists."""
    for name, placement in plan.placements.items():
        subject = f"VM {name!r}"
        if name not in instance.vm_index:
            yield subject, "does not exist in the instance"
            continue
        if placement.host not in instance.host_index:
            yield subject, f"host {placement.host!r} does not exist"
            continue
        host = instance.host(placement.host)
        for node in sorted(placement.nodes | placement.memory_by_node().keys()):
            if node not in host.position:
                yield subject, f"node {node} does not exist on host {host.name!r}"
        addresses = {device.address for device in host.devices}
        for taken in placement.devices:
            if taken.address not in addresses:
                yield subject, f"device {taken.address!r} does not exist on host {host.name!r}"
    groups = {group.name for group in instance.sharing}
    for copy in plan.copies:
        subject = f"sharing group {copy.group!r}"
        if copy.group not in groups:
            yield subject, "does not exist in the instance"
        if copy.host not in instance.host_index:
            yield subject, f"host {copy.host!r} does not exist"
            continue
        for node in copy.nodes:
            if (copy.host, node) not in instance.place_of:
                yield subject, f"node {node} of host {copy.host!r} does not exist"


def _placed(instance: Instance, plan: Plan) -> Iterator[tuple[str, Vm, Placement]]:
    """What violations call each VM that is placed, the VM, and where it is."""
    for name, placement in plan.placements.items():
        yield f"VM {name!r}", instance.vm(name), placement


def required_vms(instance: Instance, plan: Plan) -> Found:
    """Every required VM is placed."""
    for vm in instance.vms:
        if vm.required and vm.name not in plan:
            yield f"VM {vm.name!r}", "is required but not placed"


def allowed_hosts(instance: Instance, plan: Plan) -> Found:
    """A VM is on a host that may run it."""
    for subject, vm, placement in _placed(instance, plan):
        if vm.allowed_hosts is not None and placement.host not in vm.allowed_hosts:
            yield subject, f"may not run on host {placement.host!r}"


def hard_nodes(instance: Instance, plan: Plan) -> Found:
    """A pinned VM runs inside its hard node set."""
    for subject, vm, placement in _placed(instance, plan):
        hard = placement.nodes if vm.hard_nodes is None else vm.hard_nodes
        for node in sorted(placement.nodes - hard):
            yield subject, f"runs on node {node}, outside its hard nodes {sorted(hard)}"


def cells(instance: Instance, plan: Plan) -> Found:
    """A VM is cut into cells in one of its shapes."""
    of_form: dict[int, list[Counter[tuple[int, int]]]] = {}
    for subject, vm, placement in _placed(instance, plan):
        form = instance.form(vm.name)
        have = Counter((cell.vcpus, form.whole_mib(cell.nominal_mib)) for cell in placement.cells)
        if id(form) not in of_form:
            of_form[id(form)] = [
                Counter({(t.vcpus, t.blocks * form.block_mib): t.count for t in shape.types})
                for shape in form.shapes
            ]
        shapes = of_form[id(form)]
        total = sum(cell.nominal_mib for cell in placement.cells)
        if have not in shapes or total < form.own_mib - form.rounding_mib:
            have = Counter((cell.vcpus, cell.nominal_mib) for cell in placement.cells)
            wanted = " or ".join(_cells_text(shape) for shape in shapes)
            yield subject, f"is cut into {_cells_text(have)}, allowed: {wanted}"


def _cells_text(counted: Counter[tuple[int, int]]) -> str:
    parts = [f"{n} x ({vcpus} vCPUs, {mib} MiB)" for (vcpus, mib), n in sorted(counted.items())]
    return " + ".join(parts)


def distinct_nodes(instance: Instance, plan: Plan) -> Found:
    """The cells of one VM are on different nodes."""
    for subject, _, placement in _placed(instance, plan):
        for node, count in Counter(cell.node for cell in placement.cells).items():
            if count > 1:
                yield subject, f"has {count} cells on node {node}, at most 1 is allowed"


def memory_amount(instance: Instance, plan: Plan) -> Found:
    """A VM has all its memory, less what ballooning may take, in whole pages."""
    for subject, vm, placement in _placed(instance, plan):
        form, total = instance.form(vm.name), sum(placement.memory_by_node().values())
        most = form.own_mib
        least = most - form.rounding_mib - vm.balloon_mib
        if not least <= total <= most:
            yield subject, f"has {total} MiB of its own, needs {least} to {most}"
        for node, mib in chain.from_iterable(cell.memory_mib for cell in placement.cells):
            if mib % vm.page_size.mib:
                yield subject, f"{mib} MiB on node {node} are not whole pages of {vm.page_size}"


def memory_nodes(instance: Instance, plan: Plan) -> Found:
    """Pages lie where the VM's memory mode allows."""
    for subject, vm, placement in _placed(instance, plan):
        form, host = instance.form(vm.name), instance.host(placement.host)
        for cell in placement.cells:
            nodes = page_nodes(vm, host, cell.node)
            held = {node: form.whole_mib(mib) for node, mib in cell.memory_mib if mib}
            for node in sorted(held.keys() - set(nodes)):
                yield subject, f"has memory on node {node}, {vm.memory_mode} allows nodes {nodes}"
            if vm.memory_mode is MemoryMode.INTERLEAVE:
                blocks = form.whole_mib(cell.nominal_mib) // form.block_mib
                even = interleaved_blocks(nodes, blocks)
                wanted = {node: blocks * form.block_mib for node, blocks in even.items()}
                if held != wanted:
                    yield subject, f"is interleaved as {held}, even is {wanted} (MiB by node)"


def memory_capacity(instance: Instance, plan: Plan) -> Found:
    """Each node's page pools hold what lies on it, at every instant."""
    for alive in instance.instants:
        used: dict[tuple[str, int, PageSize], int] = defaultdict(int)
        for _, vm, placement in _placed(instance, plan):
            for node, mib in placement.memory_by_node().items() if vm.name in alive else ():
                used[placement.host, node, vm.page_size] += mib
        for copy in plan.copies:
            group = next(group for group in instance.sharing if group.name == copy.group)
            if not alive.isdisjoint(group.vms):
                for node in set(copy.nodes):
                    used[copy.host, node, PageSize.SMALL] += group.shared_mib
        for (host, node, page_size), mib in sorted(used.items()):
            pool = instance.place_of[host, node].node.pool_mib(page_size)
            if mib > pool:
                message = f"{mib} MiB in {page_size} pages are placed, {pool} are there"
                yield f"node {node} of host {host!r}", message


def shared_cpus(instance: Instance, plan: Plan) -> Found:
    """Shared vCPUs obey the overcommit ratio on pCPUs no dedicated VM holds, at every instant."""
    for alive in instance.instants:
        wanted: Counter[tuple[str, int]] = Counter()
        for _, vm, placement in _placed(instance, plan):
            if vm.name in alive and vm.cpu_policy is CpuPolicy.SHARED:
                for cell in placement.cells:
                    wanted[placement.host, cell.node] += cell.vcpus
        held = held_threads(instance, plan, alive)
        for (host_name, node), vcpus in sorted(wanted.items()):
            place = instance.place_of[host_name, node]
            free = place.node.threads - len(held.get((host_name, node), ()))
            ratio = round(place.host.vcpu_overcommit * MILLI)
            if vcpus * MILLI > ratio * free:
                message = f"{vcpus} shared vCPUs on {free} free pCPUs, ratio {ratio / MILLI:g}"
                yield f"node {node} of host {host_name!r}", message


def device_count(instance: Instance, plan: Plan) -> Found:
    """Each request is answered with as many functions as asked, of devices that will do."""
    for subject, vm, placement in _placed(instance, plan):
        devices = {dev.address: dev for dev in instance.host(placement.host).devices}
        have = Counter[str]()
        for taken in placement.devices:
            have[taken.request] += taken.functions
            if not devices[taken.address].answers(taken.request):
                yield subject, f"device {taken.address} is no {taken.request!r}"
        wanted = Counter({request.kind: request.count for request in vm.devices})
        for kind in sorted(have.keys() | wanted.keys()):
            if have[kind] != wanted[kind]:
                yield subject, f"has {have[kind]} functions of {kind!r}, wants {wanted[kind]}"


def device_locality(instance: Instance, plan: Plan) -> Found:
    """Required devices are on a node, socket devices on a socket, of one of the VM's cells."""
    for subject, vm, placement in _placed(instance, plan):
        host = instance.host(placement.host)
        devices = {dev.address: dev for dev in host.devices}
        policies = {request.kind: request.policy for request in vm.devices}
        homes = [instance.place_of[host.name, node] for node in sorted(placement.nodes)]
        for taken in placement.devices:
            policy = policies.get(taken.request, DevicePolicy.PREFERRED)
            found = devices[taken.address]
            if not any(is_local(found, policy, home) for home in homes):
                near = ", ".join(map(str, sorted(found.nodes)))
                where = f"on node {near}" if near else "nowhere known"
                yield subject, f"device {taken.address} is {where}, policy is {policy}"


def device_functions(instance: Instance, plan: Plan) -> Found:
    """No device gives more functions than it has, at every instant."""
    for alive in instance.instants:
        used: Counter[tuple[str, str]] = Counter()
        for name, placement in plan.placements.items():
            for taken in placement.devices if name in alive else ():
                used[placement.host, taken.address] += taken.functions
        for (host, address), functions in sorted(used.items()):
            has = next(d.functions for d in instance.host(host).devices if d.address == address)
            if functions > has:
                message = f"{functions} functions are taken, it has {has}"
                yield f"device {address} of host {host!r}", message


def together(instance: Instance, plan: Plan) -> Found:
    """VMs that must be together use the same nodes (or host, or label), where placed."""
    for group in instance.togethers:
        for a, b in _placed_pairs(instance, plan, group.vms):
            where = [_where(instance, plan.placements[name], group.scope) for name in (a, b)]
            if where[0] != where[1]:
                yield f"VMs {a!r} and {b!r}", f"must be on the same {group.scope}"


def apart(instance: Instance, plan: Plan) -> Found:
    """VMs that must be apart, not being of one domain, never use one node (or host, or label)."""
    for group in instance.aparts:
        domain = {name: number for number, vms in enumerate(group.domains) for name in vms}
        for a, b in _placed_pairs(instance, plan, group.vms):
            where = [_where(instance, plan.placements[name], group.scope) for name in (a, b)]
            if domain.get(a, a) != domain.get(b, b) and where[0] & where[1]:
                yield f"VMs {a!r} and {b!r}", f"must not be on the same {group.scope}"


def _placed_pairs(
    instance: Instance, plan: Plan, vms: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Pairs of a group that are placed and exist at the same time."""
    for a, b in combinations(vms, 2):
        if a in plan and b in plan and instance.vm(a).overlaps(instance.vm(b)):
            yield a, b


def _where(instance: Instance, placement: Placement, scope: str) -> frozenset[tuple[str, int]]:
    if scope == Scope.NODE:
        return frozenset((placement.host, node) for node in placement.nodes)
    return frozenset({domain_of(instance.host(placement.host), scope)})


def shared_pages(instance: Instance, plan: Plan) -> Found:
    """Members of a sharing group find a copy: on each cell's node, or on the host if allowed."""
    for copy, count in Counter((copy.group, copy.host) for copy in plan.copies).items():
        if count > 1:
            yield f"sharing group {copy[0]!r}", f"is listed {count} times for host {copy[1]!r}"
    copies = {(copy.group, copy.host): frozenset(copy.nodes) for copy in plan.copies}
    for group in instance.sharing:
        for name in filter(plan.placements.__contains__, group.vms):
            placement = plan.placements[name]
            have = copies.get((group.name, placement.host), frozenset())
            missing = placement.nodes - have
            where = f"nodes {sorted(missing)}"
            if group.across_nodes:
                missing, where = (frozenset() if have else missing), "its host"
            if missing:
                yield f"VM {name!r}", f"finds no copy of group {group.name!r} on {where}"


RULES: dict[Rule, Callable[[Instance, Plan], Found]] = {
    Rule(check.__name__): check
    for check in (
        *(required_vms, allowed_hosts, hard_nodes, cells, distinct_nodes),
        *(memory_amount, memory_nodes, memory_capacity, shared_cpus, dedicated_cpus),
        *(device_count, device_locality, device_functions, together, apart, shared_pages),
    )
}
"""The check of each rule but the first, in order."""

PASSING = (Rule.REQUIRED_VMS, Rule.TOGETHER)
"""Rules that a plan on the way to another may break: VMs come, and move, one after the other."""

ALONE = (
    *(Rule.ALLOWED_HOSTS, Rule.HARD_NODES, Rule.CELLS, Rule.DISTINCT_NODES, Rule.MEMORY_AMOUNT),
    *(Rule.MEMORY_NODES, Rule.DEVICE_COUNT, Rule.DEVICE_LOCALITY, Rule.SHARED_PAGES),
)
"""Rules that regard one VM and its placement: what it holds while it moves may break them."""

CAPACITIES = tuple(rule for rule in RULES if rule not in {*PASSING, *ALONE})
"""All others, so also one that is new: they hold at every moment."""
