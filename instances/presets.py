"""Named parameters of the generator, used by examples and benchmarks."""

from __future__ import annotations

from numaplace.instances.generate import Flavour, GenerateParams, VmMix
from numaplace.instances.shapes import Fabric, HostShape
from numaplace.models.errors import InputError

SHAPES: dict[str, HostShape] = {
    "2n": HostShape(sockets=2, cores_per_node=16, node_mib=131072),
    "8n": HostShape(
        sockets=2, nodes_per_socket=4, cores_per_node=16, node_mib=65536, near=12, far=32
    ),
    "16n": HostShape(sockets=4, nodes_per_socket=4, cores_per_node=8, fabric=Fabric.RING),
    "24n": HostShape(sockets=8, nodes_per_socket=3, cores_per_node=8, fabric=Fabric.RING),
    "64n": HostShape(sockets=16, nodes_per_socket=4, cores_per_node=8, fabric=Fabric.MESH),
    "cxl": HostShape(sockets=2, cores_per_node=16, node_mib=65536, memory_only_nodes=2),
    "io": HostShape(sockets=2, nodes_per_socket=2, cores_per_node=8, nics=2, gpus=2),
}
"""Shapes of hosts. No SMT: a thread more than cores would add a constant to every loss."""

MIXED = VmMix(
    tuple(
        Flavour(f"{vcpus}x{mib}", vcpus, mib, weight)
        for vcpus, mib, weight in (
            (1, 2048, 2.0),
            (2, 4096, 3.0),
            (3, 6144, 1.0),
            (4, 8192, 3.0),
            (6, 12288, 1.0),
            (8, 16384, 1.5),
        )
    )
)
"""1 to 8 vCPUs, small ones more often."""

FLEET = VmMix(
    (
        Flavour("small", 2, 8192, 4.0),
        Flavour("medium", 4, 32768, 3.0),
        Flavour("large", 8, 49152, 2.0),
        Flavour("wide", 16, 98304, 0.5),
    ),
    memory_intensity=(0.3, 0.3),
)
"""Four flavours and nothing else that tells VMs apart."""


def _related(shape: str, vms: int, cpu: float, memory: float, name: str) -> GenerateParams:
    """A host with VMs of which many cooperate and some compete."""
    return GenerateParams(SHAPES[shape], MIXED, 1, vms, cpu, memory, 1.0, 0.5, name=name)


PRESETS: dict[str, GenerateParams] = {
    params.name: params
    for params in (
        _related("8n", 30, 0.85, 0.8, "8n-30vm"),
        _related("8n", 60, 0.85, 0.8, "8n-60vm"),
        _related("16n", 40, 0.8, 0.75, "16n"),
        _related("24n", 60, 0.8, 0.75, "24n"),
        _related("64n", 160, 0.8, 0.75, "64n"),
        GenerateParams(SHAPES["2n"], FLEET, hosts=100, cpu_load=0.8, memory_load=0.8, name="fleet"),
        GenerateParams(SHAPES["cxl"], MIXED, vms=12, cpu_load=0.8, memory_load=0.7, name="cxl"),
        GenerateParams(
            SHAPES["io"],
            MIXED,
            vms=10,
            cpu_load=0.8,
            memory_load=0.6,
            cooperating=0.5,
            device_share=0.5,
            soft_share=0.3,
            name="io",
        ),
    )
}
"""Parameters by name."""


def preset(name: str) -> GenerateParams:
    """Return the parameters of that name; `InputError` if there are none."""
    if name not in PRESETS:
        reason = f"must be one of {', '.join(PRESETS)}, not {name!r:.60}"
        raise InputError("generator", "preset", reason)
    return PRESETS[name]
