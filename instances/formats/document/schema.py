"""What an instance and a plan look like on disk; the published JSON schema is made from this.

Fields have the names, units and defaults of `numaplace.models`. Two things are there for people
who write by hand: a node may say ``cores`` and ``threads_per_core`` in place of a list of pCPUs,
and ``count`` makes several equal hosts or VMs of one entry.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from numaplace.models.errors import InputError
from numaplace.models.instance import HOSTS_MAX, VMS_MAX, Between
from numaplace.models.relations import GROUP_MAX, Scope
from numaplace.models.result import MADE_AT, SHA256, Stage
from numaplace.models.topology import DISTANCE_MAX, ID_MAX, MIB_MAX, NODES_MAX, PCPUS_MAX
from numaplace.models.units import PageSize
from numaplace.models.vm import (
    CELLS_MAX,
    TIME_MAX,
    VCPUS_MAX,
    WEIGHT_MAX,
    CpuPolicy,
    DevicePolicy,
    GuestNuma,
    MemoryMode,
    ThreadPolicy,
)

INSTANCE_FORMAT = "numaplace-instance/1"
PLAN_FORMAT = "numaplace-plan/1"
COMMENT_MAX = 10_000
DEVICES_MAX = 65_536

Id = Annotated[int, Field(ge=0, le=ID_MAX)]
Mib = Annotated[int, Field(ge=0, le=MIB_MAX)]
SomeMib = Annotated[int, Field(ge=1, le=MIB_MAX)]
Vcpus = Annotated[int, Field(ge=1, le=VCPUS_MAX)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=WEIGHT_MAX)]
Time = Annotated[int, Field(ge=-TIME_MAX, le=TIME_MAX)]
Name = Annotated[str, Field(min_length=1, max_length=255)]
Words = Annotated[str, Field(max_length=COMMENT_MAX)]
NodeIds = Annotated[list[Id], Field(min_length=1, max_length=NODES_MAX)]
Matrix = list[list[Annotated[float, Field(ge=0, le=MIB_MAX)]]]
Word = Field(strict=False)  # the words of an enum are strings on disk
Functions = Annotated[int, Field(ge=1, le=256)]
NodeKey = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,6})$")]


class Document(BaseModel):
    """Nothing unknown, nothing converted, nothing infinite."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class PCpuDoc(Document):
    """A hardware thread; `core`, `socket` and `llc` are unique on the host."""

    id: Id
    core: Id
    socket: Id = 0
    llc: Id | None = None


class NodeDoc(Document):
    """A NUMA node, with its pCPUs listed (`pcpus`) or counted (`cores`, `threads_per_core`)."""

    id: Id
    pcpus: list[PCpuDoc] = Field([], max_length=PCPUS_MAX)
    cores: int | None = Field(
        None,
        ge=1,
        le=PCPUS_MAX,
        description="Physical cores, in place of `pcpus`. pCPUs and cores are numbered from 0 in "
        "the order of the host's nodes, the threads of a core one after the other.",
    )
    threads_per_core: int = Field(1, ge=1, le=8, description="Goes with `cores`.")
    cores_per_llc: int | None = Field(
        None,
        ge=1,
        le=PCPUS_MAX,
        description="Goes with `cores`: cores that share a last-level cache; left out: unknown.",
    )
    socket: Id | None = Field(
        None, description="Package; with `cores` 0 if left out. Listed pCPUs tell their own."
    )
    memory_mib: Mib = Field(0, description="Memory before what is reserved and in huge pages.")
    reserved_mib: Mib = Field(0, description="Kept for the hypervisor or dom0.")
    pages_2m: Mib = Field(0, description="Number of 2 MiB pages set aside.")
    pages_1g: Mib = Field(0, description="Number of 1 GiB pages set aside.")
    bandwidth_mbps: SomeMib | None = Field(None, description="MB/s; null: no bottleneck.")


class DeviceDoc(Document):
    """A PCI device, or the functions of one that VMs may take."""

    address: Name = Field(description="PCI address, unique on the host.")
    kind: Name = Field(description="What VMs ask for: nic, gpu, nvme or any other name.")
    nodes: list[Id] = Field(
        [], max_length=NODES_MAX, description="Nodes it is local to; empty: unknown."
    )
    functions: int = Field(1, ge=0, le=65536)
    vendor_product: Name | None = None
    pcie_root: Name | None = None


class HostDoc(Document):
    """A machine that runs VMs."""

    name: Name
    count: int | None = Field(
        None,
        ge=1,
        le=HOSTS_MAX,
        description="Several equal hosts, called name1, name2 and so on.",
    )
    nodes: list[NodeDoc] = Field(
        min_length=1, max_length=NODES_MAX, description="In ascending order of id."
    )
    distances: Matrix = Field(
        [],
        max_length=NODES_MAX,
        description=f"SLIT, one row per node from it to each, at most {DISTANCE_MAX}; 10 is local. "
        "Empty: 10 local, 20 elsewhere.",
    )
    latency_ns: Matrix = Field(
        [], max_length=NODES_MAX, description="Measured; 0 is unknown. Replaces the distances."
    )
    bandwidth_mbps: Matrix = Field(
        [], max_length=NODES_MAX, description="Measured, MB/s; 0 is unknown."
    )
    devices: list[DeviceDoc] = Field([], max_length=DEVICES_MAX)
    vcpu_overcommit: float = Field(1.0, ge=0.001, le=1000, description="Shared vCPUs per pCPU.")
    smt_yield: float = Field(
        1.25, ge=1, le=2, description="Throughput of a core with both threads busy."
    )
    network_factor: float = Field(
        20.0, ge=1, le=100_000, description="Relative latency of other hosts."
    )


class CellDoc(Document):
    """A node that the guest sees."""

    vcpus: Vcpus
    memory_mib: SomeMib


class DeviceRequestDoc(Document):
    """Functions of PCI devices that a VM wants."""

    kind: Name = Field(description="Kind, vendor:product or PCI address.")
    count: Functions = 1
    policy: Annotated[DevicePolicy, Word] = DevicePolicy.PREFERRED
    weight: Weight = Field(0.1, description="vCPUs lost per function and unit of (r - 1).")


class VmDoc(Document):
    """A virtual machine."""

    name: Name
    count: int | None = Field(
        None, ge=1, le=VMS_MAX, description="Several equal VMs, called name1, name2 and so on."
    )
    vcpus: Vcpus
    memory_mib: SomeMib
    memory_min_mib: SomeMib | None = Field(None, description="Ballooning may go down to it.")
    utilisation: Share = Field(1.0, description="Share of the time that a vCPU wants to run.")
    memory_intensity: Share = Field(
        0.3, description="Share of its run time that waits for memory when all of it is local."
    )
    bandwidth_mbps: Mib = Field(0, description="Memory bandwidth it demands, MB/s.")
    cpu_policy: Annotated[CpuPolicy, Word] = CpuPolicy.SHARED
    thread_policy: Annotated[ThreadPolicy, Word] = ThreadPolicy.PREFER
    page_size: Annotated[PageSize, Word] = PageSize.SMALL
    memory_mode: Annotated[MemoryMode, Word] = MemoryMode.PREFERRED
    memory_nodes: NodeIds | None = Field(None, description="Where its pages may lie.")
    guest_numa: Annotated[GuestNuma, Word] = GuestNuma.NONE
    max_cells: int | None = Field(None, ge=1, le=CELLS_MAX)
    cells: list[CellDoc] = Field([], max_length=CELLS_MAX, description="For guest_numa explicit.")
    guest_locality: Share = Field(
        0.8, description="Share of accesses a guest that sees its cells keeps within one."
    )
    devices: list[DeviceRequestDoc] = Field([], max_length=256)
    hard_nodes: NodeIds | None = Field(None, description="Nodes its vCPUs are pinned to.")
    soft_nodes: NodeIds | None = Field(None, description="Node affinity.")
    soft_weight: Weight = Field(0.1, description="vCPUs lost if all run outside `soft_nodes`.")
    allowed_hosts: list[Name] | None = Field(None, min_length=1, max_length=HOSTS_MAX)
    value: Weight | None = Field(None, description="Null: its vCPUs.")
    required: bool = Field(False, description="Whether a plan without it is no plan.")
    start: Time | None = Field(None, description="Seconds; null: always.")
    end: Time | None = Field(None, description="Seconds; it no longer exists then.")
    block_mib: SomeMib | None = Field(None, description="Granularity of placing its pages.")


class CooperationDoc(Document):
    """Two VMs that talk."""

    first: Name
    second: Name
    weight: Weight = Field(description="vCPUs lost per unit of (r - 1) between them.")


class CompetitionDoc(Document):
    """Two VMs that get in each other's way."""

    first: Name
    second: Name
    weight: Weight = Field(description="vCPUs lost if they meet in the scope.")
    scope: Annotated[Scope, Word] = Scope.NODE


class GroupDoc(Document):
    """VMs that must be together, or apart."""

    vms: list[Name] = Field(min_length=2, max_length=GROUP_MAX)
    scope: Literal["node", "host"] = "node"


class SharingDoc(Document):
    """VMs with equal pages."""

    name: Name
    vms: list[Name] = Field(min_length=2, max_length=GROUP_MAX)
    shared_mib: SomeMib = Field(description="Part of the memory of each member.")
    across_nodes: bool = False


class PricesDoc(Document):
    """Prices that no VM or relation states itself."""

    balloon_pressure: float = Field(0.5, ge=0, le=1000)
    vcpus_per_mbps: float = Field(0.0002, ge=0, le=1000)
    copy_mib_per_s: float = Field(1000.0, ge=1, le=1e12)
    network_mib_per_s: float = Field(1000.0, ge=1, le=1e12)
    slowed_share: Share = 0.5
    horizon_s: float = Field(3600.0, ge=1, le=1e12)


class PlacedCellDoc(Document):
    """One cell of a placed VM."""

    node: Id
    vcpus: Vcpus
    memory_mib: dict[NodeKey, Mib] = Field(
        {}, description="MiB by node id.", json_schema_extra={"additionalProperties": False}
    )
    pcpus: list[Id] = Field([], max_length=PCPUS_MAX, description="Held by a dedicated VM.")
    size_mib: Mib | None = Field(None, description="Before ballooning; null: all it has.")
    vcpu_sets: list[str] = Field(
        [], max_length=VCPUS_MAX, description="pCPUs (0-3,8) of each vCPU of a shared VM by hand."
    )


class TakenDeviceDoc(Document):
    """Functions of a device that a VM takes to answer a request."""

    request: Name
    address: Name
    functions: Functions = 1


class PlacementDoc(Document):
    """Where one VM is."""

    host: Name
    cells: list[PlacedCellDoc] = Field(min_length=1, max_length=4096)
    devices: list[TakenDeviceDoc] = Field([], max_length=DEVICES_MAX)


class SharedCopyDoc(Document):
    """Nodes that hold a copy of a sharing group's pages."""

    group: Name
    host: Name
    nodes: list[Id] = Field(max_length=NODES_MAX)


class StageDoc(Document):
    """Objective and bound of one stage, in thousandths of a value or micro-vCPU of a loss."""

    stage: Annotated[Stage, Word]
    objective: int
    bound: int | None = None
    gap: float | None = Field(None, description="For readers; worked out anew when it is read.")


class ProvenanceDoc(Document):
    """How a plan came about, and what is proven of it."""

    solver: Name
    version: Name = Field(description="Of numaplace.")
    seed: int = Field(ge=0)
    status: Literal["optimal", "feasible"]
    stages: list[StageDoc] = Field([], max_length=4)
    unplaced: dict[Name, Words] = Field(
        {}, max_length=VMS_MAX, description="Why VMs are not placed."
    )
    reasons: list[Words] = Field([], max_length=COMMENT_MAX)
    runtime_s: float = Field(ge=0)
    made_at: str = Field(json_schema_extra={"pattern": MADE_AT})
    instance_sha256: str = Field(
        json_schema_extra={"pattern": SHA256},
        description="Of the instance as numaplace writes it, without name and comment, as JSON "
        "with sorted keys and no spaces.",
    )
    within: Words = Field("", description="What the solver was held to beside the instance.")


class PlanBodyDoc(Document):
    """Placements by VM name; a VM that is not there is not placed."""

    provenance: ProvenanceDoc | None = None
    placements: dict[Name, PlacementDoc] = Field({}, max_length=VMS_MAX)
    copies: list[SharedCopyDoc] = Field([], max_length=VMS_MAX)


class PlanDoc(PlanBodyDoc):
    """A plan: where every placed VM runs, where its memory lies, which devices it holds."""

    format: Literal["numaplace-plan/1"]


class CurrentDoc(PlanDoc):
    """Where everything is now: a plan, or the document of one as it was written."""

    format: Literal["numaplace-plan/1"] | None = None  # type: ignore[assignment]


class InstanceDoc(Document):
    """A planning problem: hosts, VMs, relations, prices, and where everything is now."""

    format: Literal["numaplace-instance/1"]
    name: str = Field("", max_length=255)
    comment: str = Field("", max_length=COMMENT_MAX)
    hosts: list[HostDoc] = Field(min_length=1, max_length=HOSTS_MAX)
    vms: list[VmDoc] = Field([], max_length=VMS_MAX)
    cooperations: list[CooperationDoc] = []
    competitions: list[CompetitionDoc] = []
    togethers: list[GroupDoc] = []
    aparts: list[GroupDoc] = []
    sharing: list[SharingDoc] = []
    prices: PricesDoc = Field(PricesDoc.model_validate({}))
    between: Annotated[Between, Word] = Between.NOTHING
    current: CurrentDoc | None = None


KINDS: dict[str, type[InstanceDoc] | type[PlanDoc]] = {"instance": InstanceDoc, "plan": PlanDoc}


def json_schema(kind: str) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of an ``instance`` or a ``plan``."""
    if kind not in KINDS:
        raise InputError("schema", "kind", f"must be one of {', '.join(KINDS)}, not {kind!r:.60}")
    schema = KINDS[kind].model_json_schema(mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:numaplace:{kind}:1",
        **schema,
        "title": f"numaplace {kind}, version 1",
    }
