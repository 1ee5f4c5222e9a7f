"""The published schema and the models have the same bounds: what one takes, the other does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from numaplace.instances.formats.document.schema import json_schema
from numaplace.models.errors import InputError
from numaplace.models.plan import PlacedCell, TakenDevice
from numaplace.models.prices import Prices
from numaplace.models.relations import Apart, Competition, Cooperation, SharingGroup, Together
from numaplace.models.result import Provenance, SolveStatus
from numaplace.models.topology import Device, Host, NumaNode, PCpu
from numaplace.models.vm import Cell, DeviceRequest, Vm

NODE = NumaNode(0, (PCpu(0, 0),), 64)
TOLD = {
    "solver": "cpsat",
    "version": "1",
    "seed": 0,
    "status": SolveStatus.FEASIBLE,
    "runtime_s": 0,
    "made_at": "2026-11-28T04:05:06Z",
    "instance_sha256": "0" * 64,
}
MAKERS: dict[str, Callable[..., object]] = {
    "Prices": Prices,
    "PCpu": lambda **field: PCpu(**{"id": 0, "core": 0, **field}),
    "NumaNode": lambda **field: NumaNode(
        **{"id": 0, "memory_mib": 1 << 40 if "reserved_mib" in field else 64, **field}
    ),
    "Device": lambda **field: Device(**{"address": "a", "kind": "nic", **field}),
    "Host": lambda **field: Host("h", (NODE,), **field),
    "Cell": lambda **field: Cell(**{"vcpus": 1, "memory_mib": 1, **field}),
    "DeviceRequest": lambda **field: DeviceRequest("nic", **field),
    "Vm": lambda **field: Vm(**{"name": "a", "vcpus": 1, "memory_mib": 1 << 40, **field}),
    "Cooperation": lambda **field: Cooperation(**{"first": "a", "second": "b", **field}),
    "Competition": lambda **field: Competition(**{"first": "a", "second": "b", **field}),
    "Together": lambda weight: Together(("a", "b")).softened(weight),
    "Apart": lambda weight: Apart(("a", "b")).softened(weight),
    "SharingGroup": lambda **field: SharingGroup("g", ("a", "b"), **field),
    "PlacedCell": lambda **field: PlacedCell(**{"node": 0, "vcpus": 1, **field}),
    "Provenance": lambda **field: Provenance(**{**TOLD, **field}),
    "TakenDevice": lambda **field: TakenDevice("nic", "a", **field),
}
SHORT = {"count", "cores", "threads_per_core", "cores_per_llc"}
"""Fields that only documents have."""
READ = {"StageResult"}
"""Made by solvers without a check; held when a document is read."""


def bounds() -> Iterator[tuple[str, str, str, Any]]:
    for kind in ("instance", "plan"):
        for doc, schema in json_schema(kind).get("$defs", {}).items():
            for field, described in schema.get("properties", {}).items():
                for each in (described, *described.get("anyOf", ())):
                    for end in ("minimum", "maximum"):
                        if end in each:
                            yield doc, field, end, each[end]


CASES = [
    case
    for case in dict.fromkeys(bounds())
    if case[0] not in READ and (case[1] not in SHORT or case[0][:3] == "Dev")
]


def complains(doc: str, field: str, value: object) -> bool:
    try:
        MAKERS[doc](**{field: value})
    except InputError as error:
        return error.field == field
    return False


@pytest.mark.parametrize(("doc", "field", "end", "bound"), CASES)
def test_both_ends(doc: str, field: str, end: str, bound: float) -> None:
    """The bound itself is taken by the model, what is beyond is not."""
    step = 1 if isinstance(bound, int) else max(1e-9, abs(bound) * 1e-9)
    assert not complains(doc, field, bound)
    assert complains(doc, field, bound - step if end == "minimum" else bound + step)
