"""Find the traits of programs on some published rows, and predict the others.

A program has three: its score, memory intensity and SMT yield. They are calibrated on three rows of
the state before the commit: two VMs floating (what distance costs), two pinned (the scale), six
pinned (what threads on one core take from one another). Sysbench cpu waits for no memory, so it has
two, and its floating row is a prediction. Dom0, clock, latency and caches are not fitted at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import exp, isnan, log

import numpy as np

from numaplace.models.trace import Reals
from numaplace.solver.simulator.published import ROWS, PublishedRow, TalkProgram, row
from numaplace.solver.simulator.talk import Configuration, Traits, slopes, vm_work

SEEDS = tuple(range(100, 106))
"""Other ones than those of the experiment."""

FIRST = Traits(1.0, 0.4, 1.4)
INTENSITIES, YIELDS = (0.0, 0.5, 1.0), (1.0, 1.5, 2.0)
STEPS = 5
DRAWS = 200
TIME_S = 6.0
COUNTS = (2, 6, 10)

Work = Callable[[PublishedRow, Traits], float]
"""Work of one VM of a case, in vCPUs."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A published row beside what is simulated.

    Parameters
    ----------
    row
        The row; its value is NaN if only predicted.
    simulated, spread
        Throughput of a VM, and its relative standard deviation by the calibration's.
    left_out
        What is simulated if the traits are found without this row, on the other three of the state
        before the commit; None for other rows.
    """

    row: PublishedRow
    simulated: float
    spread: float
    left_out: float | None = None

    @property
    def error(self) -> float:
        """Simulated over published, less 1."""
        return self.simulated / self.row.value - 1.0


def simulated_work(time_s: float = TIME_S, seeds: Sequence[int] = SEEDS) -> Work:
    """Return what simulates cases: each on a grid of traits, once, and between by polynomials."""

    @cache
    def surface(vms: int, pinned: bool, changed: bool) -> Reals:
        configuration = Configuration.AUTO_PINNING if pinned else Configuration.ALL_CPUS
        logs = [
            log(
                vm_work(
                    configuration,
                    vms,
                    Traits(1.0, intensity, smt_yield),
                    changed=changed,
                    time_s=time_s,
                    seeds=seeds,
                )
            )
            for intensity in INTENSITIES
            for smt_yield in YIELDS
        ]
        terms = [_terms(intensity, each) for intensity in INTENSITIES for each in YIELDS]
        solved: Reals = np.linalg.solve(np.array(terms), np.array(logs))
        return solved

    def work(case: PublishedRow, traits: Traits) -> float:
        found = surface(case.vms, case.pinned, case.changed)
        return exp(float(found @ _terms(traits.intensity, traits.smt_yield)))

    return work


def _terms(intensity: float, smt_yield: float) -> Reals:
    return np.outer(intensity ** np.arange(3), smt_yield ** np.arange(3)).ravel()


def fit(rows: Sequence[PublishedRow], work: Work) -> Traits:
    """Find the traits of a program; by a bootstrap, how uncertain the rows leave them."""
    rng, found = np.random.default_rng(0), _fit(rows, work)
    drawn = [
        _fit([replace(r, value=r.value + r.deviation * rng.normal()) for r in rows], work)
        for _ in range(DRAWS)
    ]
    values = [(log(one.score), one.intensity, one.smt_yield) for one in drawn]
    covariance = np.cov(np.array(values).T).round(9).tolist()
    return replace(found, covariance=tuple(map(tuple, covariance)))


def _fit(rows: Sequence[PublishedRow], work: Work) -> Traits:
    """Least squares of logarithms, by Gauss and Newton."""
    free = [0, 2] if rows[0].program is TalkProgram.CPU else [0, 1, 2]
    traits = replace(FIRST, intensity=FIRST.intensity if 1 in free else 0.0)
    for _ in range(STEPS):
        steep = np.array([_slopes(each, traits, work) for each in rows])[:, free]
        wanted = np.array([log(r.value / (traits.score * work(r, traits))) for r in rows])
        step = np.zeros(3)
        step[free] = np.linalg.lstsq(steep, wanted, rcond=None)[0]
        found = (
            traits.score * exp(step[0]),
            min(max(traits.intensity + step[1], 0.0), 1.0),
            min(max(traits.smt_yield + step[2], 1.0), 2.0),
        )
        score, intensity, smt_yield = (float(f"{each:.6g}") for each in found)
        traits = Traits(score, intensity, smt_yield)
    return traits


def _slopes(case: PublishedRow, traits: Traits, work: Work) -> tuple[float, float, float]:
    return slopes(lambda tried: work(case, tried), traits)


def calibrate(work: Work) -> dict[TalkProgram, Traits]:
    """Find the traits of all programs."""
    fitted = {program: _of(program) for program in TalkProgram}
    return {program: fit([r for r in rows if r.fitted], work) for program, rows in fitted.items()}


def _of(program: TalkProgram) -> list[PublishedRow]:
    return [each for each in ROWS if each.program is program]


def check(traits: dict[TalkProgram, Traits], work: Work) -> list[Checked]:
    """Set every row, and those of ten VMs, beside what is simulated."""
    found: list[Checked] = []
    for program, known in traits.items():
        before = [each for each in _of(program) if not each.changed]
        for vms in COUNTS:
            for pinned in (False, True):
                for changed in (False, True):
                    case = row(program, vms, pinned=pinned, changed=changed)
                    left_out = None
                    if not changed and not isnan(case.value):
                        others = _fit([each for each in before if each != case], work)
                        left_out = others.score * work(case, others)
                    spread = known.spread(_slopes(case, known, work))
                    found.append(Checked(case, known.score * work(case, known), spread, left_out))
    return found


def gains(checked: Sequence[Checked]) -> dict[PublishedRow, tuple[float, float]]:
    """What pinning gains, published and simulated, by pinned row."""
    case = {(c.row.program, c.row.vms, c.row.changed, c.row.pinned): c for c in checked}
    found: dict[PublishedRow, tuple[float, float]] = {}
    for (*same, is_pinned), pinned in case.items():
        if is_pinned:
            floats = case[(*same, False)]  # type: ignore[index]
            published = pinned.row.value / floats.row.value - 1.0
            found[pinned.row] = (published, pinned.simulated / floats.simulated - 1.0)
    return found
