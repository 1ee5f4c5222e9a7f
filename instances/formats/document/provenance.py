"""The digest of an instance, by which a plan knows what it was made for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from numaplace.instances.formats.document.plain import instance_to_dict
from numaplace.models.instance import Instance


def instance_digest(instance: Instance) -> str:
    """Return the SHA-256 of an instance's canonical JSON; name and comment do not count."""
    document = instance_to_dict(replace(instance, name="", comment=""))
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
