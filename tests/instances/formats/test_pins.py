"""Pins to pCPUs as nodes of a host."""

from __future__ import annotations

import pytest

from numaplace.instances.formats.pins import CpuPins, resolve_pins
from numaplace.instances.reading import Reading
from numaplace.models.errors import InputError
from numaplace.models.vm import Vm
from numaplace.tests.instances.formats.vm_files import small_host

VM = Vm("a", 2, 512)


def test_whole_nodes_need_no_note() -> None:
    """Pins that cover nodes wholly become these nodes, hard and soft ones apart."""
    pins = CpuPins(hard=frozenset(range(8)), soft=frozenset(range(4, 8)))
    reading = resolve_pins(VM, pins, small_host())
    assert (reading.item.hard_nodes, reading.item.soft_nodes) == ({0, 1}, {1})
    assert reading.notes == ()


def test_a_part_of_a_node_is_noted() -> None:
    """The node counts as a whole, and a note says so."""
    reading = resolve_pins(VM, CpuPins(hard=frozenset({0, 1, 2, 3, 5})), small_host())
    assert reading.item.hard_nodes == {0, 1}
    assert len(reading.notes) == 1
    assert "only a part of node(s) 1;" in reading.notes[0]


def test_the_whole_host_restricts_nothing() -> None:
    """Pins to every pCPU are none; pCPUs the host lacks are noted."""
    reading = resolve_pins(VM, CpuPins(hard=frozenset(range(20))), small_host())
    assert reading.item.hard_nodes is None
    assert reading.notes == ("VM 'a': pCPUs 16-19 it is pinned to are not on host 'small'",)


def test_pins_to_another_host() -> None:
    """A host with none of the pCPUs cannot be meant."""
    with pytest.raises(InputError, match="hard_nodes: host 'small' has none of the pCPUs 64-65"):
        resolve_pins(VM, CpuPins(hard=frozenset({64, 65})), small_host())


def test_without_a_host_and_without_pins() -> None:
    """Pins are left out if no host is known, as the importer tells; so is what is not said."""
    assert resolve_pins(VM, CpuPins(soft=frozenset({3})), None) == Reading(VM)
    assert resolve_pins(VM, CpuPins(), None).notes == ()
