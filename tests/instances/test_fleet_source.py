"""Fleets as named on a command line."""

from pathlib import Path

import pytest

from numaplace.instances.lookup import parse_fleet
from numaplace.models.errors import InputError

HOSTS = Path(__file__).parent.parent / "data" / "hosts"


def test_shapes_names_and_files() -> None:
    fleet = parse_fleet(["2x40x90*5", "8n*2", f"{HOSTS / 'numactl-gaps.txt'}*3"])
    assert [count for _, count in fleet.shapes] == [5, 2, 3]
    assert fleet.cpu_capacity[:2].tolist() == [40, 40]
    assert fleet.memory_mib[0] == 90 * 1024
    assert fleet.host_name(4) == "2x40x90-5"
    assert len(fleet.shapes[1][0].nodes) == 8


def test_one_host_needs_no_count() -> None:
    assert parse_fleet(["1x4x8"]).num_hosts == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2x40", "is none of NODESxCPUSxGIB"),
        ("nowhere.xml*3", "is none of"),
        ("0x4x8", "must be at least 1"),
        ("2x4x8*0", "count: 0 is below 1"),
        ("2x99999x8", "99999 is above"),
        ("2x4x8*999999999", "above"),
        ("", "is empty"),
    ],
)
def test_what_is_no_fleet(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        parse_fleet([text])


def test_no_host_and_one_name_twice() -> None:
    with pytest.raises(InputError, match="number of hosts"):
        parse_fleet([])
    with pytest.raises(InputError, match="occurs twice"):
        parse_fleet(["2x4x8", "2x4x8*3"])
