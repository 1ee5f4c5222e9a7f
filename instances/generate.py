"""Random instances: hosts of a given shape, VMs of a given mix, as full as asked.

The same parameters and seed always give the same instance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from numaplace.instances.shapes import HostShape, make_host
from numaplace.models.errors import InputError, check_int, check_name, check_real, check_unique
from numaplace.models.instance import Instance
from numaplace.models.relations import Competition, Cooperation
from numaplace.models.topology import HOSTS_MAX, MIB_MAX, Host
from numaplace.models.vm import VCPUS_MAX, VMS_MAX, DevicePolicy, DeviceRequest, Vm

MEMORY_STEP_MIB = 256
COOPERATION_WEIGHTS = (0.2, 2.0)
COMPETITION_WEIGHTS = (0.2, 1.0)


@dataclass(frozen=True, slots=True)
class Flavour:
    """A size of VM.

    Parameters
    ----------
    name
        For messages.
    vcpus, memory_mib
        Its size.
    weight
        How often it is drawn, relative to the other flavours.
    """

    name: str
    vcpus: int
    memory_mib: int
    weight: float = 1.0

    def __post_init__(self) -> None:
        thing = f"flavour {self.name!r:.80}"
        check_name(thing, "name", self.name)
        check_int(thing, "vcpus", self.vcpus, 1, VCPUS_MAX)
        check_int(thing, "memory_mib", self.memory_mib, 1, MIB_MAX)
        check_real(thing, "weight", self.weight, 0, 1e6)


@dataclass(frozen=True, slots=True)
class VmMix:
    """What the VMs are like.

    Parameters
    ----------
    flavours
        Sizes, drawn by their weights.
    memory_intensity
        Lowest and highest memory intensity; drawn evenly.
    utilisation
        The same for the utilisation of a vCPU.
    """

    flavours: tuple[Flavour, ...]
    memory_intensity: tuple[float, float] = (0.1, 0.5)
    utilisation: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        check_int("VM mix", "number of flavours", len(self.flavours), 1, 1000)
        check_unique("VM mix", "flavours", [flavour.name for flavour in self.flavours])
        if sum(flavour.weight for flavour in self.flavours) <= 0:
            raise InputError("VM mix", "weight", "no flavour has a weight above 0")
        for name in ("memory_intensity", "utilisation"):
            low, high = getattr(self, name)
            check_real("VM mix", name, low, 0, 1)
            check_real("VM mix", name, high, low, 1)


@dataclass(frozen=True, slots=True)
class GenerateParams:
    """What to generate.

    Parameters
    ----------
    shape, hosts
        Shape and number of the hosts, which are all equal.
    mix
        What the VMs are like.
    vms
        Exact number of VMs, whose sizes are then bent to meet both loads. None: VMs of exactly
        the mix's flavours are drawn until one more would exceed a load.
    cpu_load, memory_load
        vCPUs as a share of all pCPUs, memory as a share of all that VMs may take.
    cooperating, competing
        Pairs per VM.
    device_share
        Share of the VMs that want a function of one of the host's devices.
    soft_share
        Share of the VMs with node affinity, to the nodes of one socket.
    name
        Name of the instance.
    """

    shape: HostShape
    mix: VmMix
    hosts: int = 1
    vms: int | None = None
    cpu_load: float = 0.7
    memory_load: float = 0.7
    cooperating: float = 0.0
    competing: float = 0.0
    device_share: float = 0.0
    soft_share: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        thing = "generator"
        check_int(thing, "hosts", self.hosts, 1, HOSTS_MAX)
        if self.vms is not None:
            check_int(thing, "vms", self.vms, 1, VMS_MAX)
        for name in ("cpu_load", "memory_load"):
            check_real(thing, name, getattr(self, name), 0, 100)
        for name in ("cooperating", "competing"):
            check_real(thing, name, getattr(self, name), 0, 1000)
        for name in ("device_share", "soft_share"):
            check_real(thing, name, getattr(self, name), 0, 1)


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
    hosts = tuple(replace(host, name=f"host{number + 1}") for number in range(params.hosts))
    room_vcpus = round(params.cpu_load * host.threads * params.hosts)
    pool_mib = sum(node.memory_mib - node.reserved_mib for node in host.nodes)
    room_mib = round(params.memory_load * pool_mib * params.hosts)
    if params.vms is None:
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
        ),
        competitions=tuple(
            Competition(vms[a].name, vms[b].name, _between(COMPETITION_WEIGHTS, rng))
            for a, b in pairs[num_cooperating:]
        ),
        name=params.name,
        comment=f"Generated with seed {seed}.",
    )


Size = tuple[int, int]
"""vCPUs and memory in MiB."""


def _between(span: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw a number with two decimals, which files show as it is."""
    return round(float(rng.uniform(*span)), 2)


def _drawn_sizes(mix: VmMix, vcpus: int, mib: int, rng: np.random.Generator) -> list[Size]:
    chances = np.array([flavour.weight for flavour in mix.flavours])
    chances /= chances.sum()
    sizes: list[Size] = []
    while True:
        flavour = mix.flavours[int(rng.choice(len(chances), p=chances))]
        vcpus -= flavour.vcpus
        mib -= flavour.memory_mib
        if vcpus < 0 or mib < 0:
            return sizes
        check_int("generator", "number of VMs", len(sizes) + 1, 1, VMS_MAX)
        sizes.append((flavour.vcpus, flavour.memory_mib))


def _bent_sizes(
    mix: VmMix, count: int, vcpus: int, mib: int, rng: np.random.Generator
) -> list[Size]:
    """Draw `count` sizes, then change them step by step until their sums are those asked for."""
    chances = np.array([flavour.weight for flavour in mix.flavours])
    drawn = rng.choice(len(chances), size=count, p=chances / chances.sum())
    flavours = [mix.flavours[int(index)] for index in drawn]
    most_vcpus = max(flavour.vcpus for flavour in mix.flavours)
    steps = mib // MEMORY_STEP_MIB
    for field, least, most, what in (
        ("cpu_load", count, count * most_vcpus, vcpus),
        ("memory_load", count, count * MIB_MAX, steps),
    ):
        if not least <= what <= most:
            reason = f"{count} VMs of this mix cannot make it up"
            raise InputError("generator", field, reason)
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


def _vm(name: str, size: Size, params: GenerateParams, host: Host, rng: np.random.Generator) -> Vm:
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
