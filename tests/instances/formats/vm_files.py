"""Where the VM files of the tests are, and a small host to pin them on."""

from __future__ import annotations

import os
from pathlib import Path

from numaplace.models.topology import Host, NumaNode, PCpu

TESTS = Path(__file__).resolve().parents[2]
VMS = TESTS / "data" / "vms"
MALFORMED = TESTS / "data" / "malformed"
SHARED = Path(os.environ.get("NUMAPLACE_SHARED_DATA", TESTS.parents[1] / "shared" / "data"))


def small_host(nodes: int = 4, pcpus: int = 4) -> Host:
    """A host whose node n has the pCPUs n * pcpus and up."""
    return Host(
        "small",
        tuple(
            NumaNode(n, tuple(PCpu(n * pcpus + c, n * pcpus + c, n) for c in range(pcpus)), 4096)
            for n in range(nodes)
        ),
    )
