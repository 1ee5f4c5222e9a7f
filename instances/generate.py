"""Random instances: hosts of a given shape, VMs of a given mix, as full as asked.

The same parameters and seed always give the same instance.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar

import numpy as np

from numaplace.instances.shapes import Fabric, HostShape, make_host
from numaplace.models.errors import NAME_LENGTH_MAX, InputError, check_int, check_real, check_unique
from numaplace.models.fields import Bound, Name, Size, checked
from numaplace.models.instance import Instance
from numaplace.models.relations import Competition, Cooperation
from numaplace.models.topology import HOSTS_MAX, MIB_MAX, Host
from numaplace.models.trace import Reals
from numaplace.models.vm import VCPUS_MAX, VMS_MAX, DevicePolicy, DeviceRequest, Vm

MEMORY_STEP_MIB = 256
COOPERATION_WEIGHTS = (0.2, 2.0)
COMPETITION_WEIGHTS = (0.2, 1.0)


Span = Annotated[tuple[Annotated[float, Bound(0, 1)], float], Size(2, 2)]
Load = Annotated[float, Bound(0, 100)]
Share = Annotated[float, Bound(0, 1)]
PerVm = Annotated[float, Bound(0, 1000)]


@dataclass(frozen=True, slots=True)
class Flavour:
    """A size of VM."""

    THING: ClassVar[str] = "flavour {0.name!r:.80}"

    name: Annotated[Name, "For messages."]
    vcpus: Annotated[int, Bound(1, VCPUS_MAX), "Number of vCPUs."]
    memory_mib: Annotated[int, Bound(1, MIB_MAX), "Memory."]
    weight: Annotated[float, Bound(0, 1e6), "How often it is drawn, relative to the others."] = 1.0

    def __post_init__(self) -> None:
        checked(self)


@dataclass(frozen=True, slots=True)
class VmMix:
    """What the VMs are like."""

    THING: ClassVar[str] = "VM mix"

    flavours: Annotated[tuple[Flavour, ...], Size(1, 1000), "Sizes, drawn by their weights."]
    memory_intensity: Annotated[Span, "Lowest and highest; drawn evenly."] = (0.1, 0.5)
    utilisation: Annotated[Span, "The same for the utilisation of a vCPU."] = (1.0, 1.0)

    def __post_init__(self) -> None:
        thing = checked(self)
        check_unique(thing, "flavours", [flavour.name for flavour in self.flavours])
        if sum(flavour.weight for flavour in self.flavours) <= 0:
            raise InputError(thing, "weight", "no flavour has a weight above 0")
        for name in ("memory_intensity", "utilisation"):
            low, high = getattr(self, name)
            check_real(thing, name, high, low, 1)


@dataclass(frozen=True, slots=True)
class GenerateParams:
    """What to generate."""

    THING: ClassVar[str] = "generator"

    shape: Annotated[HostShape, "Of the hosts, which are all equal."]
    mix: Annotated[VmMix, "What the VMs are like."]
    hosts: Annotated[int, Bound(1, HOSTS_MAX), "Number of hosts."] = 1
    vms: Annotated[
        int | None,
        Bound(1, VMS_MAX),
        "Exact number of VMs, whose sizes are then bent to meet both loads. None: VMs of exactly "
        "the mix's flavours are drawn until one more would exceed a load.",
    ] = None
    cpu_load: Annotated[Load, "vCPUs as a share of all pCPUs."] = 0.7
    memory_load: Annotated[Load, "Memory as a share of all that VMs may take."] = 0.7
    cooperating: Annotated[PerVm, "Pairs per VM."] = 0.0
    competing: Annotated[PerVm, "Pairs per VM."] = 0.0
    device_share: Annotated[Share, "VMs that want a function of one of the host's devices."] = 0.0
    soft_share: Annotated[Share, "VMs with node affinity, to the nodes of one socket."] = 0.0
    group_size: Annotated[
        int,
        Bound(0, 100),
        "VMs of a group, beside all other pairs; 0: no groups. They talk in a chain, the first "
        "competes with the last and with the third of the next group.",
    ] = 0
    group_kinds: Annotated[int, Bound(0, VMS_MAX), "Different groups; 0: each is drawn anew."] = 0
    racks: Annotated[
        int, Bound(0, HOSTS_MAX), "Racks of neighbouring hosts, told by labels; 0: none."
    ] = 0
    name: Annotated[str, Size(0, NAME_LENGTH_MAX), "Name of the instance."] = ""

    def __post_init__(self) -> None:
        thing = checked(self)
        if self.group_size and self.vms is not None:
            raise InputError(thing, "vms", "must not be given with group_size")


def generate_instance(params: GenerateParams, seed: int) -> Instance:
    """Return the instance of these parameters and this seed (0 or more).

    Raises
    ------
    InputError
        If the loads leave a VM no vCPU or no memory, or there are fewer pairs than wanted.
    """
    check_int("generator", "seed", seed, 0, 2**63)
    rng = np.random.default_rng(seed)
    host = make_host(params.shape, "host1")
    racks = params.racks
    hosts = tuple(
        replace(
            host,
            name=f"host{number + 1}",
            labels={"rack": f"rack{number * racks // params.hosts + 1}"} if racks else {},
        )
        for number in range(params.hosts)
    )
    room_vcpus = round(params.cpu_load * host.threads * params.hosts)
    pool_mib = sum(node.memory_mib - node.reserved_mib for node in host.nodes)
    room_mib = round(params.memory_load * pool_mib * params.hosts)
    groups = _Groups()
    if params.group_size:
        groups = _drawn_groups(params, room_vcpus, room_mib, rng)
        sizes = groups.sizes
    elif params.vms is None:
        sizes = _drawn_sizes(params.mix, room_vcpus, room_mib, rng)
    else:
        sizes = _bent_sizes(params.mix, params.vms, room_vcpus, room_mib, rng)
    vms = tuple(
        _vm(f"vm{number + 1}", size, params, host, rng) for number, size in enumerate(sizes)
    )
    pairs = _pairs(params, len(vms), rng)
    num_cooperating = round(params.cooperating * len(vms))
    return Instance(
        hosts=hosts,
        vms=vms,
        cooperations=tuple(
            Cooperation(vms[a].name, vms[b].name, _between(COOPERATION_WEIGHTS, rng))
            for a, b in pairs[:num_cooperating]
        )
        + tuple(Cooperation(vms[a].name, vms[b].name, weight) for a, b, weight in groups.talks),
        competitions=tuple(
            Competition(vms[a].name, vms[b].name, _between(COMPETITION_WEIGHTS, rng))
            for a, b in pairs[num_cooperating:]
        )
        + tuple(Competition(vms[a].name, vms[b].name, weight) for a, b, weight in groups.rivals),
        name=params.name,
        comment=f"Generated with seed {seed}.",
    )


Sized = tuple[int, int]
"""vCPUs and memory in MiB."""


def _between(span: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw a number with two decimals, which files show as it is."""
    return round(float(rng.uniform(*span)), 2)


def _chances(mix: VmMix) -> Reals:
    weights: Reals = np.array([flavour.weight for flavour in mix.flavours])
    return weights / float(weights.sum())


def _drawn_sizes(mix: VmMix, vcpus: int, mib: int, rng: np.random.Generator) -> list[Sized]:
    chances = _chances(mix)
    sizes: list[Sized] = []
    while True:
        flavour = mix.flavours[int(rng.choice(len(chances), p=chances))]
        vcpus -= flavour.vcpus
        mib -= flavour.memory_mib
        if vcpus < 0 or mib < 0:
            return sizes
        check_int("generator", "number of VMs", len(sizes) + 1, 1, VMS_MAX)
        sizes.append((flavour.vcpus, flavour.memory_mib))


@dataclass(frozen=True, slots=True)
class _Groups:
    """VMs in groups: sizes, and pairs with weights."""

    sizes: list[Sized] = field(default_factory=list)
    talks: list[tuple[int, int, float]] = field(default_factory=list)
    rivals: list[tuple[int, int, float]] = field(default_factory=list)


def _drawn_groups(
    params: GenerateParams, vcpus: int, mib: int, rng: np.random.Generator
) -> _Groups:
    """Draw groups until one more would exceed a load."""
    found, size, chances = _Groups(), params.group_size, _chances(params.mix)

    def drawn() -> tuple[list[Sized], list[float], list[float]]:
        numbers = rng.choice(len(chances), size=size, p=chances)
        flavours = [params.mix.flavours[int(number)] for number in numbers]
        talks = [_between(COOPERATION_WEIGHTS, rng) for _ in range(size - 1)]
        sizes = [(flavour.vcpus, flavour.memory_mib) for flavour in flavours]
        return sizes, talks, [_between(COMPETITION_WEIGHTS, rng) for _ in range(2)]

    kinds = [drawn() for _ in range(params.group_kinds)]
    last: float | None = None
    while True:
        sizes, talks, rivals = kinds[int(rng.integers(len(kinds)))] if kinds else drawn()
        vcpus, mib = vcpus - sum(c for c, _ in sizes), mib - sum(m for _, m in sizes)
        if vcpus < 0 or mib < 0:
            return found
        first = len(found.sizes)
        check_int("generator", "number of VMs", first + size, 1, VMS_MAX)
        found.sizes.extend(sizes)
        found.talks.extend((first + k, first + k + 1, weight) for k, weight in enumerate(talks))
        if size > 1:
            found.rivals.append((first, first + size - 1, rivals[0]))
        if last is not None:
            found.rivals.append((first - size, first + min(2, size - 1), last))
        last = rivals[1]


def _bent_sizes(
    mix: VmMix, count: int, vcpus: int, mib: int, rng: np.random.Generator
) -> list[Sized]:
    """Draw `count` sizes, then change them step by step until their sums are those asked for."""
    drawn = rng.choice(len(mix.flavours), size=count, p=_chances(mix))
    flavours = [mix.flavours[int(index)] for index in drawn]
    most_vcpus = max(flavour.vcpus for flavour in mix.flavours)
    steps = mib // MEMORY_STEP_MIB
    for load, least, most, what in (
        ("cpu_load", count, count * most_vcpus, vcpus),
        ("memory_load", count, count * MIB_MAX, steps),
    ):
        if not least <= what <= most:
            reason = f"{count} VMs of this mix cannot make it up"
            raise InputError("generator", load, reason)
    scale = vcpus / sum(flavour.vcpus for flavour in flavours)
    near = [min(most_vcpus, max(1, round(scale * flavour.vcpus))) for flavour in flavours]
    cpus = _bent(near, vcpus, most_vcpus, rng)
    # Memory grows with the vCPUs a VM got, so that a node fills up in both at the same time.
    memory = [
        flavour.memory_mib / flavour.vcpus * vcpu * rng.uniform(0.6, 1.4)
        for flavour, vcpu in zip(flavours, cpus, strict=True)
    ]
    scale = steps / sum(memory)
    shares = [max(1, round(share * scale)) for share in memory]
    parts = _bent(shares, steps, 2 * max(shares), rng)
    return [(vcpu, part * MEMORY_STEP_MIB) for vcpu, part in zip(cpus, parts, strict=True)]


def _bent(sizes: list[int], total: int, most: int, rng: np.random.Generator) -> list[int]:
    """Add or take 1 at random places until the sum is `total`, within 1 and `most`."""
    step = 1 if total > sum(sizes) else -1
    while sum(sizes) != total:
        able = [i for i, size in enumerate(sizes) if 1 <= size + step <= most]
        chosen = rng.permutation(able)[: abs(total - sum(sizes))]
        for index in chosen:
            sizes[int(index)] += step
    return sizes


def _vm(name: str, size: Sized, params: GenerateParams, host: Host, rng: np.random.Generator) -> Vm:
    mix = params.mix
    vm = Vm(
        name=name,
        vcpus=size[0],
        memory_mib=size[1],
        memory_intensity=_between(mix.memory_intensity, rng),
        utilisation=_between(mix.utilisation, rng),
    )
    if rng.random() < params.device_share and host.devices:
        kind = host.devices[int(rng.integers(len(host.devices)))].kind
        policy = list(DevicePolicy)[int(rng.integers(len(DevicePolicy)))]
        vm = replace(vm, devices=(DeviceRequest(kind, 1, policy, _between((0.1, 0.5), rng)),))
    if rng.random() < params.soft_share:
        socket = int(rng.integers(params.shape.sockets))
        nodes = frozenset(node.id for node in host.nodes if node.sockets == {socket})
        vm = replace(vm, soft_nodes=nodes, soft_weight=_between((0.1, 1.0), rng))
    return vm


def _pairs(params: GenerateParams, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Draw different pairs, the cooperating ones first, then the competing ones."""
    wanted = round(params.cooperating * count) + round(params.competing * count)
    if wanted > count * (count - 1) // 2:
        reason = f"{count} VMs do not have {wanted} pairs"
        raise InputError("generator", "cooperating and competing", reason)
    pairs: dict[tuple[int, int], None] = {}
    while len(pairs) < wanted:
        a, b = (int(index) for index in rng.integers(count, size=2))
        if a != b:
            pairs.setdefault((min(a, b), max(a, b)))
    return list(pairs)


SHAPES: dict[str, HostShape] = {
    "2n": HostShape(sockets=2, cores_per_node=16, node_mib=131072),
    "2n-smt": HostShape(sockets=2, cores_per_node=16, threads_per_core=2, node_mib=131072),
    "8n": HostShape(
        sockets=2, nodes_per_socket=4, cores_per_node=16, node_mib=65536, near=12, far=32
    ),
    "16n": HostShape(sockets=4, nodes_per_socket=4, cores_per_node=8, fabric=Fabric.RING),
    "24n": HostShape(sockets=8, nodes_per_socket=3, cores_per_node=8, fabric=Fabric.RING),
    "64n": HostShape(sockets=16, nodes_per_socket=4, cores_per_node=8, fabric=Fabric.MESH),
    "cxl": HostShape(sockets=2, cores_per_node=16, node_mib=65536, memory_only_nodes=2),
    "io": HostShape(sockets=2, nodes_per_socket=2, cores_per_node=8, nics=2, gpus=2),
}
"""Shapes of hosts. But one has no SMT: threads more than cores add about a constant to a loss."""

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


GROUPED = VmMix(
    tuple(Flavour(f"{n}", n, 4096 * n, weight) for n, weight in ((1, 4), (2, 3), (4, 2), (8, 1))),
    memory_intensity=(0.3, 0.3),
)
"""1 to 8 vCPUs with 4 GiB each."""


def _groups(shape: str, load: float, kinds: int, name: str) -> GenerateParams:
    """Two hundred hosts with groups of five VMs."""
    return GenerateParams(
        SHAPES[shape], GROUPED, 200, None, load, 1.0, group_size=5, group_kinds=kinds, name=name
    )


PRESETS: dict[str, GenerateParams] = {
    params.name: params
    for params in (
        _related("8n", 30, 0.85, 0.8, "8n-30vm"),
        _related("8n", 60, 0.85, 0.8, "8n-60vm"),
        _related("16n", 40, 0.8, 0.75, "16n"),
        _related("24n", 60, 0.8, 0.75, "24n"),
        _related("64n", 160, 0.8, 0.75, "64n"),
        GenerateParams(SHAPES["2n"], FLEET, hosts=100, cpu_load=0.8, memory_load=0.8, name="fleet"),
        _groups("2n", 0.82, 0, "groups"),
        _groups("2n-smt", 0.575, 0, "groups-smt"),
        _groups("2n-smt", 0.575, 40, "groups-40"),
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
