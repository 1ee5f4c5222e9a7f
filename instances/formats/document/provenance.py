"""How a plan came about, from its document and into it, and the digest of an instance."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from numaplace.instances.formats.document.faults import Source
from numaplace.instances.formats.document.plain import instance_to_dict
from numaplace.instances.formats.document.schema import PlanBodyDoc
from numaplace.models.instance import Instance
from numaplace.models.result import Provenance, SolveStatus, StageResult


def instance_digest(instance: Instance) -> str:
    """Return the SHA-256 of an instance's canonical JSON; name and comment do not count."""
    document = instance_to_dict(replace(instance, name="", comment=""))
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def provenance_from(doc: PlanBodyDoc, source: Source) -> Provenance | None:
    """Return what a plan's document tells of how it came about, None if nothing."""
    if doc.provenance is None:
        return None
    with source.element("provenance"):
        values = {name: getattr(doc.provenance, name) for name in type(doc.provenance).model_fields}
        values["status"] = SolveStatus(doc.provenance.status)
        values["stages"] = tuple(
            StageResult(each.stage, each.objective, each.bound) for each in doc.provenance.stages
        )
        values["reasons"] = tuple(doc.provenance.reasons)
        return Provenance(**values)


def provenance_to_dict(told: Provenance) -> dict[str, Any]:
    """Return the document of how a plan came about, with gaps for those who read it."""
    document: dict[str, Any] = {
        "solver": told.solver,
        "version": told.version,
        "seed": told.seed,
        "status": told.status.value,
        "stages": [
            {
                "stage": each.stage.value,
                "objective": each.objective,
                "bound": each.bound,
                "gap": each.gap,
            }
            for each in told.stages
        ],
        "unplaced": dict(told.unplaced),
        "reasons": list(told.reasons),
        "runtime_s": told.runtime_s,
        "made_at": told.made_at,
        "instance_sha256": told.instance_sha256,
        "within": told.within,
    }
    return {key: value for key, value in document.items() if value or key in _ALWAYS}


_ALWAYS = ("seed", "runtime_s", "stages")
