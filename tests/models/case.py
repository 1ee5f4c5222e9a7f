"""One case of a rule, and the words that cases are written in."""

from __future__ import annotations

from dataclasses import dataclass, replace

from numaplace.models.instance import Instance
from numaplace.models.plan import PlacedCell, Placement, Plan, SharedCopy, TakenDevice
from numaplace.models.topology import Host
from numaplace.models.verify import Rule
from numaplace.models.vm import CpuPolicy, MemoryMode, ThreadPolicy, Vm
from numaplace.tests.builders import make_host

BLOCK = 256
"""MiB of a block in every case."""


@dataclass(frozen=True)
class RuleCase:
    """A plan that obeys every rule, and a small change of it that breaks `rule`.

    `also` names other rules that cannot but break with it.
    """

    rule: Rule
    name: str
    instance: Instance
    good: Plan
    bad: Plan
    also: frozenset[Rule] = frozenset()


def vm(name: str = "a", vcpus: int = 1, blocks: int = 1, **more: object) -> Vm:
    """Return a strict VM of `blocks` blocks."""
    fields: dict[str, object] = {"memory_mode": MemoryMode.STRICT, "block_mib": BLOCK, **more}
    return Vm(name, vcpus, blocks * BLOCK, **fields)  # type: ignore[arg-type]


def pinned(
    name: str = "a", vcpus: int = 1, threads: ThreadPolicy = ThreadPolicy.PREFER, **more: object
) -> Vm:
    """Return a strict VM of one block with dedicated pCPUs."""
    return vm(name, vcpus, cpu_policy=CpuPolicy.DEDICATED, thread_policy=threads, **more)


def cell(
    node: int,
    vcpus: int = 1,
    memory: int | dict[int, int] = 1,
    *,
    pcpus: tuple[int, ...] = (),
    size: int | None = None,
) -> PlacedCell:
    """Return a cell; `memory` is blocks on its own node, or blocks by node, `size` in blocks."""
    by_node = {node: memory} if isinstance(memory, int) else memory
    return PlacedCell(
        node,
        vcpus,
        tuple((at, blocks * BLOCK) for at, blocks in sorted(by_node.items()) if blocks),
        pcpus,
        None if size is None else size * BLOCK,
    )


def on(*cells: PlacedCell, host: str = "host", takes: tuple[TakenDevice, ...] = ()) -> Placement:
    return Placement(host, cells, takes)


def plan(*copies: SharedCopy, **placements: Placement) -> Plan:
    return Plan(placements, copies)


def case(rule: Rule, name: str, instance: Instance, good: Plan, bad: Plan, *also: Rule) -> RuleCase:
    return RuleCase(rule, name, instance, good, bad, frozenset(also))


def instance(*vms: Vm, host: Host | None = None, **more: object) -> Instance:
    """Return an instance with one host: three nodes of 4 cores and 4096 MiB unless given."""
    return Instance((host or make_host(nodes=3),), vms, **more)  # type: ignore[arg-type]


def with_nodes(host: Host, **changes: dict[str, object]) -> Host:
    """Change fields of nodes: ``with_nodes(host, n1={"memory_mib": 0})``."""
    nodes = [
        replace(node, **changes.get(f"n{node.id}", {}))  # type: ignore[arg-type]
        for node in host.nodes
    ]
    return replace(host, nodes=tuple(nodes))
