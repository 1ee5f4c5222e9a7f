"""Traces as arrays."""

import numpy as np
import pytest

from numaplace.models.errors import InputError
from numaplace.models.trace import NEVER_MS, Trace, make_trace, split_above, with_predictions


def trace(**changes: object) -> Trace:
    columns = {"vcpus": [1, 6, 3], "memory_mib": [1024, 6144, 3000], "start_ms": [0, 5, 5]}
    return make_trace(("a", "b", "c"), **{**columns, **changes})


def test_plain_vms_sit_on_one_node_and_never_end() -> None:
    found = trace()
    assert found.cells.tolist() == [1, 1, 1]
    assert found.end_ms.tolist() == [NEVER_MS] * 3 == found.predicted_end_ms.tolist()
    assert found.vcpu_parts[0].tolist() == [1, 6, 3]
    assert found.vcpu_parts[1].tolist() == [0, 0, 0]


def test_what_is_above_the_threshold_is_cut_evenly() -> None:
    cut = split_above(trace(), vcpus=2)
    assert cut.cells.tolist() == [1, 2, 2]
    assert [part.tolist() for part in cut.vcpu_parts] == [[1, 3, 2], [0, 3, 1]]
    assert [part.tolist() for part in cut.memory_parts_mib] == [[1024, 3072, 1500], [0, 3072, 1500]]
    assert split_above(trace(), memory_mib=3000).cells.tolist() == [1, 2, 1]
    assert split_above(trace(vcpus=[1, 1, 3]), memory_mib=1000).cells.tolist() == [1, 1, 2]


def test_worth_is_vcpu_time_until_the_last_event() -> None:
    found = trace(end_ms=[10, 7, NEVER_MS])
    assert found.horizon_ms == 10
    assert found.vcpu_ms.tolist() == [10, 6 * 2, 3 * 5]


def test_lives_move_with_starts() -> None:
    moved = trace(end_ms=[10, 7, NEVER_MS]).with_starts(np.array([100, 200, 300]))
    assert moved.end_ms.tolist() == [110, 202, NEVER_MS]
    assert moved.predicted_end_ms.tolist() == [110, 202, NEVER_MS]


def test_a_part_keeps_the_order() -> None:
    assert trace().part(slice(1, 3)).names == ("b", "c")
    assert trace().part(np.array([True, False, True])).vcpus.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"start_ms": [5, 0, 9]}, "start_ms"),
        ({"end_ms": [1, 5, 9]}, "end_ms"),
        ({"vcpus": [0, 1, 1]}, "vcpus"),
        ({"vcpus": [1, 1, 1], "cells": [1, 2, 1]}, "vcpus"),
        ({"memory_mib": [0, 1, 1]}, "memory_mib"),
        ({"cells": [1, 3, 1]}, "cells"),
        ({"vcpus": [1, 1]}, "vcpus"),
    ],
)
def test_impossible_traces_are_refused(changes: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as error:
        trace(**changes)
    assert error.value.field == field


def test_names_are_unique() -> None:
    with pytest.raises(InputError, match="occur twice"):
        make_trace(("a", "a"), vcpus=[1, 1], memory_mib=[1, 1], start_ms=[0, 0])


def test_predictions_may_be_missing_or_wrong() -> None:
    known = trace(end_ms=[1000, 2005, NEVER_MS])
    assert with_predictions(known, None).predicted_end_ms.tolist() == [NEVER_MS] * 3
    assert with_predictions(known, 0.0).predicted_end_ms.tolist() == [1000, 2005, NEVER_MS]
    wrong = with_predictions(known, 1.0, seed=1).predicted_end_ms
    assert wrong[2] == NEVER_MS
    assert np.all(wrong[:2] > known.start_ms[:2])
    assert wrong[0] != 1000
    assert wrong.tolist() == with_predictions(known, 1.0, seed=1).predicted_end_ms.tolist()
