"""Where the pages of a cell may lie: memory modes, page pools, interleaving."""

from __future__ import annotations

from numaplace.models.topology import Host
from numaplace.models.vm import MemoryMode, Vm


def page_nodes(vm: Vm, host: Host, home: int) -> list[int]:
    """Ids of the nodes of `host` that may hold pages of a cell whose vCPUs run on node `home`.

    Only nodes with a pool of the VM's page size; in ascending order.
    """
    allowed = vm.memory_nodes
    if vm.memory_mode is MemoryMode.STRICT and allowed is None:
        allowed = frozenset({home})
    return [
        node.id
        for node in host.nodes
        if (allowed is None or node.id in allowed) and node.pool_mib(vm.page_size) > 0
    ]


def interleaved_blocks(nodes: list[int], blocks: int) -> dict[int, int]:
    """Spread `blocks` evenly over `nodes`; what is left goes to the lowest ids, one each."""
    if not nodes:
        return {}
    each, more = divmod(blocks, len(nodes))
    amounts = {node: each + (index < more) for index, node in enumerate(nodes)}
    return {node: amount for node, amount in amounts.items() if amount}
