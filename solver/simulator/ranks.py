"""Ranks, and how well two series agree in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def ranks(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Ranks from 0; equal values share the mean of theirs."""
    _, place, times = np.unique(
        np.asarray(values, np.float64), return_inverse=True, return_counts=True
    )
    first = np.cumsum(times) - times
    shared: npt.NDArray[np.float64] = (first + (times - 1) / 2)[place]
    return shared


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation.

    None if there are less than two pairs, or all numbers of one side are equal.
    """
    a, b = ranks(first), ranks(second)
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])
