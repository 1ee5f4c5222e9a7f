"""A trace: VMs that come and go, as arrays, in order of arrival.

What a VM of a trace is, is simpler than a `Vm`: a number of vCPUs and some memory, which lie on one
node or, cut evenly, on two nodes of one host. So a trace can hold a million of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from numaplace.models.errors import InputError

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MS_PER_S = 1000
NEVER_MS = 1 << 50  # end of a VM that is never deleted, or for which none is predicted
NO_NODE = -1  # soft node of a VM without node affinity
ARRAYS = (
    *("vcpus", "memory_mib", "cells", "start_ms", "end_ms", "predicted_end_ms"),
    *("utilisation", "memory_intensity", "soft_node", "soft_weight"),
)


@dataclass(frozen=True, eq=False)
class Trace:
    """VMs in order of arrival; all arrays (int64, float64) have one entry a VM.

    A VM exists at ``start <= t < end``. Starts never decrease; an end is after its start.
    `InputError` if arrays differ in length, or starts, ends or sizes are impossible.
    """

    names: tuple[str, ...]  # unique
    vcpus: Ints
    memory_mib: Ints
    # 1: it sits on one node; 2: its vCPUs and memory are cut evenly over two nodes of one host (of
    # an odd number the first node gets one more).
    cells: Ints
    start_ms: Ints
    end_ms: Ints  # `NEVER_MS` if it is never deleted
    predicted_end_ms: Ints  # what a policy is told of the end at the start, `NEVER_MS` if nothing
    utilisation: Reals  # as of `Vm`
    memory_intensity: Reals
    soft_node: Ints  # id of the node it would rather run on, `NO_NODE` if none
    soft_weight: Reals  # loss in vCPUs elsewhere

    def __post_init__(self) -> None:
        for name in ARRAYS:
            if getattr(self, name).shape != (len(self.names),):
                raise InputError("trace", name, "needs one entry a VM")
        if len(set(self.names)) != len(self.names):
            raise InputError("trace", "names", "occur twice")
        if np.any(np.diff(self.start_ms) < 0):
            raise InputError("trace", "start_ms", "must never decrease")
        for name, wrong in (
            ("vcpus", self.vcpus < self.cells),
            ("memory_mib", self.memory_mib < self.cells),
            ("cells", (self.cells < 1) | (self.cells > 2)),
            ("end_ms", self.end_ms <= self.start_ms),
        ):
            if np.any(wrong):
                vm = self.names[int(np.argmax(wrong))]
                raise InputError(f"VM {vm!r:.80} of the trace", name, "is out of range")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def vcpu_parts(self) -> tuple[Ints, Ints]:
        """VCPUs on the first and on the second node; 0 on a second one that is not used."""
        return _parts(self.vcpus, self.cells)

    @cached_property
    def memory_parts_mib(self) -> tuple[Ints, Ints]:
        """Memory on the first and on the second node; 0 on a second one that is not used."""
        return _parts(self.memory_mib, self.cells)

    @cached_property
    def vcpu_ms(self) -> Ints:
        """What each VM is worth when time counts: vCPUs times its life in milliseconds.

        A VM that is never deleted counts until the last event of the trace.
        """
        life: Ints = np.minimum(self.end_ms, self.horizon_ms) - self.start_ms
        worth: Ints = self.vcpus * np.maximum(life, 1)
        return worth

    @cached_property
    def horizon_ms(self) -> int:
        """Time of the last start or (finite) end, 0 of an empty trace."""
        ends = self.end_ms[self.end_ms < NEVER_MS]
        return int(max(self.start_ms.max(initial=0), ends.max(initial=0)))

    def part(self, chosen: slice | Ints | Bools) -> Trace:
        """Return some of the VMs, in the same order."""
        index = np.arange(len(self))[chosen]
        arrays = {name: getattr(self, name)[index] for name in ARRAYS}
        return Trace(tuple(self.names[i] for i in index.tolist()), **arrays)

    def with_starts(self, start_ms: Ints) -> Trace:
        """Return the same VMs, with the same lives, started at other times."""
        moved = start_ms - self.start_ms

        def shifted(ends: Ints) -> Ints:
            return np.where(ends >= NEVER_MS, ends, ends + moved)

        return replace(
            self,
            start_ms=start_ms,
            end_ms=shifted(self.end_ms),
            predicted_end_ms=shifted(self.predicted_end_ms),
        )


def _parts(amounts: Ints, cells: Ints) -> tuple[Ints, Ints]:
    second: Ints = np.where(cells == 2, amounts // 2, 0)
    return amounts - second, second


def make_trace(names: tuple[str, ...], **columns: object) -> Trace:
    """Return a trace of the columns given; every other is that of a plain VM on one node.

    `columns` are arrays or sequences by field of `Trace`; `vcpus`, `memory_mib` and `start_ms` must
    be there. The predicted end of a VM is its end, unless stated.
    """
    size = len(names)
    plain: dict[str, object] = {
        "cells": np.ones(size, np.int64),
        "end_ms": np.full(size, NEVER_MS),
        "predicted_end_ms": columns.get("end_ms", np.full(size, NEVER_MS)),
        "utilisation": np.ones(size),
        "memory_intensity": np.full(size, 0.3),
        "soft_node": np.full(size, NO_NODE),
        "soft_weight": np.zeros(size),
    }
    kinds = {
        field.name: np.float64 if field.type == "Reals" else np.int64 for field in fields(Trace)
    }
    arrays = {name: np.asarray(value, kinds[name]) for name, value in {**plain, **columns}.items()}
    return Trace(names, **arrays)  # type: ignore[arg-type]


def split_above(trace: Trace, vcpus: int | None = None, memory_mib: int | None = None) -> Trace:
    """Cut the VMs above a threshold over two nodes, and no others.

    The rule of the published environment of the Huawei-East-1 trace (VMAgent, ``double_thr``): a
    VM larger than the threshold is split evenly over both nodes of a host, else it sits on one.
    """
    wide = np.zeros(len(trace), np.bool_)
    if vcpus is not None:
        wide |= trace.vcpus > vcpus
    if memory_mib is not None:
        wide |= trace.memory_mib > memory_mib
    wide &= (trace.vcpus > 1) & (trace.memory_mib > 1)
    return replace(trace, cells=np.where(wide, 2, 1))


def with_predictions(trace: Trace, sigma: float | None, seed: int = 0) -> Trace:
    """Return a trace whose VMs' ends are predicted with an error, or not at all.

    Parameters
    ----------
    trace
        VMs with their ends.
    sigma
        The predicted life is the true one times ``exp(sigma * z)``, z standard normal; None:
        nothing is predicted.
    seed
        Seed of z.
    """
    if sigma is None:
        return replace(trace, predicted_end_ms=np.full(len(trace), NEVER_MS))
    factor = np.exp(sigma * np.random.default_rng(seed).standard_normal(len(trace)))
    life = np.minimum((trace.end_ms - trace.start_ms) * factor, float(NEVER_MS))
    ends = np.where(
        trace.end_ms >= NEVER_MS,
        NEVER_MS,
        np.minimum(trace.start_ms + np.maximum(1, np.rint(life)).astype(np.int64), NEVER_MS),
    )
    return replace(trace, predicted_end_ms=ends)
