"""Traits found on some published rows, and all rows beside what is simulated."""

from __future__ import annotations

from dataclasses import replace
from math import nan, sqrt

import pytest

from numaplace.solver.simulator.calibration import (
    SEEDS,
    TIME_S,
    Checked,
    calibrate,
    check,
    fit,
    gains,
)
from numaplace.solver.simulator.engine import simulate
from numaplace.solver.simulator.published import ROWS, PublishedRow, TalkProgram, row
from numaplace.solver.simulator.talk import (
    CALIBRATED,
    Configuration,
    Traits,
    scenario,
    vm_throughput,
    vm_work,
)

TRUE = Traits(300.0, 0.4, 1.3)


def _work(case: PublishedRow, traits: Traits) -> float:
    """Half of the accesses remote if it floats; two cores of eight shared with six VMs."""
    shared = 1.0 if case.vms == 2 else (4 * traits.smt_yield + 4) / 12
    return 2 * shared / (1.0 + (0.0 if case.pinned else 0.2) * traits.intensity)


def _rows(deviation: float = 0.0) -> list[PublishedRow]:
    cases = ((2, False), (2, True), (6, True))
    empty = [row(TalkProgram.MEMORY, vms, pinned=pinned) for vms, pinned in cases]
    values = [TRUE.score * _work(case, TRUE) for case in empty]
    return [
        replace(case, value=value, deviation=deviation * value)
        for case, value in zip(empty, values, strict=True)
    ]


def test_a_fit_finds_what_rows_were_made_of() -> None:
    found = fit(_rows(), _work)
    assert (found.score, found.intensity, found.smt_yield) == pytest.approx((300.0, 0.4, 1.3))
    assert all(abs(each) < 1e-9 for line in found.covariance for each in line)


def test_deviations_of_rows_are_those_of_what_is_found() -> None:
    """The scale is that of the pinned row of two VMs; a ratio of two rows has root two of it."""
    found = fit(_rows(0.01), _work)
    assert sqrt(found.covariance[0][0]) == pytest.approx(0.01, rel=0.15)
    assert found.spread((1.0, 0.0, 0.0)) == pytest.approx(sqrt(found.covariance[0][0]))
    by_intensity = 0.2 / (1 + 0.2 * 0.4)
    assert sqrt(found.covariance[1][1]) * by_intensity == pytest.approx(0.01 * sqrt(2), rel=0.15)


def test_calibrated_are_three_rows_a_program_and_all_are_checked() -> None:
    fitted = [(r.program, r.vms, r.pinned) for r in ROWS if r.fitted]
    assert len(ROWS) == 24 and len(fitted) == 8 and (TalkProgram.CPU, 2, False) not in fitted
    traits = calibrate(_work)
    checked = check(traits, _work)
    assert len(checked) == 36 and sum(each.left_out is not None for each in checked) == 12
    assert all(abs(each.error) < 1e-4 for each in checked if each.row.fitted)
    found = gains(checked)
    assert len(found) == 18
    pinned = row(TalkProgram.SPECJBB, 6, pinned=True)
    assert found[pinned][0] == pytest.approx(33538.25 / 29274.29 - 1)


def test_gains_of_rows_that_are_not_known_are_simulated_only() -> None:
    floats, pinned = (row(TalkProgram.CPU, 10, pinned=pinned) for pinned in (False, True))
    ((published, simulated),) = gains(
        [Checked(floats, 2.0, 0.0), Checked(pinned, 3.0, 0.0)]
    ).values()
    assert published is not nan and published != published and simulated == pytest.approx(0.5)


def test_floating_vms_crowd_one_socket_after_the_commit() -> None:
    """Xen 4.2 creates three of two VMs' four vCPUs there; its clock is a step of twenty lower."""
    found = scenario(Configuration.ALL_CPUS, 2, Traits(1.0, 0.0, 1.4), changed=True)
    starts = [cpu.start for guest in found.guests[:2] for cpu in guest.cpus]
    assert starts == [15, 0, 13, 14]
    outcome = simulate(found, 4, seed=1, warm_up_s=2)
    on_node = [sum(guest.node_us[n] for guest in outcome.guests[:2]) / 4e6 for n in (0, 1)]
    assert on_node == pytest.approx([1.0, 3.0], rel=0.02)
    assert vm_throughput(outcome) == pytest.approx(1 + 3 * 0.95, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("program", TalkProgram)
def test_published_rows_are_met(program: TalkProgram) -> None:
    """Levels within 5 %, gains of pinning within 3 points, before and after the commit."""
    traits, checked = CALIBRATED[program], []
    for case in (each for each in ROWS if each.program is program):
        configuration = Configuration.AUTO_PINNING if case.pinned else Configuration.ALL_CPUS
        work = vm_work(
            configuration, case.vms, traits, changed=case.changed, time_s=TIME_S, seeds=SEEDS
        )
        checked.append(Checked(case, traits.score * work, 0.0))
    assert all(abs(each.error) < 0.05 for each in checked)
    assert all(abs(found - told) < 0.03 for told, found in gains(checked).values())
